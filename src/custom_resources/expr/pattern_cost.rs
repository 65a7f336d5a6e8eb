//! The cost of the compilation of a regular expression (*pattern*). The cost must be limited, because the pattern may
//! come from an object.

use regex_syntax::hir::{Class, Hir, HirKind};

/// The cost of the compilation of one element in a pattern, such as a byte or a range of characters.
const PART: u64 = 4;

/// Returns the cost of the compilation of a pattern. An invalid pattern costs nothing, because the compilation does not
/// start.
///
/// A short pattern can be expensive: `\w` has more than 700 ranges of characters. A repetition such as `\w{500}`
/// compiles these ranges 500 times.
pub(super) fn of(pattern: &str) -> u64 {
    regex_syntax::parse(pattern).map_or(0, |parsed| parts(&parsed).saturating_mul(PART))
}

/// Returns the number of elements in a pattern that are compiled. This function is recursive. The parser limits the
/// depth of a pattern to 250.
fn parts(pattern: &Hir) -> u64 {
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(Class::Unicode(class)) => class.ranges().len() as u64,
        HirKind::Class(Class::Bytes(class)) => class.ranges().len() as u64,
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            parts(&repetition.sub).saturating_mul(times.into())
        }
        HirKind::Capture(capture) => parts(&capture.sub),
        HirKind::Concat(all) | HirKind::Alternation(all) => {
            all.iter().map(parts).fold(0, u64::saturating_add)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_repetitions_determine_the_cost() {
        assert_eq!(of("abc"), 3 * PART);
        assert_eq!(of("[0-9]{4}-[0-9]{2}"), 7 * PART);
        assert_eq!(of("(a{50}){50}"), 2500 * PART);
        assert_eq!(of("(a{1000}"), 0, "not valid");
        assert!(of(r"\w{500}") > 1_000_000);
        assert!(of(r"\W{999}") > 1_000_000);
        assert!(of(r"^\d{4}-\d{2}-\d{2}T\d{2}") < 5_000);
    }
}
