//! Requests the report `/debug/cardinality` of a running exporter. If the port of the exporter does not serve this
//! report, requests the metrics of the port.

use std::path::Path;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, StatusCode};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;

use super::super::output::{AnyError, with_causes};
use super::tls;
use crate::file_limits;
use crate::redaction::Secrets;

/// The maximum time of a request. The request may wait for other reports, because the exporter computes one report at a
/// time. A report of a large cluster takes seconds.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The maximum size of a report, in bytes.
const LARGEST: usize = 256 << 20;
/// If the server responds with an error, the command shows at most this number of bytes of the response.
const LONGEST_ERROR: usize = 1 << 10;
/// A part of the token is hidden if it has at least this number of characters.
const PART: usize = 8;
/// The path of a report without a limit on the number of rows.
const PATH: &str = "/debug/cardinality?top=1000000000";

/// How `top` connects to a running exporter.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Access<'a> {
    pub(super) token_file: Option<&'a Path>,
    /// The file with the certificate authorities that `top` trusts for `https://`.
    pub(super) ca_file: Option<&'a Path>,
}

/// What a running exporter has sent.
pub(super) enum Fetched {
    /// A report of `/debug/cardinality`.
    Report(Vec<u8>),
    /// Samples in the text format.
    Metrics(Vec<u8>),
}

/// Requests the report from the port with this address. If the port does not serve reports, the function requests the
/// metrics of the port.
///
/// # Errors
///
/// The function fails if no exporter answers, or if the exporter refuses the request.
pub(super) fn get(url: &str, access: Access<'_>) -> Result<Fetched, AnyError> {
    let token = access.token_file.map(bearer_token).transpose()?;
    let header = token.as_ref().and_then(|token| token.to_str().ok());
    let token_text = header.map_or("", |header| header.trim_start_matches("Bearer "));
    let secrets = Secrets::of_token(token_text, PART);
    let tls = match url.starts_with("https://") {
        true => Some(tls::client_config(access.ca_file)?),
        false => None,
    };
    let base = base(url);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // The error of a connection may contain text of the server, such as the names in its certificate.
    let hide = |error: String| secrets.message(&error);
    let fetched = async {
        let response = send(url, &format!("{base}{PATH}"), token.as_ref(), tls.as_ref()).await;
        let (status, body) = response.map_err(hide)?;
        if status != StatusCode::NOT_FOUND {
            return accepted(url, status, body, token.is_some(), &secrets).map(Fetched::Report);
        }
        let metrics = format!("{base}/metrics");
        let response = send(url, &metrics, token.as_ref(), tls.as_ref()).await;
        let (status, body) = response.map_err(hide)?;
        if status == StatusCode::NOT_FOUND {
            return Err(format!(
                "{url}: there is neither /debug/cardinality nor /metrics; give the address of the telemetry port (8081)"
            ));
        }
        accepted(url, status, body, token.is_some(), &secrets).map(Fetched::Metrics)
    };
    let fetched = runtime.block_on(async { tokio::time::timeout(TIMEOUT, fetched).await });
    let fetched = fetched.map_err(|_| format!("{url}: no response within {TIMEOUT:?}"))?;
    Ok(fetched?)
}

/// Returns the URL without its query, and without the path of an endpoint of the exporter, such as `/metrics`.
fn base(url: &str) -> &str {
    let path = url
        .split('?')
        .next()
        .unwrap_or_default()
        .trim_end_matches('/');
    let served = ["/metrics", "/debug/cardinality"];
    let served = served.iter().find_map(|own| path.strip_suffix(own));
    served.unwrap_or(path)
}

/// Reads a token from a file, and returns the `Authorization` header with this token.
fn bearer_token(path: &Path) -> Result<HeaderValue, AnyError> {
    let origin = format!("--token-file {}", config_file::shown_path(path));
    let read = config_file::read_text(path, file_limits::TOKEN);
    let token = read.map_err(|error| format!("{origin}: {error}"))?;
    if token.trim().is_empty() {
        return Err(format!("{origin}: the file is empty; write the token to it").into());
    }
    let value = HeaderValue::from_str(&format!("Bearer {}", token.trim()));
    let mut value = value.map_err(|_| "--token-file: the token has invalid characters")?;
    value.set_sensitive(true);
    Ok(value)
}

/// Sends a request. Returns the status and the body of the response.
async fn send(
    url: &str,
    address: &str,
    token: Option<&HeaderValue>,
    tls: Option<&ClientConfig>,
) -> Result<(StatusCode, Vec<u8>), String> {
    let mut request = Request::get(address);
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, token);
    }
    let request = request.body(Body::empty());
    let request = request.map_err(|error| format!("{url}: {error}"))?;
    let builder = Client::builder(TokioExecutor::new());
    let response = match tls {
        None => builder.build_http::<Body>().request(request).await,
        Some(config) => {
            let connector = HttpsConnectorBuilder::new().with_tls_config(config.clone());
            let connector = connector.https_only().enable_http1().build();
            builder.build::<_, Body>(connector).request(request).await
        }
    };
    let response = response.map_err(|error| {
        format!(
            "{url}: no exporter answers: {}; give the host and the telemetry port (8081)",
            with_causes(&error)
        )
    })?;
    let status = response.status();
    let body = to_bytes(Body::new(response.into_body()), LARGEST).await;
    let body = body.map_err(|error| {
        format!(
            "{url}: the response cannot be read: {error}; for a response of any size, use `curl URL/metrics | \
             kube-state-metrics top -`"
        )
    })?;
    Ok((status, body.to_vec()))
}

/// Returns the body if the status is 200. Otherwise returns an error with the first line of the body. The error hides
/// the token of the request if the line contains it.
fn accepted(
    url: &str,
    status: StatusCode,
    body: Vec<u8>,
    has_token: bool,
    secrets: &Secrets,
) -> Result<Vec<u8>, String> {
    if status == StatusCode::OK {
        return Ok(body);
    }
    let start = body.get(..LONGEST_ERROR).unwrap_or(&body);
    let text = String::from_utf8_lossy(start);
    let first = text.lines().next().unwrap_or_default();
    let first = secrets.message(first.trim_end_matches('.'));
    let cure = match status {
        _ if first.ends_with("to an HTTPS server") => "; write https:// before the address",
        StatusCode::UNAUTHORIZED if !has_token => {
            "; if the exporter has --auth-filter, give --token-file FILE with the token of a user who may read \
             /metrics"
        }
        StatusCode::UNAUTHORIZED => "; check the token in --token-file",
        _ => "",
    };
    Err(format!("{url}: {status}: {first}{cure}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_an_exporter_serves_are_left_out() {
        for (url, expected) in [
            ("http://a:1", "http://a:1"),
            ("http://a:1/", "http://a:1"),
            ("http://a:1/metrics", "http://a:1"),
            ("http://a:1/metrics/?x=1", "http://a:1"),
            ("http://a:1/debug/cardinality?top=5", "http://a:1"),
            ("http://proxy/ksm/metrics", "http://proxy/ksm"),
        ] {
            assert_eq!(base(url), expected, "{url}");
        }
    }
}
