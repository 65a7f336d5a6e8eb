//! The input of `top`. `top` recognizes the kind of input by its address or by its first lines.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use kube_state_metrics::source::manifests::ManifestSource;

use super::super::output::{AnyError, USER_IN_URL, list};
use super::fetch::{self, Access, Fetched};
use crate::instance::log_limits;
use crate::options::{Options, RenderFlags};
use crate::report::{JsonReport, Report, is_metric_name, is_quoted_sample};

/// Where `top` reads the report or the samples.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A running exporter.
    Url(String),
    Files(Vec<PathBuf>),
}

/// The kind of content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// Samples in the text or OpenMetrics format.
    Metrics,
    /// A report of `/debug/cardinality`.
    Report,
    Manifests,
}

// === impl Input ===

impl Input {
    /// Determines from the arguments whether the input is an exporter or files.
    ///
    /// # Errors
    ///
    /// The function fails if there is a URL and another input, or if the scheme of the URL is neither `http` nor
    /// `https`. It also fails if a URL contains a user name or a password.
    pub(super) fn of(inputs: &[String]) -> Result<Self, String> {
        let is_url = |input: &&String| {
            let names_port = is_address(input) && !Path::new(input.as_str()).exists();
            input.contains("://") || names_port
        };
        if inputs.iter().any(|input| has_user(input)) {
            return Err(USER_IN_URL.to_owned());
        }
        match (inputs.iter().find(is_url), inputs) {
            (None, files) => Ok(Self::Files(files.iter().map(PathBuf::from).collect())),
            (Some(url), [_]) if url.starts_with("http://") || url.starts_with("https://") => {
                Ok(Self::Url(url.clone()))
            }
            (Some(address), [_]) if !address.contains("://") => {
                Ok(Self::Url(format!("http://{address}")))
            }
            (Some(url), [_]) => Err(format!(
                "{url}: only http:// and https:// are supported; for another scheme, use `curl URL/debug/cardinality?top=1000000 | \
                 kube-state-metrics top -`"
            )),
            (Some(url), _) => Err(format!("{url}: give a URL without other inputs")),
        }
    }

    /// Reads the report, or counts the samples.
    ///
    /// # Errors
    ///
    /// The function fails if the input cannot be read.
    pub(super) fn read(&self, flags: &RenderFlags, access: Access<'_>) -> Result<Report, AnyError> {
        let files = match self {
            Self::Url(url) => {
                return match fetch::get(url, access)? {
                    Fetched::Report(json) => report(&json, url),
                    Fetched::Metrics(text) => {
                        let report = Report::of_text(&*text);
                        report.map_err(|error| format!("{url}: {error}").into())
                    }
                };
            }
            Self::Files(files) => files,
        };
        match &files[..] {
            [file] if file == Path::new("-") => Self::read_file(io::stdin().lock(), file, flags),
            [file] if !file.is_dir() => {
                let opened = File::open(file);
                let opened = opened.map_err(|error| failed(file, &error))?;
                Self::read_file(BufReader::new(opened), file, flags)
            }
            files => manifests(files, flags),
        }
    }

    fn read_file(
        mut text: impl BufRead,
        file: &Path,
        flags: &RenderFlags,
    ) -> Result<Report, AnyError> {
        let start = text.fill_buf();
        match Content::of(start.map_err(|error| failed(file, &error))?) {
            Content::Metrics => {
                let report = Report::of_text(text);
                report.map_err(|error| format!("{}: {error}", config_file::shown_path(file)).into())
            }
            Content::Report => {
                let mut json = Vec::new();
                let read = text.read_to_end(&mut json);
                read.map_err(|error| failed(file, &error))?;
                report(&json, &config_file::shown_path(file))
            }
            // `top` has already read the first lines of standard input, so the reader of manifests would miss these
            // lines.
            Content::Manifests if file == Path::new("-") => Err(
                "standard input has no samples; for manifests, use `kube-state-metrics render - | \
                 kube-state-metrics top -`"
                    .into(),
            ),
            Content::Manifests => manifests(&[file.to_owned()], flags),
        }
    }
}

fn failed(file: &Path, error: &io::Error) -> String {
    let cure = match error.kind() {
        io::ErrorKind::NotFound => {
            "; for a running exporter, give its host and port, such as localhost:8081"
        }
        _ => "",
    };
    format!(
        "{}: cannot be read: {error}{cure}",
        config_file::shown_path(file)
    )
}

/// Whether a text is a URL that may contain a user name or a password. Without a scheme, `user:password@host` is such a
/// URL if there is no file with this name.
fn has_user(text: &str) -> bool {
    let before = text.split_once('@').map(|(before, _)| before);
    before.is_some_and(|before| {
        text.contains("://") || before.contains(':') && !Path::new(text).exists()
    })
}

