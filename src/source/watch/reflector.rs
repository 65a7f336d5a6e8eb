//! The reflector: lists a collection, then follows its changes, for as long as it is polled.
//!
//! The rules are those of client-go's
//! [reflector](https://pkg.go.dev/k8s.io/client-go/tools/cache#Reflector): a streaming list where
//! the server has them, else pages; then a watch, resumed from the last version seen for as long as
//! the server still has it. What is known stays visible while anything fails, and a list shows only
//! once it is complete.

use std::collections::HashSet;
use std::sync::Arc;

use kube::Client;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::connection::send;
use super::failure::{Failure, FailureReason};
use super::feed::FeedState;
use super::json_splitter::{ListMeta, ListSplitter};
use super::metrics::FeedMetrics;
use super::request::{Question, Target};
use super::timeouts::{Backoff, WatchTimeouts};
use crate::decode::DecodeError;
use crate::store::ObjectWriter;

/// How all reflectors of a set of watches ask.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// Ask for streaming lists.
    pub(super) streaming: bool,
    /// Take any version the server has at hand.
    pub(super) use_cache: bool,
    /// Most objects a list takes.
    pub(super) object_limit: Option<u64>,
    pub(super) page_size: u64,
    pub(super) timeouts: WatchTimeouts,
}

/// What part of the objects is wanted; a new value asks for a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ShardScope {
    /// Counts the changes that need a list.
    pub(super) generation: u64,
    /// What the server shall select.
    pub(super) selector: Option<String>,
}

/// Keeps one writer up to date with one collection.
pub(super) struct Reflector {
    pub(super) client: Client,
    pub(super) target: Target,
    pub(super) options: Arc<Options>,
    pub(super) writer: Box<dyn ObjectWriter>,
    pub(super) feed: Arc<FeedState>,
    pub(super) metrics: FeedMetrics,
    pub(super) scope: watch::Receiver<ShardScope>,
    /// The generation of the scope that is listed or followed.
    pub(super) generation: u64,
    pub(super) backoff: Backoff,
    /// The version that what is stored corresponds to.
    pub(super) version: Option<String>,
    /// The server does not have that version.
    pub(super) version_lost: bool,
    /// The server has not refused streaming lists.
    pub(super) can_stream: bool,
    /// Streaming lists in a row that ended in the middle.
    pub(super) cut_streams: u32,
    /// Where a watch last sent a line that is not an event.
    pub(super) broken_at: Option<String>,
    gone_since: Option<Instant>,
    /// Objects that did not decode and have been named in the log.
    undecodable: HashSet<String>,
}

/// What to do next, after a wait where something failed.
pub(super) struct Turn {
    pub(super) next: Next,
    pub(super) failure: Option<Failure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    List,
    /// A list in pages, though streaming lists are on.
    Pages,
    Watch,
}

/// Names in the log; a kind that is broken as a whole must not fill it.
const MAX_NAMED: usize = 20;
/// Chunks handled before others get a turn.
pub(super) const CHUNKS_PER_TURN: u32 = 16;

// === impl Options ===

impl Options {
    /// A limited list is asked for in pages.
    fn may_stream(&self) -> bool {
        self.streaming && self.object_limit.is_none()
    }
}

// === impl Reflector ===

impl Reflector {
    pub(super) fn new(
        client: Client,
        target: Target,
        options: Arc<Options>,
        writer: Box<dyn ObjectWriter>,
        feed: Arc<FeedState>,
        metrics: FeedMetrics,
        scope: watch::Receiver<ShardScope>,
    ) -> Self {
        let generation = scope.borrow().generation;
        Self {
            client,
            target,
            writer,
            feed,
            metrics,
            generation,
            scope,
            backoff: Backoff::new(options.timeouts.clone()),
            version: None,
            version_lost: false,
            can_stream: options.may_stream(),
            cut_streams: 0,
            broken_at: None,
            gone_since: None,
            undecodable: HashSet::new(),
            options,
        }
    }

    /// Runs for ever.
    pub(super) async fn run(mut self) {
        let mut next = Next::List;
        loop {
            let turn = match next {
                Next::List if self.can_stream => self.streaming_list().await,
                Next::List | Next::Pages => match self.paged_list().await {
                    Ok(()) => Turn::now(Next::Watch),
                    Err(failure) => Turn::after(Next::List, failure),
                },
                Next::Watch => self.watch().await,
            };
            next = turn.next;
            if let Some(failure) = turn.failure {
                self.rest(&failure).await;
            }
            if self.is_out_of_scope() {
                next = Next::List;
            }
        }
    }

    /// Notes a failure and waits.
    async fn rest(&mut self, failure: &Failure) {
        self.forget_if_gone(failure);
        let wait = self.backoff.next(failure);
        if !wait.is_zero() {
            self.feed.failed(failure);
            sleep(wait).await;
        }
    }

    /// Removes what was known of a resource that the server has long denied to exist.
    fn forget_if_gone(&mut self, failure: &Failure) {
        if failure.reason != FailureReason::NotFound || !self.feed.is_complete() {
            self.gone_since = None;
            return;
        }
        let since = *self.gone_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= self.options.timeouts.gone_after {
            self.writer.begin_list();
            self.writer.end_list();
        }
    }

