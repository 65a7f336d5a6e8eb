//! The report of a running exporter.

use std::path::Path;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::super::output::{AnyError, with_causes};
use crate::file_limits;

/// The maximum time of a request. The exporter computes one report at a time, and a report of a
/// large cluster takes seconds.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The largest report, in bytes.
const LARGEST: usize = 256 << 20;
/// The path of the report with all rows.
const PATH: &str = "/debug/cardinality?top=1000000000";

/// Reads the report at the telemetry port with this address.
///
/// # Errors
///
/// If no exporter answers, or the exporter refuses the request.
pub(super) fn get(url: &str, token_file: Option<&Path>) -> Result<Vec<u8>, AnyError> {
    let address = format!("{}{PATH}", url.trim_end_matches('/'));
    let mut request = Request::get(&address);
    if let Some(path) = token_file {
        let read = config_file::read_text(path, file_limits::TOKEN);
        let token = read.map_err(|error| format!("--token-file {}: {error}", path.display()))?;
        let value = HeaderValue::from_str(&format!("Bearer {}", token.trim()));
        let mut value = value.map_err(|_| "--token-file: the token has invalid characters")?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let request = request.body(Body::empty());
    let request = request.map_err(|error| format!("{url}: {error}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let response = async {
        let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
        let response = client.request(request).await;
        let response = response
            .map_err(|error| format!("{url}: no exporter answers: {}", with_causes(&error)))?;
        let status = response.status();
        let body = to_bytes(Body::new(response.into_body()), LARGEST).await;
        let body = body.map_err(|error| format!("{url}: the report cannot be read: {error}"))?;
        match status {
            StatusCode::OK => Ok(body.to_vec()),
            StatusCode::NOT_FOUND => Err(format!(
                "{url}: there is no /debug/cardinality; give the address of the telemetry port (8081)"
            )),
            status => {
                let text = String::from_utf8_lossy(&body);
                let first = text.lines().next().unwrap_or_default();
                Err(format!("{url}: {status}: {first}"))
            }
        }
    };
    let response = runtime.block_on(async { tokio::time::timeout(TIMEOUT, response).await });
    let response = response.map_err(|_| format!("{url}: no response within {TIMEOUT:?}"))?;
    Ok(response?)
}
