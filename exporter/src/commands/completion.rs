//! `completion`: completion scripts for shells.

use clap::{Args, Command, ValueEnum};

#[derive(Args, Debug)]
pub(crate) struct CompletionArgs {
    /// Shell for which the script is written
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// The completion script of a shell for the command line `definition`.
pub(super) fn script(args: &CompletionArgs, mut definition: Command) -> Vec<u8> {
    let mut script = Vec::new();
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    clap_complete::generate(shell, &mut definition, "kube-state-metrics", &mut script);
    script
}
