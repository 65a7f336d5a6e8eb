//! Compressed expositions: blocks of text compressed once and kept until their columns change.
//!
//! A block is raw deflate ended by a sync flush, so blocks can be joined in any order. Behind a
//! gzip header and in front of an empty final block and the combined checksum they are one gzip
//! member, as any reader takes it. Sources: [RFC 1951](https://www.rfc-editor.org/rfc/rfc1951),
//! [RFC 1952](https://www.rfc-editor.org/rfc/rfc1952).

mod cache;
mod scrape_predictor;

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use flate2::{Compress, Compression, Crc, FlushCompress};

pub(crate) use cache::GzipCache;

use cache::CacheSession;

use super::cursor::{BlockKey, BlockRevision, Part, PartCursor};
use super::{Exposition, Format};

/// Parts are joined until a block has this much text: small blocks compress badly.
const BLOCK: usize = 48 * 1024;

/// A part of this size is a block of its own, so that a change elsewhere does not move its bounds.
const LARGE: usize = 32 * 1024;

/// Compressed bytes are handed out in pieces of at least this size.
const PIECE: usize = 16 * 1024;

/// 590 MB/s at 4.5:1 would be level 1, 170 MB/s at 7.2:1 level 6; 3 has 280 MB/s at 6.7:1.
const LEVEL: u32 = 3;

const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const FINAL_BLOCK: [u8; 2] = [0x03, 0x00];

/// Some text, compressed.
#[derive(Clone, Default)]
struct Block {
    deflated: Bytes,
    crc: Arc<Crc>,
}

/// The gzip-compressed pieces of an [`Exposition`]: together, one gzip member.
pub(super) struct GzipChunks {
    walk: PartCursor,
    cache: Arc<GzipCache>,
    pass: CacheSession,
    text: BytesMut,
    deflated: Vec<u8>,
    out: BytesMut,
    /// A whole block on its way out, behind what `out` holds.
    next: Option<Bytes>,
    pending: Option<Part>,
    crc: Crc,
    state: State,
    /// Blocks that were not in the cache.
    #[cfg(test)]
    compressed: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Blocks,
    Done,
}

impl fmt::Debug for GzipChunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GzipChunks").finish_non_exhaustive()
    }
}

// === impl GzipChunks ===

impl GzipChunks {
    fn new(exposition: Exposition, cache: Arc<GzipCache>, pass: CacheSession) -> Self {
        Self {
            walk: PartCursor::new(exposition),
            cache,
            pass,
            text: BytesMut::new(),
            deflated: Vec::new(),
            out: BytesMut::new(),
            next: None,
            pending: None,
            crc: Crc::new(),
            state: State::Header,
            #[cfg(test)]
            compressed: 0,
        }
    }

