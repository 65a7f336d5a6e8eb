//! Runs external programs that check the output of the crate, if the programs are installed.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The environment variable that lists the required programs, separated by commas. A test that needs a required program
/// must not be skipped.
const REQUIRED: &str = "REQUIRED_TOOLS";

/// Finds a program. If the program is not installed, returns `None` and prints that the check is skipped.
///
/// # Panics
///
/// Panics if the program is not installed, although the environment variable [`REQUIRED`] lists this program.
pub(crate) fn tool(program: &str, arguments: &[&str], what: &str) -> Option<Command> {
    let probe = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    if probe.is_ok_and(|output| output.status.success()) {
        return Some(Command::new(program));
    }
    let required = std::env::var(REQUIRED).unwrap_or_default();
    let is_required = required.split(',').any(|name| name.trim() == program);
    assert!(
        !is_required,
        "{what} is not installed, but {REQUIRED} names `{program}`"
    );
    // `eprintln!` is not used, because the test harness would hide its output.
    let _ = writeln!(std::io::stderr(), "skipped: {what} is not installed");
    None
}

/// Returns promtool, which is part of Prometheus.
pub(crate) fn promtool() -> Option<Command> {
    tool("promtool", &["--version"], "promtool")
}

/// Runs a program with `input` as its standard input.
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A separate thread writes the input. With one thread for input and output, the pipes could become full. Then this
    // process and the program would wait for each other.
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    // An error of the write is ignored, because the program may exit before it has read all input.
    let _ = feeder.join().unwrap();
    output
}

/// Returns the output of a program: standard output and standard error.
pub(crate) fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), b"\n", output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&text).trim().to_owned()
}

/// A directory. When this value is dropped, it deletes the directory.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ksm-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
