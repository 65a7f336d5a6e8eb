//! A limit on the number of TLS handshakes that compute at the same time.
//!
//! A server signs once in each handshake. With an RSA key of 2048 bits, the signature takes one millisecond; with 4096
//! bits, five milliseconds. Without a limit, a flood of handshakes would occupy all worker threads of the runtime, and
//! other clients would wait. So at most half of the worker threads compute handshakes. The steps of the handshakes wait
//! in a queue that serves the client addresses in turn. A handshake that waits for data from its client is not in the
//! queue.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use prometheus_web_config::fair_queue::FairQueue;
use tokio::runtime::Handle;
use tokio::task::yield_now;

/// Limits how many TLS handshakes compute at the same time. Clones share the limit.
#[derive(Clone, Debug)]
pub(super) struct Handshakes {
    turns: Arc<FairQueue<Option<IpAddr>>>,
}

// === impl Handshakes ===

impl Handshakes {
    /// The limit that all servers share: half of the number of worker threads, and at least one.
    pub(super) fn shared() -> Self {
        static SHARED: OnceLock<Handshakes> = OnceLock::new();
        let workers = Handle::current().metrics().num_workers();
        SHARED.get_or_init(|| Self::of(workers / 2)).clone()
    }

    fn of(turns: usize) -> Self {
        // The queue refuses no handshake: the limit on connections already limits the number of handshakes.
        let turns = FairQueue::new(turns.max(1), usize::MAX);
        Self {
            turns: Arc::new(turns),
        }
    }

    /// Runs the handshake of a client. Before each step, the handshake waits in the queue.
    pub(super) async fn run<F: Future>(&self, client: Option<IpAddr>, handshake: F) -> F::Output {
        let mut handshake = pin!(handshake);
        loop {
            let turn = self.turns.turn(client).await;
            let step = step(handshake.as_mut()).await;
            // Before the next step of any handshake, the other tasks run, even if the runtime has only one worker
            // thread.
            yield_now().await;
            if let Poll::Ready(output) = step {
                return output;
            }
            // Try another step: data for this handshake may have arrived while the handshake waited in the queue.
            let step = self::step(handshake.as_mut()).await;
            drop(turn);
            if let Poll::Ready(output) = step {
                return output;
            }
            woken().await;
        }
    }
}

/// Polls a handshake once.
async fn step<F: Future>(mut handshake: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(handshake.as_mut().poll(cx))).await
}

/// Waits until the handshake wakes the task. The handshake does this when it can continue.
async fn woken() {
    let mut is_woken = false;
    poll_fn(|_| match std::mem::replace(&mut is_woken, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::JoinSet;

    use super::*;

    /// The number of steps that all handshakes have made.
    type Steps = Arc<AtomicUsize>;

    /// Lets all other ready tasks run once.
    async fn pass() {
        let mut has_passed = false;
        poll_fn(|cx| match std::mem::replace(&mut has_passed, true) {
            true => Poll::Ready(()),
            false => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await;
    }

    /// A handshake that has three steps.
    async fn handshake(steps: Steps) {
        for _ in 0..3 {
            steps.fetch_add(1, Ordering::Relaxed);
            pass().await;
        }
    }

    /// Returns the maximum number of handshake steps between two polls of another task. All tasks run on one thread.
    async fn steps_between_polls(handshakes: Option<Handshakes>) -> usize {
        let steps = Steps::default();
        let mut flood = JoinSet::new();
        for number in 0..200 {
            let (handshakes, steps) = (handshakes.clone(), Arc::clone(&steps));
            flood.spawn(async move {
                let client = IpAddr::from([10, 0, 0, number]);
                match handshakes {
                    Some(handshakes) => handshakes.run(Some(client), handshake(steps)).await,
                    None => handshake(steps).await,
                }
            });
        }
        let other = tokio::spawn(async move {
            let (mut most, mut before) = (0, 0);
            while before < 600 {
                pass().await;
                let now = steps.load(Ordering::Relaxed);
                most = most.max(now - before);
                before = now;
            }
            most
        });
        flood.join_all().await;
        other.await.unwrap()
    }

    #[tokio::test]
    async fn other_tasks_run_between_the_handshakes_of_a_flood() {
        let without = steps_between_polls(None).await;
        assert!(without >= 100, "{without}");
        let with = steps_between_polls(Some(Handshakes::of(1))).await;
        assert!(with <= 5, "{with} instead of {without}");
    }

    #[tokio::test]
    async fn a_client_waits_for_one_step_of_each_other_client() {
        let handshakes = Handshakes::of(1);
        let flooding = Some(IpAddr::from([10, 0, 0, 1]));
        let held = handshakes.turns.turn(flooding).await.unwrap();
        let steps = Steps::default();
        let mut flood = JoinSet::new();
        for _ in 0..100 {
            let (handshakes, steps) = (handshakes.clone(), Arc::clone(&steps));
            flood.spawn(async move { handshakes.run(flooding, handshake(steps)).await });
        }
        while handshakes.turns.waiting() < 100 {
            pass().await;
        }
        let (own, seen) = (handshakes.clone(), Arc::clone(&steps));
        let client = Some(IpAddr::from([10, 0, 0, 2]));
        let other = tokio::spawn(async move {
            let read = async { seen.load(Ordering::Relaxed) };
            own.run(client, read).await
        });
        while handshakes.turns.waiting() < 101 {
            pass().await;
        }
        drop(held);
        let before = other.await.unwrap();
        assert!(before <= 1, "{before} steps of the flood came first");
        flood.join_all().await;
        assert_eq!(steps.load(Ordering::Relaxed), 300, "every handshake ends");
    }
}