    /// The parts of the next block.
    fn next_parts(&mut self) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut size = 0;
        while size < BLOCK {
            let Some(part) = self.pending.take().or_else(|| self.walk.next_part()) else {
                break;
            };
            if part.size >= LARGE && !parts.is_empty() {
                self.pending = Some(part);
                break;
            }
            size += part.size;
            parts.push(part);
        }
        parts
    }

    /// Appends the next block to the output; says whether there was one.
    fn advance(&mut self) -> bool {
        let parts = self.next_parts();
        if parts.is_empty() {
            return false;
        }
        let known = self.identify(&parts);
        if let Some((places, versions)) = &known
            && let Some(block) = self.cache.get(places, versions, &self.pass)
        {
            self.emit(block);
            return true;
        }
        self.text.clear();
        for part in &parts {
            self.walk.write(part, &mut self.text);
        }
        if !self.text.is_empty() {
            let block = self.compress();
            if let Some((places, versions)) = known {
                self.cache.put(places, versions, &block, &self.pass);
            }
            self.emit(block);
        }
        true
    }

    /// Where the parts of a block are and in which states; none where it is not to be kept.
    fn identify(&self, parts: &[Part]) -> Option<(Vec<BlockKey>, Vec<BlockRevision>)> {
        parts.iter().map(|part| self.walk.identify(part)).collect()
    }

    /// Compresses the text of a block.
    fn compress(&mut self) -> Block {
        #[cfg(test)]
        {
            self.compressed += 1;
        }
        let compressor = (self.pass.compressor)
            .get_or_insert_with(|| Compress::new(Compression::new(LEVEL), false));
        compressor.reset();
        let mut crc = Crc::new();
        crc.update(&self.text);
        let deflated = &mut self.deflated;
        deflated.clear();
        loop {
            let consumed = usize::try_from(compressor.total_in()).unwrap_or(usize::MAX);
            let rest = self.text.get(consumed..).unwrap_or_default();
            deflated.reserve(rest.len() / 4 + 256);
            if compressor
                .compress_vec(rest, deflated, FlushCompress::Sync)
                .is_err()
            {
                // Only a wrong use of the compressor is an error; stored blocks are always right.
                *deflated = stored(&self.text);
                break;
            }
            // All input is taken, and room left behind the output says that all of it is out.
            let taken = compressor.total_in() == self.text.len() as u64;
            if taken && deflated.len() < deflated.capacity() {
                break;
            }
        }
        Block {
            // Of exactly this size, so that what is freed fits what comes next.
            deflated: Bytes::copy_from_slice(deflated),
            crc: Arc::new(crc),
        }
    }

    fn emit(&mut self, block: Block) {
        self.crc.combine(&block.crc);
        if block.deflated.len() >= PIECE {
            self.next = Some(block.deflated);
        } else {
            self.out.extend_from_slice(&block.deflated);
        }
    }

    /// Ends the member: the rest of the text, the empty final block and the checksums.
    fn finish(&mut self) {
        if self.walk.exposition().format() == Format::OpenMetrics {
            self.text.clear();
            self.text.extend_from_slice(b"# EOF\n");
            let block = self.compress();
            self.emit(block);
        }
        self.out.extend_from_slice(&FINAL_BLOCK);
        self.out.extend_from_slice(&self.crc.sum().to_le_bytes());
        self.out.extend_from_slice(&self.crc.amount().to_le_bytes());
    }
}

impl Iterator for GzipChunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if let Some(block) = self.next.take() {
            return Some(block);
        }
        self.out.reserve(4 * PIECE);
        let mut piece = PIECE;
        if self.state == State::Header {
            self.out.extend_from_slice(&HEADER);
            self.state = State::Blocks;
            // Who waits for the first byte need not wait for a second block.
            piece = HEADER.len() + 1;
        }
        while self.state == State::Blocks && self.out.len() < piece && self.next.is_none() {
            if !self.advance() {
                self.finish();
                self.state = State::Done;
            }
        }
        if self.out.is_empty() {
            return self.next.take();
        }
        Some(self.out.split().freeze())
    }
}

impl Drop for GzipChunks {
    fn drop(&mut self) {
        // Also where a client went away in the middle.
        self.cache.end(&mut self.pass);
    }
}

impl Block {
    /// Memory it holds, in bytes.
    fn heap_bytes(&self) -> usize {
        self.deflated.len() + size_of::<Crc>()
    }
}

