//! Readiness: whether what is known is enough to serve.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::Ordering;

use serde::Serialize;

use super::health::{FeedOrigin, Health, ResourceHealth, ResourceState};
use crate::errors::debug_is_display;

/// When to be ready.
///
/// It displays as and parses from `default` and `strict`.
///
/// ```
/// use kube_state_metrics::watch::ReadinessPolicy;
///
/// assert_eq!("strict".parse(), Ok(ReadinessPolicy::Strict));
/// assert_eq!(ReadinessPolicy::default().to_string(), "default");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReadinessPolicy {
    /// Once every watched resource has had its first complete list or a definite refusal (403 or
    /// 404), and ever after.
    #[default]
    Default,
    /// Once every watched resource has had its first complete list, and while none is refused.
    Strict,
}

/// Whether to be ready, and what is missing. It displays as the body of an answer to `/readyz`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let service = tower::service_fn(|_| async {
/// #     http::Response::builder().status(404).body(kube::client::Body::empty())
/// # });
/// # let client = kube::Client::new(service, "default"); // a server that knows nothing
/// use kube_state_metrics::watch::ReadinessPolicy;
/// use kube_state_metrics::{BuiltIn, StateMetrics};
///
/// let metrics = StateMetrics::builder().built_in([BuiltIn::Pods]).build()?;
/// let health = metrics.watch(client).build()?.health();
/// let readiness = health.readiness(ReadinessPolicy::Default);
/// assert_eq!((readiness.ready, readiness.complete), (false, 0));
/// assert!(readiness.to_string().starts_with("not ready: 0 of "));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Readiness {
    /// Whether to be ready.
    pub ready: bool,
    /// How many watched resources have had a complete list.
    pub complete: usize,
    /// How many resources are watched.
    pub watched: usize,
    /// Resources that have not had a complete list and no definite refusal either.
    pub waiting: Vec<ResourceHealth>,
    /// Resources the server refuses now.
    pub refused: Vec<ResourceHealth>,
    /// Resources that were complete and cannot be followed now.
    pub failing: Vec<ResourceHealth>,
    /// Why the shard is not known yet.
    pub sharding: Option<String>,
}

// === impl Health ===

impl Health {
    /// Whether to be ready, and what is missing.
    #[must_use]
    pub fn readiness(&self, policy: ReadinessPolicy) -> Readiness {
        let resources = self.resources();
        let watched = || {
            resources
                .iter()
                .filter(|own| own.source == FeedOrigin::Watched)
        };
        let refused = |own: &&ResourceHealth| {
            own.feeds.iter().any(|feed| match feed.state {
                ResourceState::Failing(reason) => reason.is_refusal(),
                _ => false,
            })
        };
        let settled = |own: &ResourceHealth| {
            own.complete
                || !own.feeds.is_empty()
                    && (own.feeds.iter()).all(|feed| feed.complete || feed.was_refused)
        };
        let failing = |own: &&ResourceHealth| {
            matches!(own.state, ResourceState::Failing(_)) && own.complete && !refused(own)
        };
        let sharding = self.shared.sharding.lock().clone();
        let known = sharding.is_none() && self.is_in_step();
        if known && watched().all(settled) {
            // Relaxed will do: nothing else hangs on the order of this flag.
            self.shared.ready.store(true, Ordering::Relaxed);
        }
        let ready = match policy {
            ReadinessPolicy::Default => self.shared.ready.load(Ordering::Relaxed),
            ReadinessPolicy::Strict => known && watched().all(|own| own.complete && !refused(&own)),
        };
        Readiness {
            ready,
            complete: watched().filter(|own| own.complete).count(),
            watched: watched().count(),
            waiting: watched()
                .filter(|own| !own.complete && !refused(own))
                .cloned()
                .collect(),
            refused: watched().filter(refused).cloned().collect(),
            failing: watched().filter(failing).cloned().collect(),
            sharding,
        }
    }

    /// Waits until ready.
    pub async fn ready(&self, policy: ReadinessPolicy) -> Readiness {
        let mut changes = self.shared.changed.subscribe();
        loop {
            let readiness = self.readiness(policy);
            if readiness.ready || changes.changed().await.is_err() {
                return readiness;
            }
        }
    }
}

// === impl ReadinessPolicy ===

/// A readiness policy that does not exist.
///
/// ```
/// use kube_state_metrics::watch::ReadinessPolicy;
///
/// let error = "lax".parse::<ReadinessPolicy>().unwrap_err();
/// assert_eq!(error.to_string(), "`lax` is not a readiness policy; use `default` or `strict`");
/// ```
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a readiness policy; use `default` or `strict`")]
pub struct UnknownPolicy(String);

debug_is_display!(UnknownPolicy);

impl FromStr for ReadinessPolicy {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> Result<Self, UnknownPolicy> {
        match name {
            "default" => Ok(Self::Default),
            "strict" => Ok(Self::Strict),
            _ => Err(UnknownPolicy(name.to_owned())),
        }
    }
}

impl fmt::Display for ReadinessPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Strict => "strict",
        })
    }
}

// === impl Readiness ===

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.ready { "ready" } else { "not ready" };
        let (complete, watched) = (self.complete, self.watched);
        writeln!(
            f,
            "{word}: {complete} of {watched} watched resources complete"
        )?;
        if let Some(problem) = &self.sharding {
            writeln!(f, "sharding: {problem}")?;
        }
        for (word, resources) in [
            ("waiting for", &self.waiting),
            ("refused", &self.refused),
            ("failing", &self.failing),
        ] {
            for own in resources {
                write!(f, "{word}: {} ({})", own.resource, own.state)?;
                match &own.last_error {
                    Some(error) => writeln!(f, ": {error}")?,
                    None => writeln!(f)?,
                }
            }
        }
        Ok(())
    }
}
