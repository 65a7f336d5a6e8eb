//! Child processes: CPU time and memory from `/proc`. The processes are killed when the benchmark ends.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A running process. When this value is dropped, the process is killed.
pub(crate) struct Process {
    child: Child,
    lines: BufReader<ChildStdout>,
    input: ChildStdin,
}

/// Clock ticks per second in `/proc/PID/stat`. The number is the same on every Linux system.
const TICKS: f64 = 100.0;

impl Process {
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let none = || io::Error::other("no pipe");
        Ok(Self {
            lines: BufReader::new(child.stdout.take().ok_or_else(none)?),
            input: child.stdin.take().ok_or_else(none)?,
            child,
        })
    }

    /// The next line of the standard output of the process.
    pub(crate) fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.lines.read_line(&mut line)? == 0 {
            return Err(io::Error::other("a child process ended early"));
        }
        Ok(line.trim_end().to_owned())
    }

    /// Sends a line to the standard input of the process, and returns the answer.
    pub(crate) fn ask(&mut self, line: &str) -> io::Result<String> {
        writeln!(self.input, "{line}")?;
        self.line()
    }

    fn file(&self, name: &str) -> io::Result<String> {
        fs::read_to_string(format!("/proc/{}/{name}", self.child.id()))
    }

    /// Returns the CPU seconds that all threads of the process have used, in user and kernel mode.
    pub(crate) fn cpu(&self) -> io::Result<f64> {
        let stat = self.file("stat")?;
        let fields: Vec<_> = (stat.rsplit(')').next().unwrap_or_default())
            .split_whitespace()
            .collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        match (ticks(11), ticks(12)) {
            (Some(user), Some(system)) => Ok((user + system) / TICKS),
            _ => Err(io::Error::other("cannot read /proc/PID/stat")),
        }
    }

    /// Returns the resident memory in MiB.
    pub(crate) fn resident(&self) -> io::Result<f64> {
        self.status("VmRSS:")
    }

    /// The maximum resident memory so far, or since [`forget_peak`](Self::forget_peak), in MiB.
    pub(crate) fn peak(&self) -> io::Result<f64> {
        self.status("VmHWM:")
    }

    pub(crate) fn forget_peak(&self) -> io::Result<()> {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5")
    }

    fn status(&self, name: &str) -> io::Result<f64> {
        let status = self.file("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kib.map(|kib| kib / 1024.0)
            .ok_or_else(|| io::Error::other(format!("no {name} in /proc/PID/status")))
    }

    /// Waits until the process has used no CPU for a while. Returns the time at which the process last used CPU, and
    /// the CPU time of the process.
    pub(crate) fn settle(&self) -> io::Result<(Instant, f64)> {
        const QUIET: Duration = Duration::from_millis(700);
        let (mut active, mut cpu) = (Instant::now(), self.cpu()?);
        while active.elapsed() < QUIET {
            thread::sleep(Duration::from_millis(10));
            let now = self.cpu()?;
            // CPU use of a single clock tick does not count, because background tasks cause it.
            if now > cpu + 0.015 {
                (active, cpu) = (Instant::now(), now);
            }
        }
        Ok((active, self.cpu()?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
