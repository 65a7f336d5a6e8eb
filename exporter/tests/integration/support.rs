//! Functions that run the exporter as a child process, and a minimal HTTP client.

#![allow(dead_code, reason = "each test uses only some of the functions")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// The maximum time that a test waits for a step. This time is longer than any step takes on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_kube-state-metrics");

/// Flags that select free ports on loopback addresses.
pub const PORTS: [&str; 4] = [
    "--host=127.0.0.1",
    "--port=0",
    "--telemetry-host=127.0.0.1",
    "--telemetry-port=0",
];

pub const CLUSTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/cluster");

/// If the exporter needs long to load manifests, it prints a line that starts with this text.
const LOADING: &str = "loading manifests; listening on ";

/// A running exporter. When this value is dropped, the process is killed.
pub struct Exporter {
    child: Child,
    /// The first lines of the output. They are about the source and about disabled resources.
    pub introduction: Vec<String>,
    /// The line of the output that contains the number of series and the addresses.
    pub line: String,
    /// The address of the main port, as `127.0.0.1:PORT`. The next field is the address of the telemetry port.
    pub main: String,
    pub telemetry: String,
    log: Arc<Mutex<String>>,
    more: Receiver<String>,
}

/// A response that the exporter has sent.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

/// The output and the exit status of a program.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// A temporary directory. When this value is dropped, it deletes the directory.
pub struct Directory(PathBuf);

/// Runs the exporter until it exits.
pub fn run(args: &[&str], stdin: &str) -> Output {
    run_program(PROGRAM, args, stdin)
}

