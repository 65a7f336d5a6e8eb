//! [`FormatSpec`]: the definition of one format of metrics.

use std::borrow::Cow;

use bytes::BytesMut;

use crate::exposition::family_metadata::FamilyMetadata;
use crate::exposition::sample::StoredSample;

/// The definition of one format of metrics.
///
/// If the sample lines of a format are the lines in the store, the format needs to define only its header. Otherwise,
/// the format also overrides [`has_stored_lines`](Self::has_stored_lines) and [`write_samples`](Self::write_samples).
#[cfg_attr(
    not(feature = "http"),
    expect(dead_code, reason = "only HTTP negotiates versions")
)]
pub(crate) trait FormatSpec: Sync {
    /// The value of the `Content-Type` header if a request names no version.
    fn content_type(&self) -> &'static str;

    /// The media type of this format in an `Accept` header.
    fn media_type(&self) -> &'static str;

    /// The versions of this format that an `Accept` header may name. If a request names no version, the first version
    /// is used.
    fn versions(&self) -> &'static [&'static str];

    /// The value of the `Content-Type` header if a request names this version and this escaping scheme.
    fn negotiated_content_type(&self, _version: &str, _escaping: &str) -> Cow<'static, str> {
        Cow::Borrowed(self.content_type())
    }

    /// Appends the header of a family, that is the lines before its samples.
    fn write_header(&self, family: &FamilyMetadata, out: &mut Vec<u8>);

    /// Whether this format uses the sample lines exactly as the store has them. If so, an exposition copies whole rows,
    /// and caches their compressed text. If not, [`write_samples`](Self::write_samples) writes the samples of each
    /// family.
    fn has_stored_lines(&self) -> bool {
        true
    }

    /// Appends the samples of a family. The caller passes at least one sample.
    fn write_samples(
        &self,
        _family: &FamilyMetadata,
        samples: &mut dyn Iterator<Item = StoredSample<'_>>,
        out: &mut BytesMut,
    ) {
        samples.for_each(|sample| sample.write_line(out));
    }

    /// The text after the last family.
    fn terminator(&self) -> &'static [u8] {
        b""
    }
}

/// Appends a `# HELP` line and a `# TYPE` line.
pub(super) fn write_header(
    out: &mut Vec<u8>,
    name: &str,
    metric_type: &str,
    write_help: impl FnOnce(&mut Vec<u8>),
) {
    out.extend_from_slice(b"# HELP ");
    out.extend_from_slice(name.as_bytes());
    out.push(b' ');
    write_help(out);
    out.extend_from_slice(b"\n# TYPE ");
    out.extend_from_slice(name.as_bytes());
    out.push(b' ');
    out.extend_from_slice(metric_type.as_bytes());
    out.push(b'\n');
}
