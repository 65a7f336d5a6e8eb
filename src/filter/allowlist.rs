//! The allowlist for the label keys or the annotation keys of one resource: a list of globs.
//!
//! The globs apply to the keys in the object, not to the label names that result from the keys. When the list is built,
//! each glob is split at each `*`. To match a key, the code checks the prefix and the suffix, and searches once for
//! each text between two `*`. There is no backtracking, so the time is linear in the length of the key.

use super::errors::FilterWarning;

/// The label keys, or the annotation keys, that are exported for one resource.
///
/// * If the list is empty, the family has no samples. Otherwise, the family has one sample per object, even if the
///   object has no key that the list allows.
/// * The pattern `*`, anywhere in the list, allows every key.
/// * In any other pattern, each `*` matches any sequence of characters without a newline, including the empty sequence.
///   All other characters are literal and case-sensitive. The pattern must match the whole key. The pattern `""` allows
///   only the empty key, and `.` matches only a dot.
/// * The order of the patterns has no effect. Duplicate patterns have no effect. Blanks are part of a pattern.
///
/// kube-state-metrics ignores a pattern `*` that is not the first item of its list, and patterns that contain two or
/// more `*`. This crate does not ignore these patterns. A pattern `*` that is not the first item causes a warning.
///
/// ```
/// use kube_state_metrics::filter::LabelAllowlist;
///
/// let (labels, warnings) = LabelAllowlist::new(["team", "app.kubernetes.io/*"]);
/// assert!(labels.matches("team"));
/// assert!(labels.matches("app.kubernetes.io/name"));
/// assert!(!labels.matches("teams"));
/// assert!(warnings.is_empty());
///
/// let (labels, warnings) = LabelAllowlist::new(["team", "*"]);
/// assert!(labels.matches("anything"));
/// assert_eq!(
///     warnings[0].to_string(),
///     "`*` allows every key, so `team` in the same list has no effect; remove `*`, or remove `team`",
/// );
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelAllowlist {
    patterns: Vec<String>,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Everything,
    AnyOf(Vec<Pattern>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Exact(String),
    /// The texts before, between and after the `*`s. Empty texts in the middle are left out, because `**` means the
    /// same as `*`.
    Glob {
        prefix: String,
        middle: Vec<String>,
        suffix: String,
    },
}

// === impl LabelAllowlist ===

impl LabelAllowlist {
    /// An allowlist without patterns.
    pub(super) const EMPTY: Self = Self {
        patterns: Vec::new(),
        rule: Rule::AnyOf(Vec::new()),
    };

    /// Builds an allowlist, and returns warnings about patterns that have no effect.
    ///
    /// Blanks at the start or the end of a pattern are not removed.
    pub fn new<I>(patterns: I) -> (Self, Vec<FilterWarning>)
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let patterns: Vec<String> = patterns.into_iter().map(Into::into).collect();
        let rule = if patterns.iter().any(|pattern| pattern == "*") {
            Rule::Everything
        } else {
            Rule::AnyOf(
                patterns
                    .iter()
                    .map(|pattern| Pattern::new(pattern))
                    .collect(),
            )
        };
        let list = Self { patterns, rule };
        let warnings = list.warning(None).into_iter().collect();
        (list, warnings)
    }

    /// Whether the list has no pattern, so that the family has no samples.
    ///
    /// ```
    /// use kube_state_metrics::filter::LabelAllowlist;
    ///
    /// assert!(LabelAllowlist::default().is_empty());
    /// assert!(!LabelAllowlist::new([""]).0.is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether the list allows a key, so that the key is exported.
    ///
    /// ```
    /// use kube_state_metrics::filter::LabelAllowlist;
    ///
    /// let (labels, _) = LabelAllowlist::new(["*.example.com/*-id"]);
    /// assert!(labels.matches("shop.example.com/order-id"));
    /// assert!(!labels.matches("shop.example.com/order"));
    /// ```
    #[must_use]
    pub fn matches(&self, key: &str) -> bool {
        match &self.rule {
            Rule::Everything => true,
            Rule::AnyOf(patterns) => patterns.iter().any(|pattern| pattern.matches(key)),
        }
    }

    /// Returns the patterns, unchanged and in the order in which they were passed to `new`.
    ///
    /// ```
    /// use kube_state_metrics::filter::LabelAllowlist;
    ///
    /// assert_eq!(LabelAllowlist::new(["b*", "a"]).0.patterns(), ["b*", "a"]);
    /// ```
    #[must_use]
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// The warning about patterns that have no effect, if there are such patterns. `resource` is the resource of the
    /// list.
    pub(super) fn warning(&self, resource: Option<&str>) -> Option<FilterWarning> {
        if self.rule != Rule::Everything {
            return None;
        }
        let covered: Vec<_> = self
            .patterns
            .iter()
            .filter(|p| *p != "*")
            .cloned()
            .collect();
        let resource = resource.map(str::to_owned);
        (!covered.is_empty()).then_some(FilterWarning::StarInList { resource, covered })
    }
}

