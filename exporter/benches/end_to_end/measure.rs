//! Measures an exporter: the start, scrapes, changes of pods, and relists, in this order. The exporter is either the
//! exporter of this repository, or the *stand-in*: a simple exporter for comparison (see `standin.rs`).

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::process::Process;
use super::scrape::{Scraper, Taken};

/// An exporter to measure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exporter {
    Crate,
    Usual,
}

/// The number and the duration of the measurements.
pub(crate) struct Plan {
    /// Number of scrapes in each measurement of scrapes (without gzip, with gzip). Fast scrapes are repeated more
    /// often, so that their CPU time can be measured.
    pub(crate) scrapes: usize,
    /// The duration of a measurement while pods change, in seconds. This is also the maximum duration of a measurement
    /// of scrapes.
    pub(crate) seconds: f64,
    /// The path of the exporter of this repository, which is an executable file.
    pub(crate) program: PathBuf,
}

/// The results of the measurements: names, units and values.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) rows: Vec<(&'static str, &'static str, f64)>,
}

/// Number of changes of pods per second, if the changes arrive one by one.
const RATE: f64 = 500.0;
/// If the changes arrive in bursts: the total number of changes of pods per second, and the number of changes in a
/// burst.
const BURSTS: (f64, usize) = (2_000.0, 100);
/// Seconds between two scrapes while pods change.
const INTERVAL: f64 = 5.0;
/// Number of pods that change before a relist.
const FEW: usize = 100;

// === impl Exporter ===

impl Exporter {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Crate => "crate",
            Self::Usual => "usual",
        }
    }

    /// Starts the exporter; returns the process and the port of its metrics.
    fn start(self, url: &str, plan: &Plan) -> io::Result<(Process, u16)> {
        match self {
            Self::Crate => {
                let apiserver = format!("--apiserver={url}");
                let mut process = Process::start(
                    Command::new(&plan.program)
                        .args(["--resources=pods,nodes", "--host=127.0.0.1", "--port=0"])
                        .args(["--telemetry-host=127.0.0.1", "--telemetry-port=0"])
                        .arg(apiserver)
                        .stderr(Stdio::inherit()),
                )?;
                // The exporter writes a line `watching ...; listening on http://localhost:PORT/metrics, telemetry on
                // ...`, which contains the port.
                let line = loop {
                    let line = process.line()?;
                    if line.contains(", telemetry on ") {
                        break line;
                    }
                };
                let port = (line.split_once(" on http://localhost:"))
                    .and_then(|(_, rest)| rest.split('/').next()?.parse().ok());
                Ok((process, port.ok_or_else(|| io::Error::other(line))?))
            }
            Self::Usual => {
                let mut command = Command::new(std::env::current_exe()?);
                let mut process = Process::start(command.args(["stand-in", url]))?;
                let port = process.line()?.parse().map_err(io::Error::other)?;
                Ok((process, port))
            }
        }
    }
}

// === impl Plan ===

impl Default for Plan {
    fn default() -> Self {
        Self {
            scrapes: 20,
            seconds: 15.0,
            program: env!("CARGO_BIN_EXE_kube-state-metrics").into(),
        }
    }
}

