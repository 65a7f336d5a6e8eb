//! The replicas of a rollout, which are local processes. They run this exporter or another exporter.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::plane::ControlPlane;
use crate::support::{Exporter, eventually, get, signal};

/// The name of an environment variable. Its value is the path of another exporter that has the flags of
/// kube-state-metrics.
const OTHER: &str = "ROLLOUTS_OTHER_EXPORTER";

/// The exporter that the replicas run.
pub(super) enum Program {
    /// This exporter with `--ha`.
    HighlyAvailable,
    /// The path of another exporter, which does not support leader election.
    Other(String),
}

/// A local process that serves metrics.
pub(super) struct Replica {
    pub(super) name: String,
    /// The address that serves the metrics of objects, as `HOST:PORT`.
    pub(super) address: String,
    process: Process,
    started: Instant,
}

enum Process {
    Own(Exporter),
    Other(Other),
}

/// A process of another exporter. When this value is dropped, the process is killed.
struct Other(Child);

// === impl Program ===

impl Program {
    /// Returns the exporter whose path is the value of the environment variable [`OTHER`].
    pub(super) fn other() -> Self {
        let path = std::env::var(OTHER);
        Self::Other(path.unwrap_or_else(|_| panic!("{OTHER} names no exporter")))
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::HighlyAvailable => "--ha",
            Self::Other(path) => path.rsplit('/').next().unwrap(),
        }
    }

    /// Returns the time before the first readiness probe. In the manifests of the exporter, this time is
    /// `initialDelaySeconds`.
    pub(super) fn readiness_delay(&self) -> Duration {
        Duration::from_secs(match self {
            Self::HighlyAvailable => 1,
            Self::Other(_) => 5,
        })
    }

    pub(super) fn start(&self, name: String, plane: &dyn ControlPlane) -> Replica {
        let place = plane.place();
        let mut flags = plane.flags();
        flags.push(format!("--host={}", place.host));
        flags.push("--telemetry-host=127.0.0.1".to_owned());
        let (address, process) = match self {
            Self::HighlyAvailable => {
                flags.push(format!("--ha-identity={name}"));
                flags.push(format!("--ha-namespace={}", place.namespace));
                flags.extend(["--ha", "--port=0", "--telemetry-port=0"].map(str::to_owned));
                let flags: Vec<_> = flags.iter().map(String::as_str).collect();
                let exporter = Exporter::spawn(&flags);
                (exporter.main.clone(), Process::Own(exporter))
            }
            Self::Other(path) => {
                let free = |host: &str| TcpListener::bind((host, 0)).unwrap().local_addr();
                let [main, telemetry] = [&*place.host, "127.0.0.1"].map(|host| free(host).unwrap());
                let child = Command::new(path)
                    .args(flags)
                    .arg(format!("--port={}", main.port()))
                    .arg(format!("--telemetry-port={}", telemetry.port()))
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn();
                (main.to_string(), Process::Other(Other(child.unwrap())))
            }
        };
        Replica {
            name,
            address,
            process,
            started: Instant::now(),
        }
    }
}

// === impl Replica ===

impl Replica {
    /// Waits until a kubelet would mark the replica as ready. Another exporter ([`Program::Other`]) has no leader
    /// election, so its replica is ready when it serves `series`.
    pub(super) fn becomes_ready(&self, delay: Duration, series: &str) {
        std::thread::sleep(delay.saturating_sub(self.started.elapsed()));
        if let Process::Own(exporter) = &self.process {
            return exporter.becomes_ready();
        }
        eventually("the replica has the series", || {
            TcpStream::connect(&self.address).ok()?;
            let answer = get(&self.address, "/metrics", &[]);
            answer.text().contains(series).then_some(())
        });
    }

    /// Sends SIGTERM, and waits until the process has ended.
    pub(super) fn stop(self) {
        match self.process {
            Process::Own(mut exporter) => {
                exporter.signal("TERM");
                assert!(exporter.wait().success());
            }
            Process::Other(mut other) => {
                signal(other.0.id(), "TERM");
                eventually("the program ends", || other.0.try_wait().unwrap());
            }
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
