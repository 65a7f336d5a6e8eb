//! [`Fixture`]: the objects of a test, as typed values, JSON, text or files.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::intake::Intake;
use super::source::AnyKind;
use crate::resource::CollectedResource;

/// One or more objects for [`render`](super::render).
///
/// * `&K`, a typed value;
/// * [`serde_json::Value`], usually from [`serde_json::json!`]. The value is decoded like an object of an API server,
///   so that a family sees only the fields that it declares;
/// * `&str`, one or more documents of JSON or, with the feature `manifests`, of YAML;
/// * [`&Path`](Path) or [`PathBuf`], a file with such documents. A relative path starts in the directory of the
///   package, because tests run in this directory;
/// * arrays and vectors of these types.
///
/// Objects are skipped if no collector reads their kind, so that several tests can use one file. Rendering fails if all
/// objects are skipped. For a single collector, an object may omit its `apiVersion` and `kind`; for a whole
/// [`StateMetrics`](crate::StateMetrics), the object must contain both.
///
/// ```
/// use k8s_openapi::api::core::v1::Namespace;
/// use kube_state_metrics::{families, testing::render};
/// use serde_json::json;
///
/// let json = json!({ "metadata": { "name": "shop" }, "status": { "phase": "Active" } });
/// let typed: Namespace = serde_json::from_value(json.clone())?;
/// let text = r#"{ "metadata": { "name": "shop" }, "status": { "phase": "Active" } }"#;
/// # let yaml = text;
/// # #[cfg(feature = "manifests")]
/// let yaml = "
///     metadata: { name: shop }
///     status: { phase: Active }
/// ";
/// let expected = r#"
///     kube_namespace_status_phase{namespace="shop",phase="Active"} 1
///     kube_namespace_status_phase{namespace="shop",phase="Terminating"} 0
/// "#;
/// let phase = ["kube_namespace_status_phase"];
/// render(families::namespaces(), &typed).only(phase).assert_eq(expected);
/// render(families::namespaces(), json).only(phase).assert_eq(expected);
/// render(families::namespaces(), text).only(phase).assert_eq(expected);
/// render(families::namespaces(), yaml).only(phase).assert_eq(expected);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub trait Fixture<Of>: sealed::Feed<Of> {}

impl<Of, F: sealed::Feed<Of>> Fixture<Of> for F {}

pub(super) mod sealed {
    use super::Intake;

    /// Feeds objects into stores.
    pub trait Feed<Of> {
        /// Feeds all objects.
        ///
        /// # Errors
        ///
        /// Returns a message that names the first object that cannot be fed.
        fn feed(&self, intake: &mut Intake<'_>) -> Result<(), String>;
    }
}

use sealed::Feed;

impl<K: CollectedResource> Feed<K> for &K {
    fn feed(&self, intake: &mut Intake<'_>) -> Result<(), String> {
        intake.add(*self)
    }
}

impl<K: CollectedResource> Feed<AnyKind> for &K {
    fn feed(&self, intake: &mut Intake<'_>) -> Result<(), String> {
        intake.add(*self)
    }
}

impl<K: CollectedResource> Feed<K> for Value {
    fn feed(&self, intake: &mut Intake<'_>) -> Result<(), String> {
        intake.add_json::<K>(self)
    }
}

impl Feed<AnyKind> for Value {
    fn feed(&self, intake: &mut Intake<'_>) -> Result<(), String> {
        intake.add_any(self)
    }
}

impl<Of> Feed<Of> for &str
where
    Value: Feed<Of>,
{
    fn feed(&self, intake: &mut Intake<'_>) -> Result<(), String> {
        parse(self)?.feed(intake)
    }
}

impl<Of> Feed<Of> for &Path
where
    Value: Feed<Of>,
{
    fn feed(&self, intake: &mut Intake<'_>) -> Result<(), String> {
        let text = std::fs::read_to_string(self);
        let text = text.map_err(|error| format!("cannot read {}: {error}", self.display()))?;
        let fed = parse(&text).and_then(|objects| objects.feed(intake));
        fed.map_err(|problem| format!("{}: {problem}", self.display()))
    }
}

impl<Of> Feed<Of> for PathBuf
where
    Value: Feed<Of>,
{
    fn feed(&self, intake: &mut Intake<'_>) -> Result<(), String> {
        self.as_path().feed(intake)
    }
}

impl<Of, F: Feed<Of>, const N: usize> Feed<Of> for [F; N] {
    fn feed(&self, intake: &mut Intake<'_>) -> Result<(), String> {
        self.iter().try_for_each(|object| object.feed(intake))
    }
}

impl<Of, F: Feed<Of>> Feed<Of> for Vec<F> {
    fn feed(&self, intake: &mut Intake<'_>) -> Result<(), String> {
        self.iter().try_for_each(|object| object.feed(intake))
    }
}

/// Returns the objects of a text. A text without objects is an error.
fn parse(text: &str) -> Result<Vec<Value>, String> {
    let objects = documents(text)?;
    match objects.is_empty() {
        true => Err(String::from("the text contains no object")),
        false => Ok(objects),
    }
}

#[cfg(feature = "manifests")]
fn documents(text: &str) -> Result<Vec<Value>, String> {
    use crate::source::manifests::documents::{self, Syntax};

    let mut objects = Vec::new();
    let mut problem = None;
    documents::each(text, &mut |document| {
        let object = match &document {
            Ok(document) => documents::whole(document)
                .map_err(|Syntax { line, problem }| format!("line {line}: {problem}")),
            Err(syntax) => Err(format!("line {}: {}", syntax.line, syntax.problem)),
        };
        match object {
            Ok(object) => objects.push(object),
            Err(first) => _ = problem.get_or_insert(first),
        }
    });
    problem.map_or(Ok(objects), Err)
}

#[cfg(not(feature = "manifests"))]
fn documents(text: &str) -> Result<Vec<Value>, String> {
    let values = serde_json::Deserializer::from_str(text).into_iter();
    values
        .collect::<Result<_, _>>()
        .map_err(|error| format!("not valid JSON, and YAML needs the feature `manifests`: {error}"))
}
