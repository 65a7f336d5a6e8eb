//! kube-state-metrics: Kubernetes object state as Prometheus metrics, as a program.
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

mod app;
mod auth;
mod check;
mod cli;
mod cluster;
mod config_file;
mod fingerprint;
mod follow;
mod handover;
mod inputs;
mod instance;
mod landing;
mod list;
mod logging;
mod options;
mod render;
mod report;
mod routes;
mod serve;
mod server;
mod status;
mod telemetry;
mod version;
mod web;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use cli::{Cli, Flags, Shell, Subcommands};
use logging::LogOptions;

type AnyError = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // The text goes where it belongs: help to standard output, errors to standard error.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "Error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), AnyError> {
    match cli.command {
        None => serve(cli.flags),
        Some(Subcommands::Render(args)) => {
            // What is wrong with these flags is told with all that is wrong.
            LogOptions::new(&args.logging).unwrap_or_default().start();
            Ok(render::run(&args, io::stdout().lock())?)
        }
        Some(Subcommands::Check(args)) => {
            Ok(check::run(&args, io::stdout().lock(), io::stderr().lock())?)
        }
        Some(Subcommands::Families { format, resource }) => {
            print(list::text(format, resource.as_deref())?.as_bytes())
        }
        Some(Subcommands::Version { .. }) => print(version::text().as_bytes()),
        Some(Subcommands::Completion { shell }) => print(&completion(shell)),
    }
}

fn serve(flags: Flags) -> Result<(), AnyError> {
    let log_level = LogOptions::new(&flags.logging).unwrap_or_default().start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let served = runtime.block_on(serve::run(flags, log_level));
    // Blocking work, such as reading manifests, does not keep the program from ending.
    runtime.shutdown_background();
    served
}

/// The completion script of a shell.
fn completion(shell: Shell) -> Vec<u8> {
    let mut definition = Cli::definition();
    let mut script = Vec::new();
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    clap_complete::generate(shell, &mut definition, "kube-state-metrics", &mut script);
    script
}

/// Writes to standard output; whoever reads may stop early.
fn print(bytes: &[u8]) -> Result<(), AnyError> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
