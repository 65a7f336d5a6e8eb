//! [`HostMetrics`]: metrics of the program that embeds this crate, which are part of the same response.

mod convert;
mod parse;

use super::format::Format;
use super::snapshot::Exposition;

/// Metrics of the program that embeds this crate, as text. An [`Exposition`] can contain them after its own families.
///
/// If the text has another format than the exposition, it is converted. So the program needs to write its metrics in
/// only one format. The conversion drops content that does not exist in the other format. For example, Prometheus text
/// has no exemplars.
///
/// No family may be in this text and also in the exposition. Otherwise, the response is invalid. The names of the
/// built-in families start with `kube_`. Families that your program registers can have any name.
///
/// ```
/// use kube_state_metrics::exposition::HostMetrics;
/// use kube_state_metrics::exposition::{ExpositionFilter, Format};
/// use kube_state_metrics::StateMetrics;
///
/// let metrics = StateMetrics::builder().default_resources().build()?;
/// let registry = || HostMetrics::text("# HELP a_total \"A\".\n# TYPE a_total counter\na_total 7\n");
/// let answer = |format| {
///     let exposition = metrics.exposition(format, ExpositionFilter::default());
///     exposition.append(registry()).to_string()
/// };
/// assert_eq!(
///     answer(Format::Text),
///     "# HELP a_total \"A\".\n# TYPE a_total counter\na_total 7\n"
/// );
/// assert_eq!(
///     answer(Format::OpenMetrics),
///     "# HELP a \\\"A\\\".\n# TYPE a counter\na_total 7\n# EOF\n"
/// );
/// # Ok::<(), kube_state_metrics::registry::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostMetrics {
    format: Format,
    text: String,
}

// === impl HostMetrics ===

impl HostMetrics {
    /// Takes metrics in the Prometheus text format, as `prometheus::TextEncoder` writes them.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            format: Format::Text,
            text: text.into(),
        }
    }

    /// Takes metrics in OpenMetrics, as `prometheus_client::encoding::text::encode` writes them. The line `# EOF` at
    /// the end of `text` is optional. If the exposition is in OpenMetrics, it writes this line itself.
    ///
    /// ```
    /// use kube_state_metrics::exposition::HostMetrics;
    /// use kube_state_metrics::exposition::{ExpositionFilter, Format};
    /// use kube_state_metrics::StateMetrics;
    ///
    /// let metrics = StateMetrics::builder().default_resources().build()?;
    /// let host = HostMetrics::openmetrics("# HELP a A.\n# TYPE a counter\na_total 7\n# EOF\n");
    /// let text = metrics.exposition(Format::Text, ExpositionFilter::default()).append(host);
    /// assert_eq!(text.to_string(), "# HELP a_total A.\n# TYPE a_total counter\na_total 7\n");
    /// # Ok::<(), kube_state_metrics::registry::BuildError>(())
    /// ```
    #[must_use]
    pub fn openmetrics(text: impl Into<String>) -> Self {
        Self {
            format: Format::OpenMetrics,
            text: text.into(),
        }
    }

    /// Returns the lines in this format, but without the line `# EOF` of OpenMetrics.
    fn lines_in(&self, format: Format) -> String {
        match (self.format, format) {
            (Format::Text, Format::OpenMetrics) => convert::text_to_openmetrics(&self.text),
            (Format::OpenMetrics, Format::Text) => convert::openmetrics_to_text(&self.text),
            _ => convert::without_terminator(&self.text),
        }
    }
}

// === impl Exposition ===

impl Exposition {
    /// Appends metrics of the embedding program. In OpenMetrics, they come before the line `# EOF`.
    ///
    /// [`families`](Self::families) and [`samples`](Self::samples) do not include these metrics.
    #[must_use]
    pub fn append(self, host: HostMetrics) -> Self {
        let lines = host.lines_in(self.format());
        self.with_appended(lines.as_bytes())
    }
}

#[cfg(test)]
mod tests;
