//! Tests how many bytes of Secrets remain in the memory of the exporter after a list. Each Secret contains 20 texts
//! (*markers*) that no other Secret contains. The test counts how many markers are still in memory.
//!
//! The exporter keeps no bytes of Secrets, and overwrites its own buffers. The bytes that the test finds come from the
//! TLS and HTTP libraries, which free their buffers without overwriting them. docs/explanation/security.md has the
//! results.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use serde_json::json;

use super::api::Api;
use super::support::{Directory, Exporter, eventually};

const SECRETS: usize = 2_000;
const MARKERS_PER_SECRET: usize = 20;
/// The start of each marker. After this text, each marker has a different number. This text occurs at no other place in
/// the exporter or in this file.
const PREFIX: &[u8] = b"bWFya2Vy";
const DIGITS: usize = 6;
/// Maximum number of markers that may remain in memory: a quarter of all markers. This is the number of markers in 2
/// MiB of Secrets.
const MOST_LEFT: usize = SECRETS * MARKERS_PER_SECRET / 4;

/// Adds 8 MiB of Secrets to the API server. They contain 40,000 different markers.
fn with_secrets(api: &Api) {
    for secret in 0..SECRETS {
        let data = (0..MARKERS_PER_SECRET).map(|at| {
            let number = secret * MARKERS_PER_SECRET + at;
            let prefix = std::str::from_utf8(PREFIX).unwrap();
            let padding = "QUFB".repeat(45);
            (
                format!("k{at}"),
                json!(format!("{prefix}{number:06}{padding}")),
            )
        });
        let data: serde_json::Map<_, _> = data.collect();
        let name = format!("s{secret}");
        let metadata = json!({ "name": name, "namespace": "a", "resourceVersion": "5" });
        api.put(
            "secrets",
            json!({ "metadata": metadata, "type": "Opaque", "data": data }),
        );
    }
}

/// Returns the different markers in the memory of a process.
fn markers(pid: u32) -> HashSet<Vec<u8>> {
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let (mut found, mut bytes) = (HashSet::new(), 0);
    for line in maps.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|at| u64::from_str_radix(at, 16).unwrap());
        if !fields.next().unwrap().starts_with("rw") {
            continue;
        }
        for from in (start..end).step_by(1 << 20) {
            let length = (end - from).min((1 << 20) + 64);
            let mut piece = vec![0; usize::try_from(length).unwrap()];
            if memory.read_exact_at(&mut piece, from).is_err() {
                continue;
            }
            bytes += piece.len();
            let starts = piece.windows(PREFIX.len() + DIGITS);
            let marked = starts.filter(|own| own.starts_with(PREFIX));
            found.extend(marked.map(<[u8]>::to_vec));
        }
    }
    assert!(bytes > 1 << 20, "the memory can be read");
    found
}

#[test]
fn a_list_of_secrets_leaves_little_in_memory() {
    let directory = Directory::new("secrets");
    for (transport, api) in [("http", Api::start(&[])), ("https", Api::start_secure())] {
        with_secrets(&api);
        let kubeconfig = directory.write(transport, &api.kubeconfig());
        for paged in [&[][..], &["--no-watchlist"]] {
            let args = ["--kubeconfig", &kubeconfig, "--resources=secrets"];
            let exporter = Exporter::serving(&[&args[..], paged].concat());
            eventually("all secrets are read", || {
                let objects = exporter.own("kube_state_metrics_objects{resource=\"*v1.Secret\"}");
                let ready = exporter.get("/readyz").status == 200;
                (ready && objects == Some(SECRETS as f64)).then_some(())
            });
            let left = markers(exporter.pid()).len();
            println!("{transport} {paged:?}: {left} markers left");
            assert!(left <= MOST_LEFT, "{transport} {paged:?}: {left}");
        }
    }
}
