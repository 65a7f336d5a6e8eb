//! Functions for fields that only some objects have.
//!
//! For some fields, the type in `k8s_openapi` depends on the Kubernetes version: `Option<T>` or `T`. The functions of
//! this module accept both types, so that a family does not depend on the version.

use crate::family::Samples;
use crate::family::sealed::Number;

/// Returns a field as an `Option`, also if its type is not an `Option`. Example: `optional(&deployment.spec)`.
pub(in crate::families) fn optional<'a, T>(field: impl Into<Option<&'a T>>) -> Option<&'a T> {
    field.into()
}

/// Returns a string field as text, also if its type is not an `Option`. If the field is absent, the text is empty.
pub(in crate::families) fn text<'a>(field: impl Into<Option<&'a String>>) -> &'a str {
    field.into().map_or("", String::as_str)
}

/// Returns a generator that writes the number in `field` of `section`. If the section or the field is absent, it writes
/// 0.
pub(in crate::families) fn or_zero<K, T, N>(
    section: fn(&K) -> Option<&T>,
    field: fn(&T) -> N,
) -> impl Fn(&K, &mut Samples<'_>) + Send + Sync + 'static
where
    K: 'static,
    T: 'static,
    N: Number + 'static,
{
    move |object, s| {
        let number = section(object).and_then(|section| field(section).number());
        s.value(number.unwrap_or(0.0));
    }
}

/// Returns a generator that writes the number in `field` of `section`. If the section or the field is absent, it writes
/// no sample.
pub(in crate::families) fn if_present<K, T, N>(
    section: fn(&K) -> Option<&T>,
    field: fn(&T) -> N,
) -> impl Fn(&K, &mut Samples<'_>) + Send + Sync + 'static
where
    K: 'static,
    T: 'static,
    N: Number + 'static,
{
    move |object, s| s.maybe_value(section(object).and_then(|section| field(section).number()))
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
            (optional::<String>(&name), optional::<String>(&none)),
            (Some(&name), None)
        );
    }
}
