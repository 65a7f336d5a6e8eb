//! Where a test's objects come from: typed values, JSON, text.

use serde_json::Value;

use super::source::AnyKind;
use crate::registry::StateMetrics;
use crate::resource::CollectedResource;

/// An object, or several, that [`render`](super::render) takes.
///
/// * `&K`, a typed value;
/// * [`serde_json::Value`], usually from [`serde_json::json!`]. It is decoded as objects of an API
///   server are, so that families see only the fields that they declare to read;
/// * `&str`, the text of JSON or, with the feature `manifests`, of YAML: one document or more;
/// * arrays and vectors of these.
///
/// A whole [`StateMetrics`] takes objects of all its kinds; JSON and text then have to say their
/// `apiVersion` and `kind`.
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
    use super::StateMetrics;

    /// Puts objects into stores.
    pub trait Feed<Of> {
        /// Feeds all objects, or says which one cannot be and why.
        fn feed(&self, metrics: &StateMetrics) -> Result<(), String>;
    }
}

use sealed::Feed;

impl<K: CollectedResource> Feed<K> for &K {
    fn feed(&self, metrics: &StateMetrics) -> Result<(), String> {
        let writer = metrics.writer::<K>();
        writer
            .map_err(|error| error.to_string())?
            .apply_object(self);
        Ok(())
    }
}

impl<K: CollectedResource> Feed<AnyKind> for &K {
    fn feed(&self, metrics: &StateMetrics) -> Result<(), String> {
        Feed::<K>::feed(self, metrics)
    }
}

impl<K: CollectedResource> Feed<K> for Value {
    fn feed(&self, metrics: &StateMetrics) -> Result<(), String> {
        let mut writer = metrics.writer::<K>().map_err(|error| error.to_string())?;
        let applied = writer.apply_json(self.to_string().as_bytes());
        applied.map_err(|error| error.to_string())
    }
}

impl Feed<AnyKind> for Value {
    fn feed(&self, metrics: &StateMetrics) -> Result<(), String> {
        let field = |name| self.get(name).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (field("apiVersion"), field("kind"));
        if api_version.is_empty() || kind.is_empty() {
            return Err(String::from(
                "the object does not say its `apiVersion` and `kind`, which tell the store it is for",
            ));
        }
        let resources = metrics.resources();
        let mut resources =
            resources.filter(|own| own.kind() == kind && own.api_version() == api_version);
        let Some(resource) = resources.next() else {
            return Err(format!(
                "no collector of {api_version} {kind} is registered"
            ));
        };
        for mut writer in metrics.object_writers_of(&resource) {
            let applied = writer.apply(self.to_string().as_bytes());
            applied.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

impl<K: CollectedResource> Feed<K> for &str {
    fn feed(&self, metrics: &StateMetrics) -> Result<(), String> {
        let mut objects = parse(self)?.into_iter();
        objects.try_for_each(|object| Feed::<K>::feed(&object, metrics))
    }
}

impl Feed<AnyKind> for &str {
    fn feed(&self, metrics: &StateMetrics) -> Result<(), String> {
        let mut objects = parse(self)?.into_iter();
        objects.try_for_each(|object| Feed::<AnyKind>::feed(&object, metrics))
    }
}

impl<Of, F: Feed<Of>, const N: usize> Feed<Of> for [F; N] {
    fn feed(&self, metrics: &StateMetrics) -> Result<(), String> {
        self.iter().try_for_each(|object| object.feed(metrics))
    }
}

impl<Of, F: Feed<Of>> Feed<Of> for Vec<F> {
    fn feed(&self, metrics: &StateMetrics) -> Result<(), String> {
        self.iter().try_for_each(|object| object.feed(metrics))
    }
}

/// The objects of a text; a text without any is a mistake.
fn parse(text: &str) -> Result<Vec<Value>, String> {
    let objects = documents(text)?;
    match objects.is_empty() {
        true => Err(String::from("the text holds no object")),
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
