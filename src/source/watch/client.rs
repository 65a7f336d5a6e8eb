//! The settings of a Kubernetes client that is used for a watch.

use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use kube::Config;

/// Changes the configuration of a client so that it is suitable for a watch.
///
/// - Disables the retries of the client, which can hide errors of the server for minutes. The watch repeats failed
///   requests itself, and reports the errors.
/// - Limits the time to connect to five seconds. Without this limit, a server that does not answer would be detected
///   only after minutes.
/// - If the configuration has no user agent, sets the user agent to [`user_agent`].
///
/// Other settings, such as credentials and certificates, stay unchanged.
///
/// ```
/// let config = kube::Config::new("https://10.0.0.1".parse()?);
/// let config = kube_state_metrics::source::watch::configure_for_watching(config);
/// assert!(!config.default_retry);
/// # Ok::<(), http::uri::InvalidUri>(())
/// ```
#[must_use]
pub fn configure_for_watching(mut config: Config) -> Config {
    config.default_retry = false;
    let bound = Duration::from_secs(5);
    config.connect_timeout = Some(config.connect_timeout.unwrap_or(bound).min(bound));
    let has_agent = config.headers.iter().any(|(name, _)| name == USER_AGENT);
    if !has_agent && let Ok(agent) = HeaderValue::try_from(user_agent()) {
        config.headers.push((USER_AGENT, agent));
    }
    config
}

/// The user agent that [`configure_for_watching`] sets, such as `kube-state-metrics/0.1.0 (linux/x86_64)`.
///
/// ```
/// assert!(kube_state_metrics::source::watch::user_agent().starts_with("kube-state-metrics/"));
/// ```
#[must_use]
pub fn user_agent() -> String {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    format!(
        "kube-state-metrics/{} ({os}/{arch})",
        env!("CARGO_PKG_VERSION")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_agent_that_is_set_stays() {
        let config = || Config::new("https://10.0.0.1".parse().unwrap());
        let agent = |config: &Config| config.headers.first().unwrap().1.clone();
        assert_eq!(
            agent(&configure_for_watching(config())),
            user_agent().as_str()
        );
        let mut own = config();
        own.headers
            .push((USER_AGENT, HeaderValue::from_static("mine")));
        let own = configure_for_watching(own);
        assert_eq!(
            (agent(&own).as_bytes(), own.headers.len()),
            (&b"mine"[..], 1)
        );
    }
}
