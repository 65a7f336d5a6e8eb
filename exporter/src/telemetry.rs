//! Metrics about the exporter itself, the last scrapes, and the files in use.

mod files;
mod refusals;
mod scrapes;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use md5::{Digest, Md5};
use prometheus::proto::MetricFamily;
use prometheus::{
    Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use crate::options::IgnoredKey;
use crate::server::ServerMetrics;
use crate::version;
use files::{FilesInUse, number};
use refusals::Refusals;
use scrapes::ScrapeHistory;

pub(crate) use files::{FileInUse, UsedContent};
pub(crate) use refusals::{Changed, PendingChange};
pub(crate) use scrapes::{Scrape, Scraper, scrapers, shortened};

/// The content type of the metrics as text.
pub(crate) const CONTENT_TYPE: &str =
    "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

/// The metrics that exist until the process ends, even if a reload replaces the instance.
#[derive(Clone, Debug)]
pub(crate) struct Telemetry {
    registry: Registry,
    /// Duration of scrapes, by handler and method.
    pub(crate) durations: HistogramVec,
    /// Responses with the metrics of objects, by format and encoding.
    pub(crate) scrapes: IntCounterVec,
    /// The bytes of the responses with the metrics of objects, after compression.
    pub(crate) scrape_bytes: IntCounterVec,
    /// The time at which the last complete response with the metrics of objects ended, by format and encoding.
    last_scrape: GaugeVec,
    pub(crate) scrape_history: ScrapeHistory,
    pub(crate) files: FilesInUse,
    pub(crate) refusals: Refusals,
    pub(crate) servers: ServerMetrics,
    pub(crate) dropped_log_lines: IntCounter,
    config_hash: GaugeVec,
    reload_successful: IntGaugeVec,
    reload_time: GaugeVec,
}

/// The type of a configuration file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ConfigKind {
    Options,
    CustomResources,
    /// The web configuration. The metric `config_hash` has no sample for this file, as in kube-state-metrics. The
    /// landing page shows the hash of this file.
    Web,
}

// === impl Telemetry ===

