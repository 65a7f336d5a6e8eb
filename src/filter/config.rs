//! The allowlists of all resources, and the grammar of their form on the command line.

use std::{collections::BTreeMap, str::FromStr};

use super::allowlist::LabelAllowlist;
use super::errors::{FilterError, FilterWarning};

/// The allowlists of all resources, either for labels or for annotations.
///
/// Each entry consists of the name of a resource (the lower-case plural, such as `pods`) and a [`LabelAllowlist`]. The
/// name `*` means all resources. If there is an entry for `*`, all other entries are ignored.
///
/// ```
/// use kube_state_metrics::filter::AllowlistConfig;
///
/// let mut labels = AllowlistConfig::parse("pods=[team],nodes=[*]")?;
/// assert!(labels.for_resource("nodes").matches("topology.kubernetes.io/zone"));
/// assert!(labels.for_resource("jobs").is_empty());
///
/// labels.insert("jobs", ["team", "app.kubernetes.io/*"]);
/// assert!(labels.for_resource("jobs").matches("team"));
/// # Ok::<(), kube_state_metrics::filter::FilterError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowlistConfig {
    lists: BTreeMap<String, LabelAllowlist>,
    unclosed: Option<String>,
}

/// The name that means all resources.
const ALL: &str = "*";

/// The number of errors about unknown resources that name the known resources. The names take almost 1 KiB, so many
/// errors with the names would need much memory.
const MOST_EXPLAINED: usize = 20;

static NOTHING: LabelAllowlist = LabelAllowlist::EMPTY;

// === impl AllowlistConfig ===

impl AllowlistConfig {
    /// Parses the command-line form: groups `resource=[key,key,...]` that are separated by `,`.
    ///
    /// The form has no quotation marks or escapes, so neither resources nor keys can contain `,`, `=`, `[` or `]`:
    ///
    /// * `=` must be followed by `[`, and the character before `=` must not be `,`. The text before `=` is the
    ///   resource; white space around it is removed. If a resource has several lists, the last list is used.
    /// * `[` must be preceded by `=`.
    /// * `]` must be followed by `,` or the end. `[]` is an empty list. Otherwise, `]` ends an item.
    /// * `,` must not be the first or the last character. The character after `,` must not be `,` or `]`. A `,` after
    ///   `]` separates two lists. Any other `,` ends an item.
    /// * White space around an item is removed, but blanks inside an item are kept. An item can contain any number of
    ///   `*`.
    ///
    /// Like kube-state-metrics, the function also accepts some strings that do not have this form. If the text does not
    /// end with `]`, the last item is dropped, and there is a [warning](Self::warnings). The list in `pods=[,a]`
    /// contains an empty key and `a`. If there is an item before the first resource, the result has an entry for the
    /// resource `""`. [`check_resources`](Self::check_resources) returns an error for such an entry.
    ///
    /// # Errors
    ///
    /// Returns [`FilterError::Grammar`] if the text breaks a rule. The error names the first broken rule and the
    /// position. Returns [`FilterError::NotAscii`] if the text has a character outside ASCII, because no key in
    /// Kubernetes has such a character.
    ///
    /// ```
    /// use kube_state_metrics::filter::AllowlistConfig;
    ///
    /// assert_eq!(
    ///     AllowlistConfig::parse("pods= [team]").unwrap_err().to_string(),
    ///     "misplaced `=` at character 5: `=` must be followed by `[`; \
    ///      the form is `pods=[key,prefix*],nodes=[*]`",
    /// );
    /// ```
    pub fn parse(value: &str) -> Result<Self, FilterError> {
        if let Some((offset, found)) = value.char_indices().find(|(_, c)| !c.is_ascii()) {
            return Err(FilterError::NotAscii { offset, found });
        }
        let mut lists: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut resource = "";
        // The position after the last `,`, `=`, `[` or `]`, where the current item starts.
        let mut start = 0;
        let mut previous = None;
        let mut signs = value.char_indices().peekable();
        while let Some((offset, found)) = signs.next() {
            let next = signs.peek().map(|(_, c)| *c);
            let text = value.get(start..offset).unwrap_or_default().trim();
            if let Some(rule) = broken_rule(previous, found, next) {
                return Err(FilterError::Grammar {
                    offset,
                    found,
                    rule,
                });
            }
            match (found, previous) {
                ('=', _) => {
                    resource = text;
                    lists.insert(resource, Vec::new());
                }
                // `[]` has no item, and a `,` after `]` does not end an item.
                (']', Some('[')) | (',', Some(']')) => {}
                (']' | ',', _) => lists.entry(resource).or_default().push(text),
                _ => {}
            }
            if matches!(found, '=' | '[' | ']' | ',') {
                start = offset + 1;
            }
            previous = Some(found);
        }
        let unclosed = value.get(start.saturating_sub(1)..).map(str::trim);
        let unclosed = unclosed
            .filter(|text| !matches!(*text, "" | "]"))
            .map(str::to_owned);
        let mut config = Self {
            lists: BTreeMap::new(),
            unclosed,
        };
        for (resource, patterns) in lists {
            config.insert(resource, patterns);
        }
        Ok(config)
    }

