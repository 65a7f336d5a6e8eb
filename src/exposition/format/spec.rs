//! [`FormatSpec`]: the definition of one format of metrics.

use std::borrow::Cow;

use bytes::BytesMut;

use crate::exposition::family_metadata::FamilyMetadata;
use crate::exposition::sample::StoredSample;

/// The definition of one format of metrics.
///
/// A format that uses the stored sample lines needs only a header. Any other format also overrides
/// [`has_stored_lines`](Self::has_stored_lines) and [`write_samples`](Self::write_samples).
#[cfg_attr(
    not(feature = "http"),
    expect(dead_code, reason = "only HTTP negotiates versions")
)]
pub(crate) trait FormatSpec: Sync {
    /// The value of the `Content-Type` header if a request does not choose a version.
    fn content_type(&self) -> &'static str;

    /// The media type that an `Accept` header names.
    fn media_type(&self) -> &'static str;

    /// The versions that an `Accept` header may name. The first version is used for a request without a version.
    fn versions(&self) -> &'static [&'static str];

    /// The value of the `Content-Type` header for a version and an escaping scheme that a request
    /// names.
    fn negotiated_content_type(&self, _version: &str, _escaping: &str) -> Cow<'static, str> {
        Cow::Borrowed(self.content_type())
    }

    /// Appends the lines before a family's samples.
    fn write_header(&self, family: &FamilyMetadata, out: &mut Vec<u8>);

    /// Whether the sample lines of the format are the lines in the store. If they are, whole rows are copied, and their
    /// compressed blocks are cached. If they are not, [`write_samples`](Self::write_samples) writes each family.
    fn has_stored_lines(&self) -> bool {
        true
    }

    /// Appends the samples of a family. The family has at least one sample.
    fn write_samples(
        &self,
        _family: &FamilyMetadata,
        samples: &mut dyn Iterator<Item = StoredSample<'_>>,
        out: &mut BytesMut,
    ) {
        samples.for_each(|sample| sample.write_line(out));
    }

    /// The bytes after the last family.
    fn terminator(&self) -> &'static [u8] {
        b""
    }
}

/// Appends a `# HELP` and a `# TYPE` line.
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
