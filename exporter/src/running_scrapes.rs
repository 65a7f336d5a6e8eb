//! [`RunningScrapes`]: ends the oldest response with the metrics of objects if such responses need too much memory.
//!
//! A response sends the rows as they were when the response began. If the rows change during a slow response, the memory
//! has both the old and the new rows. Without a limit, many slow clients could hold many versions of all rows.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use kube_state_metrics::store::replaced_bytes;
use parking_lot::Mutex;

/// The responses in progress with the metrics of objects.
#[derive(Debug)]
pub(crate) struct RunningScrapes {
    /// The oldest response is first.
    running: Mutex<VecDeque<Weak<Mutex<Held>>>>,
    /// Responses may always hold this number of bytes.
    always_held: usize,
}

/// The body of a response, which [`RunningScrapes`] can drop before the connection has sent it.
#[derive(Debug)]
pub(crate) struct RunningScrape(Arc<Mutex<Held>>);

/// `None` after the response was ended.
type Held = Option<kube_state_metrics::service::Body>;

/// The exporter has ended the response.
#[derive(Debug, thiserror::Error)]
#[error(
    "the response was ended, because slow responses hold too much memory of objects that have changed since they began"
)]
pub(crate) struct ScrapeEnded;

/// The number of bytes that responses may always hold.
const ALWAYS_HELD: usize = 64 << 20;

// === impl RunningScrapes ===

impl Default for RunningScrapes {
    fn default() -> Self {
        Self {
            running: Mutex::default(),
            always_held: ALWAYS_HELD,
        }
    }
}

impl RunningScrapes {
    /// Adds a response. Its body must be polled through the result.
    pub(crate) fn add(&self, body: kube_state_metrics::service::Body) -> RunningScrape {
        let scrape = Arc::new(Mutex::new(Some(body)));
        let mut running = self.running.lock();
        running.retain(|own| own.strong_count() > 0);
        running.push_back(Arc::downgrade(&scrape));
        RunningScrape(scrape)
    }

    /// Ends the oldest response if there are several, and if they hold more memory than the stores. Returns whether a
    /// response was ended. `present` computes the number of bytes of the stores. The method calls it only if responses
    /// hold more memory than they always may.
    pub(crate) async fn end_oldest<F: Future<Output = u64>>(
        &self,
        present: impl FnOnce() -> F,
    ) -> bool {
        if replaced_bytes() <= self.always_held {
            return false;
        }
        let present = usize::try_from(present().await).unwrap_or(usize::MAX);
        if replaced_bytes() <= present.max(self.always_held) {
            return false;
        }
        let mut running = self.running.lock();
        running.retain(|own| own.upgrade().is_some_and(|own| own.lock().is_some()));
        if running.len() < 2 {
            return false;
        }
        let oldest = running.pop_front().and_then(|own| own.upgrade());
        drop(running);
        oldest.and_then(|own| own.lock().take()).is_some()
    }
}

// === impl RunningScrape ===

impl Body for RunningScrape {
    type Data = Bytes;
    type Error = ScrapeEnded;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ScrapeEnded>>> {
        let mut held = self.0.lock();
        let Some(body) = held.as_mut() else {
            return Poll::Ready(Some(Err(ScrapeEnded)));
        };
        let frame = Pin::new(body).poll_frame(cx);
        frame.map_err(|error: Infallible| match error {})
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .lock()
            .as_ref()
            .map(Body::size_hint)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Namespace;
    use kube_state_metrics::{BuiltIn, StateMetrics};
    use serde_json::json;

    use super::*;

    /// Adds a response after each of some changes of all objects.
    fn scrapes(running: &RunningScrapes) -> Vec<RunningScrape> {
        let builder = StateMetrics::builder().built_in([BuiltIn::Namespaces]);
        let metrics = builder
            .allow_labels("namespaces", ["*"])
            .all_fed_by_host()
            .build()
            .unwrap();
        let mut feed = metrics.feed::<Namespace>().unwrap();
        let numbers = 0..4;
        let scrapes = numbers.map(|change| {
            for number in 0..50 {
                let labels = json!({ "a": format!("{change}-{number}-{}", "v".repeat(2_000)) });
                let name = format!("n{number}");
                let object = json!({ "metadata": { "name": name, "uid": name, "labels": labels } });
                feed.apply_object(&serde_json::from_value(object).unwrap());
            }
            let request = http::Request::get("/metrics").body(()).unwrap();
            let response = metrics.service().respond(&request.into_parts().0);
            running.add(response.into_body())
        });
        scrapes.collect()
    }

    fn poll(scrape: &mut RunningScrape) -> Result<usize, ScrapeEnded> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        loop {
            match Pin::new(&mut *scrape).poll_frame(&mut cx) {
                Poll::Ready(Some(frame)) => {
                    return frame.map(|frame| frame.data_ref().map_or(0, Bytes::len));
                }
                Poll::Ready(None) => return Ok(0),
                Poll::Pending => {}
            }
        }
    }

    async fn end_oldest(running: &RunningScrapes, present: u64) -> bool {
        running.end_oldest(|| std::future::ready(present)).await
    }

    #[tokio::test]
    async fn the_oldest_scrapes_end_and_their_memory_is_freed() {
        let running = RunningScrapes {
            always_held: 1_000,
            ..RunningScrapes::default()
        };
        let mut scrapes = scrapes(&running);
        // Each of the first three scrapes holds other labels of 50 objects.
        let held = replaced_bytes();
        assert!(held >= 3 * 50 * 2_000, "{held}");
        assert!(end_oldest(&running, 0).await);
        assert!(poll(&mut scrapes[0]).is_err());
        for scrape in &mut scrapes[1..] {
            assert!(poll(scrape).is_ok_and(|bytes| bytes > 0));
        }
        let holds_body = |scrape: &RunningScrape| scrape.0.lock().is_some();
        assert_eq!(
            scrapes.iter().map(holds_body).collect::<Vec<_>>(),
            [false, true, true, true]
        );
        assert!(end_oldest(&running, 0).await);
        assert_eq!(
            scrapes.iter().map(holds_body).collect::<Vec<_>>(),
            [false, false, true, true]
        );
    }

    #[tokio::test]
    async fn a_scrape_goes_on_if_it_is_alone_or_if_scrapes_hold_little() {
        let running = RunningScrapes {
            always_held: 1_000,
            ..RunningScrapes::default()
        };
        let mut scrapes = scrapes(&running);
        assert!(
            !end_oldest(&running, u64::MAX).await,
            "the present objects need more"
        );
        let much = RunningScrapes::default();
        let present = || -> std::future::Ready<u64> { panic!("the size is not necessary") };
        assert!(!much.end_oldest(present).await);
        scrapes.truncate(1);
        assert!(!end_oldest(&running, 0).await, "there is no other scrape");
        assert!(poll(&mut scrapes[0]).is_ok_and(|bytes| bytes > 0));
    }
}
