//! Metrics and log lines of the HTTP servers.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use bounded_http::{CloseReason, Observer};
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::throttle::Throttle;

/// Metrics of all servers.
#[derive(Clone, Debug)]
pub(crate) struct ServerMetrics {
    /// Number of open connections, by server.
    pub(crate) connections: IntGaugeVec,
    /// Number of responses in progress, by server.
    pub(crate) answering: IntGaugeVec,
    /// Number of connections that the server closed, and of responses that it ended alone, by server and reason.
    pub(crate) cut: IntCounterVec,
    /// Number of failed attempts to accept a connection, by server.
    pub(crate) accept_failures: IntCounterVec,
}

/// Counts and logs the events of one server.
///
/// A reload can start a server on another port before the old server stops. During this time, each metric is the sum of
/// both servers.
pub(super) struct ServerObserver {
    name: &'static str,
    connections: IntGauge,
    answering: IntGauge,
    cut: IntCounterVec,
    refused: IntCounter,
    floods: Throttle,
    displaced: Throttle,
    failures: Throttle,
}

// === impl ServerMetrics ===

impl ServerMetrics {
    /// Counts a response with the metrics of objects that ended because such responses held too much memory.
    pub(crate) fn ended_for_memory(&self) {
        static IS_LOGGED: AtomicBool = AtomicBool::new(false);
        self.cut.with_label_values(&["metrics", "memory"]).inc();
        if !IS_LOGGED.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "metrics: ended the oldest scrape, because slow scrapes hold more memory of objects that have changed \
                 since they began than the present objects need; check which clients read slowly; \
                 kube_state_metrics_http_connections_cut_total with the reason `memory` counts such scrapes"
            );
        }
    }
}

// === impl ServerObserver ===

impl ServerObserver {
    pub(super) fn new(name: &'static str, metrics: &ServerMetrics) -> Self {
        let labels = &[name];
        Self {
            name,
            connections: metrics.connections.with_label_values(labels),
            answering: metrics.answering.with_label_values(labels),
            cut: metrics.cut.clone(),
            refused: metrics.accept_failures.with_label_values(labels),
            floods: Throttle::default(),
            displaced: Throttle::default(),
            failures: Throttle::default(),
        }
    }
}

impl ServerObserver {
    /// Logs that a response was ended or refused, because there were too many. Clients can cause this as often as they
    /// want, so the log has one line per minute.
    fn log_displaced(&self, peer: SocketAddr, reason: CloseReason) {
        if !matches!(reason, CloseReason::Displaced | CloseReason::Replaced) {
            return;
        }
        if let Some(count) = self.displaced.record() {
            tracing::warn!(
                "{}: ended or refused a response to {peer}, because too many responses are in progress ({count} such \
                 responses since the last message); check which clients read slowly, or raise --max-answers; \
                 kube_state_metrics_http_connections_cut_total with the reason `made_room` counts such responses",
                self.name
            );
        }
    }
}

impl Observer for ServerObserver {
    fn connection_opened(&self) {
        self.connections.inc();
    }

    fn connection_closed(&self) {
        self.connections.dec();
    }

    fn responses_changed(&self, change: isize) {
        self.answering.add(change as i64);
    }

    fn limit_exceeded(&self, peer: SocketAddr, reason: CloseReason) {
        if reason == CloseReason::FrameFlood
            && let Some(count) = self.floods.record()
        {
            tracing::warn!(
                "{}: closed an HTTP/2 connection of {peer}, because it sent too many control frames for \
                 its requests ({count} such connections since the last message); check this client",
                self.name
            );
        }
        self.log_displaced(peer, reason);
        let reason = label(reason);
        tracing::debug!(%peer, reason, "connection closed");
        self.cut.with_label_values(&[self.name, reason]).inc();
    }

    fn response_ended(&self, peer: SocketAddr, reason: CloseReason) {
        self.log_displaced(peer, reason);
        let reason = label(reason);
        tracing::debug!(%peer, reason, "response ended");
        self.cut.with_label_values(&[self.name, reason]).inc();
    }

    // The messages are the same as in the default observer of `bounded_http`. But they have the log target of the
    // exporter, so that the flag `-v` applies to these messages.

    fn connection_failed(&self, peer: SocketAddr, error: &(dyn Error + Send + Sync + 'static)) {
        tracing::debug!(%peer, "connection failed: {error}");
    }

    fn accept_failed(&self, error: &io::Error) {
        self.refused.inc();
        if let Some(count) = self.failures.record() {
            tracing::warn!(
                "{}: cannot accept a connection: {error} ({count} failures since the last message); if too \
                 many files are open, raise the limit (ulimit -Hn, LimitNOFILE in systemd)",
                self.name
            );
        }
    }
}

/// Returns the value of the label `reason`. The values must not change between releases.
fn label(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::SlowResponse => "slow_answer",
        CloseReason::Evicted | CloseReason::Displaced | CloseReason::Replaced => "made_room",
        other => other.as_str(),
    }
}
