//! Selects the format and the compression of a response by the request headers, as in [RFC
//! 9110](https://www.rfc-editor.org/rfc/rfc9110#section-12.5).
//!
//! The response has the accepted format with the highest quality value (`q`). `q=0` excludes a format. If the header
//! `Accept` accepts none of the formats, the response has the text format. For a scraper, this is more useful than the
//! status 406.

use http::HeaderValue;

use crate::exposition::Format;

/// The chosen format, and the parameters of its `Content-Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Negotiated {
    pub(super) format: Format,
    /// The version of the format, for the parameter `version` of `Content-Type`.
    version: &'static str,
    /// The escaping scheme of names, for the parameter `escaping` of `Content-Type`.
    escaping: &'static str,
}

const DEFAULT_ESCAPING: &str = "underscores";

const ESCAPINGS: [&str; 4] = [DEFAULT_ESCAPING, "allow-utf-8", "dots", "values"];

/// One element of an `Accept` header, such as `text/plain;q=0.5`.
#[derive(Debug, Default)]
struct Clause {
    media_type: String,
    version: Option<String>,
    escaping: Option<&'static str>,
    /// The quality value (`q`) in thousandths.
    quality: u16,
}

/// Selects the format for a value of the header `Accept`.
pub(super) fn negotiate(accept: &str) -> Negotiated {
    let mut clauses: Vec<_> = split(accept, ',').filter_map(Clause::parse).collect();
    clauses.sort_by_key(|clause| (u16::MAX - clause.quality, clause.media_type.contains('*')));
    let mut escaping = DEFAULT_ESCAPING;
    for (at, clause) in clauses
        .iter()
        .enumerate()
        .filter(|(_, clause)| clause.quality > 0)
    {
        escaping = clause.escaping.unwrap_or(escaping);
        // For each format, only the most specific element of the header applies. For example, `text/plain` is more
        // specific than `*/*`.
        let offer = offers().find(|(format, version)| {
            let specificity = |clause: &Clause| clause.specificity(*format, version);
            let this = specificity(clause);
            this > 0
                && (clauses.iter().enumerate())
                    .all(|(other, clause)| specificity(clause) < this + u8::from(other >= at))
        });
        if let Some((format, version)) = offer {
            return Negotiated {
                format,
                version,
                escaping,
            };
        }
    }
    let format = Format::default();
    Negotiated {
        format,
        version: format
            .spec()
            .versions()
            .first()
            .copied()
            .unwrap_or_default(),
        escaping: DEFAULT_ESCAPING,
    }
}

/// Returns each format with each of its versions. If a request accepts several of these pairs equally, the first pair
/// is selected.
fn offers() -> impl Iterator<Item = (Format, &'static str)> {
    Format::ALL.iter().flat_map(|&format| {
        let versions = format.spec().versions().iter();
        versions.map(move |&version| (format, version))
    })
}

/// Whether a value of the header `Accept-Encoding` accepts gzip.
pub(super) fn accepts_gzip(accept_encoding: &str) -> bool {
    let (mut gzip, mut any, mut identity) = (None, None, 0);
    for element in split(accept_encoding, ',') {
        let mut parts = split(element, ';');
        let coding = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts.filter_map(parameter).find(|(name, _)| name == "q");
        let quality = quality
            .and_then(|(_, value)| parse_quality(&value))
            .unwrap_or(1000);
        match &*coding {
            "gzip" | "x-gzip" => gzip = gzip.max(Some(quality)),
            "identity" => identity = quality,
            "*" => any = Some(quality),
            _ => {}
        }
    }
    let gzip = gzip.or(any).unwrap_or(0);
    gzip > 0 && gzip >= identity
}

// === impl Negotiated ===

impl Negotiated {
    pub(super) fn content_type(self) -> HeaderValue {
        let spec = self.format.spec();
        let value = spec.negotiated_content_type(self.version, self.escaping);
        HeaderValue::from_str(&value)
            .unwrap_or_else(|_| HeaderValue::from_static(spec.content_type()))
    }
}

// === impl Clause ===

