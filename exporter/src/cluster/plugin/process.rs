//! The process of a plugin. When the value [`Process`] is dropped, the process is killed.

use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;

/// A running process. When this value is dropped, the process is killed.
pub(super) struct Process {
    child: Child,
    target: Option<Target>,
}

/// What a process wrote before it ended.
pub(super) struct Output {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    /// The last bytes of the standard error; empty if the process inherits the standard error of the exporter.
    pub(super) stderr: Vec<u8>,
}

/// The reason why the output of a process was not read to its end.
pub(super) enum Unread {
    /// The process writes more than the limit to standard output.
    TooMuch,
    Failed(io::Error),
}

/// The target of a signal.
#[derive(Clone, Copy)]
enum Target {
    /// The process and its descendants.
    Group(Pid),
    Process(Pid),
}

/// The plugin process that is running, for [`kill_running`]. This variable is necessary because the exporter ends
/// without dropping its tasks, so no [`Process`] is dropped.
static RUNNING: Mutex<Option<Target>> = Mutex::new(None);

/// Maximum number of bytes of the standard error that are kept.
const KEPT: usize = 8 << 10;

/// Kills the plugin that is running, if any.
pub(crate) fn kill_running() {
    if let Some(target) = RUNNING.lock().take() {
        target.kill();
    }
}

// === impl Process ===

impl Process {
    pub(super) fn start(mut command: Command) -> io::Result<Self> {
        command.stdout(Stdio::piped());
        // If standard input is a terminal, the plugin may read from it, and must stay in the process group of the
        // terminal. Otherwise the plugin starts a new process group, so that its descendants can be killed, too.
        let has_group = !io::stdin().is_terminal();
        if has_group {
            command.process_group(0);
        }
        let child = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()?;
        let id = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        let target = id.map(|id| match has_group {
            true => Target::Group(id),
            false => Target::Process(id),
        });
        *RUNNING.lock() = target;
        Ok(Self { child, target })
    }

    /// Waits until the process ends. If the future is dropped, the process is killed.
    ///
    /// # Errors
    ///
    /// The function fails if the process writes more than `limit` bytes to standard output, or if its output cannot be
    /// read. In both cases, the process is killed.
    pub(super) async fn output(mut self, limit: usize) -> Result<Output, Unread> {
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        // `try_join!` stops both reads at the first problem. Otherwise the exporter could wait forever: a process that
        // has written too much to standard output may never close standard error.
        let (stdout, stderr) = tokio::try_join!(start_of(stdout, limit), end_of(stderr))?;
        let status = self.child.wait().await?;
        self.target = None;
        Ok(Output {
            status,
            stdout,
            stderr,
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        *RUNNING.lock() = None;
        if let Some(target) = self.target {
            target.kill();
        }
    }
}

// === impl Unread ===

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// Reads all bytes. Fails if there are more than `limit` bytes.
async fn start_of(source: Option<impl AsyncRead + Unpin>, limit: usize) -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::new();
    if let Some(source) = source {
        let mut source = source.take(limit as u64 + 1);
        source.read_to_end(&mut bytes).await?;
    }
    if bytes.len() > limit {
        return Err(Unread::TooMuch);
    }
    Ok(bytes)
}

/// Reads all bytes, so that the process never blocks in a write. Returns only the last bytes.
async fn end_of(source: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::new();
    let Some(mut source) = source else {
        return Ok(bytes);
    };
    loop {
        let excess = bytes.len().saturating_sub(KEPT);
        bytes.drain(..excess);
        let mut read = (&mut source).take(KEPT as u64);
        if read.read_to_end(&mut bytes).await? == 0 {
            return Ok(bytes);
        }
    }
}

// === impl Target ===

impl Target {
    fn kill(self) {
        // The result is ignored, because the process may have ended already.
        let _ = match self {
            Self::Group(id) => kill_process_group(id, Signal::KILL),
            Self::Process(id) => kill_process(id, Signal::KILL),
        };
    }
}