/// Measures an exporter that watches a new API server with `pods` pods.
pub(crate) fn measure(
    exporter: Exporter,
    pods: usize,
    plan: &Plan,
    api: &mut Process,
) -> io::Result<Figures> {
    let mut figures = Figures::default();
    let url = format!("http://127.0.0.1:{}", api.line()?);
    eprintln!("{}: {pods} pods", exporter.name());

    let started = Instant::now();
    let (process, port) = exporter.start(&url, plan)?;
    await_lists(api, 2)?;
    let (complete, cpu) = process.settle()?;
    figures.add(
        "time to synced",
        "s",
        complete.duration_since(started).as_secs_f64(),
    );
    figures.add("CPU to synced", "s", cpu);
    figures.add("peak memory at start", "MiB", process.peak()?);
    thread::sleep(Duration::from_secs(5));
    figures.add("memory settled, before gzip", "MiB", process.resident()?);

    let mut scraper = Scraper::connect(port)?;
    let cold = scraper.scrape(false)?;
    let plain = scraper.body(false)?;
    check(&plain, pods, 0)?;
    figures.add("size of the text", "MB", plain.len() as f64 / 1e6);
    let extra = extra_memory(&process, &mut scraper, false)?;
    figures.scrapes(
        &process,
        plan,
        &mut scraper,
        false,
        ["plain scrape", "plain scrape, CPU", "plain, first byte"],
    )?;
    figures.add("plain, first byte of the first", "ms", millis(cold.first));

    let before = process.cpu()?;
    let cold = scraper.scrape(true)?;
    process.settle()?;
    figures.add("first gzip scrape", "ms", millis(cold.whole));
    figures.add(
        "first gzip scrape, CPU",
        "ms",
        (process.cpu()? - before) * 1e3,
    );
    figures.add("gzip, first byte of the first", "ms", millis(cold.first));
    let compressed = scraper.body(true)?;
    if gunzip(&compressed)? != plain {
        return Err(io::Error::other("compressed and plain text differ"));
    }
    figures.add("size compressed", "MB", compressed.len() as f64 / 1e6);
    drop((plain, compressed));
    let extra_gzip = extra_memory(&process, &mut scraper, true)?;
    figures.scrapes(
        &process,
        plan,
        &mut scraper,
        true,
        [
            "gzip scrape, unchanged",
            "gzip scrape, unchanged, CPU",
            "gzip, first byte",
        ],
    )?;
    figures.add("memory settled, after gzip", "MiB", process.resident()?);
    figures.add("more memory during a plain scrape", "MiB", extra);
    figures.add("more memory during a gzip scrape", "MiB", extra_gzip);

    let one_by_one = changes(api, &process, plan, RATE, 1)?;
    figures.add("CPU per update, one by one", "us", one_by_one * 1e6);
    let bursts = changes(api, &process, plan, BURSTS.0, BURSTS.1)?;
    figures.add("CPU per update, in bursts", "us", bursts * 1e6);

    let churned = under_churn(api, &process, plan, &mut scraper, one_by_one)?;
    figures.add(
        "gzip scrape, 500 updates a second",
        "ms",
        millis(churned.0.whole),
    );
    figures.add(
        "gzip scrape, 500 updates a second, CPU",
        "ms",
        churned.1 * 1e3,
    );
    figures.add(
        "gzip, first byte, 500 updates a second",
        "ms",
        millis(churned.0.first),
    );
    figures.add("memory, 500 updates a second", "MiB", process.resident()?);

    for (paged, peak, cpu) in [
        (
            "off",
            "peak memory, relist by a stream",
            "CPU of a relist by a stream",
        ),
        (
            "on",
            "peak memory, relist in pages",
            "CPU of a relist in pages",
        ),
    ] {
        // The stand-in cannot request lists in pages after a streaming list has failed, so this measurement is left
        // out.
        let (seen, used) = match (exporter, paged) {
            (Exporter::Usual, "on") => (f64::NAN, f64::NAN),
            _ => relist(api, &process, paged)?,
        };
        figures.add(peak, "MiB", seen);
        figures.add(cpu, "s", used);
    }
    check(&scraper.body(false)?, pods, 1)?;
    figures.add("memory at the end", "MiB", process.resident()?);
    Ok(figures)
}

// === impl Figures ===

impl Figures {
    fn add(&mut self, name: &'static str, unit: &'static str, value: f64) {
        eprintln!("  {name}: {value:.2} {unit}");
        self.rows.push((name, unit, value));
    }

