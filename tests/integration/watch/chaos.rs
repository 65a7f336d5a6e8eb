//! Tests with changes and faults in random order. During the faults, the exposition must keep the last samples. At the
//! end, all resources must be synced.

use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;

use super::{Running, broken, config_map, metrics, server, start};
use crate::support::{ApiServer, Fault, On, eventually, pass};

/// The number of random sequences. The index of a sequence is its seed.
const SEQUENCES: u64 = 24;
const STEPS: usize = 40;

/// The tests change objects only in the namespace `BUSY`. The objects in the namespace `QUIET` stay.
const BUSY: &str = "a";
const QUIET: &str = "b";

fn quiet(running: &Running) -> BTreeSet<String> {
    let start = format!("{QUIET}/");
    let all = running.config_maps().into_iter();
    all.filter(|key| key.starts_with(&start)).collect()
}

/// Makes a random change, as a user would.
fn change(server: &ApiServer, dice: &mut Rng) {
    let name = format!("cm{}", dice.u32(0..12));
    let exists = server.objects("configmaps").iter().any(|object| {
        let metadata = &object["metadata"];
        metadata["namespace"] == BUSY && metadata["name"] == *name
    });
    match dice.u32(0..10) {
        0..4 if exists => server.delete("configmaps", BUSY, &name),
        0..2 => drop(server.put("configmaps", broken(BUSY, &name))),
        _ => drop(server.put("configmaps", config_map(BUSY, &name))),
    }
}

/// Injects a random fault, which affects one to three requests.
pub(super) fn trouble(server: &ApiServer, dice: &mut Rng) {
    let on = [
        On::Any,
        On::List,
        On::NextPage,
        On::StreamingList,
        On::Watch,
    ];
    let bytes = dice.usize(0..2_000);
    let fault = match dice.u32(0..13) {
        0 => Fault::Status(403, "Forbidden"),
        1 => Fault::Status(401, "Unauthorized"),
        2 => Fault::Status(410, "Expired"),
        3 => Fault::Status(500, "InternalError"),
        4 => Fault::Status(503, "ServiceUnavailable"),
        5 => Fault::RetryAfter(429, dice.u64(0..5)),
        6 => Fault::Refused,
        7 => Fault::Hang,
        8 => Fault::Cut(bytes),
        9 => Fault::Truncate(bytes),
        10 => Fault::Stall(bytes),
        11 => Fault::Body("<html>busy</html>"),
        _ => Fault::ErrorEvent(500, "InternalError"),
    };
    let on = dice.choice(on).unwrap();
    // A fault with an error event is possible only in watches.
    let on = match (&fault, on) {
        (Fault::ErrorEvent(..), _) => On::Watch,
        (_, on) => on,
    };
    server.fault(on, "configmaps", dice.usize(1..4), fault);
}

/// Causes a random problem of the connections or of the server.
pub(super) fn disturb(server: &ApiServer, dice: &mut Rng) {
    match dice.u32(0..11) {
        0 => server.cut_watches("configmaps"),
        1 => server.end_watches("configmaps"),
        2 => server.mute_watches("configmaps"),
        3 => server.compact(),
        4 => server.expire_watches("configmaps"),
        5 => server.expire_tokens(),
        6 => server.set_down(true),
        7 => server.set_down(false),
        8 => server.set_streaming_lists(dice.bool()),
        9 => server.set_protobuf(dice.bool()),
        _ => server.send_raw("configmaps", "{\"type\":\"ADDED\",\"obj\n"),
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_nothing_is_lost_and_all_is_right_in_the_end() {
    for sequence in 0..SEQUENCES {
        let mut dice = Rng::with_seed(sequence);
        let server = server().bookmark_every(Duration::from_secs(dice.u64(5..120)));
        if dice.bool() {
            server.expire_by_status();
        }
        server.set_protobuf(dice.bool());
        let (streaming, page) = (dice.bool(), dice.u64(3..20));
        let running = start(&server, metrics(), |watch| {
            let watch = watch.streaming_lists(streaming).page_size(page);
            watch.audit_interval(Duration::from_secs(30))
        });
        let mut known = BTreeSet::new();
        for step in 0..STEPS {
            match dice.u32(0..4) {
                0 => trouble(&server, &mut dice),
                1 => disturb(&server, &mut dice),
                _ => change(&server, &mut dice),
            }
            pass(Duration::from_millis(dice.u64(0..20_000))).await;
            let now = quiet(&running);
            assert!(
                known.is_subset(&now),
                "sequence {sequence}, step {step}: {known:?} became {now:?}"
            );
            known = now;
        }
        server.heal();
        server.set_down(false);
        let whole = || quiet(&running).len() == 6;
        eventually("all objects of the other namespace are exported", whole).await;
        running.agrees().await;
    }
}
