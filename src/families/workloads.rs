//! What the families of workloads and their autoscalers share: fields that are there or not.
//!
//! Newer versions of the API's types have fields optional that used to be required, and the other
//! way round. What is here takes both, so that a family does not depend on the version.

use crate::family::{Samples, sealed};

/// A field that holds a number or a flag: always, or only in some objects.
pub(super) trait Number {
    fn number(self) -> Option<f64>;
}

impl<T: sealed::Number> Number for T {
    fn number(self) -> Option<f64> {
        sealed::Number::number(self)
    }
}

impl<T: sealed::Number> Number for Option<T> {
    fn number(self) -> Option<f64> {
        self.and_then(sealed::Number::number)
    }
}

/// A part of an object, be it optional or not: `part(&deployment.spec)`.
pub(super) fn part<'a, P>(field: impl Into<Option<&'a P>>) -> Option<&'a P> {
    field.into()
}

/// A text, be it optional or not; empty where it is absent.
pub(super) fn text<'a>(field: impl Into<Option<&'a String>>) -> &'a str {
    field.into().map_or("", String::as_str)
}

/// Generates a number that is always there: `field` of `part`, 0 where either is absent.
pub(super) fn or_zero<K, P, N>(
    part: fn(&K) -> Option<&P>,
    field: fn(&P) -> N,
) -> impl Fn(&K, &mut Samples<'_>) + Send + Sync + 'static
where
    K: 'static,
    P: 'static,
    N: Number + 'static,
{
    move |object, s| {
        s.value(
            part(object)
                .and_then(|part| field(part).number())
                .unwrap_or(0.0),
        )
    }
}

/// Generates a number that only some objects have: `field` of `part`.
pub(super) fn if_present<K, P, N>(
    part: fn(&K) -> Option<&P>,
    field: fn(&P) -> N,
) -> impl Fn(&K, &mut Samples<'_>) + Send + Sync + 'static
where
    K: 'static,
    P: 'static,
    N: Number + 'static,
{
    move |object, s| s.maybe_value(part(object).and_then(|part| field(part).number()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_reads_alike_whether_its_type_is_optional_or_not() {
        assert_eq!(
            (3.number(), Some(3).number(), None::<i32>.number()),
            (Some(3.0), Some(3.0), None)
        );
        assert_eq!(
            (true.number(), Some(false).number()),
            (Some(1.0), Some(0.0))
        );
        let (name, none) = (String::from("web"), None::<String>);
        assert_eq!(
            (text(&name), text(&Some(name.clone())), text(&none)),
            ("web", "web", "")
        );
        assert_eq!(
            (part::<String>(&name), part::<String>(&none)),
            (Some(&name), None)
        );
    }
}
