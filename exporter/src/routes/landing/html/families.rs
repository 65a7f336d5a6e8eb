//! The list of all families on the landing page, with a search field.

use maud::{Markup, html};

use super::super::super::port::Port;
use super::super::page::Data;
use super::parts::{breakable, with_code};
use crate::humanize::{counted, size, thousands};
use crate::report::{FamilyReport, LabelExamples, queries};

/// Maximum number of example values that the page shows for a label.
const EXAMPLES: usize = 5;

pub(super) fn section(data: &Data, port: Port) -> Markup {
    let families = data.report.families.iter();
    let families: Vec<_> = families
        .map(|own| (own, data.search.matches(own)))
        .collect();
    let found = families.iter().filter(|(_, is_found)| *is_found).count();
    html! {
        section aria-labelledby="families" {
            div class="head" {
                h2 id="families" { "Families" }
                span class="pill" id="count" role="status" { (thousands(found as u64)) }
                form action="/#families" role="search" {
                    input type="search" id="search" name="q" placeholder="oom, crashloop, cpu request, evicted"
                        aria-label="Search families by name, meaning or label value" value=(data.search.text);
                    button { "Search" }
                }
            }
            // The page also contains the families that do not match, but hides them. So the script of the page can
            // search all families.
            @for (family, is_found) in families { (details(family, is_found, port)) }
            p class="none soft" hidden[found > 0] { "No family matches." }
        }
    }
}

fn details(family: &FamilyReport, is_found: bool, port: Port) -> Markup {
    let series = match family.series {
        0 => "no samples".to_owned(),
        1 => "1 series".to_owned(),
        series => format!("{} series", thousands(series)),
    };
    html! {
        details class={ "family" @if family.series == 0 { " silent" } }
            hidden[!is_found] data-words=(family.search_words) {
            summary {
                code { (breakable(&family.name)) }
                span class="pill" { (family.metric_type) }
                span class="help" { (with_code(&family.help)) }
                span class="number" { (series) }
            }
            div class="about" {
                p { (with_code(&family.help)) }
                @if family.repeated > 0 {
                    p {
                        (counted(family.repeated, "sample is", "samples are"))
                        " left out, because samples of other objects have the same labels. Add labels that identify the object."
                    }
                }
                (about(family, port))
            }
        }
    }
}

fn about(family: &FamilyReport, port: Port) -> Markup {
    html! {
        dl class="settings" {
            @for label in &family.labels {
                div { dt { code { (label.name) } } dd { (examples(label)) } }
            }
        }
        @for query in queries(family) { pre class="copy" { (query) } }
        @if family.series > 0 {
            p class="soft" {
                (size(family.bytes)) " in a scrape"
                @if port == Port::Main {
                    ", " a href={ "/metrics?name[]=" (family.name) } { "all samples" }
                }
            }
        }
    }
}

fn examples(label: &LabelExamples) -> Markup {
    let has_more = label.has_more || label.values.len() > EXAMPLES;
    html! {
        @if label.values.is_empty() && !label.has_more { span class="soft" { "no value yet" } }
        @for value in label.values.iter().take(EXAMPLES) {
            code { @if value.is_empty() { "(empty)" } @else { (value) } } " "
        }
        @if has_more { span class="soft" { "…" } }
    }
}
