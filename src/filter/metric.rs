//! The filter of metric families: an allowlist, a denylist and an opt-in list of regular expressions.

use std::error;
use std::sync::Arc;

use fancy_regex::{CompileError, Error, Regex, RegexBuilder};
use parking_lot::Mutex;

use super::errors::{FilterError, MEMORY_LIMIT, MOST_INVALID};
use super::metric_list::MetricList;
use crate::errors::shortened;

/// Decides by name which metric families are enabled.
///
/// * If there is an allowlist, only families that match one of its patterns are enabled. If there is a denylist, only
///   families that match none of its patterns are enabled. You can set only one of these lists. If there is neither an
///   allowlist nor a denylist, all families are enabled.
/// * A family that is declared as opt-in must also match a pattern of the opt-in list. The opt-in list has no effect on
///   other families.
///
/// # Patterns
///
/// Every item is a regular expression, even a plain name. The expression *matches anywhere in the name* of a family.
/// For example, `kube_pod_info` also selects every longer name that contains `kube_pod_info`. To select one family,
/// write `^kube_pod_info$`. Matching is case-sensitive; `(?i)` at the start of a pattern makes the pattern
/// case-insensitive.
///
/// All three lists have the [syntax of `fancy-regex`][syntax], which is the syntax of the `regex` crate plus
/// look-around, back-references and atomic groups. The syntax includes `(?<n>…)` and `(?P<n>…)`, `\k<n>` and `(?P=n)`,
/// POSIX classes such as `[[:alpha:]]`, `\A`, `\z` and `(?#…)`. `\w`, `\d` and `\s` also match characters outside
/// ASCII, but names of metrics contain only ASCII.
///
/// In kube-state-metrics, allowlists and denylists have the syntax of ECMAScript, and the opt-in list has the syntax of
/// RE2. Most patterns have the same meaning in this crate. Change a pattern if it contains one of the following
/// elements:
///
/// * `[`, `&&`, `--` or `~~` inside a character class. In this crate, these characters have a special meaning in
///   classes, so escape them.
/// * `{,n}`, which means up to `n` times in this crate, and `+` after a quantifier, which makes the quantifier
///   possessive in this crate.
/// * `\cX`, `\0`, `[]` or `[^]` of ECMAScript, or `\Q…\E` or `\C` of RE2. These elements are errors in this crate.
///
/// [syntax]: https://docs.rs/fancy-regex/0.20/fancy_regex/#syntax
///
/// # Cost
///
/// Patterns with look-around or back-references need backtracking. So that such a pattern cannot block the program, a
/// search stops after a fixed number of steps, which take some milliseconds. If a search with a pattern of a denylist
/// stops early, the family is not enabled. If a search with a pattern of an allowlist or opt-in list stops early, this
/// pattern does not match the family. [`MetricFilter::exhausted`] names the patterns whose searches have stopped early.
///
/// ```
/// use kube_state_metrics::filter::MetricFilter;
///
/// let allow = ["^kube_pod_(?!container)".to_string()];
/// let opt_in = ["nodeselectors$".to_string()];
/// let filter = MetricFilter::new(&allow, &[], &opt_in).unwrap();
///
/// assert!(filter.allows("kube_pod_info", false));
/// assert!(!filter.allows("kube_pod_container_info", false));
/// assert!(!filter.allows("kube_node_info", false));
/// assert!(filter.allows("kube_pod_nodeselectors", true));
/// ```
#[derive(Debug, Clone, Default)]
pub struct MetricFilter {
    allow_or_deny: AllowOrDeny,
    opt_in: Patterns,
}

/// The allowlist or denylist, which applies to every family.
#[derive(Debug, Clone, Default)]
enum AllowOrDeny {
    #[default]
    All,
    Allow(Patterns),
    Deny(Patterns),
}

#[derive(Debug, Clone, Default)]
struct Patterns(Vec<Pattern>);

#[derive(Debug, Clone)]
struct Pattern {
    regex: Regex,
    /// The number of searches that stopped early. All clones of a filter share this number.
    exhausted: Arc<Mutex<Exhausted>>,
}

