//! Rendered samples, and assertions about them.

use std::fmt;

use super::diff::{compare_with_text, find_missing};
use super::line::Line;
use crate::exposition::Exposition;

/// The samples from [`render`](super::render), and the headers of their families.
///
/// `Display` writes the sample lines exactly as in a scrape.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_state_metrics::{families, testing::render};
/// use serde_json::json;
///
/// let pod = render(families::pods(), json!({
///     "metadata": { "name": "cart", "namespace": "shop", "uid": "u1" },
///     "spec": { "nodeName": "worker-1" },
///     "status": { "phase": "Running", "startTime": "2023-11-14T22:13:20Z" }
/// }));
/// pod.only(["kube_pod_start_time"])
///     .assert_eq(r#"kube_pod_start_time{namespace="shop",pod="cart",uid="u1"} 1700000000"#);
/// assert!(pod.only(["kube_pod_deletion_timestamp"]).is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct Rendered {
    families: Vec<Family>,
    /// The kinds of objects that no collector reads.
    skipped: Vec<String>,
}

/// The headers and samples of one family.
#[derive(Clone, Debug)]
struct Family {
    name: String,
    header: Vec<String>,
    samples: Vec<Line>,
}

// === impl Rendered ===

impl Rendered {
    /// Creates the samples and headers of an exposition. `skipped` contains the kinds of the skipped objects.
    pub(super) fn of(exposition: &Exposition, skipped: Vec<String>) -> Self {
        let families = exposition.families().map(|family| Family {
            name: family.name().to_owned(),
            header: family.header().lines().map(str::to_owned).collect(),
            samples: family.samples().map(Line::of).collect(),
        });
        Self {
            families: families.collect(),
            skipped,
        }
    }

    /// Keeps only the rendered samples of these families.
    ///
    /// A name that no family has is ignored. The name of a family without samples is also ignored.
    #[must_use]
    pub fn only(&self, families: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let names: Vec<_> = families
            .into_iter()
            .map(|name| name.as_ref().to_owned())
            .collect();
        let kept = self
            .families
            .iter()
            .filter(|family| names.contains(&family.name));
        Self {
            families: kept.cloned().collect(),
            skipped: self.skipped.clone(),
        }
    }

    /// The names of the families that have a sample, in the order of the exposition.
    ///
    /// ```
    /// use kube_state_metrics::{families, testing::render};
    /// use serde_json::json;
    ///
    /// let map = json!({ "metadata": { "name": "a", "resourceVersion": "7" } });
    /// let rendered = render(families::configmaps(), map);
    /// assert!(rendered.families().eq(["kube_configmap_info", "kube_configmap_metadata_resource_version"]));
    /// ```
    pub fn families(&self) -> impl Iterator<Item = &str> {
        self.families.iter().map(|family| family.name.as_str())
    }

    /// Whether there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples().next().is_none()
    }

    /// Asserts that the samples are exactly the samples in `expected`.
    ///
    /// `expected` has one sample per line, in the text format. The comparison ignores the order of lines and labels,
    /// the notation of numbers, and blanks around a line. If `expected` has `# HELP` or `# TYPE` lines, it must have
    /// the headers of all families. Other lines that start with `#` are comments.
    ///
    /// # Panics
    ///
    /// The method panics if the samples differ. The message contains all lines, and a description of each difference.
    #[track_caller]
    #[expect(clippy::panic, reason = "an assertion fails by panicking")]
    pub fn assert_eq(&self, expected: &str) {
        let samples: Vec<_> = self.samples().collect();
        if let Err(difference) = compare_with_text(expected, &self.headers(), &samples) {
            panic!("{difference}{}\n", self.skipped());
        }
    }

    /// Asserts that the samples of `expected` are among the rendered samples. Other samples are ignored.
    ///
    /// `expected` has the same form as for [`assert_eq`](Self::assert_eq). The rendered samples must have all headers
    /// that `expected` contains.
    ///
    /// ```
    /// use kube_state_metrics::{families, testing::render};
    /// use serde_json::json;
    ///
    /// let node = json!({ "metadata": { "name": "worker-1" }, "spec": { "unschedulable": true } });
    /// render(families::nodes(), node)
    ///     .assert_contains(r#"kube_node_spec_unschedulable{node="worker-1"} 1"#);
    /// ```
    ///
    /// # Panics
    ///
    /// The method panics if a sample is missing, or if `expected` has no sample and no header. The message contains
    /// each missing sample, together with the most similar rendered sample.
    #[track_caller]
    #[expect(clippy::panic, reason = "an assertion fails by panicking")]
    pub fn assert_contains(&self, expected: &str) {
        let samples: Vec<_> = self.samples().collect();
        if let Err(difference) = find_missing(expected, &self.headers(), &samples) {
            panic!("{difference}{}\n", self.skipped());
        }
    }

    fn headers(&self) -> Vec<&str> {
        let headers = self.families.iter().flat_map(|family| &family.header);
        headers.map(String::as_str).collect()
    }

    /// Returns a line about skipped objects for the message of a failure. The line is empty if no objects were skipped.
    fn skipped(&self) -> String {
        match self.skipped.as_slice() {
            [] => String::new(),
            kinds => format!(
                "\nobjects of other kinds were skipped: {}",
                kinds.join(", ")
            ),
        }
    }

    pub(super) fn samples(&self) -> impl Iterator<Item = &Line> {
        self.families.iter().flat_map(|family| &family.samples)
    }
}

impl fmt::Display for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.samples()
            .try_for_each(|sample| writeln!(f, "{sample}"))
    }
}
