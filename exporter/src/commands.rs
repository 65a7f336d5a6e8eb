//! The subcommands. Each subcommand has a file with its arguments and its implementation.

mod check;
mod completion;
pub(crate) mod examples;
mod families;
mod format;
mod introduction;
mod man;
mod output;
mod probe;
mod promtool;
mod rbac;
mod render;
pub(crate) mod serve;
mod top;
mod version;

use std::io;

use clap::Subcommand;

use output::AnyError;

#[derive(Debug, Subcommand)]
pub(crate) enum Subcommands {
    /// Print the metrics of manifests and exit
    #[command(after_help = examples::RENDER)]
    Render(Box<render::RenderArgs>),
    /// Check a Custom Resource State configuration, and print the metrics that the configuration defines for objects
    ///
    /// All errors go to standard error. If there is an error, the exit code is 1.
    #[command(after_help = examples::CHECK)]
    Check(check::CheckArgs),
    /// Write the roles that an exporter with these flags needs, or check which permissions are missing
    ///
    /// The roles grant exactly the permissions that the exporter needs. These permissions depend on the flags, the
    /// options file and the configuration of custom resources. With --check, the exit code is 1 if a permission is
    /// missing.
    #[command(after_help = examples::RBAC)]
    Rbac(Box<rbac::RbacArgs>),
    /// Request addresses of a running exporter, and succeed if each answers with status 200
    ///
    /// If an address does not answer with status 200, the exit code is 1, and the error message contains the answer.
    /// For example, the answer of /readyz names the resources that are not ready.
    #[command(after_help = examples::PROBE)]
    Probe(probe::ProbeArgs),
    /// List all metric families with their types and help texts; the formats markdown and json add the labels
    Families(families::FamiliesArgs),
    /// Show the cost of metrics: series and bytes by resource, family, namespace and label
    ///
    /// Only the bytes of sample lines count, in the text format and without compression. The input is a running
    /// exporter, a saved response of /metrics (of any program), or manifests.
    #[command(after_help = examples::TOP)]
    Top(Box<top::TopArgs>),
    /// Print the version and the build of the program
    Version(version::VersionArgs),
    /// Write a shell completion script to standard output
    #[command(aliases = ["comp", "c"])]
    Completion(completion::CompletionArgs),
    /// Write a man page to standard output
    Man(man::ManArgs),
}

// === impl Subcommands ===

impl Subcommands {
    /// Runs the subcommand. `definition` describes the whole command line, for completion scripts and man pages.
    ///
    /// # Errors
    ///
    /// Returns the error of the subcommand. The message of the error is a sentence for standard error.
    pub(crate) fn run(self, definition: clap::Command) -> Result<(), AnyError> {
        match self {
            Self::Render(args) => Ok(render::run(&args, io::stdout().lock())?),
            Self::Check(args) => Ok(check::run(&args, io::stdout().lock(), io::stderr().lock())?),
            Self::Rbac(args) => Ok(rbac::run(&args, io::stdout().lock(), io::stderr())?),
            Self::Probe(args) => Ok(probe::run(&args, io::stdout().lock())?),
            Self::Families(args) => Ok(output::print(families::text(&args)?.as_bytes())?),
            Self::Top(args) => top::run(&args, io::stdout().lock()),
            Self::Version(_) => Ok(output::print(version::text().as_bytes())?),
            Self::Completion(args) => Ok(output::print(&completion::script(&args, definition))?),
            Self::Man(args) => Ok(output::print(&man::page(&args, definition)?)?),
        }
    }
}
