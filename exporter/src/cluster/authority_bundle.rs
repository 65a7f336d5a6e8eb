//! [`AuthorityBundle`]: the certificates in a PEM text with certificate authorities.
//!
//! As in client-go, a certificate that cannot be read does not prevent the use of the others. kube would refuse the
//! whole text, or ignore such a certificate without a message.

use std::fmt::Write as _;

use base64::prelude::{BASE64_STANDARD, Engine};
use go_x509::Authorities;
use memchr::memmem;
use rustls::pki_types::CertificateDer;

/// The certificates in a PEM text.
#[derive(Debug, Default)]
pub(super) struct AuthorityBundle {
    /// The certificates that can be parsed, encoded as DER.
    pub(super) certificates: Vec<Vec<u8>>,
    broken: Vec<Broken>,
    /// Whether the last section has no end. A program may be writing the file.
    is_cut: bool,
}

/// A certificate that cannot be used.
#[derive(Debug)]
struct Broken {
    /// The position among the certificates of the text, counted from 1.
    number: usize,
    line: usize,
    problem: &'static str,
}

/// A section of the text.
struct Section<'a> {
    label: &'a [u8],
    content: Result<&'a [u8], &'static str>,
}

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
const CERTIFICATE: &[u8] = b"CERTIFICATE";
const NO_END: &str = "it has no line `-----END CERTIFICATE-----`";
/// The maximum number of certificates that a message names.
const SHOWN: usize = 5;

// === impl AuthorityBundle ===

impl AuthorityBundle {
    /// Parses a text. Sections of other types, and text between the sections, are ignored.
    pub(super) fn parse(text: &[u8]) -> Self {
        let mut bundle = Self::default();
        let (mut at, mut line, mut number) = (0, 1, 0);
        while let Some(start) = memmem::find(&text[at..], BEGIN).map(|start| at + start) {
            line += newlines(&text[at..start]);
            let after = start + BEGIN.len();
            let (section, end) = Section::parse(text, after);
            bundle.is_cut = end.is_none();
            at = after;
            if section.label == CERTIFICATE || end.is_none() {
                number += 1;
                bundle.add(&section, number, line);
            }
            let end = end.unwrap_or(text.len());
            line += newlines(&text[start..end]);
            at = at.max(end);
        }
        // The text may end within `-----BEGIN `.
        let last = text[at..].rsplit(|byte| *byte == b'\n').next();
        if last.is_some_and(|last| !last.is_empty() && BEGIN.starts_with(last)) {
            line += newlines(&text[at..]);
            let problem = NO_END;
            bundle.is_cut = true;
            bundle.broken.push(Broken {
                number: number + 1,
                line,
                problem,
            });
        }
        bundle
    }

    fn add(&mut self, section: &Section<'_>, number: usize, line: usize) {
        let der = section.content.and_then(|content| {
            let text: Vec<u8> = content
                .iter()
                .copied()
                .filter(|byte| !byte.is_ascii_whitespace())
                .collect();
            let der = BASE64_STANDARD.decode(text);
            der.map_err(|_| "the text is not Base64")
        });
        let der = der.and_then(
            |der| match Authorities::new(&[CertificateDer::from(&*der)]) {
                Ok(_) => Ok(der),
                Err(_) => Err("it cannot be parsed as X.509"),
            },
        );
        match der {
            Ok(der) => self.certificates.push(der),
            Err(problem) => self.broken.push(Broken {
                number,
                line,
                problem,
            }),
        }
    }

    /// The certificates that cannot be used, with their positions; `None` if all can be used.
    pub(super) fn broken(&self) -> Option<String> {
        let (first, others) = self.broken.split_first()?;
        let mut text = first.to_string();
        for broken in others.iter().take(SHOWN - 1) {
            let _ = write!(text, ", {broken}");
        }
        if self.broken.len() > SHOWN {
            let _ = write!(text, " and {} others", self.broken.len() - SHOWN);
        }
        Some(text)
    }

    /// The last certificate, if it has no end; otherwise `None`.
    pub(super) fn cut(&self) -> Option<String> {
        self.broken
            .last()
            .filter(|_| self.is_cut)
            .map(ToString::to_string)
    }

