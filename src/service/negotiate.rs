//! Content negotiation, after [RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-12.5).
//!
//! Quality values count and `q=0` excludes. Where that leaves nothing we can say, we answer with
//! text all the same: a scraper can do more with it than with a 406.

use http::HeaderValue;

use crate::exposition::Format;

/// The format chosen, and what its `Content-Type` says besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Negotiated {
    pub(super) format: Format,
    /// The version of OpenMetrics that was asked for. Both have the same text.
    version: &'static str,
    /// The escaping scheme that was asked for. Our names need none, so it is only repeated.
    escaping: &'static str,
}

/// What can be answered; where a clause takes several, the first.
const OFFERS: [(Format, &str, &str); 3] = [
    (Format::Text, "text/plain", "0.0.4"),
    (Format::OpenMetrics, "application/openmetrics-text", "0.0.1"),
    (Format::OpenMetrics, "application/openmetrics-text", "1.0.0"),
];

const ESCAPINGS: [&str; 4] = ["underscores", "allow-utf-8", "dots", "values"];

/// One element of an `Accept` header.
#[derive(Debug, Default)]
struct Clause {
    media_type: String,
    version: Option<String>,
    escaping: Option<&'static str>,
    /// In thousandths.
    quality: u16,
}

/// Chooses the format for the value of an `Accept` header.
pub(super) fn negotiate(accept: &str) -> Negotiated {
    let mut clauses: Vec<_> = split(accept, ',').filter_map(Clause::parse).collect();
    clauses.sort_by_key(|clause| (u16::MAX - clause.quality, clause.media_type.contains('*')));
    let mut chosen = Negotiated {
        format: Format::Text,
        version: "0.0.4",
        escaping: "underscores",
    };
    for (at, clause) in clauses
        .iter()
        .enumerate()
        .filter(|(_, clause)| clause.quality > 0)
    {
        chosen.escaping = clause.escaping.unwrap_or(chosen.escaping);
        let mut offers = OFFERS.iter();
        // A clause speaks for a format only where no other is more specific about it.
        let offer = offers.find(|(_, media_type, version)| {
            let specificity = |clause: &Clause| clause.specificity(media_type, version);
            let own = specificity(clause);
            own > 0
                && (clauses.iter().enumerate())
                    .all(|(other, clause)| specificity(clause) < own + u8::from(other >= at))
        });
        if let Some((format, _, version)) = offer {
            return Negotiated {
                format: *format,
                version,
                ..chosen
            };
        }
    }
    Negotiated {
        escaping: "underscores",
        ..chosen
    }
}

/// Whether the value of an `Accept-Encoding` header lets the answer be gzip.
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
        if self.format == Format::OpenMetrics
            && (self.version, self.escaping) != ("1.0.0", "underscores")
        {
            let (version, escaping) = (self.version, self.escaping);
            let value = format!(
                "application/openmetrics-text; version={version}; charset=utf-8; escaping={escaping}"
            );
            if let Ok(value) = HeaderValue::from_str(&value) {
                return value;
            }
        }
        HeaderValue::from_static(self.format.content_type())
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

    /// How closely the clause describes a format; 0 where it does not.
    fn specificity(&self, media_type: &str, version: &str) -> u8 {
        let range = media_type.split_once('/').map(|(kind, _)| kind);
        if self.media_type == media_type {
            match &self.version {
                None => 3,
                Some(own) if own == version => 4,
                Some(_) => 0,
            }
        } else if self.media_type.strip_suffix("/*") == range {
            2
        } else {
            u8::from(self.media_type == "*/*")
        }
    }
}

/// Splits at a separator that stands outside of quotes; parts are trimmed.
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

/// A parameter's name in lower case and its value without quotes; nothing where it is malformed.
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

/// A quality value in thousandths.
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