    /// Sets the patterns of a resource, and removes the earlier patterns of the resource.
    ///
    /// The resource `*` means all resources.
    ///
    /// White space around a pattern is not removed.
    ///
    /// ```
    /// use kube_state_metrics::filter::AllowlistConfig;
    ///
    /// let mut labels = AllowlistConfig::default();
    /// labels.insert("pods", ["team"]).insert("*", ["app"]);
    /// assert!(labels.for_resource("pods").matches("app"));
    /// assert!(!labels.for_resource("pods").matches("team"));
    /// ```
    pub fn insert<I>(&mut self, resource: impl Into<String>, patterns: I) -> &mut Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let (list, _) = LabelAllowlist::new(patterns);
        self.lists.insert(resource.into(), list);
        self
    }

    /// The allowlist of the resource with this plural name; empty if the configuration has no allowlist for the
    /// resource.
    ///
    /// ```
    /// use kube_state_metrics::filter::AllowlistConfig;
    ///
    /// let labels = AllowlistConfig::parse("pods=[team]")?;
    /// assert!(labels.for_resource("pods").matches("team"));
    /// assert!(labels.for_resource("nodes").is_empty());
    /// # Ok::<(), kube_state_metrics::filter::FilterError>(())
    /// ```
    #[must_use]
    pub fn for_resource(&self, plural: &str) -> &LabelAllowlist {
        self.lists
            .get(ALL)
            .or_else(|| self.lists.get(plural))
            .unwrap_or(&NOTHING)
    }

    /// Returns all entries, sorted by resource, including entries that have no effect because there is an entry for
    /// `*`.
    ///
    /// ```
    /// use kube_state_metrics::filter::AllowlistConfig;
    ///
    /// let labels = AllowlistConfig::parse("pods=[team],nodes=[*]")?;
    /// let resources: Vec<_> = labels.iter().map(|(resource, _)| resource).collect();
    /// assert_eq!(resources, ["nodes", "pods"]);
    /// # Ok::<(), kube_state_metrics::filter::FilterError>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&str, &LabelAllowlist)> {
        self.lists
            .iter()
            .map(|(resource, list)| (resource.as_str(), list))
    }

    /// Checks that each entry names one of the known resources, or `*`.
    ///
    /// # Errors
    ///
    /// Returns a [`FilterError::UnknownResource`] for each entry with another name. The first 20 errors name the known
    /// resources.
    ///
    /// ```
    /// use kube_state_metrics::filter::AllowlistConfig;
    ///
    /// let labels = AllowlistConfig::parse("pod=[team],*=[app]")?;
    /// let errors = labels.check_resources(&["nodes", "pods"]).unwrap_err();
    /// assert_eq!(
    ///     errors[0].to_string(),
    ///     "unknown resource `pod` (did you mean `pods`?); use `*` for all resources or one of: nodes, pods",
    /// );
    /// # Ok::<(), kube_state_metrics::filter::FilterError>(())
    /// ```
    pub fn check_resources(&self, known: &[&str]) -> Result<(), Vec<FilterError>> {
        let unknown = self
            .lists
            .keys()
            .filter(|r| *r != ALL && !known.contains(&r.as_str()));
        let all = known.join(", ");
        let errors: Vec<_> = unknown
            .enumerate()
            .map(|(at, resource)| FilterError::UnknownResource {
                resource: resource.clone(),
                known: match at {
                    ..MOST_EXPLAINED => all.clone(),
                    _ => String::new(),
                },
            })
            .collect();
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }

    /// Returns warnings about entries and patterns that have no effect.
    ///
    /// Log these warnings.
    ///
    /// ```
    /// use kube_state_metrics::filter::AllowlistConfig;
    ///
    /// let labels = AllowlistConfig::parse("pods=[team,*]")?;
    /// assert_eq!(
    ///     labels.warnings()[0].to_string(),
    ///     "resource `pods`: `*` allows every key, so `team` in the same list has no effect; \
    ///      remove `*`, or remove `team`",
    /// );
    /// # Ok::<(), kube_state_metrics::filter::FilterError>(())
    /// ```
    #[must_use]
    pub fn warnings(&self) -> Vec<FilterWarning> {
        let mut warnings = Vec::new();
        if let Some(text) = &self.unclosed {
            warnings.push(FilterWarning::Unclosed { text: text.clone() });
        }
        if let Some(all) = self.lists.get(ALL) {
            let covered: Vec<_> = self.lists.keys().filter(|r| *r != ALL).cloned().collect();
            if !covered.is_empty() {
                warnings.push(FilterWarning::StarResource { covered });
            }
            warnings.extend(all.warning(Some(ALL)));
        } else {
            warnings.extend(
                self.iter()
                    .filter_map(|(resource, l)| l.warning(Some(resource))),
            );
        }
        warnings
    }
}