impl Telemetry {
    /// Creates and registers all metrics.
    ///
    /// # Errors
    ///
    /// Returns an error if two metrics have the same name.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let own = |name: &str, help: &str| Opts::new(format!("kube_state_metrics_{name}"), help);
        let build = [
            ("branch", version::BRANCH),
            ("client_go_version", ""),
            ("goarch", version::goarch()),
            ("goos", version::goos()),
            ("goversion", version::RUSTC),
            ("revision", version::REVISION),
            ("tags", ""),
            ("version", version::VERSION),
        ];
        let build_info = own(
            "build_info",
            "Always 1; the labels are the version and the build of the exporter.",
        );
        let build_info = GaugeVec::new(build_info, &build.map(|(name, _)| name))?;
        build_info
            .with_label_values(&build.map(|(_, value)| value))
            .set(1.0);
        registry.register(Box::new(build_info))?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        ))?;
        let durations = "Time from the request of a scrape to the end of the response, in seconds.";
        let durations = HistogramOpts::new("http_request_duration_seconds", durations);
        let content = &["format", "encoding"];
        let file = &["filename", "type"];
        let cut = "Connections that the exporter closed, and single responses that it ended or refused, by reason.";
        let accept_failures = "Failed attempts to accept a connection, usually because the exporter has no free \
                               file descriptor.";
        let telemetry = Self {
            durations: HistogramVec::new(durations, &["handler", "method"])?,
            scrapes: IntCounterVec::new(
                own(
                    "scrapes_total",
                    "Responses with the metrics of objects, by format (text or openmetrics) and encoding.",
                ),
                content,
            )?,
            scrape_bytes: IntCounterVec::new(
                own(
                    "scrape_bytes_total",
                    "Bytes of the responses with the metrics of objects, as sent (compressed if the encoding is gzip).",
                ),
                content,
            )?,
            last_scrape: GaugeVec::new(
                own(
                    "last_scrape_timestamp_seconds",
                    "Unix time when the last complete response with the metrics of objects \
                     ended, in seconds; absent before the first response.",
                ),
                content,
            )?,
            scrape_history: ScrapeHistory::default(),
            files: FilesInUse::default(),
            refusals: Refusals::default(),
            servers: ServerMetrics {
                connections: IntGaugeVec::new(
                    own("http_connections", "Open connections of the server."),
                    &["server"],
                )?,
                answering: IntGaugeVec::new(
                    own(
                        "http_answering",
                        "Responses in progress, without those of at most 4 KiB.",
                    ),
                    &["server"],
                )?,
                cut: IntCounterVec::new(
                    own("http_connections_cut_total", cut),
                    &["server", "reason"],
                )?,
                accept_failures: IntCounterVec::new(
                    own("http_accept_failures_total", accept_failures),
                    &["server"],
                )?,
            },
            dropped_log_lines: IntCounter::with_opts(own(
                "dropped_log_lines_total",
                "Log lines that were dropped, because standard error did not accept them fast enough, or because \
                 libraries logged more than 20 warnings and errors in a minute.",
            ))?,
            config_hash: GaugeVec::new(
                own(
                    "config_hash",
                    "First six bytes of the MD5 sum of the configuration file in use, as a number.",
                ),
                file,
            )?,
            reload_successful: IntGaugeVec::new(
                own(
                    "last_config_reload_successful",
                    "1 if the current content of the configuration file is in use, otherwise 0.",
                ),
                file,
            )?,
            reload_time: GaugeVec::new(
                own(
                    "last_config_reload_success_timestamp_seconds",
                    "Unix time when the configuration file in use was read, in seconds.",
                ),
                file,
            )?,
            registry,
        };
        let registry = &telemetry.registry;
        registry.register(Box::new(telemetry.durations.clone()))?;
        registry.register(Box::new(telemetry.scrapes.clone()))?;
        registry.register(Box::new(telemetry.scrape_bytes.clone()))?;
        registry.register(Box::new(telemetry.last_scrape.clone()))?;
        registry.register(Box::new(telemetry.servers.connections.clone()))?;
        registry.register(Box::new(telemetry.servers.answering.clone()))?;
        registry.register(Box::new(telemetry.servers.cut.clone()))?;
        registry.register(Box::new(telemetry.servers.accept_failures.clone()))?;
        registry.register(Box::new(telemetry.dropped_log_lines.clone()))?;
        registry.register(Box::new(telemetry.config_hash.clone()))?;
        registry.register(Box::new(telemetry.reload_successful.clone()))?;
        registry.register(Box::new(telemetry.reload_time.clone()))?;
        Ok(telemetry)
    }

    /// Records the end of a response with the metrics of objects.
    pub(crate) fn scraped(&self, scrape: Scrape) {
        if scrape.is_complete {
            let labels = &[scrape.format, scrape.encoding];
            let last = self.last_scrape.with_label_values(labels);
            last.set(unix_seconds(scrape.ended));
        }
        self.scrape_history.record(scrape);
    }

    /// Records that the exporter uses a file with this content. `ignored` contains the keys that have no effect.
    pub(crate) fn config_loaded(
        &self,
        path: &Path,
        kind: ConfigKind,
        content: &[u8],
        ignored: Vec<IgnoredKey>,
    ) {
        let hash = hash(content);
        self.used(path, kind, hash, ignored);
        let path = config_file::shown_path(path).into_owned();
        // The hash has six bytes. A 64-bit float represents such a number exactly.
        self.config_hash
            .with_label_values(&[path.as_str(), kind.as_str()])
            .set(number(hash) as f64);
    }

    /// Records that the current content of the web configuration file is in use. `md5` is the MD5 sum of this content.
    pub(crate) fn web_config_used(&self, path: &Path, md5: [u8; 16]) {
        self.used(path, ConfigKind::Web, start(md5), Vec::new());
        self.refusals.used(Changed::Web);
    }

    fn used(&self, path: &Path, kind: ConfigKind, hash: [u8; 6], ignored: Vec<IgnoredKey>) {
        let since = SystemTime::now();
        let path = config_file::shown_path(path).into_owned();
        let labels = &[path.as_str(), kind.as_str()];
        self.reload_successful.with_label_values(labels).set(1);
        self.reload_time
            .with_label_values(labels)
            .set(unix_seconds(since));
        let content = UsedContent {
            hash,
            since,
            ignored,
        };
        self.files.loaded(&path, kind.as_str(), content);
    }

    /// Records that the current content of a file is not in use.
    pub(crate) fn config_failed(&self, path: &Path, kind: ConfigKind) {
        let path = config_file::shown_path(path).into_owned();
        self.reload_successful
            .with_label_values(&[path.as_str(), kind.as_str()])
            .set(0);
        self.files.failed(&path, kind.as_str());
    }

    /// Records that a file does not exist, or that no option names it.
    pub(crate) fn config_absent(&self, path: &Path, kind: ConfigKind) {
        let path = config_file::shown_path(path).into_owned();
        let labels = &[path.as_str(), kind.as_str()];
        // If the file never existed, there are no metrics to remove.
        let _ = self.config_hash.remove_label_values(labels);
        let _ = self.reload_successful.remove_label_values(labels);
        let _ = self.reload_time.remove_label_values(labels);
        self.files.absent(&path, kind.as_str());
    }

    /// Returns all metrics as text, including the families in `more`.
    ///
    /// # Errors
    ///
    /// Returns an error if a metric cannot be written.
    pub(crate) fn text(&self, more: Vec<MetricFamily>) -> Result<Bytes, prometheus::Error> {
        let mut families = self.registry.gather();
        families.extend(more);
        families.sort_by(|a, b| a.name().cmp(b.name()));
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text.into())
    }
}