#[derive(Debug, Default)]
struct Exhausted {
    searches: u64,
    first_family: String,
}

/// A pattern whose searches stopped early, because they needed too much backtracking.
///
/// ```
/// use kube_state_metrics::filter::{MetricFilter, MetricList};
///
/// let deny = [r"^(?:(\w+)\1*)+!$".to_string()];
/// let filter = MetricFilter::new(&[], &deny, &[]).unwrap();
/// assert!(filter.exhausted().is_empty());
///
/// assert!(!filter.allows("kube_deployment_status_replicas_unavailable", false));
/// let exhausted = filter.exhausted();
/// assert_eq!((exhausted[0].list, exhausted[0].searches), (MetricList::Deny, 1));
/// assert_eq!(exhausted[0].first_family, "kube_deployment_status_replicas_unavailable");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExhaustedPattern {
    /// The list that contains the pattern.
    pub list: MetricList,
    /// The pattern.
    pub pattern: String,
    /// The number of searches that stopped early.
    pub searches: u64,
    /// The name of the family for which a search with this pattern first stopped early.
    pub first_family: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Search {
    Found,
    NotFound,
    GaveUp,
}

/// Maximum number of backtracking steps per search. These steps take a few milliseconds. They are enough for a pattern
/// that tries each pair of positions in a name, because names of metrics have fewer than 200 characters.
const BACKTRACK_LIMIT: usize = 50_000;

/// Maximum number of instructions of a compiled pattern. The compiler expands recursive groups, so a compiled pattern
/// can be exponentially larger than its text.
const PROGRAM_LIMIT: usize = 50_000;

/// Maximum size of an automaton of a compiled pattern, in bytes. A pattern without look-around and back-references is
/// one automaton. In other patterns, each instruction can have an automaton.
const AUTOMATON_LIMIT: usize = 10 << 20;

/// The size that the automata of a pattern may have at the first attempt to compile the pattern, in bytes. Most
/// patterns are smaller.
const FIRST_AUTOMATON_LIMIT: usize = 8 << 10;

/// Maximum size of one pattern, in bytes. See [`MEMORY_LIMIT`].
const PATTERN_LIMIT: usize = MEMORY_LIMIT / 2;

/// Compiles patterns, and collects their errors.
#[derive(Debug)]
struct Compiler {
    /// How much memory the next patterns may need, in bytes. `None` if no more patterns are compiled.
    memory: Option<usize>,
    invalid: usize,
    errors: Vec<FilterError>,
}

// === impl MetricFilter ===

impl MetricFilter {
    /// Compiles the three lists.
    ///
    /// An empty list has no effect.
    ///
    /// # Errors
    ///
    /// Returns all problems together. There is a [`FilterError::AllowAndDeny`] if both an allowlist and a denylist are
    /// set. There is a [`FilterError::Pattern`] for each item that is not a regular expression. After 20 such items,
    /// the last error is a [`FilterError::ManyInvalid`], and the other items are not checked. There is a
    /// [`FilterError::Memory`] if the patterns of all lists together need more than about 64 MiB of memory.
    ///
    /// ```
    /// use kube_state_metrics::filter::MetricFilter;
    ///
    /// let list = |item: &str| [item.to_string()];
    /// let errors = MetricFilter::new(&list("kube_("), &list("pod"), &list("*_x")).unwrap_err();
    /// assert_eq!(errors.len(), 3);
    /// assert_eq!(
    ///     errors[0].to_string(),
    ///     "both a metric allowlist (`kube_(`) and a metric denylist (`pod`) are set; keep only one \
    ///      of them",
    /// );
    /// assert_eq!(
    ///     errors[1].to_string(),
    ///     "the metric allowlist has an item that is not a regular expression, `kube_(`: Parsing \
    ///      error at position 6: Opening parenthesis without closing parenthesis; write `.*` for \
    ///      any text and put `\\` before special characters",
    /// );
    /// ```
    pub fn new(
        allow: &[String],
        deny: &[String],
        opt_in: &[String],
    ) -> Result<Self, Vec<FilterError>> {
        let mut compiler = Compiler::default();
        if !allow.is_empty() && !deny.is_empty() {
            let [allow, deny] = [allow, deny].map(|list| shortened(list.join(",")));
            let both = FilterError::AllowAndDeny { allow, deny };
            compiler.errors.push(both);
        }
        let allowed = compiler.list(MetricList::Allow, allow);
        let denied = compiler.list(MetricList::Deny, deny);
        let opt_in = compiler.list(MetricList::OptIn, opt_in);
        if !compiler.errors.is_empty() {
            return Err(compiler.errors);
        }
        let allow_or_deny = match (allow.is_empty(), deny.is_empty()) {
            (false, _) => AllowOrDeny::Allow(allowed),
            (true, false) => AllowOrDeny::Deny(denied),
            (true, true) => AllowOrDeny::All,
        };
        Ok(Self {
            allow_or_deny,
            opt_in,
        })
    }

