//! The process of a plugin. When the value [`Process`] is dropped, the process is killed.

use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;
use tokio::time::sleep;

/// A running process. When this value is dropped, the process is killed.
pub(super) struct Process {
    child: Child,
    target: Option<Target>,
    has_ended: bool,
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
#[derive(Clone, Copy, PartialEq)]
enum Target {
    /// The process and its descendants.
    Group(Pid),
    Process(Pid),
}

/// The plugin processes that are running, for [`kill_running`]. This variable is necessary because the exporter ends
/// without dropping its tasks, so no [`Process`] is dropped.
static RUNNING: Mutex<Vec<Target>> = Mutex::new(Vec::new());

/// Maximum number of bytes of the standard error that are kept.
const KEPT: usize = 8 << 10;
/// The time for which the exporter still reads the output of a process that has ended. The output is then already in
/// the buffer of the pipe, so a short time is enough.
const REST: Duration = Duration::from_millis(500);

/// Kills the plugins that are running.
pub(crate) fn kill_running() {
    for target in RUNNING.lock().drain(..) {
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
        RUNNING.lock().extend(target);
        Ok(Self {
            child,
            target,
            has_ended: false,
        })
    }

    /// Waits until the process ends. If the future is dropped, the process is killed.
    ///
    /// The process may start a child in the background that keeps the output open after the process has ended. In this
    /// case, the function stops reading soon after the end of the process. The child continues to run.
    ///
    /// # Errors
    ///
    /// The function fails if the process writes more than `limit` bytes to standard output, or if its output cannot be
    /// read. In both cases, the process is killed.
    pub(super) async fn output(mut self, limit: usize) -> Result<Output, Unread> {
        let streams = (self.child.stdout.take(), self.child.stderr.take());
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        // `try_join!` stops both reads at the first problem. Otherwise the exporter could wait forever: a process that
        // has written too much to standard output may never close standard error.
        let read = async {
            let start = start_of(streams.0, limit, &mut stdout);
            tokio::try_join!(start, end_of(streams.1, &mut stderr))
        };
        let ended = async {
            let status = self.child.wait().await;
            sleep(REST).await;
            status
        };
        tokio::select! {
            read = read => { read?; }
            ended = ended => { ended?; }
        }
        let status = self.child.wait().await?;
        self.has_ended = true;
        Ok(Output {
            status,
            stdout,
            stderr,
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(target) = self.target else {
            return;
        };
        RUNNING.lock().retain(|own| *own != target);
        if !self.has_ended {
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

/// Reads all bytes into `bytes`. Fails if there are more than `limit` bytes.
async fn start_of(
    source: Option<impl AsyncRead + Unpin>,
    limit: usize,
    bytes: &mut Vec<u8>,
) -> Result<(), Unread> {
    let Some(source) = source else {
        return Ok(());
    };
    let mut source = source.take(limit as u64 + 1);
    while source.read_buf(bytes).await? > 0 {}
    match bytes.len() > limit {
        true => Err(Unread::TooMuch),
        false => Ok(()),
    }
}

/// Reads all bytes, so that the process never blocks in a write. Keeps only the last bytes in `bytes`.
async fn end_of(source: Option<impl AsyncRead + Unpin>, bytes: &mut Vec<u8>) -> Result<(), Unread> {
    let Some(mut source) = source else {
        return Ok(());
    };
    loop {
        let excess = bytes.len().saturating_sub(KEPT);
        bytes.drain(..excess);
        if (&mut source).take(KEPT as u64).read_buf(bytes).await? == 0 {
            return Ok(());
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
