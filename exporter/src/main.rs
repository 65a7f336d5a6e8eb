//! kube-state-metrics: a program that exports the state of Kubernetes objects as Prometheus metrics.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests fail by panicking"
    )
)]

mod app_state;
mod auth;
mod cli;
mod cluster;
mod commands;
mod descriptors;
mod election;
mod file_limits;
mod file_watcher;
mod grouping;
mod humanize;
mod instance;
mod limited_threads;
mod logging;
mod options;
mod pace;
mod rbac;
mod redaction;
mod reload;
mod report;
mod routes;
mod running_scrapes;
mod server;
mod server_url;
mod shared_work;
mod telemetry;
mod version;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::CommandFactory;
use cli::Cli;

fn main() -> ExitCode {
    // The guard waits until the queued log lines are written, even after a panic, because these lines explain why the
    // program ended.
    let _flush = logging::FlushWhenDropped;
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // clap prints help to standard output, and errors to standard error.
            let printed = error.print().and_then(|()| io::stdout().flush());
            if error.use_stderr() {
                return ExitCode::FAILURE;
            }
            return match printed {
                Ok(()) => ExitCode::SUCCESS,
                // A reader such as `head` may have closed the pipe, because it has read enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
                Err(error) => {
                    logging::write_last(&format!("Error: cannot write the help: {error}"));
                    ExitCode::FAILURE
                }
            };
        }
    };
    let done = match cli.command {
        Some(command) => command.run(Cli::command()),
        None => commands::serve::run(cli.flags),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // An error may contain text from a server. `visible` escapes its control characters, so that the text
            // cannot control the terminal.
            logging::write_last(&humanize::visible(format!("Error: {error}")));
            ExitCode::FAILURE
        }
    }
}
