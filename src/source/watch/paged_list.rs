//! Requests and applies paged lists. An object that is large, or expensive because of its families, is applied on
//! another thread (see [`BlockingSink`](super::blocking_sink::BlockingSink)). Expensive objects are applied after the
//! last page (see [`expensive_list`](super::expensive_list)).
//!
//! The timeouts of a list apply to complete objects, because a server that sends single bytes makes no real progress.
//! Each object must be complete within [`WatchTimeouts::response`](super::timeouts::WatchTimeouts::response) after the
//! previous object. The whole list must be complete within
//! [`WatchTimeouts::list`](super::timeouts::WatchTimeouts::list). Only the time in which the reflector waits for the
//! server counts.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::blocking_sink::Handled;
use super::failure::Failure;
use super::json_list::ListPart;
use super::list_bounds::ListProgress;
use super::list_meta::ListMeta;
use super::list_splitter::ListSplitter;
use super::next_bytes::next_bytes;
use super::object_buffer;
use super::oversized::{OversizedObject, Part};
use super::reflector::{Action, NextStep, Reflector};
use super::request::ListWatchRequest;
use super::sink::{Change, ListWatchSink};
use super::split_error::SplitError;
use super::turn::{MAX_PART, Turn};
use crate::decode::{DecodeError, DecodeReason, Encoding};
use crate::source::health::FailureReason;

/// The progress of a paged list.
struct Pages {
    next: Option<String>,
    /// Whether the server has begun to send a page.
    is_opened: bool,
    /// Number of stored objects.
    stored: u64,
    progress: ListProgress,
}

/// The parameters of the requests of one list.
struct PagedListParameters {
    /// The minimum resource version of the list.
    version: Option<String>,
    limit: Option<u64>,
    selector: Option<String>,
}

// === impl Reflector ===

impl<S: ListWatchSink> Reflector<S> {
    /// Requests a paged list and applies it.
    pub(super) async fn paged_list(&mut self) -> NextStep {
        match self.list_pages().await {
            Ok(()) => {
                if self.is_stream_unanswered {
                    // The server has answered this paged list, but it did not answer the last streaming list. So the
                    // problem is only in streaming lists, and the watch stops using them.
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
            // A list with a version has no limit, because a server does not use its cache for a list with a version and
            // a limit.
            (None, Some(version)) if version != "0" => None,
            (None, _) => Some(self.options.page_size),
        };
        let mut parameters = PagedListParameters {
            version,
            limit,
            selector: None,
        };
        let (version, pages) = loop {
            parameters.selector = self.enter_scope();
            self.listed_expensive.clear();
            self.sink.begin_list();
            let mut pages = Pages {
                next: None,
                is_opened: false,
                stored: 0,
                progress: ListProgress::new(),
            };
            match self.pages(&mut pages, &parameters).await {
                // The shard changed during the list, so the list begins again. The pages before the change lack the
                // objects that are new in the shard.
                Ok(_) if self.needs_list() => {}
                Ok(version) => break (version, pages),
                Err(failure) => {
                    self.listed_expensive.clear();
                    self.sink.discard_list().await;
                    self.retry_expired(failure, &pages, &mut parameters)?;
                }
            }
        };
        if let Some(limit) = self.options.object_limit {
            self.metrics.limited_list(pages.stored);
            self.feed.reporter().limited(pages.stored >= limit);
        }
        if self.apply_listed_expensive().await? {
            self.list_ended(version, pages.progress.began());
        }
        Ok(())
    }

    /// Changes the parameters for a further attempt if a version has expired. Returns `failure` if a further attempt is
    /// not useful.
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
            // A list that breaks each time after its start costs the server much, so the backoff must grow.
            return Err(if pages.is_opened {
                failure.despite_answers()
            } else {
                failure
            });
        }
        Ok(())
    }

