//! [`Encoding`] and [`Encoded`]: the bytes of an exposition, compressed or not.

use bytes::Bytes;

use super::chunks::Chunks;
use super::gzip_chunks::GzipChunks;
use super::snapshot::Exposition;
use super::step::Step;

/// The content coding of an exposition.
///
/// Source: [RFC 9110, content codings](https://www.rfc-editor.org/rfc/rfc9110#name-content-codings).
///
/// ```
/// use kube_state_metrics::exposition::{Encoding, Format, ExpositionFilter};
/// use kube_state_metrics::StateMetrics;
///
/// let metrics = StateMetrics::builder().default_resources().build()?;
/// let exposition = || metrics.exposition(Format::OpenMetrics, ExpositionFilter::default());
/// let plain: Vec<_> = exposition().encoded(Encoding::Identity).collect();
/// assert_eq!(plain.concat(), b"# EOF\n");
/// # Ok::<(), kube_state_metrics::registry::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// Not compressed.
    #[default]
    Identity,
    /// One gzip member.
    Gzip,
}

/// The bytes of an exposition with an [`Encoding`], in chunks.
///
/// ```
/// use kube_state_metrics::exposition::{Encoding, Format, ExpositionFilter};
/// use kube_state_metrics::StateMetrics;
///
/// let metrics = StateMetrics::builder().default_resources().build()?;
/// let exposition = || metrics.exposition(Format::OpenMetrics, ExpositionFilter::default());
/// let gzip: Vec<u8> = exposition().encoded(Encoding::Gzip).flatten().collect();
/// assert!(gzip.starts_with(&[0x1f, 0x8b]));
/// # Ok::<(), kube_state_metrics::registry::BuildError>(())
/// ```
#[derive(Debug)]
pub struct Encoded(EncodedKind);

#[derive(Debug)]
enum EncodedKind {
    Identity(Box<Chunks>),
    Gzip(Box<GzipChunks>),
}

// === impl Encoded ===

impl Encoded {
    /// Continues to build the next chunk. Returns after a limited amount of work, even if the chunk is not complete.
    pub(crate) fn step(&mut self) -> Step<Bytes> {
        match &mut self.0 {
            EncodedKind::Identity(chunks) => chunks.step(),
            EncodedKind::Gzip(chunks) => chunks.step(),
        }
    }
}

impl Iterator for Encoded {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        Step::next_item(|| self.step())
    }
}

// === impl Exposition ===

impl Exposition {
    /// Returns the bytes of the exposition with this encoding.
    ///
    /// All expositions of the same [`StateMetrics`](crate::StateMetrics) share a cache of compressed text. Text that
    /// has not changed since the last compressed exposition is not compressed again.
    ///
    /// ```
    /// use kube_state_metrics::exposition::{Encoding, Format, ExpositionFilter};
    /// use kube_state_metrics::{BuiltIn, StateMetrics};
    ///
    /// let metrics = StateMetrics::builder().built_in([BuiltIn::Pods]).build()?;
    /// let exposition = metrics.exposition(Format::OpenMetrics, ExpositionFilter::default());
    /// let body: Vec<bytes::Bytes> = exposition.encoded(Encoding::Gzip).collect();
    /// assert!(body[0].starts_with(&[0x1f, 0x8b]));
    /// # Ok::<(), kube_state_metrics::registry::BuildError>(())
    /// ```
    #[must_use]
    pub fn encoded(self, encoding: Encoding) -> Encoded {
        Encoded(match encoding {
            Encoding::Identity => EncodedKind::Identity(Box::new(self.chunks())),
            Encoding::Gzip => EncodedKind::Gzip(Box::new(GzipChunks::scrape(self))),
        })
    }
}
