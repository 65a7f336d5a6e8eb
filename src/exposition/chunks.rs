//! [`Chunks`]: the bytes of an exposition, in chunks.

use std::fmt;
use std::io;

use bytes::{Bytes, BytesMut};

use super::cursor::RunCursor;
use super::snapshot::Exposition;
use super::step::Step;

/// A chunk ends as soon as it has at least this many bytes. Larger chunks would not fit into the caches of the
/// processor.
const CHUNK: usize = 64 * 1024;

/// The bytes of an [`Exposition`], in chunks of 64 KiB to 160 KiB; with joined labels, in chunks of up to 256 KiB.
///
/// A later chunk uses the memory of a dropped chunk again.
///
/// ```
/// use kube_state_metrics::exposition::{Format, ExpositionFilter};
/// use kube_state_metrics::StateMetrics;
///
/// let metrics = StateMetrics::builder().default_resources().build()?;
/// let exposition = metrics.exposition(Format::OpenMetrics, ExpositionFilter::default());
/// let body: Vec<_> = exposition.chunks().collect();
/// assert_eq!(body.concat(), b"# EOF\n");
/// # Ok::<(), kube_state_metrics::registry::BuildError>(())
/// ```
#[derive(Debug)]
pub struct Chunks {
    cursor: RunCursor,
    buffer: BytesMut,
    done: bool,
}

// === impl Chunks ===

impl Chunks {
    /// Continues to build the next chunk. Returns after a limited amount of work, even if the chunk is not complete.
    pub(super) fn step(&mut self) -> Step<Bytes> {
        if self.done {
            return Step::End;
        }
        // `reserve` uses the memory of dropped chunks again. The capacity is larger than `CHUNK`: the chunk ends only
        // after a whole run of rows, so it can have more than `CHUNK` bytes.
        self.buffer.reserve(3 * CHUNK);
        match self.cursor.write_until(CHUNK, &mut self.buffer) {
            Step::Item(()) => {}
            Step::Pause => return Step::Pause,
            Step::End => {
                self.done = true;
                self.cursor.exposition().write_end(&mut self.buffer);
            }
        }
        if self.buffer.is_empty() {
            return Step::End;
        }
        Step::Item(self.buffer.split().freeze())
    }
}

impl Iterator for Chunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        Step::next_item(|| self.step())
    }
}

// === impl Exposition ===

impl Exposition {
    /// Returns the bytes of the exposition in chunks of about 64 KiB. The memory of dropped chunks is used again.
    ///
    /// ```
    /// use kube_state_metrics::exposition::{Format, ExpositionFilter};
    /// use kube_state_metrics::StateMetrics;
    ///
    /// let metrics = StateMetrics::builder().default_resources().build()?;
    /// let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
    /// assert_eq!(exposition.chunks().map(|chunk| chunk.len()).sum::<usize>(), 0, "no objects yet");
    /// # Ok::<(), kube_state_metrics::registry::BuildError>(())
    /// ```
    #[must_use]
    pub fn chunks(self) -> Chunks {
        #[cfg(feature = "gzip")]
        self.cache().evict_if_idle();
        Chunks {
            cursor: RunCursor::new(self),
            buffer: BytesMut::new(),
            done: false,
        }
    }

    /// Writes all bytes to `out`.
    ///
    /// # Errors
    ///
    /// Returns the error of `out`.
    pub fn write_to(self, mut out: impl io::Write) -> io::Result<()> {
        self.chunks().try_for_each(|chunk| out.write_all(&chunk))
    }
}

impl fmt::Display for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        for chunk in self.clone().chunks() {
            text.extend_from_slice(&chunk);
        }
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::exposition::{ExpositionFilter, Format};
    use crate::registry::{Join, JoinConfig};
    use crate::{BuiltIn, StateMetrics};

    fn pauses(mut step: impl FnMut() -> Step<Bytes>) -> usize {
        let mut pauses = 0;
        loop {
            match step() {
                Step::Item(_) => {}
                Step::Pause => pauses += 1,
                Step::End => return pauses,
            }
        }
    }

    /// In each page of 255 rows, only the first row has a sample. But the joined labels of all rows are computed.
    #[test]
    fn the_computation_of_joined_labels_pauses_after_each_large_page() {
        const PAGES: usize = 5;

        let mut joins = JoinConfig::default();
        let (mut labels, value) = (Map::new(), "v".repeat(60));
        for number in 0..100 {
            let key = format!("a{number}");
            joins.insert("pods", Join::namespace_label(key.clone()));
            labels.insert(key, json!(value));
        }
        let metrics = StateMetrics::builder()
            .built_in([BuiltIn::Pods])
            .allow_metrics(["^kube_pod_created$"])
            .join_labels(joins)
            .all_fed_by_host()
            .build()
            .unwrap();
        let namespace = json!({ "metadata": { "name": "shop", "labels": labels } });
        let mut namespaces = metrics.feeds_of(BuiltIn::Namespaces).unwrap().remove(0);
        let written = namespaces.apply_json(namespace.to_string().as_bytes());
        written.unwrap();
        let mut pods = metrics.feeds_of(BuiltIn::Pods).unwrap().remove(0);
        pods.begin_list();
        for number in 0..PAGES * 255 {
            let created = (number % 255 == 0).then_some("2026-01-01T00:00:00Z");
            let name = format!("p{number:05}");
            let pod = json!({
                "metadata": { "namespace": "shop", "name": name, "uid": name, "creationTimestamp": created }
            });
            pods.apply_json(pod.to_string().as_bytes()).unwrap();
        }
        pods.end_list();
        let exposition = || metrics.exposition(Format::Text, ExpositionFilter::default());
        assert!(exposition().to_string().len() < CHUNK);
        let mut chunks = exposition().chunks();
        let plain = pauses(|| chunks.step());
        assert!(plain >= PAGES - 1, "{plain} pauses");
        #[cfg(feature = "gzip")]
        {
            let mut chunks = crate::exposition::gzip_chunks::GzipChunks::scrape(exposition());
            let compressed = pauses(|| chunks.step());
            assert!(compressed >= PAGES - 1, "{compressed} pauses");
        }
    }
}