/// Runs any program until it exits.
pub fn run_program(program: &str, args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The error is ignored, because the program may exit before it has read all input.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    Output {
        status: output.status,
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Sends a signal, such as `TERM`, to a process.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

/// Waits until `check` returns a value.
#[track_caller]
pub fn eventually<T>(what: &str, check: impl FnMut() -> Option<T>) -> T {
    eventually_or(what, check, String::new)
}

/// Waits until `check` returns a value. If `check` returns no value in time, the test fails with the text that
/// `explain` returns.
#[track_caller]
pub fn eventually_or<T>(
    what: &str,
    mut check: impl FnMut() -> Option<T>,
    explain: impl FnOnce() -> String,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}; {}",
            explain()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Output {
    /// Asserts that the exporter failed with a message that contains `problem`.
    #[track_caller]
    pub fn fails(&self, problem: &str) {
        let message = &self.stderr;
        assert_eq!(self.status.code(), Some(1), "{problem:?}: {message}");
        assert!(message.contains(problem), "{problem:?}: {message}");
    }
}

impl Exporter {
    /// Starts an exporter that serves the example cluster (examples/cluster) on free ports of a loopback address.
    pub fn start(args: &[&str]) -> Self {
        Self::serving(&[&["--manifests", CLUSTER], args].concat())
    }

    /// Starts an exporter on free ports of a loopback address.
    pub fn serving(args: &[&str]) -> Self {
        // The tests have no credentials, so without this flag the exporter would refuse their requests for `/debug/`.
        // The reason is that the telemetry port listens only on a loopback address. Such a port is usually behind a
        // proxy, so the exporter does not treat any client as local.
        Self::spawn(&[&PORTS[..], &["--telemetry-debug=open"], args].concat())
    }

    pub fn spawn(args: &[&str]) -> Self {
        Self::of_command(Command::new(PROGRAM).args(args))
    }

    /// Starts the exporter with this command.
    pub fn of_command(command: &mut Command) -> Self {
        Self::until(command, Stdio::null(), Stdio::piped(), is_addresses)
    }

    /// Starts an exporter on free ports of a loopback address. Its standard error is `stderr`. With this exporter,
    /// [`log`](Self::log) returns nothing.
    pub fn with_stderr(args: &[&str], stderr: impl Into<Stdio>) -> Self {
        let mut program = Command::new(PROGRAM);
        program.args(PORTS).args(args);
        Self::until(&mut program, Stdio::null(), stderr.into(), is_addresses)
    }

    /// Starts the exporter, which then reads manifests from standard input. Standard input ends when the caller drops
    /// the returned `ChildStdin`.
    pub fn loading(args: &[&str]) -> (Self, ChildStdin) {
        let args = [&PORTS[..], &["--manifests=-"], args].concat();
        let mut program = Command::new(PROGRAM);
        let program = program.args(args);
        let mut exporter = Self::until(program, Stdio::piped(), Stdio::piped(), |line| {
            line.contains(LOADING)
        });
        let stdin = exporter.child.stdin.take().unwrap();
        (exporter, stdin)
    }

    /// Starts the exporter, and waits until it prints the line with its addresses.
    fn until(
        command: &mut Command,
        stdin: Stdio,
        stderr: Stdio,
        is_last: impl Fn(&str) -> bool,
    ) -> Self {
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = child.stderr.take().map(BufReader::new);
        let seen = Arc::clone(&log);
        let (lines, more) = channel();
        let said = lines.clone();
        std::thread::spawn(move || {
            let lines = stderr.into_iter().flat_map(BufRead::lines);
            for line in lines.map_while(Result::ok) {
                // With `--log-format=json`, the exporter writes the startup lines to the log.
                if let Some(line) = told_as_json(&line) {
                    let _ = said.send(line);
                }
                let mut seen = seen.lock().unwrap();
                seen.push_str(&line);
                seen.push('\n');
            }
        });
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        let mut introduction = Vec::new();
        let line = loop {
            let Ok(line) = more.recv_timeout(PATIENCE) else {
                let _ = child.kill();
                panic!("the exporter does not serve: {}", log.lock().unwrap());
            };
            if is_last(&line) {
                break line;
            }
            introduction.push(line);
        };
        // The last two addresses in the line are those of the exporter. Before them, the line may contain the address
        // of a cluster.
        let addresses = line.split("://").skip(1).map(|rest| {
            let address = rest.split(['/', ' ']).next().unwrap();
            address.replace("localhost", "127.0.0.1")
        });
        let mut addresses: Vec<_> = addresses.collect();
        Self {
            telemetry: addresses.pop().unwrap(),
            main: addresses.pop().unwrap(),
            child,
            introduction,
            line,
            log,
            more,
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        get(&self.main, path, &[])
    }

    pub fn telemetry(&self, path: &str) -> Answer {
        get(&self.telemetry, path, &[])
    }

    /// Returns the metrics of objects that `query` selects.
    pub fn metrics(&self, query: &str) -> String {
        self.get(&format!("/metrics{query}")).text()
    }

    /// Returns the value of one series about the exporter. `series` is the name of the metric with its labels.
    pub fn own(&self, series: &str) -> Option<f64> {
        let text = self.telemetry("/metrics").text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }

    /// Returns the log lines until now.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log contains `what`. The wait is necessary, because the exporter may write a log line after it
    /// has sent the response.
    #[track_caller]
    pub fn tells(&self, what: &str) {
        eventually_or(
            &format!("the log says {what:?}"),
            || self.log().contains(what).then_some(()),
            || self.log(),
        );
    }

    /// Waits until the status of `/readyz` is 200.
    #[track_caller]
    pub fn becomes_ready(&self) {
        eventually_or(
            "the exporter is ready",
            || (self.get("/readyz").status == 200).then_some(()),
            || format!("{}{}", self.get("/readyz?verbose").text(), self.log()),
        );
    }

    pub fn next_line(&self) -> String {
        self.more.recv_timeout(PATIENCE).unwrap()
    }

    /// Whether the test has read all lines on standard output.
    pub fn has_said_all(&self) -> bool {
        self.more.try_recv().is_err()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the resident memory of the exporter in bytes.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.split_whitespace()
            .next()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            * 1024
    }

    /// Returns the CPU time that the exporter has used, with a resolution of 10 ms.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        // In `/proc/PID/stat`, the name of the program can contain spaces. The other fields contain no spaces.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks = ticks.map(|ticks| ticks.parse::<u64>().unwrap());
        Duration::from_millis(10 * ticks.sum::<u64>())
    }

    /// Sends a signal, such as `TERM`, to the exporter.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits until the exporter exits.
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the program ends", || self.child.try_wait().unwrap())
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a line has the addresses of an exporter that has loaded all objects. Before this line, the exporter may
/// print a line about loading manifests.
fn is_addresses(line: &str) -> bool {
    line.contains(", telemetry on ") && !line.contains(LOADING)
}

/// Returns the message of a JSON log line, if the message has the addresses.
fn told_as_json(line: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let message = line["message"].as_str()?;
    message
        .contains(", telemetry on ")
        .then(|| message.to_owned())
}

/// Sends a `GET` request.
pub fn get(address: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    request(address, "GET", path, headers, "")
}

/// Sends a request on a new connection, and returns the response.
pub fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    exchange(stream, method, path, headers, body)
}

/// Connects from this address, which must belong to this machine. If `buffer` is given, sets the size of the receive
/// buffer.
pub fn connect_from(
    ip: impl Into<IpAddr>,
    address: &str,
    buffer: Option<usize>,
) -> std::io::Result<TcpStream> {
    let address: SocketAddr = address.parse().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    if let Some(size) = buffer {
        socket.set_recv_buffer_size(size)?;
    }
    socket.bind(&SocketAddr::new(ip.into(), 0).into())?;
    socket.connect_timeout(&address.into(), PATIENCE)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends a request, and reads the response. The server closes the connection after the response.
pub fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(head.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        assert!(!bytes.is_empty(), "no answer: {error}");
    }
    Answer::parse(&bytes)
}

impl Answer {
    /// Reads one response that has a length. The connection may stay open.
    ///
    /// # Errors
    ///
    /// Returns an error if the server closes the connection before it sends a response.
    pub fn read(stream: &mut impl Read) -> std::io::Result<Self> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let mut answer = Self::parse(&head);
        let length = answer
            .header("content-length")
            .expect("the response has a length");
        answer.body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut answer.body)?;
        Ok(answer)
    }

    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8(bytes[..end + 2].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut body = bytes[end + 4..].to_vec();
        let mut answer = Self {
            status,
            head,
            body: Vec::new(),
        };
        if answer.header("transfer-encoding") == Some("chunked") && !body.is_empty() {
            body = unchunk(&body);
        }
        answer.body = body;
        answer
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1);
        let mut fields = lines.filter_map(|line| line.split_once(':'));
        fields
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    pub fn text(self) -> String {
        String::from_utf8(self.body).unwrap()
    }
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = bytes
            .windows(2)
            .position(|window| window == b"\r\n")
            .expect("the answer is whole");
        let size = std::str::from_utf8(&bytes[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 4 + size..];
    }
}

impl Directory {
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ksm-{name}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn str(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// Writes a file and returns its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        // The new file replaces the old file in one step, as editors and mounted ConfigMaps do.
        let new = self.0.join(format!(".{name}.new"));
        fs::write(&new, text).unwrap();
        fs::rename(new, &path).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Returns a ConfigMap as YAML.
pub fn config_map(namespace: &str, name: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {namespace}, labels: {{team: x}}}}\n"
    )
}
