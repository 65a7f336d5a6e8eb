//! Runs generators without a store, for benchmarks.

use bytes::BytesMut;

use crate::family::Collector;
use crate::family::SampleBuffer;
use crate::resource::CollectedResource;
use crate::store::{Allowlists, RowCells, RowLabels, RowPrefix, Schema};

/// Runs the generators of a collector on objects without a store, so that benchmarks measure only the generators.
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
    /// The text with which the sample lines start, one text per family.
    prefixes: Vec<RowPrefix>,
    buffer: SampleBuffer,
    cells: RowCells,
    text: BytesMut,
}

impl<K: CollectedResource> Generator<K> {
    /// Creates a generator of all families of a collector. Families of labels and annotations are excluded, because
    /// these families need an allowlist.
    #[must_use]
    pub fn new(collector: Collector<K>) -> Self {
        let (resource, labels, families) = collector.into_parts();
        let mut schema = Schema::new(resource);
        schema.add(labels, &[], families, &Allowlists::default());
        let prefixes = schema.families().iter().map(|active| {
            let name = active.family.descriptor().name();
            RowPrefix::new(name, &[], schema.has_base_labels(active.base))
        });
        Self {
            prefixes: prefixes.collect(),
            schema,
            buffer: SampleBuffer::default(),
            cells: RowCells::default(),
            text: BytesMut::new(),
        }
    }

    /// Generates all samples of an object. Returns the total size of the generated cells, in bytes. The size includes
    /// each cell of the object, although a store keeps equal cells of several objects only once.
    pub fn generate(&mut self, object: &K) -> usize {
        self.schema
            .render(object, &mut self.buffer, &mut self.cells);
        self.cells.iter().map(<[u8]>::len).sum()
    }

    /// The sample lines of an object. The result has one text per family, in the order of the families in the
    /// collector.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::Pod;
    /// use kube_state_metrics::{Collector, Family, testing::Generator};
    ///
    /// let seen = Family::gauge("pod_seen", "Always 1.").generate(|_: &Pod, s| s.value(1));
    /// let mut generator = Generator::new(Collector::new().no_base_labels().family(seen));
    /// assert_eq!(*generator.texts(&Pod::default())[0], *b"pod_seen 1\n");
    /// ```
    pub fn texts(&mut self, object: &K) -> Vec<Box<[u8]>> {
        self.schema
            .render(object, &mut self.buffer, &mut self.cells);
        let cells: Vec<_> = self.cells.iter().collect();
        let families = self.schema.families().iter().enumerate();
        let texts = families.zip(&self.prefixes).map(|((at, active), prefix)| {
            let cell = |column: usize| cells.get(column).copied().unwrap_or_default();
            self.text.clear();
            let tails = cell(self.schema.column(at));
            let shared = |code| self.cells.dictionary_value(code);
            let labels = RowLabels {
                base: cell(active.base),
                ..RowLabels::default()
            };
            prefix.write_row(&mut self.text, labels, tails, shared);
            Box::from(&*self.text)
        });
        texts.collect()
    }
}
