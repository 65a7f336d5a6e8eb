//! Readiness: whether the stored samples are complete enough to be served.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::resource::ResourceHealth;
use crate::errors::debug_is_display;

/// When a source is ready.
///
/// It displays as, and parses from, `default` and `strict`.
///
/// ```
/// use kube_state_metrics::source::health::ReadinessPolicy;
///
/// assert_eq!("strict".parse(), Ok(ReadinessPolicy::Strict));
/// assert_eq!(ReadinessPolicy::default().to_string(), "default");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReadinessPolicy {
    /// Ready when the first list of every resource is complete or refused (403 or 404), and from
    /// then on.
    #[default]
    Default,
    /// Ready while the first list of every resource is complete and no resource is refused.
    Strict,
}

/// Whether a source is ready, and which resources are missing. It displays as the body of a response
/// to `/readyz`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Readiness {
    /// Whether the policy is met.
    pub ready: bool,
    /// Number of expected resources whose first list is complete.
    pub complete: usize,
    /// Number of resources that readiness depends on: those that the source feeds, and those that the
    /// host feeds and reports on.
    pub expected: usize,
    /// Resources whose first list is neither complete nor refused.
    pub waiting: Vec<ResourceHealth>,
    /// Resources that the server refuses now.
    pub refused: Vec<ResourceHealth>,
    /// Resources that were complete and cannot be watched now.
    pub failing: Vec<ResourceHealth>,
    /// Why the shard is not known yet.
    pub sharding: Option<String>,
}

/// A readiness policy that does not exist.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a readiness policy; use `default` or `strict`")]
pub struct UnknownPolicy(String);

debug_is_display!(UnknownPolicy);

// === impl ReadinessPolicy ===

impl ReadinessPolicy {
    /// Whether the current state of the resources meets the policy.
    pub(super) fn is_met(self, resources: &[ResourceHealth]) -> bool {
        let mut expected = resources.iter().filter(|own| own.is_expected());
        match self {
            Self::Default => expected.all(ResourceHealth::is_settled),
            Self::Strict => expected.all(|own| own.complete && !own.is_refused()),
        }
    }
}

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

impl Readiness {
    pub(super) fn new(ready: bool, resources: &[ResourceHealth], sharding: Option<String>) -> Self {
        let expected = || resources.iter().filter(|own| own.is_expected());
        Self {
            ready,
            complete: expected().filter(|own| own.complete).count(),
            expected: expected().count(),
            waiting: expected()
                .filter(|own| !own.complete && !own.is_refused())
                .cloned()
                .collect(),
            refused: expected().filter(|own| own.is_refused()).cloned().collect(),
            failing: expected().filter(|own| own.is_failing()).cloned().collect(),
            sharding,
        }
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.ready { "ready" } else { "not ready" };
        let (complete, expected) = (self.complete, self.expected);
        writeln!(f, "{word}: {complete} of {expected} resources complete")?;
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
