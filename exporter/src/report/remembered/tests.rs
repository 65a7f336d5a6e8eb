//! Tests that reports are computed one after another, and that a report about labels stops when its client disconnects.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;

use super::*;

#[tokio::test]
async fn a_report_is_abandoned_when_its_client_leaves() {
    let (sender, ended) = tokio::sync::oneshot::channel();
    let (begin, begun) = tokio::sync::oneshot::channel();
    let made = tokio::spawn(make(move |abandoned| {
        let _ = begin.send(());
        let mut samples = 0;
        while !abandoned.at(samples) {
            samples += 1;
        }
        let _ = sender.send(());
        None::<Arc<LabelReport>>
    }));
    begun.await.unwrap();
    made.abort();
    ended.await.unwrap();
}

#[tokio::test]
async fn one_report_is_made_at_a_time_even_if_its_client_has_left() {
    let last = Arc::new(Mutex::new(()));
    let running = Arc::new(AtomicU32::new(0));
    let (sender, resume) = mpsc::channel::<()>();
    let resume = Arc::new(parking_lot::Mutex::new(resume));
    let report = || {
        let (last, running, resume) = (last.clone(), running.clone(), resume.clone());
        async move {
            let lock = last.lock_owned().await;
            let made = make(move |_| {
                let _lock = lock;
                assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0);
                let _ = resume.lock().recv();
                running.fetch_sub(1, Ordering::SeqCst);
                Some(Arc::new(LabelReport::default()))
            });
            made.await
        }
    };
    // These clients disconnect immediately. Their reports must still be computed one after another.
    for _ in 0..20 {
        let made = tokio::spawn(report());
        tokio::task::yield_now().await;
        made.abort();
    }
    drop(sender);
    report().await;
    assert_eq!(running.load(Ordering::SeqCst), 0);
}

#[test]
fn a_report_that_is_abandoned_delays_the_next_one_as_well() {
    let mut reports = LabelReports::default();
    let mut pause_after = |made: Option<()>| {
        let work = || {
            std::thread::sleep(Duration::from_millis(50));
            made
        };
        assert_eq!(reports.make(work).is_some(), made.is_some());
        reports.pause.unwrap() - Instant::now()
    };
    for made in [None, Some(())] {
        let pause = pause_after(made);
        assert!(pause > Duration::from_millis(400), "{made:?}: {pause:?}");
        assert!(pause <= LONGEST_PAUSE);
    }
}

#[test]
fn a_report_is_reused_for_ten_times_its_cost() {
    let cheap = Remembered::make(|| Some(())).unwrap();
    assert!(cheap.fresh().is_some());
    let left = cheap.until - Instant::now();
    assert!(
        left > FRESH / 2 && left <= FRESH + Duration::from_secs(1),
        "{left:?}"
    );
    assert!(Remembered::<()>::make(|| None).is_none());
}