// === impl Rule ===

impl Default for Rule {
    fn default() -> Self {
        Self::AnyOf(Vec::new())
    }
}

// === impl Pattern ===

impl Pattern {
    fn new(pattern: &str) -> Self {
        let Some((prefix, rest)) = pattern.split_once('*') else {
            return Self::Exact(pattern.to_owned());
        };
        let (middle, suffix) = rest.rsplit_once('*').unwrap_or(("", rest));
        Self::Glob {
            prefix: prefix.to_owned(),
            middle: middle
                .split('*')
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect(),
            suffix: suffix.to_owned(),
        }
    }

    fn matches(&self, key: &str) -> bool {
        let (prefix, middle, suffix) = match self {
            Self::Exact(expected) => return key == expected,
            Self::Glob {
                prefix,
                middle,
                suffix,
            } => (prefix, middle, suffix),
        };
        let Some(mut rest) = key
            .strip_prefix(&**prefix)
            .and_then(|r| r.strip_suffix(&**suffix))
        else {
            return false;
        };
        // If a text occurs several times in the key, use its first occurrence, which leaves the longest rest for the
        // later texts. If there is a newline before the first occurrence, the key does not match, because the same
        // newline is also before all later occurrences.
        for literal in middle {
            match rest.split_once(&**literal) {
                Some((run, after)) if !run.contains('\n') => rest = after,
                _ => return false,
            }
        }
        !rest.contains('\n')
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(patterns: &[&str]) -> LabelAllowlist {
        LabelAllowlist::new(patterns.iter().copied()).0
    }

    /// A simple implementation of the documented rules, which needs exponential time.
    fn naive(pattern: &[char], key: &[char]) -> bool {
        match pattern.split_first() {
            None => key.is_empty(),
            Some(('*', rest)) => {
                let run = key.iter().take_while(|c| **c != '\n').count();
                (0..=run).any(|taken| naive(rest, &key[taken..]))
            }
            Some((literal, rest)) => key.first() == Some(literal) && naive(rest, &key[1..]),
        }
    }

    #[test]
    fn an_empty_list_is_empty_and_allows_nothing() {
        for empty in [list(&[]), LabelAllowlist::default(), LabelAllowlist::EMPTY] {
            assert!(empty.is_empty());
            assert!(!empty.matches(""));
            assert!(!empty.matches("a"));
        }
        assert!(!list(&["nothing-like-it"]).is_empty());
    }

    #[test]
    fn patterns_allow_keys_and_refuse_keys() {
        let cases: &[(&[&str], &[&str], &[&str])] = &[
            (&["*"], &["", "a", "a\nb", "größe"], &[]),
            (&["*", "team"], &["", "a", "team"], &[]),
            (&["team", "*"], &["", "a", "team"], &[]),
            (&["", "*"], &["", "a"], &[]),
            (&["**", "*"], &["", "a\nb"], &[]),
            // exact
            (
                &["team"],
                &["team"],
                &["Team", "teams", "xteam", " team", ""],
            ),
            (&[""], &[""], &["a", " "]),
            (&[" a "], &[" a "], &["a"]),
            (&["a\nb"], &["a\nb"], &["a", "b"]),
            (&["a.b"], &["a.b"], &["axb"]),
            (&["team", "team", "te*"], &["team", "tea"], &["t"]),
            // one star
            (
                &["app*"],
                &["app", "apple", "app.kubernetes.io/name"],
                &["ap", "xapp", "App"],
            ),
            (
                &["*name"],
                &["name", "app.kubernetes.io/name"],
                &["names", "nam"],
            ),
            (
                &["a*z"],
                &["az", "abz", "a*z", "azz"],
                &["a", "z", "abzc", "a\nz"],
            ),
            (&["app*pp"], &["apppp", "app-pp"], &["app", "appp"]),
            (&["a\n*"], &["a\n", "a\nb"], &["a", "a\n\n"]),
            (
                &["a+*", "(*", "a[*"],
                &["a+b", "(x)", "a[b]c"],
                &["aab", "x"],
            ),
            (&["a\\*"], &["a\\", "a\\d"], &["a*", "a"]),
            (&["größ*"], &["größe"], &["grö"]),
            // many stars
            (&["**"], &["", "a", "*"], &["\n", "a\nb"]),
            (&["a**"], &["a", "ab"], &["", "b", "a\n"]),
            (
                &["a*b*c"],
                &["abc", "axbyc", "abbc", "abcbc"],
                &["ac", "acb", "abcx", "a\nbc", "ab\nc"],
            ),
            (
                &["*kubernetes.io/*"],
                &["kubernetes.io/", "app.kubernetes.io/x"],
                &["kubernetes.io"],
            ),
            (&["*a*b*"], &["ab", "xaxbx", "aab"], &["ba", "b", "a"]),
            (&["*aa*aa*"], &["aaaa", "aabaa"], &["aaa", "aab"]),
            (&["a*a*a"], &["aaa", "aaaa"], &["aa", "a"]),
            (&["*\n*"], &["\n", "a\nb"], &["", "\n\n"]),
        ];
        for (patterns, allowed, refused) in cases {
            let list = list(patterns);
            for key in *allowed {
                assert!(list.matches(key), "{patterns:?} should allow {key:?}");
            }
            for key in *refused {
                assert!(!list.matches(key), "{patterns:?} should refuse {key:?}");
            }
        }
    }

    #[test]
    fn only_a_star_beside_other_patterns_is_warned_of() {
        for patterns in [
            &[][..],
            &["*"],
            &["*", "*"],
            &["a", "b*"],
            &["**", "a"],
            &[""],
        ] {
            assert_eq!(
                LabelAllowlist::new(patterns.iter().copied()).1,
                [],
                "{patterns:?}"
            );
        }
        for (patterns, covered) in [
            (&["*", "a"][..], &["a"][..]),
            (&["a", "*", "b*"], &["a", "b*"]),
            (&["", "*"], &[""]),
        ] {
            let covered = covered.iter().map(ToString::to_string).collect();
            let expected = FilterWarning::StarInList {
                resource: None,
                covered,
            };
            assert_eq!(
                LabelAllowlist::new(patterns.iter().copied()).1,
                [expected],
                "{patterns:?}"
            );
        }
    }

    #[test]
    fn a_hostile_pattern_costs_no_more_than_its_length() {
        let pattern = "*a".repeat(5_000) + "*b*a";
        let list = list(&[&pattern]);
        assert!(!list.matches(&"a".repeat(100_000)));
        assert!(list.matches(&("a".repeat(100_000) + "ba")));
    }

    proptest! {
        #[test]
        fn globs_agree_with_the_naive_reference(pattern in "[ab\n*]{0,8}", key in "[ab\n]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = pattern == "*" || naive(&chars(&pattern), &chars(&key));
            prop_assert_eq!(list(&[&pattern]).matches(&key), expected, "{:?} {:?}", pattern, key);
        }

        #[test]
        fn any_pattern_meets_any_key(patterns in proptest::collection::vec(".{0,12}", 0..4), key in ".*") {
            let (list, _) = LabelAllowlist::new(patterns.clone());
            let expected = patterns.iter().any(|p| p == "*") || patterns.iter().any(|p| {
                naive(&p.chars().collect::<Vec<_>>(), &key.chars().collect::<Vec<_>>())
            });
            prop_assert_eq!(list.matches(&key), expected);
            let literal = key.replace('*', "-");
            prop_assert!(LabelAllowlist::new([literal.clone()]).0.matches(&literal));
        }
    }
}