/// Whether a text is a host with a port, and perhaps a path.
fn is_address(text: &str) -> bool {
    let authority = text.split('/').next().unwrap_or_default();
    let is_host = |host: &str| {
        let is_ipv6 = host.starts_with('[') && host.ends_with(']');
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
        is_ipv6 || !host.is_empty() && host.bytes().all(is_part)
    };
    let parts = authority.rsplit_once(':');
    parts.is_some_and(|(host, port)| is_host(host) && port.parse::<u16>().is_ok())
}

/// Parses a report of an exporter. `from` names the source of the report in errors.
fn report(json: &[u8], from: &str) -> Result<Report, AnyError> {
    let read: Result<JsonReport, _> = serde_json::from_slice(json);
    match read {
        Ok(read) => Ok(read.report),
        Err(error) => Err(format!("{from}: not a report of /debug/cardinality: {error}").into()),
    }
}

fn manifests(paths: &[PathBuf], flags: &RenderFlags) -> Result<Report, AnyError> {
    let (options, warnings) = Options::new(&flags.0, None)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let metrics = options.metrics.build()?;
    let loaded = ManifestSource::new(paths).open(&metrics).reload();
    for problem in &loaded.problems {
        tracing::warn!("{problem}");
    }
    log_limits(&metrics);
    if loaded.objects + loaded.not_registered == 0 {
        let paths = list(paths);
        return Err(format!(
            "no sample and no object could be read from {paths}; give a response of /metrics, or manifests"
        )
        .into());
    }
    Ok(Report::new(&metrics, &options.metrics))
}

// === impl Content ===

impl Content {
    /// Determines the kind of a text from its first lines.
    fn of(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let is_header = |line: &str| {
            let headers = ["# HELP ", "# TYPE ", "# UNIT ", "# EOF"];
            headers.iter().any(|start| line.starts_with(start))
        };
        match lines.find(|line| is_header(line) || !line.starts_with('#')) {
            // A report has the keys `families` and `bytes`. Manifests do not contain both keys.
            Some(line) if line.starts_with('{') && !is_quoted_sample(line) => {
                let is_report = text.contains("\"families\"") && text.contains("\"bytes\"");
                if is_report {
                    Self::Report
                } else {
                    Self::Manifests
                }
            }
            Some(line) if is_header(line) || is_sample(line) || is_quoted_sample(line) => {
                Self::Metrics
            }
            _ => Self::Manifests,
        }
    }
}

/// Whether a line starts with the name of a metric and continues after the name. A key of a manifest is no metric name,
/// because it ends with a colon.
fn is_sample(line: &str) -> bool {
    let name = line.split(['{', ' ']).next().unwrap_or_default();
    is_metric_name(name) && !name.ends_with(':') && line.len() > name.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_text_shows_what_it_contains() {
        for (text, content) in [
            ("# HELP a b\n", Content::Metrics),
            (
                "\n# a comment\nkube_pod_info{pod=\"a\"} 1\n",
                Content::Metrics,
            ),
            ("up 1\n", Content::Metrics),
            ("{\"my.metric\",a=\"b\"} 1\n", Content::Metrics),
            ("{\n  \"bytes\": 1,\n \"families\": [", Content::Report),
            ("{\"kind\": \"List\"}", Content::Manifests),
            ("# a comment\napiVersion: v1\n", Content::Manifests),
            ("---\nkind: Pod\n", Content::Manifests),
            ("", Content::Manifests),
        ] {
            assert_eq!(Content::of(text.as_bytes()), content, "{text}");
        }
    }

    #[test]
    fn a_url_stands_alone() {
        let of = |inputs: &[&str]| {
            let inputs: Vec<_> = inputs.iter().map(|input| (*input).to_owned()).collect();
            Input::of(&inputs)
        };
        let url = "http://localhost:8081";
        assert_eq!(of(&[url]), Ok(Input::Url(url.to_owned())));
        assert_eq!(of(&["-"]), Ok(Input::Files(vec!["-".into()])));
        assert!(of(&[url, "a.yaml"]).is_err_and(|error| error.contains("without other inputs")));
        for (address, url) in [
            ("localhost:8081", "http://localhost:8081"),
            ("10.0.0.1:8081/metrics", "http://10.0.0.1:8081/metrics"),
            ("[::1]:8081", "http://[::1]:8081"),
        ] {
            assert_eq!(of(&[address]), Ok(Input::Url(url.to_owned())));
        }
        for file in ["a.yaml", "dir/a:1", "a:b", "C:", "::1", "a b:1"] {
            assert_eq!(of(&[file]), Ok(Input::Files(vec![file.into()])));
        }
        assert_eq!(of(&["https://a"]), Ok(Input::Url("https://a".to_owned())));
        for url in ["http://ann:hunter2@a", "ann:hunter2@a:8081"] {
            assert_eq!(of(&[url]), Err(USER_IN_URL.to_owned()));
            assert_eq!(of(&["a.yaml", url]), Err(USER_IN_URL.to_owned()));
        }
        assert_eq!(of(&["a@b"]), Ok(Input::Files(vec!["a@b".into()])));
        assert!(of(&["ftp://a"]).is_err_and(|error| error.contains("top -")));
    }
}