impl FromStr for AllowlistConfig {
    type Err = FilterError;

    /// Parses the command-line form, like [`AllowlistConfig::parse`].
    fn from_str(value: &str) -> Result<Self, FilterError> {
        Self::parse(value)
    }
}

/// The rule that the character `found` breaks, if any. `previous` and `next` are the characters before and after it.
fn broken_rule(previous: Option<char>, found: char, next: Option<char>) -> Option<&'static str> {
    match (previous, found, next) {
        (Some(','), '=', _) => Some("the name of a resource must stand between `,` and `=`"),
        (_, '=', Some('[')) => None,
        (_, '=', _) => Some("`=` must be followed by `[`"),
        (Some('='), '[', _) => None,
        (_, '[', _) => Some("`[` must be preceded by `=`, and no key can contain `[`"),
        (_, ']', None | Some(',')) => None,
        (_, ']', _) => Some("`]` must be followed by `,` or the end, and no key can contain `]`"),
        (None, ',', _) => Some("`,` must not be the first character"),
        (_, ',', None) => Some("`,` must not be the last character"),
        (Some(','), ',', _) | (_, ',', Some(',')) => Some("`,` must not be doubled"),
        (_, ',', Some(']')) => Some("`,` must not be followed by `]`"),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A text in the command-line form, and the resources and patterns that it contains.
    type Case = (
        &'static str,
        &'static [(&'static str, &'static [&'static str])],
    );

    fn parsed(value: &str) -> Vec<(String, Vec<String>)> {
        let config = AllowlistConfig::parse(value).unwrap();
        config
            .iter()
            .map(|(resource, l)| (resource.to_owned(), l.patterns().to_vec()))
            .collect()
    }

    fn error_at(value: &str) -> (usize, char, &'static str) {
        match AllowlistConfig::parse(value) {
            Err(FilterError::Grammar {
                offset,
                found,
                rule,
            }) => (offset, found, rule),
            other => unreachable!("{value:?} gave {other:?}"),
        }
    }

    #[test]
    fn values_become_lists_per_resource() {
        let cases: &[Case] = &[
            ("", &[]),
            ("pods=[a]", &[("pods", &["a"])]),
            (
                "pods=[a,b],nodes=[*]",
                &[("nodes", &["*"]), ("pods", &["a", "b"])],
            ),
            ("pods=[a],pods=[b]", &[("pods", &["b"])]),
            (
                "pods=[a],nodes=[b],pods=[]",
                &[("nodes", &["b"]), ("pods", &[])],
            ),
            ("Pods=[A]", &[("Pods", &["A"])]),
            // white space around items is removed, blanks inside items are kept
            (" pods =[ a b ,\n\tc ]", &[("pods", &["a b", "c"])]),
            ("pods=[ ]", &[("pods", &[""])]),
            // any number of stars
            ("pods=[a*b*c,**]", &[("pods", &["a*b*c", "**"])]),
            // invalid, but accepted
            ("pods", &[]),
            ("pods=[", &[("pods", &[])]),
            ("pods=[a", &[("pods", &[])]),
            ("pods=[a,b", &[("pods", &["a"])]),
            ("pods=[,a]", &[("pods", &["", "a"])]),
            ("pods=[a],nodes", &[("pods", &["a"])]),
            ("a,b=[c]", &[("", &["a"]), ("b", &["c"])]),
            ("a]", &[("", &["a"])]),
            ("]", &[("", &[""])]),
        ];
        for (value, expected) in cases {
            let expected: Vec<_> = expected
                .iter()
                .map(|(r, l)| (r.to_string(), l.iter().map(ToString::to_string).collect()))
                .collect();
            assert_eq!(parsed(value), expected, "{value:?}");
        }
    }

    #[test]
    fn broken_rules_are_reported_where_they_are_broken() {
        let cases = [
            ("pods=", 4, '=', "`=` must be followed by `[`"),
            ("pods=a", 4, '=', "`=` must be followed by `[`"),
            (
                "pods=[a],=[b]",
                9,
                '=',
                "the name of a resource must stand between `,` and `=`",
            ),
            (
                "pods[a]",
                4,
                '[',
                "`[` must be preceded by `=`, and no key can contain `[`",
            ),
            (
                "[a]",
                0,
                '[',
                "`[` must be preceded by `=`, and no key can contain `[`",
            ),
            (
                "a=[b] ",
                4,
                ']',
                "`]` must be followed by `,` or the end, and no key can contain `]`",
            ),
            (",a=[b]", 0, ',', "`,` must not be the first character"),
            ("a=[b],", 5, ',', "`,` must not be the last character"),
            ("a=[b,,c]", 4, ',', "`,` must not be doubled"),
            ("a=[b],,c=[d]", 5, ',', "`,` must not be doubled"),
            ("a=[b,]", 4, ',', "`,` must not be followed by `]`"),
        ];
        for (value, offset, found, rule) in cases {
            assert_eq!(error_at(value), (offset, found, rule), "{value:?}");
        }
    }

    #[test]
    fn characters_outside_ascii_are_refused_on_the_command_line_only() {
        assert_eq!(
            AllowlistConfig::parse("pods=[a,größe]"),
            Err(FilterError::NotAscii {
                offset: 10,
                found: 'ö'
            })
        );
        let mut config = AllowlistConfig::default();
        config.insert("pods", ["größe"]);
        assert!(config.for_resource("pods").matches("größe"));
    }

    #[test]
    fn the_star_resource_replaces_all_others() {
        let config: AllowlistConfig = "*=[a],pods=[b]".parse().unwrap();
        for resource in ["pods", "nodes", "*", "foos.example.com"] {
            assert!(config.for_resource(resource).matches("a"));
            assert!(!config.for_resource(resource).matches("b"));
        }
        assert!(
            AllowlistConfig::parse("*=[],pods=[b]")
                .unwrap()
                .for_resource("pods")
                .is_empty()
        );
    }

    #[test]
    fn resources_go_by_their_exact_name() {
        let config = AllowlistConfig::parse("pods=[a]").unwrap();
        assert!(config.for_resource("pods").matches("a"));
        for other in ["Pods", "pod", "", "*"] {
            assert!(config.for_resource(other).is_empty(), "{other:?}");
        }
    }

    #[test]
    fn every_unknown_resource_is_named() {
        let config = AllowlistConfig::parse("x,foo=[a],Pods=[a],pods=[a],*=[a]").unwrap();
        let errors = config.check_resources(&["nodes", "pods"]).unwrap_err();
        let unknown = |resource: &str| FilterError::UnknownResource {
            resource: resource.to_owned(),
            known: "nodes, pods".to_owned(),
        };
        assert_eq!(errors, [unknown(""), unknown("Pods"), unknown("foo")]);
        assert_eq!(AllowlistConfig::default().check_resources(&[]), Ok(()));
    }

    #[test]
    fn what_has_no_effect_is_warned_of() {
        let warnings = |value: &str| AllowlistConfig::parse(value).unwrap().warnings();
        let unclosed = |text: &str| FilterWarning::Unclosed {
            text: text.to_owned(),
        };
        for quiet in [
            "",
            " ",
            "pods=[a]",
            "pods=[]",
            "*=[*]",
            "pods=[*],nodes=[a,b*c*]",
        ] {
            assert_eq!(warnings(quiet), [], "{quiet:?}");
        }
        assert_eq!(warnings("pods"), [unclosed("pods")]);
        assert_eq!(warnings("pods=["), [unclosed("[")]);
        assert_eq!(warnings("pods=[a,b"), [unclosed(",b")]);
        assert_eq!(warnings("pods=[a],nodes"), [unclosed(",nodes")]);
        assert_eq!(
            warnings("*=[a,*],pods=[b,*]"),
            [
                FilterWarning::StarResource {
                    covered: vec!["pods".into()]
                },
                FilterWarning::StarInList {
                    resource: Some("*".into()),
                    covered: vec!["a".into()]
                },
            ]
        );
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(value in ".*") {
            if let Ok(config) = AllowlistConfig::parse(&value) {
                prop_assert!(value.is_ascii());
                prop_assert!(config.warnings().len() <= 2 + config.iter().count());
            }
        }

        #[test]
        fn text_of_signs_never_panics_and_errors_point_into_it(value in "[a*é \n,=\\[\\]]{0,16}") {
            match AllowlistConfig::parse(&value) {
                Ok(config) => {
                    for (_, list) in config.iter() {
                        prop_assert!(list.patterns().iter().all(|p| p.trim() == p));
                    }
                }
                Err(FilterError::Grammar { offset, found, .. } | FilterError::NotAscii { offset, found }) => {
                    prop_assert_eq!(value.get(offset..).and_then(|v| v.chars().next()), Some(found));
                }
                Err(other) => prop_assert!(false, "{other}"),
            }
        }

        #[test]
        fn well_formed_text_reads_back(
            lists in proptest::collection::btree_map(
                "[a-z]{1,6}",
                proptest::collection::vec("[a-z.*/-]{1,6}", 0..4),
                0..4,
            )
        ) {
            let groups: Vec<_> = lists.iter().map(|(r, l)| format!("{r}=[{}]", l.join(","))).collect();
            let expected: Vec<_> = lists.into_iter().collect();
            prop_assert_eq!(parsed(&groups.join(",")), expected);
        }
    }
}
