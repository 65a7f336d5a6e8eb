//! Sets the build information that the program shows. If the environment variables BUILD_REVISION, BUILD_BRANCH,
//! BUILD_DATE or BUILD_USER are set, their values replace the detected values.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../.git/HEAD");
    for (name, command) in [
        ("BUILD_REVISION", &["git", "rev-parse", "HEAD"][..]),
        (
            "BUILD_BRANCH",
            &["git", "rev-parse", "--abbrev-ref", "HEAD"][..],
        ),
        ("BUILD_DATE", &[][..]),
        ("BUILD_USER", &[][..]),
        ("BUILD_RUSTC", &["rustc", "--version"][..]),
    ] {
        println!("cargo:rerun-if-env-changed={name}");
        let value = env::var(name)
            .ok()
            .or_else(|| output(command))
            .unwrap_or_default();
        println!("cargo:rustc-env={name}={}", value.trim());
    }
    let target = env::var("TARGET").unwrap_or_default();
    println!("cargo:rustc-env=BUILD_TARGET={target}");
}

/// The output of a command; `None` if the command fails or cannot start.
fn output(command: &[&str]) -> Option<String> {
    let (program, arguments) = command.split_first()?;
    let output = Command::new(program).args(arguments).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
