//! kube-state-metrics: Kubernetes object state as Prometheus metrics, as a program.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")
)]

mod cli;
mod config_file;
mod list;
mod logging;
mod options;
mod render;
mod server;
mod values;
mod version;
mod web;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use cli::{Cli, Shell, Subcommands};

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

fn run(cli: Cli) -> Result<(), Box<dyn Error>> {
    match cli.command {
        None => Ok(()),
        Some(Subcommands::Render(args)) => {
            logging::LogOptions::new(&args.logging)
                .unwrap_or_default()
                .start();
            Ok(render::run(&args, io::stdout().lock())?)
        }
        Some(Subcommands::Families { format, resource }) => {
            print(list::text(format, resource.as_deref())?.as_bytes())
        }
        Some(Subcommands::Version { .. }) => print(version::text().as_bytes()),
        Some(Subcommands::Completion { shell }) => print(&completion(shell)),
    }
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
fn print(bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
