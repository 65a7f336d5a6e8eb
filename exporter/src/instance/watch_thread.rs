//! A dedicated thread for the watches of a cluster.
//!
//! Most events of a cluster arrive one at a time. To wake up a thread takes more CPU time than to handle an event. So
//! after this thread has handled all events, it sleeps for 10 ms, and then handles all events that have arrived during
//! this time. Requests of clients do not wait for this thread.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// A thread that runs a future. If this value is dropped, the future stops.
#[derive(Debug)]
pub(super) struct WatchThread {
    thread: JoinHandle<()>,
    _stop: oneshot::Sender<()>,
}

/// How long the thread sleeps before it handles the next events. So an event is delayed by at most this time.
const PAUSE: Duration = Duration::from_millis(10);
/// If the thread has worked longer than this without a wait, it is busy, for example with a list, and does not sleep.
const BUSY: Duration = Duration::from_millis(2);

// === impl WatchThread ===

impl WatchThread {
    /// Starts a thread for a future. The log lines of all tasks on the thread belong to the current span.
    ///
    /// # Errors
    ///
    /// The function fails if the system cannot create a thread or a file descriptor.
    pub(super) fn start(future: impl Future<Output = ()> + Send + 'static) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let runtime = runtime()?;
        let span = tracing::Span::current();
        let thread = std::thread::Builder::new().name("watch".to_owned());
        let thread = thread.spawn(move || {
            let _entered = span.entered();
            runtime.block_on(async {
                let (future, stopped) = (pin!(future), pin!(stopped));
                tokio::select! {
                    () = future => {}
                    // The `WatchThread` was dropped, and with it the sender of this channel.
                    _ = stopped => {}
                }
            });
            // This call does not wait for threads that still decode objects, so that they do not delay the stop.
            runtime.shutdown_background();
        })?;
        Ok(Self {
            thread,
            _stop: stop,
        })
    }

    /// Whether the future is running.
    pub(super) fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }
}

/// Creates a single-threaded runtime. Before the thread waits for events, it sleeps, so that several events arrive and
/// are handled together.
fn runtime() -> io::Result<Runtime> {
    thread_local! {
        static WOKEN: Cell<Option<Instant>> = const { Cell::new(None) };
    }
    Builder::new_current_thread()
        .enable_all()
        .on_thread_unpark(|| WOKEN.set(Some(Instant::now())))
        .on_thread_park(|| {
            let is_busy = WOKEN.get().is_some_and(|woken| woken.elapsed() > BUSY);
            if !is_busy {
                std::thread::sleep(PAUSE);
            }
        })
        .build()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_thread_handles_in_one_turn_what_arrives_in_a_pause() {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel::<()>();
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&turns);
        let (done, ended) = std::sync::mpsc::channel();
        let thread = WatchThread::start(async move {
            let mut received = Vec::new();
            while receiver.recv_many(&mut received, 1000).await > 0 {
                counted.fetch_add(1, Ordering::Relaxed);
            }
            let _ = done.send(received.len());
        });
        let thread = thread.unwrap();
        let events = 200;
        for _ in 0..events {
            sender.send(()).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(sender);
        assert_eq!(ended.recv_timeout(Duration::from_secs(10)), Ok(events));
        let turns = turns.load(Ordering::Relaxed);
        assert!(turns <= events / 3, "{turns} turns for {events} events");
        while thread.is_running() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn dropping_the_thread_drops_the_future() {
        let (held, dropped) = std::sync::mpsc::channel::<()>();
        let thread = WatchThread::start(async move {
            let _held = held;
            std::future::pending().await
        });
        drop(thread.unwrap());
        let closed = dropped.recv_timeout(Duration::from_secs(10));
        assert_eq!(closed, Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
    }
}
