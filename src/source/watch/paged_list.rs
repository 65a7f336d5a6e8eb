//! Lists in pages.

use tokio::time::Instant;

use super::connection::send;
use super::failure::Failure;
use super::json_splitter::{ListMeta, ListSplitter};
use super::reflector::{Action, CHUNKS_PER_TURN, NextStep, Reflector};
use super::request::ListWatchRequest;
use super::sink::ListWatchSink;
use crate::source::health::FailureReason;

/// The progress of a list in pages.
#[derive(Default)]
struct Pages {
    next: Option<String>,
    objects: u64,
}

/// What the requests of one list ask for.
struct PagedListParameters {
    /// The minimum version.
    version: Option<String>,
    limit: Option<u64>,
    selector: Option<String>,
}

impl<S: ListWatchSink> Reflector<S> {
    /// Lists in pages.
    pub(super) async fn paged_list(&mut self) -> NextStep {
        match self.list_pages().await {
            Ok(()) => {
                if self.is_stream_unanswered {
                    // The server answers a list in pages, so it is the stream that does not begin.
                    self.give_up_streaming();
                }
                NextStep::now(Action::Watch)
            }
            Err(failure) => {
                self.is_stream_unanswered = false;
                NextStep::after(failure, Action::List)
            }
        }
    }

    async fn list_pages(&mut self) -> Result<(), Failure> {
        self.feed.listing();
        let version = self.list_version();
        let limit = match (self.options.object_limit, version.as_deref()) {
            (Some(limit), _) => Some(limit),
            // Servers answer a list of a certain version from their cache only without a limit.
            (None, Some(version)) if version != "0" => None,
            (None, _) => Some(self.options.page_size),
        };
        let mut parameters = PagedListParameters {
            version,
            limit,
            selector: None,
        };
        let (version, objects, began) = loop {
            let began = Instant::now();
            parameters.selector = self.enter_scope();
            self.sink.begin_list();
            let mut pages = Pages::default();
            match self.pages(&mut pages, &parameters).await {
                // The shard changed meanwhile: its new objects in the pages before were not stored.
                Ok(_) if self.needs_list() => {}
                Ok(version) => break (version, pages.objects, began),
                Err(failure) => {
                    self.sink.abandon_list();
                    self.retry_expired(failure, &pages, &mut parameters)?;
                }
            }
        };
        if self.options.object_limit.is_some() {
            self.metrics.limited_list(objects);
        }
        self.end_list(version, began);
        Ok(())
    }

    /// Changes the parameters if a version has expired; other failures are returned.
    fn retry_expired(
        &mut self,
        failure: Failure,
        pages: &Pages,
        parameters: &mut PagedListParameters,
    ) -> Result<(), Failure> {
        let is_expired = failure.reason == FailureReason::Expired;
        if is_expired && pages.next.is_some() && parameters.limit.is_some() {
            parameters.version = None;
            parameters.limit = self.options.object_limit;
        } else if is_expired && parameters.version.is_some() {
            parameters.version = None;
            self.version_lost = true;
        } else {
            self.reset_streaming_if_unreachable(&failure);
            return Err(failure);
        }
        Ok(())
    }

    /// Requests page after page and returns the version of the first.
    async fn pages(
        &mut self,
        pages: &mut Pages,
        parameters: &PagedListParameters,
    ) -> Result<String, Failure> {
        let mut first = None;
        loop {
            let page = self.page(pages, parameters).await;
            self.metrics.list_request(page.is_ok());
            let page = page?;
            let version = first.get_or_insert(page.version).clone();
            if self.options.object_limit.is_some() || page.next.is_none() {
                return Ok(version);
            }
            if page.next == pages.next {
                let message = "the server repeats a page of the list";
                return Err(Failure::new(FailureReason::DecodeError, message));
            }
            pages.next = page.next;
        }
    }

    async fn page(
        &mut self,
        pages: &mut Pages,
        parameters: &PagedListParameters,
    ) -> Result<ListMeta, Failure> {
        let request = ListWatchRequest::List {
            limit: parameters.limit,
            version: parameters.version.as_deref(),
            next: pages.next.as_deref(),
        };
        let request = self
            .target
            .request(request, parameters.selector.as_deref())?;
        let timeout = self.options.timeouts.response;
        let mut response = send(&self.client, request, timeout).await?;
        self.feed.list_opened();
        let mut splitter = ListSplitter::default();
        let mut chunks = 0_u32;
        while let Some(bytes) = response.next(timeout).await? {
            self.feed.reporter().data_received();
            let before = pages.objects;
            splitter.feed(&bytes, |item| self.apply_listed(item, &mut pages.objects))?;
            if pages.objects > before {
                self.feed.reporter().object_received();
            }
            chunks += 1;
            if chunks.is_multiple_of(CHUNKS_PER_TURN) {
                tokio::task::yield_now().await;
            }
        }
        Ok(splitter.finish()?)
    }

    fn apply_listed(&mut self, item: &[u8], objects: &mut u64) {
        let limit = self.options.object_limit;
        if limit.is_none_or(|limit| *objects < limit) {
            *objects += 1;
            if let Err(error) = self.sink.apply(item) {
                self.log_undecodable(&error);
            }
        }
    }
}
