//! The cost of generating alone, for benchmarks.

use crate::collector::Collector;
use crate::resource::Kind;
use crate::sample::Lines;
use crate::store::{Allowlists, Rendered, Schema};

/// Runs the families of a collector on objects and keeps nothing: the cost of generating alone.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_state_metrics::{families, testing::Generator};
///
/// let mut generator = Generator::new(families::pods());
/// assert!(generator.generate(&Pod::default()) > 0);
/// ```
#[derive(Debug)]
pub struct Generator<K> {
    schema: Schema<K>,
    lines: Lines,
    cells: Rendered,
}

impl<K: Kind> Generator<K> {
    /// A generator of all families of a collector but those that need an allowlist.
    #[must_use]
    pub fn new(collector: Collector<K>) -> Self {
        let (resource, labels, families) = collector.into_parts();
        let mut schema = Schema::new(resource);
        schema.add(labels, &[], families, &Allowlists::default());
        Self {
            schema,
            lines: Lines::default(),
            cells: Rendered::default(),
        }
    }

    /// Generates all samples of an object and returns how many bytes a store would look at.
    pub fn generate(&mut self, object: &K) -> usize {
        self.schema.render(object, &mut self.lines, &mut self.cells);
        self.cells.iter().map(<[u8]>::len).sum()
    }
}