    /// Whether the family with this name is enabled.
    ///
    /// `opt_in` states whether the family is opt-in.
    ///
    /// ```
    /// use kube_state_metrics::filter::MetricFilter;
    ///
    /// let filter = MetricFilter::default();
    /// assert!(filter.allows("kube_pod_info", false));
    /// assert!(!filter.allows("kube_pod_nodeselectors", true));
    /// ```
    #[must_use]
    pub fn allows(&self, family: &str, opt_in: bool) -> bool {
        let kept = match &self.allow_or_deny {
            AllowOrDeny::All => true,
            AllowOrDeny::Allow(patterns) => patterns.search(family) == Search::Found,
            AllowOrDeny::Deny(patterns) => patterns.search(family) == Search::NotFound,
        };
        kept && (!opt_in || self.opt_in.search(family) == Search::Found)
    }

    /// The patterns whose searches have stopped early, because they needed too much backtracking.
    ///
    /// If a search with a pattern of a denylist stops early, the family is not enabled. If a search with a pattern of
    /// an allowlist or opt-in list stops early, this pattern does not match the family.
    #[must_use]
    pub fn exhausted(&self) -> Vec<ExhaustedPattern> {
        let first = match &self.allow_or_deny {
            AllowOrDeny::All => None,
            AllowOrDeny::Allow(patterns) => Some((MetricList::Allow, patterns)),
            AllowOrDeny::Deny(patterns) => Some((MetricList::Deny, patterns)),
        };
        let lists = first.into_iter().chain([(MetricList::OptIn, &self.opt_in)]);
        lists
            .flat_map(|(list, patterns)| patterns.exhausted(list))
            .collect()
    }
}

// === impl Compiler ===

impl Default for Compiler {
    fn default() -> Self {
        Self {
            memory: Some(MEMORY_LIMIT),
            invalid: 0,
            errors: Vec::new(),
        }
    }
}

impl Compiler {
    fn list(&mut self, list: MetricList, patterns: &[String]) -> Patterns {
        let mut compiled = Vec::new();
        for pattern in patterns {
            match self.compile(list, pattern) {
                Ok(regex) => compiled.push(Pattern {
                    regex,
                    exhausted: Arc::default(),
                }),
                Err(Some(error)) => self.failed(error),
                Err(None) => {
                    self.skipped(list);
                    break;
                }
            }
        }
        Patterns(compiled)
    }

