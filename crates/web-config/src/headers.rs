//! Headers that the configuration adds to every response.

use std::collections::BTreeMap;

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// The headers that the exporter-toolkit (the Go library of other exporters) can add, and the allowed values of each
/// header. If a list of values is empty, every value is allowed.
const ALLOWED: &[(&str, &[&str])] = &[
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// The error if a header cannot be added. The message does not contain the value, because it may be secret.
#[derive(Debug, thiserror::Error)]
#[error("http_server_config: headers: `{name}` {problem}")]
pub(crate) struct HeaderError {
    name: String,
    problem: HeaderProblem,
}

#[derive(Debug, thiserror::Error)]
enum HeaderProblem {
    #[error("cannot be added; available: {}", names())]
    NotAllowed,
    #[error("must have the value {}", .0.join(" or "))]
    OtherValue(&'static [&'static str]),
    #[error("has a value that HTTP does not allow")]
    Invalid,
    #[error(
        "has a value of {0} bytes; the limit is {MAX_VALUE} bytes, because each response contains the value"
    )]
    TooLong(usize),
}

/// The maximum length of a value, in bytes. Common clients and proxies accept 8 KiB of headers.
const MAX_VALUE: usize = 8 << 10;

/// Converts names and values to headers.
///
/// # Errors
///
/// Returns an error if a name or a value is not allowed, or is not valid in HTTP.
pub(crate) fn headers(section: &BTreeMap<String, String>) -> Result<HeaderMap, HeaderError> {
    let mut headers = HeaderMap::new();
    for (name, value) in section {
        let (header, content) = header(name, value).map_err(|problem| HeaderError {
            name: name.clone(),
            problem,
        })?;
        headers.insert(header, content);
    }
    Ok(headers)
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), HeaderProblem> {
    let allowed = (ALLOWED.iter()).find(|(allowed, _)| allowed.eq_ignore_ascii_case(name));
    let (_, values) = allowed.ok_or(HeaderProblem::NotAllowed)?;
    if !values.is_empty() && !values.contains(&value) {
        return Err(HeaderProblem::OtherValue(values));
    }
    if value.len() > MAX_VALUE {
        return Err(HeaderProblem::TooLong(value.len()));
    }
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderProblem::Invalid)?;
    let content = HeaderValue::from_str(value).map_err(|_| HeaderProblem::Invalid)?;
    Ok((header, content))
}

fn names() -> String {
    let names: Vec<_> = ALLOWED.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(name: &str, value: &str) -> Result<HeaderMap, String> {
        let section = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        headers(&section).map_err(|error| error.to_string())
    }

    #[test]
    fn headers_of_the_toolkit_are_added_and_others_are_refused_with_the_cure() {
        let added = add("x-frame-options", "deny").unwrap();
        assert_eq!(added["X-Frame-Options"], "deny");
        for (name, value, problem) in [
            (
                "a b",
                "c",
                "`a b` cannot be added; available: Content-Security-Policy, \
                 Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, X-XSS-Protection",
            ),
            (
                "X-Frame-Options",
                "never",
                "`X-Frame-Options` must have the value deny or sameorigin",
            ),
            (
                "X-XSS-Protection",
                "a\nb",
                "`X-XSS-Protection` has a value that HTTP does not allow",
            ),
        ] {
            let expected = format!("http_server_config: headers: {problem}");
            assert_eq!(add(name, value), Err(expected));
        }
        let long = "a".repeat(8 << 10);
        assert!(add("X-XSS-Protection", &long).is_ok());
        let error = add("X-XSS-Protection", &(long + "a")).unwrap_err();
        assert!(
            error.contains("of 8193 bytes; the limit is 8192 bytes"),
            "{error}"
        );
    }
}
