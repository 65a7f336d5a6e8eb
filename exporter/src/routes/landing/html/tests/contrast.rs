//! Tests that the colours of the page have enough contrast for people with low vision, in light and in dark mode.

use std::collections::{BTreeMap, BTreeSet};

use super::STYLE;

/// The minimum contrast of text (WCAG 2.2, level AA).
const MINIMUM: f64 = 4.5;

/// Each colour of text, with the backgrounds on which the page uses this colour.
const PAIRS: [(&str, &[&str]); 7] = [
    (
        "text",
        &["page", "card", "tint", "good-bg", "wait-bg", "bad-bg"],
    ),
    (
        "soft",
        &["page", "card", "tint", "good-bg", "wait-bg", "bad-bg"],
    ),
    (
        "accent",
        &["page", "card", "tint", "good-bg", "wait-bg", "bad-bg"],
    ),
    ("good", &["good-bg"]),
    ("wait", &["wait-bg"]),
    ("bad", &["bad-bg"]),
    ("card", &["accent"]),
];

/// The colours of one mode (light or dark), by the name of the CSS variable.
type Colours<'t> = BTreeMap<&'t str, [f64; 3]>;

/// Returns the CSS variables of both `:root` rules: first the light mode, then the dark mode.
fn modes() -> Vec<Colours<'static>> {
    let rules = STYLE.split(":root {").skip(1);
    rules
        .map(|rule| {
            let declarations = rule.split('}').next().unwrap().split(';');
            let colours =
                declarations.filter_map(|own| own.trim().strip_prefix("--")?.split_once(": #"));
            colours.map(|(name, hex)| (name, components(hex))).collect()
        })
        .collect()
}

/// Returns the red, green and blue components of a colour, as numbers between 0 and 1.
fn components(hex: &str) -> [f64; 3] {
    let long = match hex.len() {
        3 => hex.chars().flat_map(|digit| [digit, digit]).collect(),
        _ => hex.to_owned(),
    };
    [0, 2, 4].map(|at| f64::from(u8::from_str_radix(&long[at..at + 2], 16).unwrap()) / 255.0)
}

/// Returns the relative luminance of a colour, as WCAG defines it.
fn luminance(colour: [f64; 3]) -> f64 {
    let [red, green, blue] = colour.map(|own| match own <= 0.04045 {
        true => own / 12.92,
        false => ((own + 0.055) / 1.055).powf(2.4),
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
    (one / other).max(other / one)
}

/// Returns the values of a CSS property in all rules.
fn values(property: &str) -> BTreeSet<&'static str> {
    let declarations = STYLE.split(['{', ';', '}']);
    let values =
        declarations.filter_map(|own| own.trim().strip_prefix(property)?.strip_prefix(": "));
    values.collect()
}

/// Returns the name of the CSS variable in a value such as `var(--text)`.
fn variable(value: &str) -> Option<&str> {
    value.strip_prefix("var(--")?.strip_suffix(')')
}

#[test]
fn text_has_contrast_on_each_background() {
    assert_eq!(contrast([1.0; 3], [0.0; 3]).round(), 21.0);
    let modes = modes();
    assert_eq!(modes.len(), 2, "light and dark");
    for (mode, colours) in modes.iter().enumerate() {
        for (text, backgrounds) in PAIRS {
            for background in backgrounds {
                let found = contrast(colours[text], colours[background]);
                assert!(
                    found >= MINIMUM,
                    "mode {mode}: {text} on {background}: {found:.2}"
                );
            }
        }
    }
}

#[test]
fn the_pairs_have_all_colours_of_the_style() {
    let texts = PAIRS.map(|(text, _)| text);
    for value in values("color") {
        let name = variable(value);
        assert!(name.is_some_and(|name| texts.contains(&name)), "{value}");
    }
    let backgrounds = PAIRS.iter().flat_map(|(_, backgrounds)| *backgrounds);
    let backgrounds: BTreeSet<_> = backgrounds.copied().collect();
    for value in values("background") {
        // Under the mouse pointer, the background of a row is a mixture of the colours `card` and `tint`. So the
        // contrast of the row is between the contrast on `card` and the contrast on `tint`.
        let value = value.strip_prefix("color-mix(in srgb, ").unwrap_or(value);
        let value = value.strip_suffix(" 45%, transparent)").unwrap_or(value);
        let name = variable(value);
        assert!(
            name.is_some_and(|name| backgrounds.contains(name)),
            "{value}"
        );
    }
}