    /// The usable certificates as PEM.
    pub(super) fn to_pem(&self) -> String {
        let mut pem = String::new();
        for der in &self.certificates {
            let text = BASE64_STANDARD.encode(der);
            let _ = writeln!(
                pem,
                "-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----"
            );
        }
        pem
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            number,
            line,
            problem,
        } = self;
        write!(f, "{number} (line {line}: {problem})")
    }
}

// === impl Section ===

impl<'a> Section<'a> {
    /// Parses a section whose label starts at `start`. Also returns the end of the section; `None` if the text ends
    /// within the section. A section without an end ends where the next section starts.
    fn parse(text: &'a [u8], start: usize) -> (Self, Option<usize>) {
        let rest = &text[start..];
        let next = memmem::find(rest, BEGIN);
        let own = &rest[..next.unwrap_or(rest.len())];
        let unfinished = |label| {
            let content = Err(NO_END);
            (Self { label, content }, next.map(|next| start + next))
        };
        let Some((label, content)) = split_once(own, DASHES) else {
            return unfinished(CERTIFICATE);
        };
        let Some((content, end)) = split_once(content, END) else {
            return unfinished(label);
        };
        let Some((end_label, after)) = split_once(end, DASHES) else {
            return unfinished(label);
        };
        let content = match end_label == label {
            true => Ok(content),
            false => Err(NO_END),
        };
        let end = start + own.len() - after.len();
        (Self { label, content }, Some(end))
    }
}

fn split_once<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memmem::find(text, separator)?;
    Some((&text[..at], &text[at + separator.len()..]))
}

fn newlines(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> String {
        let certified = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap();
        certified.cert.pem().replace("\r\n", "\n")
    }

    #[test]
    fn each_certificate_is_used_or_named() {
        let good = certificate();
        let key = "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n";
        let wrong = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        let no_end = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        let lines = good.lines().count();
        let good_line = |line: usize| lines + line;
        for (text, used, broken, cut) in [
            (String::new(), 0, None, false),
            (format!("a comment\n{good}{key}{good}"), 2, None, false),
            (good.replace('\n', "\r\n"), 1, None, false),
            (good.replace('\n', ""), 1, None, false),
            (
                format!("\n{wrong}{good}"),
                1,
                Some("1 (line 2: the text is not Base64)".to_owned()),
                false,
            ),
            (
                format!("{no_end}{good}"),
                1,
                Some(format!("1 (line 1: {NO_END})")),
                false,
            ),
            (
                format!("{good}{no_end}"),
                1,
                Some(format!("2 (line {}: {NO_END})", good_line(1))),
                true,
            ),
            (
                good.replace("END CERTIFICATE", "END OTHER"),
                0,
                Some(format!("1 (line 1: {NO_END})")),
                false,
            ),
        ] {
            let bundle = AuthorityBundle::parse(text.as_bytes());
            assert_eq!(bundle.certificates.len(), used, "{text}");
            assert_eq!(bundle.broken(), broken, "{text}");
            assert_eq!(bundle.cut().is_some(), cut, "{text}");
            let again = AuthorityBundle::parse(bundle.to_pem().as_bytes());
            assert_eq!(again.certificates, bundle.certificates);
        }
        let many = AuthorityBundle::parse(wrong.repeat(7).as_bytes());
        assert!(many.broken().unwrap().ends_with(" and 2 others"));
    }

    #[test]
    fn a_text_that_ends_within_a_certificate_is_cut() {
        let good = certificate();
        let text = [&*good, &good].concat();
        let end = text.trim_end().len();
        for length in good.len() + 1..end {
            let bundle = AuthorityBundle::parse(&text.as_bytes()[..length]);
            assert_eq!(bundle.certificates.len(), 1, "{length}");
            let line = good.lines().count() + 1;
            let expected = format!("2 (line {line}: {NO_END})");
            assert_eq!(bundle.cut(), Some(expected), "{length}");
        }
        assert_eq!(AuthorityBundle::parse(&text.as_bytes()[..end]).cut(), None);
    }
}
