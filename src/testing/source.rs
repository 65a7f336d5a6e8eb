//! The inputs of [`render`](super::render) that define families: a family, a collector, or a whole `StateMetrics`.

use kube::Resource;

use crate::family::Collector;
use crate::family::Family;
use crate::registry::BuildError;
use crate::registry::StateMetrics;
use crate::resource::{CollectedResource, StaticScope};

/// The input of [`render`](super::render) and [`check`](super::check()): a [`Family`], a [`Collector`], a
/// [`StateMetrics`], or a reference to one of these types.
///
/// * A **family** gets the default base labels of its type, such as `namespace` and `pod` for a pod, or `node` for a
///   node.
/// * A **collector** renders all its families, including opt-in families. Families of labels and annotations need an
///   allowlist; use a `StateMetrics` for such families.
/// * A **`StateMetrics`** renders all its families. It keeps the samples of the objects, so a later call with the same
///   `StateMetrics` also returns the samples of earlier objects.
///
/// ```
/// use k8s_openapi::api::core::v1::Node;
/// use kube_state_metrics::{Collector, Family, StateMetrics, testing::render};
/// use serde_json::json;
///
/// let seen = Family::gauge("node_seen", "Always 1.").generate(|_: &Node, s| s.value(1));
/// let collector = Collector::new().family(seen.clone());
/// let metrics = StateMetrics::builder()
///     .collector(collector.clone())
///     .constant_label("cluster", "blue")
///     .build()?;
///
/// let node = || json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "a" } });
/// render(&seen, node()).assert_eq(r#"node_seen{node="a"} 1"#);
/// render(&collector, node()).assert_eq(r#"node_seen{node="a"} 1"#);
/// render(&metrics, node()).assert_eq(r#"node_seen{cluster="blue",node="a"} 1"#);
/// # Ok::<(), kube_state_metrics::registry::BuildError>(())
/// ```
pub trait Source: sealed::Build {}

impl<S: sealed::Build> Source for S {}

/// The parameter of [`Fixture`](super::Fixture) for a [`StateMetrics`]. For a `StateMetrics`, a fixture may contain
/// objects of any registered kind.
///
/// This type has no values. The type only distinguishes implementations of [`Fixture`](super::Fixture).
///
/// ```
/// use kube_state_metrics::testing::{AnyKind, Fixture};
///
/// fn is_for_a_whole_state_metrics(_: impl Fixture<AnyKind>) {}
/// is_for_a_whole_state_metrics(serde_json::json!({ "apiVersion": "v1", "kind": "Pod" }));
/// ```
#[derive(Clone, Copy, Debug)]
pub enum AnyKind {}

pub(super) mod sealed {
    use super::{BuildError, StateMetrics};

    /// Creates the stores with which [`render`](crate::testing::render) renders objects.
    pub trait Build {
        /// The type whose objects are rendered.
        type Of;

        fn build(&self) -> Result<Built, BuildError>;
    }

    /// The stores with which [`render`](crate::testing::render) renders objects.
    #[derive(Debug)]
    pub struct Built {
        pub(in crate::testing) metrics: StateMetrics,
        /// The same stores, but without the declarations of fields, so that families can read whole objects. `None` if
        /// no family declares fields.
        pub(in crate::testing) undeclared: Option<StateMetrics>,
        /// The families that declare fields.
        pub(in crate::testing) declared: Vec<DeclaredFamily>,
    }

    /// A family that declares its fields. Its store has no other families.
    #[derive(Debug)]
    pub(in crate::testing) struct DeclaredFamily {
        pub(in crate::testing) name: String,
        pub(in crate::testing) metrics: StateMetrics,
        /// Fields that the family does not declare, although the store always decodes them. The test removes these
        /// fields from the objects. So it detects that the family reads them.
        pub(in crate::testing) hidden: Vec<&'static [&'static str]>,
    }
}

use sealed::{Build, Built, DeclaredFamily};

/// The fields that a store always decodes. A family that reads one of these fields must still declare the field.
const DECLARABLE: [&[&str]; 3] = [&["metadata", "resourceVersion"], &["apiVersion"], &["kind"]];

impl<S: Build> Build for &S {
    type Of = S::Of;

    fn build(&self) -> Result<Built, BuildError> {
        S::build(self)
    }
}

impl<K> Build for Family<K>
where
    K: CollectedResource + Resource<DynamicType = (), Scope: StaticScope>,
{
    type Of = K;

    fn build(&self) -> Result<Built, BuildError> {
        Collector::new().family(self.clone()).build()
    }
}

impl<K: CollectedResource> Build for Collector<K> {
    type Of = K;

    fn build(&self) -> Result<Built, BuildError> {
        let all = |collector| {
            let builder = StateMetrics::builder().collector(collector);
            builder.opt_in_metrics([""]).build()
        };
        let undeclared = match self.declares_reads() {
            true => Some(all(self.clone().reading_everything())?),
            false => None,
        };
        let declared = self.iter().filter_map(|family| {
            let reads: Vec<_> = family.descriptor().reads()?.collect();
            let hidden = DECLARABLE.into_iter();
            let hidden = hidden.filter(|path| !is_read(path, &reads));
            let alone = all(self.with_only(family)).map(|metrics| DeclaredFamily {
                name: family.descriptor().name().to_owned(),
                metrics,
                hidden: hidden.collect(),
            });
            Some(alone)
        });
        Ok(Built {
            declared: declared.collect::<Result<_, _>>()?,
            metrics: all(self.clone())?,
            undeclared,
        })
    }
}

impl Build for StateMetrics {
    type Of = AnyKind;

    fn build(&self) -> Result<Built, BuildError> {
        Ok(Built {
            metrics: self.clone(),
            undeclared: None,
            declared: Vec::new(),
        })
    }
}

/// Whether the declared paths `reads` include the field `path`. A path includes all fields below it.
fn is_read(path: &[&str], reads: &[&str]) -> bool {
    let contains = |read: &&str| {
        let read = read.split('.').filter(|name| !name.is_empty());
        read.zip(path).all(|(read, name)| read == *name)
    };
    reads.iter().any(contains)
}
