//! `probe`: checks whether a running exporter answers. This command exists because an image with only this program
//! contains no HTTP client such as curl.

use std::error::Error;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::time::Duration;

use axum::body::Body;
use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Args, Command};
use http::{StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::{Instant, sleep, timeout_at};

use super::output::{USER_IN_URL, with_causes, write};
use crate::options::parse::{Timeout, timeout};

#[derive(Args, Debug)]
pub(crate) struct ProbeArgs {
    /// Addresses of the exporter, such as http://localhost:8080/readyz
    #[arg(value_name = "URL", required = true, value_parser = AddressParser)]
    urls: Vec<Uri>,
    /// Time for which the command retries an address that does not answer with status 200; 0 requests
    /// each address once, and waits up to 30s for each answer
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = timeout)]
    timeout: Timeout,
}

/// Parses an address. Unlike a function, this parser can refuse an address without showing it.
#[derive(Clone, Debug)]
struct AddressParser;

/// The reason why a probe fails.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    #[error("{url} does not answer; check the address, and that the exporter runs: {problem}")]
    NoAnswer { url: Uri, problem: String },
    #[error("{url} answers with status {status}: {body}")]
    Status {
        url: Uri,
        status: StatusCode,
        body: String,
    },
    #[error("{0} does not answer in time; check the address, or set a longer --timeout")]
    Slow(Uri),
    #[error("cannot start the probe or write its output: {0}")]
    Io(#[from] io::Error),
}

/// The maximum number of bytes of a response body that an error shows. The body is useful: for example, the body of
/// /readyz names the resources that are not ready.
const SHOWN: usize = 4096;

/// The maximum time of a request if the command requests each address only once.
const ONCE: Duration = Duration::from_secs(30);

/// The pause before an address is requested again.
const PAUSE: Duration = Duration::from_secs(1);

/// Requests each address until it answers with status 200, and writes one line for each address to `out`.
///
/// # Errors
///
/// Returns an error for the first address that does not answer with status 200 in time. The error contains the last
/// answer of this address.
pub(super) fn run(args: &ProbeArgs, mut out: impl Write) -> Result<(), ProbeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let end = args.timeout.map(|timeout| Instant::now() + timeout);
        for url in &args.urls {
            let bytes = answer_before(&client, url, end).await?;
            write(&mut out, format!("{url}: {bytes} bytes\n").as_bytes())?;
        }
        Ok(())
    })
}

/// Requests an address until it answers with status 200, but at most until `end`. Without `end`, requests it once.
/// Returns the size of the body in bytes.
async fn answer_before(
    client: &Client<HttpConnector, Body>,
    url: &Uri,
    end: Option<Instant>,
) -> Result<usize, ProbeError> {
    let Some(end) = end else {
        let once = timeout_at(Instant::now() + ONCE, answer(client, url)).await;
        return once.unwrap_or_else(|_| Err(ProbeError::Slow(url.clone())));
    };
    let mut last = ProbeError::Slow(url.clone());
    loop {
        match timeout_at(end, answer(client, url)).await {
            Ok(Ok(bytes)) => return Ok(bytes),
            Ok(Err(error)) => last = error,
            Err(_) => return Err(last),
        }
        if Instant::now() + PAUSE >= end {
            return Err(last);
        }
        sleep(PAUSE).await;
    }
}

/// Requests an address once, and reads the whole answer. Returns the size of the body in bytes.
async fn answer(client: &Client<HttpConnector, Body>, url: &Uri) -> Result<usize, ProbeError> {
    let no_answer = |error: &dyn Error| ProbeError::NoAnswer {
        url: url.clone(),
        problem: with_causes(error),
    };
    let response = client.get(url.clone()).await;
    let response = response.map_err(|error| no_answer(&error))?;
    let status = response.status();
    let mut body = response.into_body();
    let (mut bytes, mut shown) = (0, Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| no_answer(&error))?;
        if let Some(data) = frame.data_ref() {
            bytes += data.len();
            let room = SHOWN - shown.len();
            shown.extend(data.iter().take(room));
        }
    }
    if status == StatusCode::OK {
        return Ok(bytes);
    }
    Err(ProbeError::Status {
        url: url.clone(),
        status,
        body: String::from_utf8_lossy(&shown).trim().to_owned(),
    })
}

fn address(text: &str) -> Result<Uri, String> {
    let uri = text.parse::<Uri>().ok();
    let uri = uri.filter(|uri| uri.scheme_str() == Some("http") && uri.authority().is_some());
    uri.ok_or_else(|| "is not an address; write `http://HOST:PORT/readyz`".to_owned())
}

// === impl AddressParser ===

impl TypedValueParser for AddressParser {
    type Value = Uri;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Uri, clap::Error> {
        if value.as_encoded_bytes().contains(&b'@') {
            let error = clap::Error::raw(ErrorKind::ValueValidation, format!("{USER_IN_URL}\n"));
            return Err(error.with_cmd(command));
        }
        address.parse_ref(command, argument, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_a_password_is_refused_and_not_shown() {
        let command = ProbeArgs::augment_args(Command::new("probe"));
        let of = |url: &str| command.clone().try_get_matches_from(["probe", url]);
        for url in ["http://ann:hunter2@host/readyz", "https://ann:hunter2@host"] {
            let error = of(url).unwrap_err().to_string();
            assert!(error.contains(USER_IN_URL), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(of("http://host:8080/readyz").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_request_to_a_server_that_hangs_ends() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/readyz", listener.local_addr().unwrap());
        let client = Client::builder(TokioExecutor::new()).build_http();
        let answer = answer_before(&client, &url.parse().unwrap(), None).await;
        assert!(matches!(answer, Err(ProbeError::Slow(_))), "{answer:?}");
    }
}