    /// Lists in pages.
    async fn paged_list(&mut self) -> Result<(), Failure> {
        self.feed.listing();
        let mut version = self.list_version();
        let mut limit = match (self.options.object_limit, version.as_deref()) {
            (Some(limit), _) => Some(limit),
            // Servers answer a list of a certain version from memory only where it is asked whole.
            (None, Some(version)) if version != "0" => None,
            (None, _) => Some(self.options.page_size),
        };
        let (listed, objects) = loop {
            let selector = self.enter_scope();
            self.writer.begin_list();
            let mut pages = Pages::default();
            match self
                .pages(&mut pages, version.as_deref(), limit, selector.as_deref())
                .await
            {
                // Another shard while we listed: some objects were not taken that are ours now.
                Ok(_) if self.is_out_of_scope() => {}
                Ok(listed) => break (listed, pages.objects),
                Err(failure) => {
                    self.writer.abandon_list();
                    let expired = failure.reason == FailureReason::Expired;
                    if expired && pages.next.is_some() && limit.is_some() {
                        (version, limit) = (None, self.options.object_limit);
                    } else if expired && version.is_some() {
                        (version, self.version_lost) = (None, true);
                    } else {
                        self.look_for_another_server(&failure);
                        return Err(failure);
                    }
                }
            }
        };
        if self.options.object_limit.is_some() {
            self.metrics.limited_list(objects);
        }
        self.end_list(listed);
        Ok(())
    }

    /// Lists page after page and returns the version of the first.
    async fn pages(
        &mut self,
        pages: &mut Pages,
        version: Option<&str>,
        limit: Option<u64>,
        selector: Option<&str>,
    ) -> Result<String, Failure> {
        let mut first = None;
        loop {
            let question = Question::List {
                limit,
                version,
                next: pages.next.as_deref(),
            };
            let page = self.page(question, &mut pages.objects, selector).await;
            self.metrics.list_request(page.is_ok());
            let page = page?;
            let version = first.get_or_insert(page.version).clone();
            if self.options.object_limit.is_some() || page.next.is_none() {
                return Ok(version);
            }
            if page.next == pages.next {
                let message = "the server gives the same page again and again";
                return Err(Failure::new(FailureReason::DecodeError, message));
            }
            pages.next = page.next;
        }
    }

    async fn page(
        &mut self,
        question: Question<'_>,
        objects: &mut u64,
        selector: Option<&str>,
    ) -> Result<ListMeta, Failure> {
        let request = self.target.request(question, selector);
        let request = request.map_err(|error| {
            Failure::new(FailureReason::Rejected, format!("not a request: {error}"))
        })?;
        let patience = self.options.timeouts.response;
        let mut answer = send(&self.client, request, patience).await?;
        let mut splitter = ListSplitter::default();
        let mut chunks = 0;
        while let Some(bytes) = answer.next(patience).await? {
            self.feed.sign_of_life();
            splitter.feed(&bytes, |item| {
                if self
                    .options
                    .object_limit
                    .is_none_or(|limit| *objects < limit)
                {
                    *objects += 1;
                    if let Err(error) = self.writer.apply_json(item) {
                        name_undecodable(&mut self.undecodable, &error);
                    }
                }
            })?;
            chunks += 1;
            if chunks % CHUNKS_PER_TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(splitter.finish()?)
    }

    /// Takes on the scope that is wanted now and returns what the server shall select.
    pub(super) fn enter_scope(&mut self) -> Option<String> {
        let scope = self.scope.borrow_and_update();
        self.generation = scope.generation;
        scope.selector.clone()
    }

    /// Whether objects are wanted that were not listed.
    pub(super) fn is_out_of_scope(&self) -> bool {
        self.scope.borrow().generation != self.generation || self.writer.wants_list()
    }

    /// A server that comes back may be another one, with streaming lists.
    pub(super) fn look_for_another_server(&mut self, failure: &Failure) {
        if failure.reason == FailureReason::Unreachable {
            self.can_stream = self.options.may_stream();
        }
    }

    /// The version a list must not be older than.
    pub(super) fn list_version(&self) -> Option<String> {
        if self.options.use_cache {
            return Some(String::from("0"));
        }
        match &self.version {
            Some(version) if !self.version_lost => Some(version.clone()),
            Some(_) => None,
            None => Some(String::from("0")),
        }
    }

    /// Shows a complete list.
    pub(super) fn end_list(&mut self, version: String) {
        self.writer.end_list();
        if self.feed.is_complete() {
            self.metrics.relisted();
        }
        self.feed.complete();
        self.version = Some(version);
        self.version_lost = false;
        self.gone_since = None;
    }

    pub(super) fn note_undecodable(&mut self, error: &DecodeError) {
        name_undecodable(&mut self.undecodable, error);
    }
}

impl Drop for Reflector {
    fn drop(&mut self) {
        self.feed.stopped();
    }
}

/// How far a list in pages has come.
#[derive(Default)]
struct Pages {
    next: Option<String>,
    objects: u64,
}

/// Names an object that does not decode in the log, once.
fn name_undecodable(named: &mut HashSet<String>, error: &DecodeError) {
    if named.len() < MAX_NAMED && named.insert(error.object().to_owned()) {
        tracing::warn!(%error, "an object is left out");
    } else {
        tracing::debug!(%error, "an object is left out");
    }
}

// === impl Turn ===

impl Turn {
    pub(super) fn now(next: Next) -> Self {
        Self {
            next,
            failure: None,
        }
    }

    pub(super) fn after(next: Next, failure: Failure) -> Self {
        Self {
            next,
            failure: Some(failure),
        }
    }
}
