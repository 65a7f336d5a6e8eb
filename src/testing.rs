//! Unit tests of families (feature `testing`): render objects, compare the samples with the expected ones, and check
//! that all metrics of a program are valid.
//!
//! ```
//! use kube::CustomResource;
//! use kube_state_metrics::{Collector, Family, testing::render};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use serde_json::json;
//!
//! #[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
//! #[kube(group = "acme.dev", version = "v1", kind = "Widget", namespaced)]
//! struct WidgetSpec {
//!     color: String,
//!     size: i64,
//! }
//!
//! fn widgets() -> Collector<Widget> {
//!     Collector::new().family(
//!         Family::gauge("widget_size", "Size the widget asks for.")
//!             .labels(["color"])
//!             .generate(|w: &Widget, s| s.label("color", &w.spec.color).value(w.spec.size)),
//!     )
//! }
//!
//! // #[test]
//! fn a_widget_tells_its_size() {
//!     let widget = json!({
//!         "metadata": { "name": "cart", "namespace": "shop" }, "spec": { "color": "red", "size": 3 }
//!     });
//!     render(widgets(), widget)
//!         .assert_eq(r#"widget_size{namespace="shop",widget="cart",color="red"} 3"#);
//! }
//! # a_widget_tells_its_size();
//! ```
//!
//! A failed test shows the differences line by line, and then describes each difference:
//!
//! ```text
//! the samples differ (- expected, + rendered):
//!
//! - widget_size{namespace="shop",widget="cart",color="red"} 3
//! + widget_size{namespace="shop",widget="cart",color="blue"} 3
//!
//! `widget_size{namespace="shop",widget="cart",color="blue"} 3`: the label `color` is "blue", expected "red"
//! ```
//!
//! [`assert_valid`] checks names, help texts and the rules of OpenMetrics for all families of a program, with one line
//! in a test.

mod check;
mod diff;
mod fixture;
mod generator;
mod intake;
mod line;
mod rendered;
mod source;

pub use check::{Problem, assert_valid, check};
pub use fixture::Fixture;
pub use generator::Generator;
pub use rendered::Rendered;
pub use source::{AnyKind, Source};

use crate::exposition::{ExpositionFilter, Format};
use crate::registry::StateMetrics;
use intake::Intake;
use source::sealed::{Build, Built};

/// Renders the samples of families for one or more objects.
///
/// As in a program, a store renders the objects, and an exposition contains the samples. The function also checks that
/// the families read only the fields that they declare, and write only the labels that they declare.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_state_metrics::{Family, testing::render};
/// use serde_json::json;
///
/// let priority = Family::gauge("pod_priority", "Priority of the pod; absent if it has none.")
///     .generate(|pod: &Pod, s| s.maybe_value(pod.spec.as_ref().and_then(|spec| spec.priority)));
/// render(&priority, json!({ "metadata": { "name": "a" }, "spec": { "priority": 7 } }))
///     .assert_eq(r#"pod_priority{namespace="",pod="a"} 7"#);
/// render(&priority, json!({ "metadata": { "name": "b" } })).assert_eq("");
/// ```
///
/// # Panics
///
/// The function panics if
///
/// - the families are invalid, so that [`build`](crate::registry::Builder::build) fails
/// - an object cannot be decoded
/// - no collector reads the kinds of the objects
/// - a generator panics
/// - a family writes labels that it does not declare in [`labels`](crate::family::FamilyBuilder::labels)
/// - a family reads fields that it does not declare in [`reads`](crate::family::FamilyBuilder::reads), even if another
///   family declares these fields. The function detects such a family if the objects are JSON or YAML, and `source` is
///   a [`Family`](crate::Family) or a [`Collector`](crate::Collector).
#[track_caller]
#[expect(clippy::panic, reason = "a test fails by panicking")]
pub fn render<S: Source>(source: S, objects: impl Fixture<<S as Build>::Of>) -> Rendered {
    let built = source.build().map_err(|error| error.to_string());
    // The panic is not in a closure, so that the panic message contains the line of the test. With a closure, the
    // message would contain a line of this function.
    match built.and_then(|built| try_render(&built, &objects)) {
        Ok(rendered) => rendered,
        Err(problem) => panic!("cannot render: {problem}\n"),
    }
}

fn try_render<Of>(built: &Built, objects: &impl Fixture<Of>) -> Result<Rendered, String> {
    let rendered = feed(&built.metrics, objects, &[])?;
    if let Some(undeclared) = &built.undeclared {
        let whole = feed(undeclared, objects, &[])?;
        compare("a family", &whole, &rendered)?;
        for family in &built.declared {
            let name = &family.name;
            if built
                .declared
                .iter()
                .filter(|other| other.name == *name)
                .count()
                > 1
            {
                continue;
            }
            // The type of the object may require fields that are not declared. Then the object does not decode, and the
            // comparison is skipped.
            if let Ok(alone) = feed(&family.metrics, objects, &family.hidden) {
                compare(&format!("`{name}`"), &whole.only([name]), &alone)?;
            }
        }
    }
    let families = check::families(&built.metrics);
    let problems = check::sample_problems(&rendered, &families);
    match problems.first() {
        Some(problem @ Problem::UndeclaredLabel { .. }) => Err(format!("{problem}\n\n{rendered}")),
        _ => Ok(rendered),
    }
}

/// Compares the samples of whole objects with the samples of objects that have only the declared fields.
fn compare(family: &str, whole: &Rendered, declared: &Rendered) -> Result<(), String> {
    let wanted: Vec<_> = whole.samples().collect();
    let samples: Vec<_> = declared.samples().collect();
    diff::compare(&wanted, &samples).map_err(|difference| {
        format!(
            "{family} reads fields that it does not declare in `reads`, so the store would not generate it again if \
             these fields change; add the fields to `reads`; for the whole object (-) and for its declared fields (+), \
             {difference}"
        )
    })
}

/// Feeds objects into stores. The objects do not contain the fields at the paths in `hidden`.
fn feed<Of>(
    metrics: &StateMetrics,
    objects: &impl Fixture<Of>,
    hidden: &[&'static [&'static str]],
) -> Result<Rendered, String> {
    let panics = || {
        metrics
            .stores()
            .iter()
            .map(|store| store.stats().panics)
            .sum::<u64>()
    };
    let before = panics();
    let mut intake = Intake::new(metrics, hidden);
    objects.feed(&mut intake)?;
    let skipped = intake.finish()?;
    if panics() > before {
        return Err(String::from(
            "a generator or a base label panicked; the output of the test shows the message of the panic before this error",
        ));
    }
    let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
    Ok(Rendered::of(&exposition, skipped))
}

#[cfg(test)]
mod tests;