    /// Measures several scrapes: the median duration, the CPU time, and the time until the first byte of the response.
    fn scrapes(
        &mut self,
        process: &Process,
        plan: &Plan,
        scraper: &mut Scraper,
        gzip: bool,
        names: [&'static str; 3],
    ) -> io::Result<()> {
        let (started, before) = (Instant::now(), process.cpu()?);
        let mut all = Vec::new();
        // CPU times have a resolution of 10 ms, so fast scrapes are repeated until the rounding error is small.
        while all.is_empty()
            || started.elapsed().as_secs_f64() < plan.seconds
                && (all.len() < plan.scrapes || process.cpu()? - before < 0.5)
        {
            all.push(scraper.scrape(gzip)?);
        }
        let cpu = (process.cpu()? - before) / all.len() as f64;
        self.add(names[0], "ms", millis(median(&all, |taken| taken.whole)));
        self.add(names[1], "ms", cpu * 1e3);
        self.add(names[2], "ms", millis(median(&all, |taken| taken.first)));
        Ok(())
    }
}

/// The counters of the API server: events, lists, watches.
fn status(api: &mut Process, line: &str) -> io::Result<[u64; 3]> {
    let answer = api.ask(line)?;
    let mut numbers = answer.split(' ').map(|number| number.parse().unwrap_or(0));
    Ok([(); 3].map(|()| numbers.next().unwrap_or(0)))
}

/// Waits until the server has sent `lists` lists in total, and the watches of pods and nodes are open.
fn await_lists(api: &mut Process, lists: u64) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        let [_, sent, watches] = status(api, "status")?;
        if sent >= lists && watches >= 2 {
            return Ok(());
        }
        if begun.elapsed() > Duration::from_secs(600) {
            return Err(io::Error::other("the exporter does not list"));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Returns the peak memory during a scrape minus the memory before the scrape, in MiB.
fn extra_memory(process: &Process, scraper: &mut Scraper, gzip: bool) -> io::Result<f64> {
    // The first scrape may allocate memory that the exporter keeps. This additional scrape allocates such memory before
    // the measurement starts.
    scraper.scrape(gzip)?;
    process.settle()?;
    process.forget_peak()?;
    let before = process.resident()?;
    scraper.scrape(gzip)?;
    Ok((process.peak()? - before).max(0.0))
}

/// Measures the CPU seconds per update while pods change at a rate, without scrapes.
fn changes(
    api: &mut Process,
    process: &Process,
    plan: &Plan,
    rate: f64,
    batch: usize,
) -> io::Result<f64> {
    // The exporter may compress its response before the next scrape is due. Wait until this compression has ended, so
    // that its CPU time does not count as CPU time of the updates.
    thread::sleep(Duration::from_secs(3));
    status(api, &format!("rate {rate} {batch}"))?;
    thread::sleep(Duration::from_secs(1));
    let (before, cpu) = (status(api, "status")?[0], process.cpu()?);
    thread::sleep(Duration::from_secs_f64(plan.seconds));
    let (after, used) = (status(api, "status")?[0], process.cpu()? - cpu);
    status(api, "rate 0 1")?;
    process.settle()?;
    Ok(used / after.saturating_sub(before).max(1) as f64)
}

/// Measures compressed scrapes while pods change: the median duration, and the CPU time per scrape. The CPU time does
/// not include the CPU time of the updates.
fn under_churn(
    api: &mut Process,
    process: &Process,
    plan: &Plan,
    scraper: &mut Scraper,
    per_update: f64,
) -> io::Result<(Taken, f64)> {
    status(api, &format!("rate {RATE} 1"))?;
    // These two scrapes are not measured. After these scrapes, the exporter can predict when the next scrape is due.
    for _ in 0..2 {
        thread::sleep(Duration::from_secs_f64(INTERVAL));
        scraper.scrape(true)?;
    }
    let (begun, before, cpu) = (Instant::now(), status(api, "status")?[0], process.cpu()?);
    let mut all = Vec::new();
    while all.len() < 2 || begun.elapsed().as_secs_f64() < plan.seconds + INTERVAL {
        thread::sleep(Duration::from_secs_f64(INTERVAL));
        all.push(scraper.scrape(true)?);
    }
    let updates = status(api, "status")?[0].saturating_sub(before) as f64;
    let cpu = process.cpu()? - cpu - updates * per_update;
    status(api, "rate 0 1")?;
    process.settle()?;
    let taken = Taken {
        first: median(&all, |taken| taken.first),
        whole: median(&all, |taken| taken.whole),
        bytes: 0,
    };
    Ok((taken, cpu.max(0.0) / all.len() as f64))
}

/// Measures the peak memory and the CPU seconds of a relist of pods. The relist happens because the watch expires.
fn relist(api: &mut Process, process: &Process, paged: &str) -> io::Result<(f64, f64)> {
    let lists = status(api, &format!("paged {paged}"))?[1];
    process.forget_peak()?;
    let before = process.cpu()?;
    status(api, &format!("expire {FEW}"))?;
    await_lists(api, lists + 1)?;
    let (_, cpu) = process.settle()?;
    Ok((process.peak()?, cpu - before))
}

/// Fails if the response body does not contain all pods, or if it shows fewer than `restarts` restarted containers.
fn check(body: &[u8], pods: usize, restarts: usize) -> io::Result<()> {
    let text = std::str::from_utf8(body).map_err(io::Error::other)?;
    let infos = text.matches("\nkube_pod_info{").count();
    let restarted = (text.lines())
        .filter(|line| line.starts_with("kube_pod_container_status_restarts_total{"))
        .filter(|line| !line.ends_with("} 0"))
        .count();
    if infos == pods && restarted >= restarts {
        return Ok(());
    }
    let found = format!("{infos} pods of {pods}, {restarted} restarted containers");
    Err(io::Error::other(format!(
        "not a complete exposition: {found}"
    )))
}

fn gunzip(compressed: &[u8]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(compressed).read_to_end(&mut text)?;
    Ok(text)
}

fn median(all: &[Taken], of: impl Fn(&Taken) -> Duration) -> Duration {
    let mut times: Vec<_> = all.iter().map(of).collect();
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
