//! What was rendered, and assertions about it.

use std::fmt;

use super::diff::compare_with_text;
use super::line::Line;
use crate::exposition::Exposition;

/// The samples that [`render`](super::render) got from one or more objects, and their headers.
///
/// It displays as the sample lines, byte by byte as a scrape has them.
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
}

/// One family's part of an exposition.
#[derive(Clone, Debug)]
struct Family {
    name: String,
    header: Vec<String>,
    samples: Vec<Line>,
}

// === impl Rendered ===

impl Rendered {
    /// The samples and headers of an exposition.
    pub(super) fn of(exposition: &Exposition) -> Self {
        let families = exposition.families().map(|family| Family {
            name: family.name().to_owned(),
            header: family.header().lines().map(str::to_owned).collect(),
            samples: family.samples().map(Line::of).collect(),
        });
        Self {
            families: families.collect(),
        }
    }

    /// The same without the samples of other families.
    ///
    /// A name that no family has leaves nothing, as a family without samples does.
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

    /// Asserts that the samples are those of `expected`, no fewer and no more.
    ///
    /// `expected` has a sample per line, as a scrape has it; the order of lines and of labels, the
    /// spelling of numbers, and blanks around a line do not matter. Where it has `# HELP` or
    /// `# TYPE` lines, the headers of all families have to be those as well. Other lines that
    /// start with `#` are comments.
    ///
    /// # Panics
    ///
    /// Where they differ, with all lines and what is wrong with each.
    #[track_caller]
    #[expect(clippy::panic, reason = "an assertion fails by panicking")]
    pub fn assert_eq(&self, expected: &str) {
        let samples: Vec<_> = self.samples().collect();
        let headers = self.families.iter().flat_map(|family| &family.header);
        let headers: Vec<_> = headers.map(String::as_str).collect();
        if let Err(difference) = compare_with_text(expected, &headers, &samples) {
            panic!("{difference}\n");
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
