//! Sharing a host's own watches: its events feed the same stores.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use kube::runtime::watcher;
use pin_project_lite::pin_project;

use crate::resource::CollectedResource;
use crate::store::Writer;

/// Adds [`record_into`](Self::record_into) to streams of watch events.
///
/// ```
/// use futures::{StreamExt, stream};
/// use k8s_openapi::api::core::v1::Node;
/// use kube::runtime::watcher::Event;
/// use kube_state_metrics::watch::RecordExt;
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
    /// Feeds every event to a store on its way to whoever reads the stream.
    ///
    /// It goes anywhere in the chain where events still are events, also behind
    /// [`reflect`](kube::runtime::WatchStreamExt::reflect).
    ///
    /// ```no_run
    /// use futures::StreamExt;
    /// use k8s_openapi::api::core::v1::Pod;
    /// use kube::runtime::{WatchStreamExt, watcher};
    /// use kube::{Api, Client};
    /// use kube_state_metrics::watch::RecordExt;
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
        }
    }
}

impl<K: CollectedResource, S: Stream<Item = watcher::Result<watcher::Event<K>>>> RecordExt<K>
    for S
{
}

pin_project! {
    /// A stream of watch events that feeds a store; see [`RecordExt::record_into`].
    ///
    /// ```
    /// use futures::{StreamExt, stream};
    /// use k8s_openapi::api::core::v1::Node;
    /// use kube::runtime::watcher::Event;
    /// use kube_state_metrics::watch::RecordExt;
    /// use kube_state_metrics::{CacheStore, MetricsStore, families};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let node: Node = serde_json::from_value(serde_json::json!({ "metadata": { "name": "a" } }))?;
    /// let store = MetricsStore::new(families::nodes());
    /// let events = stream::iter([Ok(Event::Apply(node))]).record_into(store.writer());
    /// assert_eq!(events.count().await, 1);
    /// assert_eq!(store.list_keys(), ["a"]);
    /// # Ok(())
    /// # }
    /// ```
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct Record<S, K: CollectedResource> {
        #[pin]
        stream: S,
        writer: Writer<K>,
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
        if let Poll::Ready(Some(Ok(event))) = &item {
            this.writer.apply_watcher_event(event);
        }
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

impl<K: CollectedResource> Writer<K> {
    /// Feeds one event of a [`kube`] watcher.
    ///
    /// The objects of a list are published once the list is complete. They replace all objects that
    /// this writer fed before.
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