    /// Requests one page after another, and returns the version of the first page.
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
            let Some(next) = page.next.filter(|_| self.options.object_limit.is_none()) else {
                return Ok(version);
            };
            let counted = pages.progress.page(&next);
            counted.inspect_err(|_| self.metrics.list_request(false))?;
            pages.next = Some(next);
        }
    }

    async fn page(
        &mut self,
        pages: &mut Pages,
        parameters: &PagedListParameters,
    ) -> Result<ListMeta, Failure> {
        let request = ListWatchRequest::List {
            limit: parameters.limit.map(|limit| self.page_limit(limit)),
            version: parameters.version.as_deref(),
            next: pages.next.as_deref(),
        };
        let timeout = self.options.timeouts.response;
        let selector = parameters.selector.as_deref();
        let mut response = self.send(request, selector, timeout).await?;
        pages.is_opened = true;
        self.feed.list_opened();
        let encoding = response.encoding();
        let (message, requested) = (self.target.message(), self.sink.partial.requested());
        let mut splitter = ListSplitter::new(encoding, message, requested, &self.options.budget);
        let mut turn = Turn::new();
        let mut last_object = Instant::now();
        let (objects_before, mut worked) = (pages.progress.objects(), Duration::ZERO);
        loop {
            self.report_long_list(&mut pages.progress);
            let timeouts = &self.options.timeouts;
            let began = pages.progress.began();
            let read = next_bytes(&mut response, timeouts, began, last_object, &splitter);
            let Some(bytes) = read.await? else { break };
            self.feed.reporter().list_data_received();
            let (before, began) = (pages.progress.objects(), Instant::now());
            let mut waited = Duration::ZERO;
            for bytes in bytes.chunks(MAX_PART) {
                waited += splitter.make_room(bytes.len()).await?;
                // The first object that is large or expensive to apply, and all objects after this object.
                let mut deferred = Vec::new();
                let mut bounded = Ok(());
                let fed = splitter.feed(bytes, |part| match part {
                    ListPart::TableHeader(table) => self.sink.partial.read_columns(&table),
                    ListPart::Object(_) if bounded.is_err() => {}
                    ListPart::Object(Part::Oversized(object)) => {
                        bounded = self.listed_oversized(&object, pages);
                    }
                    ListPart::Object(Part::Whole(item)) => {
                        let is_next = deferred.is_empty();
                        match self.listed(item, is_next, encoding, pages) {
                            Ok(Handled::Done) => {}
                            Ok(Handled::Later) => deferred.push(object_buffer::copy(item)),
                            Err(failure) => bounded = Err(failure),
                        }
                    }
                });
                for item in deferred {
                    self.listed_later(item, encoding, &mut turn).await?;
                }
                splitter.settle();
                fed?;
                bounded?;
                if turn.is_over(bytes.len()) {
                    turn.pause().await;
                    self.sink.paused();
                }
            }
            let own_time = began.elapsed();
            worked += own_time.saturating_sub(waited);
            pages.progress.exclude_work(own_time);
            last_object += own_time;
            if pages.progress.objects() > before {
                last_object = Instant::now();
                self.feed.reporter().object_received();
            }
        }
        let began = Instant::now();
        // If the server has lost the version of the list, the next page may repeat an object of this page. Therefore,
        // all objects of this page must be applied before the next page.
        if let Some(malformed) = self.finish_batches().await? {
            self.after_listed(Err(malformed), encoding)?;
        }
        let own_time = began.elapsed();
        pages.progress.exclude_work(own_time);
        let objects = pages.progress.objects() - objects_before;
        self.page_size.applied(objects, worked + own_time);
        Ok(splitter.finish()?)
    }

    /// Counts and skips an object that is larger than the maximum size.
    fn listed_oversized(
        &mut self,
        object: &OversizedObject,
        pages: &mut Pages,
    ) -> Result<(), Failure> {
        pages.progress.object(self.options.max_list_objects, None)?;
        self.skip_oversized(object);
        Ok(())
    }

    /// Counts an object of a list, and applies the object if it is neither large nor expensive. If `is_next` is false,
    /// an earlier object must be applied first, so the object is only counted.
    fn listed(
        &mut self,
        item: &[u8],
        is_next: bool,
        encoding: Encoding,
        pages: &mut Pages,
    ) -> Result<Handled, Failure> {
        if !self.counts_object(item, pages)? {
            return Ok(Handled::Done);
        }
        if !is_next {
            return Ok(Handled::Later);
        }
        self.apply_small(item, encoding)
    }

    /// Applies an object if it is neither large nor expensive.
    fn apply_small(&mut self, item: &[u8], encoding: Encoding) -> Result<Handled, Failure> {
        if item.len() >= encoding.large_object() {
            return Ok(Handled::Later);
        }
        let object = encoding.object(item);
        if self.sink.offer(object) {
            return Ok(Handled::Done);
        }
        let Some(applied) = self.sink.change_small(Change::Applied, object) else {
            return Ok(Handled::Later);
        };
        self.after_listed(applied, encoding)?;
        Ok(Handled::Done)
    }

    /// Logs the error of an object that does not decode. The list fails if the object has only metadata, although more
    /// fields were requested. The list also fails if the protobuf of the object is malformed, so that the next list
    /// requests JSON.
    pub(super) fn after_listed(
        &mut self,
        applied: Result<(), DecodeError>,
        encoding: Encoding,
    ) -> Result<(), Failure> {
        let Err(error) = applied else {
            self.note_listed();
            return Ok(());
        };
        if error.is_only_metadata() {
            return Err(SplitError::OnlyMetadata.into());
        }
        if matches!(encoding, Encoding::Protobuf(_)) && error.reason() == DecodeReason::Syntax {
            return Err(Failure::malformed(error.to_string()));
        }
        self.log_undecodable(&error);
        Ok(())
    }

    /// Logs once that a list is unusually long.
    fn report_long_list(&self, progress: &mut ListProgress) {
        if progress.becomes_long() {
            let resource = &self.target.resource.label();
            let (pages, objects) = (progress.pages(), progress.objects());
            let seconds = progress.began().elapsed().as_secs();
            tracing::warn!(
                resource,
                pages,
                objects,
                seconds,
                "a paged list takes unusually long; check the API server, unless the cluster is very large"
            );
        }
    }

    /// Applies an object of a list. The caller has already counted the object. The object may be large or expensive.
    async fn listed_later(
        &mut self,
        item: Bytes,
        encoding: Encoding,
        turn: &mut Turn,
    ) -> Result<(), Failure> {
        if self.apply_small(&item, encoding)? == Handled::Done {
            return Ok(());
        }
        if item.len() >= encoding.large_object() {
            let applied = self
                .sink
                .change_large(Change::Applied, encoding, item.clone());
            if let Some(applied) = applied.await {
                return self.after_listed(applied, encoding);
            }
        } else if !self.sink.is_expensive() {
            // The units of work were used for other objects. The object gets all units of another turn.
            turn.pause().await;
            self.sink.paused();
            if self.apply_small(&item, encoding)? == Handled::Done {
                return Ok(());
            }
        }
        if self.postpone_listed(encoding, &item).await {
            return Ok(());
        }
        let applied = self.list_expensive(Change::Applied, encoding, item).await;
        self.after_listed(applied, encoding)
    }

    /// Returns the limit of the next page. `limit` is the limit without expensive objects. An object limit stays.
    fn page_limit(&self, limit: u64) -> u64 {
        match self.options.object_limit {
            Some(_) => limit,
            None => self.page_size.limit(limit),
        }
    }

    /// Counts an object of the list. Returns false if the list already has as many objects as the object limit allows,
    /// so that the object must not be stored.
    fn counts_object(&self, item: &[u8], pages: &mut Pages) -> Result<bool, Failure> {
        let most = self.options.max_list_objects;
        pages.progress.object(most, Some(item))?;
        let limit = self.options.object_limit;
        let is_stored = limit.is_none_or(|limit| pages.stored < limit);
        pages.stored += u64::from(is_stored);
        Ok(is_stored)
    }
}
