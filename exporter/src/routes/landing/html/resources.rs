//! The table of resources on the landing page. Resources with problems come first.

use maud::{Markup, html};

use super::super::super::port::Port;
use super::super::page::{Data, Severity, last_event};
use super::parts::{breakable, breakable_plural, column, number, share, table, wide};
use crate::humanize::{size, thousands};
use crate::instance::ResourceStatus;

pub(super) fn section(data: &Data, port: Port) -> Markup {
    let resources = data.resources();
    let most = resources.iter().map(|own| own.series).max().unwrap_or(0);
    let head = html! {
        (column("Resource", "text"))
        (column("State", "text"))
        (column("Objects", "number wide"))
        (column("Series", "number"))
        th scope="col" class="share" { span class="hidden" { "Share of series" } }
        (column("Bytes", "number wide"))
        (column("Memory", "number wide"))
        (column("Last event", "number"))
        th scope="col" class="number wide"
            title="objects that could not be decoded, or are larger than --object-size-limit" {
            "Undecodable or too large"
        }
    };
    let body = html! {
        @for resource in resources { (row(data, resource, most, port)) }
    };
    html! {
        section aria-labelledby="resources" {
            div class="head" {
                h2 id="resources" { "Resources" }
                a href="#search" {
                    "search " (thousands(data.report.families.len() as u64)) " families"
                }
            }
            (table("Resources by urgency, then by series", true, &head, &body))
        }
    }
}

fn row(data: &Data, resource: &ResourceStatus, most: u64, port: Port) -> Markup {
    let plural = resource.plural();
    let bytes = data.bytes_of(resource);
    let errors = resource.errors + resource.oversized;
    // The script of the page puts rows without a value last, in ascending and in descending order.
    let silent = resource.last_event_seconds.map(|seconds| seconds as u64);
    let silent = silent.map_or_else(String::new, |seconds| seconds.to_string());
    html! {
        tr class=[(resource.objects == 0).then_some("empty")] {
            th scope="row" {
                @if port == Port::Main {
                    a href={ "/metrics?resources=" (plural) } { (breakable_plural(plural, &resource.kind)) }
                } @else {
                    (breakable_plural(plural, &resource.kind))
                }
                " "
                small class="soft" { (breakable(&resource.origin())) }
            }
            td data-value=(Severity::of(resource) as u8) {
                span class={ "pill " (class(resource)) } { (resource.shown_state()) }
            }
            (wide(resource.objects, thousands))
            (number(resource.series, thousands))
            (share(resource.series, most))
            (wide(bytes, size))
            (wide(resource.memory_bytes, size))
            td class="number" data-value=(silent) { (last_event(resource)) }
            (wide(errors, thousands))
        }
    }
}

fn class(resource: &ResourceStatus) -> &'static str {
    match Severity::of(resource) {
        Severity::Failing => "bad",
        Severity::Waiting | Severity::Silent | Severity::Incomplete => "wait",
        Severity::Good => "good",
    }
}
