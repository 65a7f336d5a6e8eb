//! Parts of the HTML of the landing page: tables, cells, and names at which a browser may break a line.

use maud::{Markup, html};

/// Returns a cell with a number. The script of the page sorts rows by this number. The number 0 is shown in a weaker
/// colour.
pub(super) fn number(value: u64, text: fn(u64) -> String) -> Markup {
    cell("number", value, text)
}

/// Returns a [`number`] cell that is hidden in narrow windows.
pub(super) fn wide(value: u64, text: fn(u64) -> String) -> Markup {
    cell("number wide", value, text)
}

fn cell(class: &str, value: u64, text: fn(u64) -> String) -> Markup {
    html! {
        td class={ (class) @if value == 0 { " zero" } } data-value=(value) { (text(value)) }
    }
}

/// Renders a cell with a bar, which shows `value` as a share of `most`.
pub(super) fn share(value: u64, most: u64) -> Markup {
    let share = value as f64 / most.max(1) as f64 * 100.0;
    html! {
        td class="share" {
            @if value > 0 {
                // The bar is an SVG element, because a `style` attribute would need an exception in the content
                // security policy.
                svg aria-hidden="true" { rect width=(format!("{share:.1}%")) height="6" rx="3" {} }
            }
        }
    }
}

/// Renders a name. A browser may break the line after each `-`, `_`, `.`, `/` and `:` in the name. Otherwise, long
/// names would be too wide for narrow windows.
pub(super) fn breakable(name: &str) -> Markup {
    broken(name.split_inclusive(['-', '_', '.', '/', ':']))
}

/// Renders the plural name of a resource. A browser may break the line between the words of the kind in this name:
/// `daemon|sets` for the kind `DaemonSet`.
pub(super) fn breakable_plural(plural: &str, kind: &str) -> Markup {
    let pairs = kind.as_bytes().windows(2).enumerate();
    let is_start = |pair: &[u8]| match pair {
        [before, after] => before.is_ascii_lowercase() && after.is_ascii_uppercase(),
        _ => false,
    };
    let starts = pairs.filter_map(|(at, pair)| is_start(pair).then_some(at + 1));
    // Plural and kind start with the same words, but the last word may differ.
    let is_shared = |at: &usize| match (plural.get(..*at), kind.get(..*at)) {
        (Some(plural), Some(kind)) => plural.eq_ignore_ascii_case(kind),
        _ => false,
    };
    let ends = starts.filter(is_shared).chain([plural.len()]);
    broken(ends.scan(0, |start, end| {
        plural.get(std::mem::replace(start, end)..end)
    }))
}

/// Renders a text. A browser may break the line between these parts of the text.
fn broken<'a>(parts: impl Iterator<Item = &'a str>) -> Markup {
    html! {
        @for (at, part) in parts.enumerate() {
            @if at > 0 { wbr; }
            (part)
        }
    }
}

/// Renders a text. Text between backticks becomes code.
pub(super) fn with_code(text: &str) -> Markup {
    let is_balanced = text.matches('`').count().is_multiple_of(2);
    html! {
        @if is_balanced {
            @for (at, part) in text.split('`').enumerate() {
                @if at % 2 == 1 { code { (part) } } @else { (part) }
            }
        } @else {
            (text)
        }
    }
}

/// Renders a table. If the table is too wide, the user can scroll the table sideways, also with the keyboard.
pub(super) fn table(name: &str, is_sortable: bool, head: &Markup, body: &Markup) -> Markup {
    html! {
        div class="scroll" role="region" tabindex="0" aria-label=(name) {
            table class=[is_sortable.then_some("sortable")] {
                caption { (name) }
                thead { tr { (head) } }
                tbody { (body) }
            }
        }
    }
}

/// The head of a column. In a sortable table, the script of the page turns each column head into a button that sorts
/// the rows.
pub(super) fn column(name: &str, class: &str) -> Markup {
    html! { th scope="col" class=(class) { (name) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_break_between_the_words_of_the_kind() {
        for (plural, kind, expected) in [
            (
                "persistentvolumeclaims",
                "PersistentVolumeClaim",
                "persistent<wbr>volume<wbr>claims",
            ),
            ("networkpolicies", "NetworkPolicy", "network<wbr>policies"),
            ("csidrivers", "CSIDriver", "csidrivers"),
            ("pods", "Pod", "pods"),
            ("others", "ThisKind", "others"),
            ("é", "aB", "é"),
            ("", "", ""),
        ] {
            assert_eq!(breakable_plural(plural, kind).into_string(), expected);
        }
        assert_eq!(breakable("a_b-c").into_string(), "a_<wbr>b-<wbr>c");
    }

    #[test]
    fn parts_between_backticks_are_code() {
        for (text, expected) in [
            ("`unit` is <core>", "<code>unit</code> is &lt;core&gt;"),
            ("a `b` or `c`", "a <code>b</code> or <code>c</code>"),
            ("one ` only", "one ` only"),
            ("", ""),
        ] {
            assert_eq!(with_code(text).into_string(), expected);
        }
    }
}