impl Clause {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = split(text, ';');
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let (kind, subtype) = (kind.trim(), subtype.trim());
        if kind.is_empty() || subtype.is_empty() || subtype.contains('/') {
            return None;
        }
        let mut clause = Self {
            media_type: format!("{kind}/{subtype}").to_ascii_lowercase(),
            quality: 1000,
            ..Self::default()
        };
        for (name, value) in parts.filter_map(parameter) {
            match &*name {
                "q" => clause.quality = parse_quality(&value).unwrap_or(clause.quality),
                "version" => clause.version = Some(value),
                "escaping" => {
                    let known = ESCAPINGS.iter().find(|known| **known == value);
                    clause.escaping = known.copied().or(clause.escaping);
                }
                _ => {}
            }
        }
        Some(clause)
    }

    /// Returns how exactly the element names the format, as a number. The number of a more exact element is higher. The
    /// number is 0 if the element does not match the format.
    fn specificity(&self, format: Format, version: &str) -> u8 {
        let media_type = format.spec().media_type();
        let range = media_type.split_once('/').map(|(kind, _)| kind);
        if self.media_type == media_type {
            match &self.version {
                None => 3,
                Some(wanted) if wanted == version => 4,
                Some(_) => 0,
            }
        } else if self.media_type.strip_suffix("/*") == range {
            2
        } else {
            u8::from(self.media_type == "*/*")
        }
    }
}

/// Splits a text at each separator that is not inside quotation marks. Removes white space around the parts.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text.split(move |found| {
        let separates = found == separator && !quoted;
        quoted ^= found == '"' && !escaped;
        escaped = quoted && found == '\\' && !escaped;
        separates
    });
    parts.map(str::trim)
}

/// Returns the name of a parameter in lower case, and its value without quotation marks. Returns `None` if the
/// parameter is malformed.
fn parameter(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let quoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    if name.is_empty() || (quoted.is_none() && value.contains(['=', '"'])) {
        return None;
    }
    Some((
        name.to_ascii_lowercase(),
        quoted.unwrap_or(value).to_owned(),
    ))
}

/// Parses a quality value, and returns it in thousandths.
fn parse_quality(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !matches!(whole, "0" | "1") || !digits(fraction) {
        return None;
    }
    let thousandths = format!("{whole}{fraction:0<3}").parse().ok()?;
    (thousandths <= 1000).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: &str) -> (Format, &'static str) {
        let negotiated = negotiate(accept);
        (negotiated.format, negotiated.version)
    }

    const TEXT: (Format, &str) = (Format::Text, "0.0.4");
    const OLD: (Format, &str) = (Format::OpenMetrics, "0.0.1");
    const NEW: (Format, &str) = (Format::OpenMetrics, "1.0.0");

    #[test]
    fn the_highest_quality_wins_and_zero_excludes() {
        let om = "application/openmetrics-text";
        let cases = [
            (format!("{om};q=0"), TEXT),
            (format!("{om};q=0.3,text/plain;q=0.5"), TEXT),
            (format!("text/plain;q=0.5,{om};version=1.0.0"), NEW),
            (format!("{om};version=1.0.0;q=0,{om}"), OLD),
            ("text/plain;q=0,*/*;q=0.1".to_owned(), OLD),
            (format!("*/*,{om};q=0"), TEXT),
            (format!("{om};q=1.5"), OLD),
            (format!("{om};q=0.0004"), OLD),
            (format!("{om};q=0.000"), TEXT),
            ("*/*;q=0".into(), TEXT),
            ("application/*".into(), OLD),
            ("text/*".into(), TEXT),
        ];
        for (accept, expected) in cases {
            assert_eq!(chosen(&accept), expected, "{accept}");
        }
    }

    #[test]
    fn tokens_compare_as_http_says() {
        let cases = [
            ("Application/OpenMetrics-Text;VERSION=1.0.0", NEW),
            ("application/openmetrics-text; version=\"1.0.0\"", NEW),
            ("text/x;a=\"b,application/openmetrics-text\"", TEXT),
            ("text/x;a=\"\\\",application/openmetrics-text\"", TEXT),
            ("application/openmetrics-text;version=1.0.0=x", OLD),
            ("application/openmetrics-text/x", TEXT),
            ("garbage;;,,/,application/openmetrics-text", OLD),
        ];
        for (accept, expected) in cases {
            assert_eq!(chosen(accept), expected, "{accept}");
        }
    }

    #[test]
    fn gzip_is_taken_where_it_is_accepted_and_not_second_to_identity() {
        for yes in [
            "gzip",
            "GZIP",
            "x-gzip",
            "*",
            "gzip ; q=0.5",
            "br, gzip",
            "identity;q=0.5,*",
        ] {
            assert!(accepts_gzip(yes), "{yes}");
        }
        for no in [
            "",
            "br",
            "gzip;q=0",
            "gzip;q=0,*",
            "*;q=0",
            "gzip;q=0.5,identity",
            "gzipp",
        ] {
            assert!(!accepts_gzip(no), "{no}");
        }
    }
}
