//! The parameters in the query string of a request.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;

/// All parameters, decoded, in the order of the query string.
pub(super) struct Query(Vec<(String, String)>);

// === impl Query ===

impl Query {
    fn parse(query: &str) -> Self {
        Self(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// Whether the query has a parameter of this name, with or without a value.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    /// Returns the first value of a parameter. If the parameter has no value, returns an empty text.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// Returns all values of a parameter.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let pairs = self.0.iter().filter(move |(key, _)| key == name);
        pairs.map(|(_, value)| value.as_str())
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded_and_broken_escapes_stay() {
        let query = Query::parse("q=a+b%3Cc%3e%zz%&q=2&name%5B%5D=x&name[]=y&verbose&top=");
        assert_eq!(query.first("q"), Some("a b<c>%zz%"));
        assert_eq!(query.values("name[]").collect::<Vec<_>>(), ["x", "y"]);
        assert!(query.contains("verbose") && !query.contains("verb"));
        assert_eq!(query.first("top"), Some(""));
        assert_eq!(query.first("family"), None);
    }
}
