//! `/metrics`: the metrics of objects on the main port, and the metrics about the exporter on the telemetry port.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bounded_http::Peer;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use http_body::{Frame, SizeHint};
use prometheus::{Histogram, IntCounter};

use super::query::Query;
use crate::app_state::AppState;
use crate::election::Leadership;
use crate::instance::Instance;
use crate::redaction::HIDDEN;
use crate::telemetry::{self, Scrape, Telemetry};

/// The body of a response, which records the duration and the size of the response.
struct Measured<B> {
    body: B,
    started: Instant,
    histogram: Histogram,
    /// `None` for a response that is not a scrape.
    scrape: Option<OngoingScrape>,
}

/// A response that is being sent, with the metrics of objects.
struct OngoingScrape {
    telemetry: Telemetry,
    total_bytes: IntCounter,
    /// The data about this scrape. The number of bytes grows while the exporter sends the response. The exporter sets
    /// the time and the duration when the response ends.
    scrape: Scrape,
}

/// The metrics of objects.
pub(super) async fn objects(State(app): State<Arc<AppState>>, request: Request) -> Response {
    let started = Instant::now();
    let method = match *request.method() {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::POST => "post",
        Method::PUT => "put",
        Method::DELETE => "delete",
        Method::OPTIONS => "options",
        _ => "unknown",
    };
    let histogram = app
        .telemetry
        .durations
        .with_label_values(&["metrics", method]);
    let request = request.into_parts().0;
    let serves = match &app.leadership {
        Some(leadership) => leadership.decide().await,
        None => true,
    };
    let present = || async {
        let instance = app.instance();
        instance.on_blocking_thread(Instance::stored_bytes).await
    };
    if app.running_scrapes.end_oldest(present).await {
        app.telemetry.servers.ended_for_memory();
    }
    let mut service = app.instance().metrics.service();
    if let Some(leadership) = app.leadership.clone() {
        service = service
            .objects_while(move || serves)
            .append(move |_| leadership.host_metrics());
    }
    let response = service.respond(&request);
    let scrape = (response.status() == StatusCode::OK).then(|| {
        let labels = content(response.headers());
        if response.headers().contains_key(CONTENT_ENCODING) {
            app.instance().compressed_scrape.notify_one();
        }
        app.telemetry.scrapes.with_label_values(&labels).inc();
        OngoingScrape {
            telemetry: app.telemetry.clone(),
            total_bytes: app.telemetry.scrape_bytes.with_label_values(&labels),
            scrape: scrape(&request, labels),
        }
    });
    // A response to a HEAD request has no body, so it is not added to the history of scrapes.
    let scrape = scrape.filter(|_| request.method == Method::GET);
    response.map(|body| {
        Body::new(Measured {
            body: app.running_scrapes.add(body),
            started,
            histogram,
            scrape,
        })
    })
}

/// Returns the record of a scrape whose response has not begun.
fn scrape(request: &Parts, [format, encoding]: [&'static str; 2]) -> Scrape {
    let user_agent = request.headers.get(USER_AGENT);
    let user_agent = user_agent.map(|name| String::from_utf8_lossy(name.as_bytes()));
    Scrape {
        ended: SystemTime::now(),
        client: (request.extensions.get::<Peer>()).map(|peer| peer.address().ip()),
        user_agent: telemetry::shortened(&user_agent.unwrap_or_default()),
        query: telemetry::shortened(&shown_query(request.uri.query().unwrap_or_default())),
        format,
        encoding,
        bytes: 0,
        duration: Duration::ZERO,
        is_complete: false,
    }
}

/// Returns a query for the landing page. Values of parameters that the exporter does not know are hidden, because a
/// proxy may send a credential of its clients as a parameter.
fn shown_query(query: &str) -> String {
    let shown = |pair: &str| {
        let key = pair.split('=').next().unwrap_or_default();
        let name: String = form_urlencoded::parse(key.as_bytes())
            .map(|(name, _)| name)
            .collect();
        match (PARAMETERS.contains(&&*name), pair.contains('=')) {
            (true, _) => pair.to_owned(),
            (false, true) => format!("{key}={HIDDEN}"),
            (false, false) => HIDDEN.to_owned(),
        }
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs: Vec<_> = pairs.take(MAX_PAIRS).map(shown).collect();
    pairs.join("&")
}

/// Returns the values that the labels `format` and `encoding` have for a response.
fn content(headers: &HeaderMap) -> [&'static str; 2] {
    let has = |name: HeaderName, start: &[u8]| {
        let value = headers.get(name);
        value.is_some_and(|value| value.as_bytes().starts_with(start))
    };
    let is_open_metrics = has(CONTENT_TYPE, b"application/openmetrics-text");
    [
        if is_open_metrics {
            "openmetrics"
        } else {
            "text"
        },
        if has(CONTENT_ENCODING, b"gzip") {
            "gzip"
        } else {
            "identity"
        },
    ]
}

/// Returns the metrics about the exporter, or only the families that `?name[]=` selects.
pub(super) async fn own(State(app): State<Arc<AppState>>, query: Query) -> Response {
    let names: Vec<_> = query.values("name[]").map(str::to_owned).collect();
    let state = Arc::clone(&app);
    // A separate thread computes the text. With large stores, the computation takes too long for an asynchronous task.
    let text = app.own_metrics.get(move || {
        let mut families = state.instance().gather();
        families.extend(state.leadership.iter().flat_map(Leadership::gather));
        state.telemetry.text(families)
    });
    match text.await.as_deref() {
        Some(Ok(text)) => {
            let text = match names.is_empty() {
                true => Bytes::clone(text),
                false => telemetry::families_of(text, &names),
            };
            ([(CONTENT_TYPE, telemetry::CONTENT_TYPE)], text).into_response()
        }
        Some(Err(error)) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
        }
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The parameters of `/metrics`.
const PARAMETERS: [&str; 4] = ["resources", "exclude_resources", "namespace", "name[]"];
/// Maximum number of parameters that the landing page shows for one client.
const MAX_PAIRS: usize = 100;

// === impl Measured ===

impl<B> Drop for Measured<B> {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        self.histogram.observe(duration.as_secs_f64());
        if let Some(OngoingScrape {
            telemetry, scrape, ..
        }) = self.scrape.take()
        {
            telemetry.scraped(Scrape {
                ended: SystemTime::now(),
                duration,
                ..scrape
            });
        }
    }
}

impl<B: http_body::Body<Data = Bytes> + Unpin> http_body::Body for Measured<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let is_end_stream = self.body.is_end_stream();
        if let Some(ongoing) = &mut self.scrape {
            match &polled {
                Poll::Ready(Some(Ok(frame))) => {
                    let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                    ongoing.total_bytes.inc_by(length);
                    ongoing.scrape.bytes += length;
                    ongoing.scrape.is_complete = is_end_stream;
                }
                Poll::Ready(None) => ongoing.scrape.is_complete = true,
                Poll::Ready(Some(Err(_))) | Poll::Pending => {}
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_shows_no_value_of_an_unknown_parameter() {
        let query =
            "resources=pods,nodes&namespace=a&name%5B%5D=kube_pod_info&exclude_resources=jobs";
        assert_eq!(shown_query(query), query);
        assert_eq!(
            shown_query("access_token=s3cret&&resources=pods&s3cret&tok%65n=s3cret&resources"),
            "access_token=[hidden]&resources=pods&[hidden]&tok%65n=[hidden]&resources"
        );
        assert_eq!(shown_query(""), "");
    }
}