/// The text as stored blocks of deflate.
fn stored(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 64);
    for piece in text.chunks(usize::from(u16::MAX)) {
        let len = u16::try_from(piece.len()).unwrap_or(u16::MAX);
        out.push(0);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(!len).to_le_bytes());
        out.extend_from_slice(piece);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use k8s_openapi::api::core::v1::ConfigMap;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{BuiltIn, Encoding, ExpositionFilter, Family, StateMetrics, Writer};

    fn metrics() -> (StateMetrics, Writer<ConfigMap>) {
        let wide = Family::gauge("wide", "Many samples.").generate(|map: &ConfigMap, s| {
            let count = map.metadata.generation.unwrap_or(0);
            for at in 0..count {
                s.label("at", at).value(at);
            }
        });
        let metrics = StateMetrics::builder()
            .built_in([BuiltIn::ConfigMaps])
            .collector(crate::Collector::<ConfigMap>::new().family(wide))
            .build()
            .unwrap();
        let writer = metrics.writer().unwrap();
        (metrics, writer)
    }

    fn map(name: u64, samples: u64) -> ConfigMap {
        in_namespace("n", name, samples)
    }

    fn in_namespace(namespace: &str, name: u64, samples: u64) -> ConfigMap {
        let metadata =
            json!({ "namespace": namespace, "name": format!("m{name:06}"), "generation": samples });
        serde_json::from_value(json!({ "metadata": metadata })).unwrap()
    }

    /// Compressed pieces in one, and what a reader makes of them.
    fn gzip(
        metrics: &StateMetrics,
        format: Format,
        selection: &ExpositionFilter,
    ) -> (Vec<u8>, String) {
        let exposition = metrics.exposition(format, selection.clone());
        let compressed = exposition
            .encoded(Encoding::Gzip)
            .collect::<Vec<_>>()
            .concat();
        let mut text = String::new();
        let mut reader = GzDecoder::new(&compressed[..]);
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(reader.into_inner().len(), 0, "more than one member");
        (compressed, text)
    }

    fn assert_same(metrics: &StateMetrics) {
        let selections = [
            ExpositionFilter::default(),
            ExpositionFilter::default().namespaces(["n"]),
            ExpositionFilter::default().families(["wide"]),
        ];
        for format in [Format::Text, Format::OpenMetrics] {
            for selection in &selections {
                let plain = metrics.exposition(format, selection.clone()).to_string();
                // The second time comes from the cache.
                assert!(gzip(metrics, format, selection).1 == plain);
                assert!(gzip(metrics, format, selection).1 == plain);
            }
        }
    }

    #[test]
    fn compressed_is_one_member_equal_to_plain_whatever_changes() {
        let (metrics, mut writer) = metrics();
        assert_same(&metrics);
        for at in 0..600 {
            writer.apply_object(&map(at, 0));
        }
        assert_same(&metrics);
        for (at, samples) in [(0, 1), (599, 3000), (17, 1), (17, 9000), (300, 40), (17, 0)] {
            writer.apply_object(&map(at, samples));
            assert_same(&metrics);
        }
        writer.begin_list();
        writer.end_list();
        assert_same(&metrics);
    }

    #[test]
    fn a_selected_namespace_has_its_headers_in_front_wherever_it_begins() {
        let (metrics, mut writer) = metrics();
        for (namespace, count) in [("a", 300), ("b", 900), ("c", 10)] {
            for at in 0..count {
                writer.apply_object(&in_namespace(namespace, at, 3));
            }
        }
        for namespaces in [&["a"][..], &["b"], &["c"], &["a", "c"], &["d"]] {
            for families in [&["wide"][..], &[]] {
                let mut selection =
                    ExpositionFilter::default().namespaces(namespaces.iter().copied());
                if !families.is_empty() {
                    selection = selection.families(families.iter().copied());
                }
                for format in [Format::Text, Format::OpenMetrics] {
                    let plain = metrics.exposition(format, selection.clone()).to_string();
                    let headers = plain.lines().filter(|line| line.starts_with("# HELP"));
                    let headers = headers.count();
                    assert_eq!(headers > 0, namespaces != ["d"]);
                    assert!(
                        gzip(&metrics, format, &selection).1 == plain,
                        "{namespaces:?}"
                    );
                }
            }
        }
    }

    /// How many blocks an exposition compresses.
    fn compressed(metrics: &StateMetrics, format: Format, selection: &ExpositionFilter) -> usize {
        let exposition = metrics.exposition(format, selection.clone());
        let mut chunks = Arc::clone(&exposition.gzip).scrape(exposition);
        chunks.by_ref().for_each(drop);
        chunks.compressed
    }

    #[test]
    fn an_unchanged_exposition_compresses_nothing_again() {
        let (metrics, mut writer) = metrics();
        for at in 0..2000 {
            writer.apply_object(&map(at, 3));
        }
        let everything = ExpositionFilter::default();
        assert!(compressed(&metrics, Format::Text, &everything) > 4);
        assert_eq!(compressed(&metrics, Format::Text, &everything), 0);
        writer.apply_object(&map(1000, 4));
        let again = compressed(&metrics, Format::Text, &everything);
        assert!((1..3).contains(&again), "{again}");
    }

    #[test]
    fn scrapes_of_other_formats_and_of_less_do_not_cost_each_other_their_blocks() {
        let (metrics, mut writer) = metrics();
        for at in 0..2000 {
            writer.apply_object(&map(at, at % 5));
        }
        let scrapes = [
            (Format::Text, ExpositionFilter::default()),
            (Format::OpenMetrics, ExpositionFilter::default()),
            (Format::Text, ExpositionFilter::default().families(["wide"])),
            (
                Format::Text,
                ExpositionFilter::default().families(["kube_configmap_*"]),
            ),
        ];
        for round in 0..4 {
            for (format, selection) in &scrapes {
                let again = compressed(&metrics, *format, selection);
                // The end of an OpenMetrics exposition is not worth keeping.
                let end = usize::from(*format == Format::OpenMetrics);
                assert!(
                    round == 0 || again == end,
                    "{round} {format:?} {selection:?} {again}"
                );
            }
        }
    }

    #[test]
    fn blocks_of_older_states_go_whatever_is_asked_for() {
        for selection in [
            ExpositionFilter::default(),
            ExpositionFilter::default().resources(["configmaps"]),
            ExpositionFilter::default().families(["wide"]),
        ] {
            let (metrics, mut writer) = metrics();
            let mut held = None;
            for round in 0..40 {
                for at in 0..2000 {
                    writer.apply_object(&map(at, 3 + round % 2));
                }
                gzip(&metrics, Format::Text, &selection);
                let bytes = metrics.gzip_cache_bytes();
                let held = *held.get_or_insert(bytes);
                // Bounds of blocks move where everything grows; what they were is kept for two rounds.
                assert!(held > 0 && bytes < held * 3, "{bytes} {held}");
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Apply(u64, u64),
        Delete(u64),
        /// A list of so many objects from a first on.
        List(u64, u64),
        Scrape(Format),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        // Mostly narrow rows, which share blocks, and a few that are blocks of their own.
        let samples = || prop_oneof![20 => 0..6_u64, 1 => 500..4_000_u64];
        let format = prop_oneof![Just(Format::Text), Just(Format::OpenMetrics)];
        let step = prop_oneof![
            20 => (0..600_u64, samples()).prop_map(|(at, samples)| Step::Apply(at, samples)),
            4 => (0..600_u64).prop_map(Step::Delete),
            2 => (0..300_u64, 0..600_u64).prop_map(|(from, count)| Step::List(from, count)),
            3 => format.prop_map(Step::Scrape),
        ];
        prop::collection::vec(step, 1..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn compressed_equals_plain_after_any_changes(steps in steps()) {
            let (metrics, mut writer) = metrics();
            let everything = ExpositionFilter::default();
            let last = [Step::Scrape(Format::Text), Step::Scrape(Format::OpenMetrics)];
            for step in steps.into_iter().chain(last) {
                match step {
                    Step::Apply(at, samples) => writer.apply_object(&map(at, samples)),
                    Step::Delete(at) => writer.delete_object(&map(at, 0)),
                    Step::List(from, count) => {
                        writer.begin_list();
                        (from..from + count).for_each(|at| writer.apply_object(&map(at, at % 4)));
                        writer.end_list();
                    }
                    Step::Scrape(format) => {
                        let plain = metrics.exposition(format, everything.clone()).to_string();
                        prop_assert!(gzip(&metrics, format, &everything).1 == plain);
                    }
                }
            }
        }
    }

    #[test]
    fn stored_blocks_are_valid_deflate() {
        let text = vec![b'x'; 200_000];
        let mut deflated = stored(&text);
        deflated.extend_from_slice(&FINAL_BLOCK);
        let mut out = Vec::new();
        flate2::read::DeflateDecoder::new(&deflated[..])
            .read_to_end(&mut out)
            .unwrap();
        assert_eq!(out, text);
    }
}