    /// Compiles a pattern. The limits are low at the first attempt. If the pattern exceeds a limit, the next attempt
    /// has a higher limit, so the limits of the last attempt show how much memory the pattern needs.
    ///
    /// # Errors
    ///
    /// `None` means that no more patterns are compiled.
    fn compile(&mut self, list: MetricList, pattern: &str) -> Result<Regex, Option<FilterError>> {
        let left = self.memory.ok_or(None)?;
        let (mut program, mut automaton) = (0_usize, FIRST_AUTOMATON_LIMIT);
        loop {
            let size = program.max(1).saturating_mul(automaton);
            if size > left {
                self.memory = None;
                return Err(Some(FilterError::Memory {
                    list,
                    pattern: shortened(pattern.to_owned()),
                }));
            }
            let regex = RegexBuilder::new(pattern)
                .backtrack_limit(BACKTRACK_LIMIT)
                .max_prog_size(program)
                .delegate_size_limit(automaton)
                .build();
            let error = match regex {
                Ok(regex) => {
                    self.memory = Some(left.saturating_sub(size));
                    return Ok(regex);
                }
                Err(error) => error,
            };
            let is_last = match exceeded(&error) {
                Some(Exceeded::Program) => {
                    let before = program;
                    program = (program * 2).clamp(8, PROGRAM_LIMIT);
                    program == before
                }
                Some(Exceeded::Automaton) => {
                    let before = automaton;
                    automaton = (automaton * 4).min(AUTOMATON_LIMIT);
                    automaton == before
                }
                None => true,
            };
            if is_last || program.max(1).saturating_mul(automaton) > PATTERN_LIMIT {
                return Err(Some(FilterError::Pattern {
                    list,
                    pattern: shortened(pattern.to_owned()),
                    reason: shortened(reason(&error)),
                }));
            }
        }
    }

    fn failed(&mut self, error: FilterError) {
        let needs_memory = matches!(error, FilterError::Memory { .. });
        self.errors.push(error);
        if needs_memory {
            return;
        }
        self.invalid += 1;
        if self.invalid == MOST_INVALID {
            self.memory = None;
        }
    }

    /// Adds an error if the patterns are skipped because of many invalid patterns. There is only one such error.
    fn skipped(&mut self, list: MetricList) {
        if self.invalid == MOST_INVALID {
            self.invalid += 1;
            self.errors.push(FilterError::ManyInvalid { list });
        }
    }
}

/// The limit that a pattern exceeds.
enum Exceeded {
    Program,
    Automaton,
}

fn exceeded(error: &Error) -> Option<Exceeded> {
    let Error::CompileError(compile) = error else {
        return None;
    };
    match &**compile {
        CompileError::PatternTooComplex => Some(Exceeded::Program),
        CompileError::InnerError(inner) => inner.size_limit().map(|_| Exceeded::Automaton),
        // The automaton of a look-behind cannot be built. The error does not state whether the limit is the reason.
        CompileError::DfaBuildError(..) => Some(Exceeded::Automaton),
        _ => None,
    }
}

// === impl Patterns ===

impl Patterns {
    /// Searches the name of a family for one pattern after another, until a pattern matches.
    fn search(&self, family: &str) -> Search {
        let mut outcome = Search::NotFound;
        for pattern in &self.0 {
            match pattern.regex.is_match(family) {
                Ok(true) => return Search::Found,
                Ok(false) => {}
                Err(_) => {
                    pattern.exhausted.lock().record(family);
                    outcome = Search::GaveUp;
                }
            }
        }
        outcome
    }

    fn exhausted(&self, list: MetricList) -> impl Iterator<Item = ExhaustedPattern> {
        self.0.iter().filter_map(move |pattern| {
            let exhausted = pattern.exhausted.lock();
            (exhausted.searches > 0).then(|| ExhaustedPattern {
                list,
                pattern: pattern.regex.as_str().to_owned(),
                searches: exhausted.searches,
                first_family: exhausted.first_family.clone(),
            })
        })
    }
}

// === impl Exhausted ===

impl Exhausted {
    fn record(&mut self, family: &str) {
        if self.searches == 0 {
            family.clone_into(&mut self.first_family);
        }
        self.searches += 1;
    }
}

