//! [`RecordExt`]: feeds stores from the host's own watches.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use kube::runtime::watcher;
use pin_project_lite::pin_project;

use super::failure::Failure;
use crate::resource::CollectedResource;
use crate::source::health::FeedReporter;
use crate::store::Writer;

/// Adds [`record_into`](Self::record_into) to streams of watch events.
///
/// ```
/// use futures::{StreamExt, stream};
/// use k8s_openapi::api::core::v1::Node;
/// use kube::runtime::watcher::Event;
/// use kube_state_metrics::source::watch::RecordExt;
/// use kube_state_metrics::{CacheStore, MetricsStore, families};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let node: Node = serde_json::from_value(serde_json::json!({ "metadata": { "name": "a" } }))?;
/// let store = MetricsStore::new(families::nodes());
/// let events = [Ok(Event::Init), Ok(Event::InitApply(node)), Ok(Event::InitDone)];
/// let mut events = stream::iter(events).record_into(store.writer());
/// while let Some(event) = events.next().await {
///     event?; // the host's own work
/// }
/// assert_eq!(store.list_keys(), ["a"]);
/// # Ok(())
/// # }
/// ```
pub trait RecordExt<K: CollectedResource>:
    Stream<Item = watcher::Result<watcher::Event<K>>> + Sized
{
    /// Applies every event to a store and then yields the event.
    ///
    /// Call this method at any position in a chain of streams of [events](watcher::Event), for example after
    /// [`reflect`](kube::runtime::WatchStreamExt::reflect).
    ///
    /// ```no_run
    /// use futures::StreamExt;
    /// use k8s_openapi::api::core::v1::Pod;
    /// use kube::runtime::{WatchStreamExt, watcher};
    /// use kube::{Api, Client};
    /// use kube_state_metrics::source::watch::RecordExt;
    /// use kube_state_metrics::{BuiltIn, StateMetrics};
    ///
    /// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let builder = StateMetrics::builder().built_in([BuiltIn::Pods]);
    /// let metrics = builder.fed_by_host(BuiltIn::Pods).build()?;
    /// let pods = watcher(Api::<Pod>::all(client), watcher::Config::default())
    ///     .default_backoff()
    ///     .record_into(metrics.feed::<Pod>()?);
    /// pods.for_each(|event| async move { drop(event) }).await;
    /// # Ok(())
    /// # }
    /// ```
    fn record_into(self, writer: Writer<K>) -> Record<Self, K> {
        Record {
            stream: self,
            writer,
            reporter: None,
        }
    }
}

impl<K: CollectedResource, S: Stream<Item = watcher::Result<watcher::Event<K>>>> RecordExt<K>
    for S
{
}

pin_project! {
    /// A stream of watch events that feeds a store; see [`RecordExt::record_into`].
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct Record<S, K: CollectedResource> {
        #[pin]
        stream: S,
        writer: Writer<K>,
        reporter: Option<FeedReporter>,
    }
}

// === impl Record ===

impl<S, K: CollectedResource> Record<S, K> {
    /// Reports lists, events and failures of the stream, so that health and readiness consider this stream.
    ///
    /// ```no_run
    /// use futures::StreamExt;
    /// use k8s_openapi::api::core::v1::Node;
    /// use kube::runtime::{WatchStreamExt, watcher};
    /// use kube::{Api, Client};
    /// use kube_state_metrics::source::health::ReadinessPolicy;
    /// use kube_state_metrics::source::watch::RecordExt;
    /// use kube_state_metrics::{BuiltIn, StateMetrics};
    ///
    /// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// // The host feeds nodes, the crate watches pods.
    /// let builder = StateMetrics::builder().built_in([BuiltIn::Nodes, BuiltIn::Pods]);
    /// let metrics = builder.fed_by_host(BuiltIn::Nodes).build()?;
    /// let watch = metrics.watch(client.clone()).build()?;
    /// let health = watch.health();
    /// let nodes = watcher(Api::<Node>::all(client), watcher::Config::default())
    ///     .default_backoff()
    ///     .record_into(metrics.feed::<Node>()?)
    ///     .report_to(health.reporter(BuiltIn::Nodes));
    /// tokio::spawn(nodes.for_each(|event| async move { drop(event) }));
    /// tokio::spawn(watch.run());
    /// health.ready(ReadinessPolicy::Default).await; // both resources are complete
    /// # Ok(())
    /// # }
    /// ```
    pub fn report_to(mut self, reporter: FeedReporter) -> Self {
        self.reporter = Some(reporter);
        self
    }
}

impl<K, S> Stream for Record<S, K>
where
    K: CollectedResource,
    S: Stream<Item = watcher::Result<watcher::Event<K>>>,
{
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        let item = this.stream.poll_next(cx);
        if let Poll::Ready(Some(item)) = &item {
            if let Ok(event) = item {
                this.writer.apply_watcher_event(event);
            }
            if let Some(reporter) = this.reporter {
                report(item, reporter);
            }
        }
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

fn report<K>(item: &watcher::Result<watcher::Event<K>>, reporter: &FeedReporter) {
    match item {
        Ok(watcher::Event::Init) => reporter.listing(),
        Ok(watcher::Event::InitDone) => reporter.complete(),
        Ok(watcher::Event::InitApply(_)) => reporter.list_data_received(),
        Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_)) => reporter.event(),
        Err(error) => {
            let failure = Failure::of_watcher(error);
            reporter.failed(failure.reason, failure.message);
        }
    }
}

impl<K: CollectedResource> Writer<K> {
    /// Applies one event of a [`kube`] watcher.
    ///
    /// Readers see the objects of a list when the list is complete. Then the list replaces all earlier objects of this
    /// writer.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::Node;
    /// use kube::runtime::watcher::Event;
    /// use kube_state_metrics::{CacheStore, MetricsStore, families};
    ///
    /// let node: Node = serde_json::from_value(serde_json::json!({ "metadata": { "name": "a" } }))?;
    /// let store = MetricsStore::new(families::nodes());
    /// let mut writer = store.writer();
    /// writer.apply_watcher_event(&Event::Apply(node.clone()));
    /// assert_eq!(store.list_keys(), ["a"]);
    /// writer.apply_watcher_event(&Event::Delete(node));
    /// assert!(store.list_keys().is_empty());
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "watch")))]
    pub fn apply_watcher_event(&mut self, event: &watcher::Event<K>) {
        match event {
            watcher::Event::Init => self.begin_list(),
            watcher::Event::InitApply(object) | watcher::Event::Apply(object) => {
                self.apply_object(object);
            }
            watcher::Event::InitDone => self.end_list(),
            watcher::Event::Delete(object) => self.delete_object(object),
        }
    }
}
