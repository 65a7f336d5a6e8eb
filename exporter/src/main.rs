//! kube-state-metrics: Kubernetes object state as Prometheus metrics, as a program.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")
)]

mod cli;
mod config_file;
mod logging;
mod options;
mod values;

fn main() {
    let cli = cli::Cli::read(std::env::args_os()).unwrap_or_else(|e| e.exit());
    drop(cli);
}