/// Explains why a pattern cannot be compiled.
fn reason(error: &Error) -> String {
    let Error::CompileError(compile) = error else {
        return error.to_string();
    };
    match &**compile {
        // The message of the outer error has no details. The innermost error (see `Error::source`) names the cause.
        CompileError::InnerError(inner) => {
            let mut deepest: &dyn error::Error = inner;
            while let Some(source) = deepest.source() {
                deepest = source;
            }
            // Syntax errors contain several lines that mark the position. The last line states the problem.
            let text = deepest.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        }
        CompileError::PatternTooComplex => "it is too complex".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;

    /// A pattern that works for short names, but exceeds the maximum number of steps for names with dozens of letters.
    const COSTLY: &str = r"^(?:(\w+)\1*)+!$";

    fn strings(items: &[&str]) -> Vec<String> {
        items.iter().map(ToString::to_string).collect()
    }

    fn filter(allow: &[&str], deny: &[&str], opt_in: &[&str]) -> MetricFilter {
        MetricFilter::new(&strings(allow), &strings(deny), &strings(opt_in)).unwrap()
    }

    fn finds(pattern: &str, family: &str) -> bool {
        filter(&[pattern], &[], &[]).allows(family, false)
    }

    #[test]
    fn without_lists_all_but_opt_in_families_are_kept() {
        for filter in [filter(&[], &[], &[]), MetricFilter::default()] {
            assert!(filter.allows("kube_pod_info", false));
            assert!(!filter.allows("kube_pod_info", true));
        }
    }

    #[test]
    fn an_allowlist_keeps_what_any_of_its_patterns_finds() {
        let filter = filter(&["^kube_pod_info$", "created"], &[], &[]);
        for (family, kept) in [
            ("kube_pod_info", true),
            ("kube_pod_info_x", false),
            ("kube_pod_created", true),
            ("kube_node_created_x", true),
            ("kube_node_info", false),
            ("KUBE_POD_CREATED", false),
        ] {
            assert_eq!(filter.allows(family, false), kept, "{family}");
        }
    }

    #[test]
    fn a_denylist_keeps_what_none_of_its_patterns_finds() {
        let filter = filter(&[], &["^kube_pod_info$", "created"], &[]);
        for (family, kept) in [
            ("kube_pod_info", false),
            ("kube_pod_info_x", true),
            ("kube_pod_created", false),
            ("kube_node_info", true),
        ] {
            assert_eq!(filter.allows(family, false), kept, "{family}");
        }
    }

    #[test]
    fn opt_in_families_need_both_tests() {
        let family = "kube_pod_nodeselectors";
        let opted = &["nodeselectors"][..];
        for (filter, kept) in [
            (filter(&[], &[], &[]), false),
            (filter(&[], &[], opted), true),
            (filter(&[], &[], &["other", "^kube_pod_node"]), true),
            (filter(&[], &[], &["NODESELECTORS"]), false),
            (filter(&[family], &[], &[]), false),
            (filter(&["kube_pod_info"], &[], opted), false),
            (filter(&["kube_pod"], &[], opted), true),
            (filter(&[], &["kube_pod"], opted), false),
            (filter(&[], &["kube_node"], opted), true),
        ] {
            assert_eq!(filter.allows(family, true), kept, "{filter:?}");
        }
        // The opt-in list has no effect on families that are not opt-in.
        assert!(filter(&[], &[], opted).allows("kube_pod_info", false));
    }

    #[test]
    fn the_syntax_of_both_dialects_works_in_all_lists() {
        let family = "kube_pod_pod_123";
        let found = [
            "",
            ".*",
            "$",
            "^kube",
            "123$",
            r"\A\w+\z",
            r"\bkube",
            r"_\d{3}$",
            "(?i)KUBE",
            "(?i:KUBE)_pod",
            "(?#pods)pod",
            "(?<n>pod)_\\k<n>",
            r"(?P<n>pod)_(?P=n)",
            r"(?P<n>pod)_\k<n>",
            r"(pod)_\1",
            "pod(?=_1)",
            "^(?!node)",
            "(?<=kube_)pod",
            "(?<!node_)pod",
            "(?>po)d",
            "(?:pod_){2}",
            "pod_+?1",
            "[[:alpha:]]+_[[:digit:]]+",
            "[^[:upper:]]",
            r"\x70od",
            r"\u0070od",
            r"\p{L}",
            "pod|",
            "[]k]ube",
        ];
        let not_found = [
            "KUBE",
            "^pod",
            "pod$",
            "(?!)",
            r"\D{9}$",
            r"(?<n>pod)_\k<n>_\k<n>",
            "pod(?!_)",
            "(?<=node_)pod",
            "(?>kube.*)pod",
            "[[:upper:]]",
            r"\s",
            "pod{0,",
            "n{0",
            "0}a",
        ];
        for (patterns, expected) in [(&found[..], true), (&not_found[..], false)] {
            for pattern in patterns {
                assert_eq!(finds(pattern, family), expected, "{pattern}");
                assert_ne!(
                    filter(&[], &[pattern], &[]).allows(family, false),
                    expected,
                    "{pattern}"
                );
                assert_eq!(
                    filter(&[], &[], &[pattern]).allows(family, true),
                    expected,
                    "{pattern}"
                );
            }
        }
    }

    #[test]
    fn the_differences_that_the_documentation_names_are_the_real_ones() {
        for pattern in [r"\cA", r"\0", "[]", "[^]", r"\Qa\E", r"\C", "[a[]"] {
            assert!(
                MetricFilter::new(&strings(&[pattern]), &[], &[]).is_err(),
                "{pattern}"
            );
        }
        assert!(finds(r"^[a\[]$", "["));
        assert!(!finds("[a&&b]", "ab"));
        assert!(!finds("[a--a]", "a"));
        assert!(!finds("[ab~~ab]", "ab"));
        assert!(finds("^a{,2}$", "aa"));
        assert!(!finds("a++a", "aaa"));
    }

    #[test]
    fn everything_that_is_wrong_is_reported_at_once() {
        let (allow, deny) = (strings(&["kube_(", "pod", "[z-a]"]), strings(&["*_x"]));
        let opt_in = strings(&[r"\w{100000}", "(?<a>x\\g<a>?\\g<a>?\\g<a>?\\g<a>?y)"]);
        let messages: Vec<_> = MetricFilter::new(&allow, &deny, &opt_in)
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect();
        let expected = [
            "both a metric allowlist (`kube_(,pod,[z-a]`) and a metric denylist (`*_x`)",
            "the metric allowlist has an item that is not a regular expression, `kube_(`: Parsing error at \
             position 6: Opening parenthesis without",
            "the metric allowlist has an item that is not a regular expression, `[z-a]`: invalid",
            "the metric denylist has an item that is not a regular expression, `*_x`: Parsing error at position \
             0: Target of repeat operator is invalid; write `.*`",
            "the metric opt-in list has an item that is not a regular expression, `\\w{100000}`: heap usage",
            "the metric opt-in list has an item that is not a regular expression, `(?<a>x\\g<a>?\\g<a>?\\g<a>?\
             \\g<a>?y)`: it is too complex; write",
        ];
        assert_eq!(messages.len(), expected.len(), "{messages:#?}");
        for (message, expected) in messages.iter().zip(expected) {
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn all_patterns_together_have_a_limit() {
        let patterns = |count: usize, pattern: &str| -> Vec<String> {
            (0..count).map(|n| format!("{pattern}x{n}")).collect()
        };
        for (pattern, fitting, refused) in [
            ("kube_pod_info", 4_000, 10_000),
            ("^kube_pod_(?!container)", 100, 2_000),
            (r"\w{100}", 3, 500),
            (r"(?=\w{10})(?=\w{10})", 2, 500),
            (r"(?<=\w{10}|_)a", 2, 500),
        ] {
            let fits = MetricFilter::new(&[], &patterns(fitting, pattern), &[]);
            assert!(fits.is_ok(), "{pattern}");
            let errors = MetricFilter::new(&[], &patterns(refused, pattern), &patterns(9, "a"));
            let errors = errors.unwrap_err();
            let [error @ FilterError::Memory { list, .. }] = &errors[..] else {
                panic!("{pattern}: {errors:?}")
            };
            assert_eq!(*list, MetricList::Deny);
            assert!(error.to_string().contains("64 MiB"), "{error}");
        }
    }

    #[test]
    fn after_many_invalid_patterns_the_others_are_not_compiled() {
        let invalid = vec!["(".to_owned(); 5_000];
        let errors = MetricFilter::new(&invalid, &[], &invalid).unwrap_err();
        assert_eq!(errors.len(), MOST_INVALID + 1);
        let last = errors.last().unwrap().to_string();
        assert!(last.starts_with("20 items of the metric lists"), "{last}");
    }

    #[test]
    fn a_pattern_that_needs_too_much_memory_does_not_count_as_invalid() {
        let mut patterns = vec!["(".to_owned(); MOST_INVALID - 1];
        patterns.extend((0..500).map(|number| format!(r"\w{{100}}x{number}")));
        let errors = MetricFilter::new(&patterns, &[], &[]).unwrap_err();
        assert!(
            matches!(errors.last(), Some(FilterError::Memory { .. })),
            "{errors:?}"
        );
    }

    #[test]
    fn a_search_that_gives_up_drops_the_family() {
        let family = "kube_deployment_status_replicas_unavailable";
        let start = Instant::now();
        assert!(!filter(&[COSTLY], &[], &[]).allows(family, false));
        assert!(!filter(&[], &[COSTLY], &[]).allows(family, false));
        assert!(!filter(&[], &[], &[COSTLY]).allows(family, true));
        // `exhausted` returns each pattern whose searches stopped early, with its list.
        let both = filter(&[], &["node", COSTLY], &[COSTLY]);
        let copy = both.clone();
        assert!(!copy.allows(family, true) && !copy.allows(family, false));
        let exhausted = both.exhausted();
        let [denied] = &exhausted[..] else {
            panic!("the opt-in list is not searched for a denied family: {exhausted:?}")
        };
        assert_eq!((denied.list, &*denied.pattern), (MetricList::Deny, COSTLY));
        assert_eq!((denied.searches, &*denied.first_family), (2, family));
        // The searches must end soon. Ten seconds are enough for a debug build.
        assert!(start.elapsed().as_secs() < 10);
        // The same pattern works for short names.
        assert!(filter(&[], &[COSTLY], &[]).allows("kube", false));
    }

    #[test]
    fn another_pattern_can_decide_where_one_gives_up_in_any_order() {
        let family = "kube_deployment_status_replicas_unavailable";
        for patterns in [["deployment", COSTLY], [COSTLY, "deployment"]] {
            assert!(filter(&patterns, &[], &[]).allows(family, false));
            assert!(!filter(&[], &patterns, &[]).allows(family, false));
            assert!(filter(&[], &[], &patterns).allows(family, true));
        }
        assert!(!filter(&[], &["node", COSTLY], &[]).allows(family, false));
    }

    proptest! {
        #[test]
        fn arbitrary_patterns_never_panic(pattern in ".{0,24}", family in "[a-z_]{0,40}") {
            if let Ok(filter) = MetricFilter::new(&[], &[], std::slice::from_ref(&pattern)) {
                prop_assert!(filter.allows(&family, false));
                let opted = filter.allows(&family, true);
                let allow = MetricFilter::new(std::slice::from_ref(&pattern), &[], &[]).unwrap();
                prop_assert_eq!(opted, allow.allows(&family, false));
            }
        }

        #[test]
        fn arbitrary_syntax_never_panics(
            pattern in "(\\(\\?[:=!>]|\\(\\?<[=!]|[()|*+?.^$ab_]|\\\\[wdb1]|\\[a_\\]|\\{1,3\\}){0,12}",
            family in "[ab_]{0,20}",
        ) {
            if let Ok(filter) = MetricFilter::new(std::slice::from_ref(&pattern), &[], &[]) {
                let allowed = filter.allows(&family, false);
                let deny = MetricFilter::new(&[], std::slice::from_ref(&pattern), &[]).unwrap();
                // If the search stops early, neither the allowlist nor the denylist enables the family.
                prop_assert!(!allowed || !deny.allows(&family, false));
            }
        }

        #[test]
        fn a_list_keeps_what_the_other_drops(pattern in "[a-c_]{1,3}", family in "[a-c_]{0,20}") {
            let (allow, deny) = (filter(&[&pattern], &[], &[]), filter(&[], &[&pattern], &[]));
            prop_assert_eq!(allow.allows(&family, false), family.contains(&pattern));
            prop_assert_eq!(deny.allows(&family, false), !family.contains(&pattern));
        }
    }
}