/// Returns the families with these names from the text of all metrics. A family begins with its line `# HELP`, because
/// each family of the exporter has a help text.
pub(crate) fn families_of(text: &[u8], names: &[String]) -> Bytes {
    const HELP: &str = "# HELP ";
    let mut selected = Vec::new();
    let mut is_selected = false;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        if let Some(rest) = line.strip_prefix(HELP.as_bytes()) {
            let name = rest.split(|&byte| byte == b' ').next().unwrap_or_default();
            is_selected = names.iter().any(|wanted| wanted.as_bytes() == name);
        }
        if is_selected {
            selected.extend_from_slice(line);
        }
    }
    selected.into()
}

// === impl ConfigKind ===

impl ConfigKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Options => "config",
            Self::CustomResources => "customresourceconfig",
            Self::Web => "webconfig",
        }
    }
}

/// Returns the first six bytes of the MD5 sum of a file's content.
fn hash(content: &[u8]) -> [u8; 6] {
    start(Md5::digest(content).into())
}

/// Returns the first six bytes of an MD5 sum.
fn start(md5: [u8; 16]) -> [u8; 6] {
    let [a, b, c, d, e, f, ..] = md5;
    [a, b, c, d, e, f]
}

fn unix_seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(telemetry: &Telemetry) -> String {
        String::from_utf8(telemetry.text(Vec::new()).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn the_hash_of_a_config_is_the_reference_s() {
        let config_hash = |content: &[u8]| number(hash(content)) as f64;
        assert_eq!(config_hash(b""), 617_830_161_876.0);
        assert_eq!(config_hash(b"resources: {pods: {}}\n"), 5_950_443_893_422.0);
    }

    #[test]
    fn files_have_the_hash_of_the_content_in_use() {
        let telemetry = Telemetry::new().unwrap();
        let (path, kind) = (Path::new("a.yaml"), ConfigKind::Options);
        telemetry.config_loaded(path, kind, b"", Vec::new());
        telemetry.config_failed(path, kind);
        let [file] = &telemetry.files.all()[..] else {
            panic!("one file")
        };
        // The MD5 sum of an empty file: `md5sum /dev/null | cut -c 1-12`.
        assert_eq!(file.content.as_ref().unwrap().hash_text(), "d41d8cd98f00");
        assert_eq!(file.metric_value(), Some(617_830_161_876));
        let web = FileInUse {
            kind: ConfigKind::Web.as_str(),
            ..file.clone()
        };
        assert_eq!(web.metric_value(), None);
        assert!(!file.is_current && file.path == "a.yaml" && file.kind == "config");
        telemetry.config_absent(path, kind);
        assert!(telemetry.files.all().is_empty());
    }

    #[test]
    fn the_web_configuration_is_a_file_in_use_but_has_no_metric_with_its_hash() {
        let telemetry = Telemetry::new().unwrap();
        let path = Path::new("web.yaml");
        telemetry.web_config_used(path, Md5::digest(b"").into());
        telemetry.config_failed(path, ConfigKind::Web);
        let [file] = &telemetry.files.all()[..] else {
            panic!("one file")
        };
        assert_eq!(file.content.as_ref().unwrap().hash_text(), "d41d8cd98f00");
        assert_eq!(file.state(), "an older content is in use");
        let text = text_of(&telemetry);
        assert!(!text.contains("config_hash{"), "{text}");
        telemetry.config_absent(path, ConfigKind::Web);
        assert!(telemetry.files.all().is_empty());
    }

    #[test]
    fn metrics_can_be_chosen_by_name() {
        let telemetry = Telemetry::new().unwrap();
        telemetry.config_loaded(Path::new("a.yaml"), ConfigKind::Options, b"", Vec::new());
        telemetry.config_failed(Path::new("a.yaml"), ConfigKind::Options);
        let name = "kube_state_metrics_last_config_reload_successful".to_owned();
        let all = telemetry.text(Vec::new()).unwrap();
        let text = String::from_utf8(families_of(&all, &[name]).to_vec()).unwrap();
        assert!(text.starts_with("# HELP kube_state_metrics_last_config_reload_successful "));
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(
            text.ends_with("{filename=\"a.yaml\",type=\"config\"} 0\n"),
            "{text}"
        );
        let all = text_of(&telemetry);
        assert!(
            all.contains("kube_state_metrics_build_info{branch="),
            "{all}"
        );
        assert!(all.contains("process_resident_memory_bytes "), "{all}");
    }
}
