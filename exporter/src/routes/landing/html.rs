//! The landing page as HTML: one file without assets, which also works without JavaScript.

use maud::{Markup, PreEscaped, html};

use super::super::port::Port;
use super::page::{Data, Link, Page, last_event};
use crate::humanize::{size, thousands};
use crate::instance::{InstanceStatus, ResourceStatus};
use crate::report::FamilyReport;
use crate::version::{REVISION, VERSION};

pub(super) const STYLE: &str = include_str!("style.css");
pub(super) const SCRIPT: &str = include_str!("script.js");
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E\
    %3Crect width='32' height='32' rx='7' fill='%23326ce5'/%3E\
    %3Cpath d='M7 24V14m6 10V8m6 16v-7m6 7V11' stroke='%23fff' stroke-width='3.4' stroke-linecap='round'/%3E\
    %3C/svg%3E";

/// The page for a browser.
pub(super) fn render(page: &Page) -> String {
    let page = html! {
        (PreEscaped("<!doctype html>\n"))
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "kube-state-metrics" }
                link rel="icon" href=(ICON);
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { div { (header(page)) } }
                main {
                    @match &page.data {
                        Some(data) => {
                            (figures(data))
                            (remarks(data))
                            (resources(data, page.port))
                            (families(data, page.port))
                        }
                        None => section {
                            p class="none soft" { "A bearer token is needed to see more." }
                        }
                    }
                    footer { "Version " (VERSION) ", revision " (revision()) }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
        "\n"
    };
    page.into_string()
}

fn revision() -> &'static str {
    if REVISION.is_empty() {
        "unknown"
    } else {
        REVISION
    }
}

fn header(page: &Page) -> Markup {
    html! {
        svg viewBox="0 0 32 32" aria-hidden="true" {
            rect width="32" height="32" rx="7" fill="#326ce5" {}
            path d="M7 24V14m6 10V8m6 16v-7m6 7V11" stroke="#fff" stroke-width="3.4" stroke-linecap="round" {}
        }
        h1 { "kube-state-metrics" }
        @if let Some(data) = &page.data {
            span class={ "pill " (if data.status.ready { "good" } else { "wait" }) } {
                (data.readiness())
            }
        }
        span class="soft" {
            (VERSION) ", up " (page.uptime)
            @if let Some(data) = &page.data { ", " (data.status.source) }
        }
        nav aria-label="Pages" {
            @for link in page.links() { a href=(link.path) { (link_name(link)) } }
        }
    }
}

/// The path without its query, its first slash and the directory that all links share.
fn link_name(link: &Link) -> &'static str {
    let path = link.path.split('?').next().unwrap_or_default();
    path.trim_start_matches('/').trim_start_matches("debug/")
}

fn figures(data: &Data) -> Markup {
    let status = &data.status;
    let with_objects = status.resources.iter().filter(|own| own.objects > 0);
    let with_objects = format!("{} of {}", with_objects.count(), status.resources.len());
    let figures = [
        ("series", thousands(status.series())),
        ("objects", thousands(status.objects())),
        ("resources with objects", with_objects),
        ("in the stores", size(status.memory_bytes())),
    ];
    html! {
        div class="figures" {
            @for (name, figure) in figures {
                div { b { (figure) } span class="soft" { (name) } }
            }
        }
    }
}

fn remarks(data: &Data) -> Markup {
    let remarks = &data.status.remarks;
    html! {
        @if !remarks.is_empty() {
            ul class="remarks" { @for remark in remarks { li { (remark) } } }
        }
    }
}

fn resources(data: &Data, port: Port) -> Markup {
    let resources = &data.status.resources;
    let most_series = resources.iter().map(|resource| resource.series).max();
    let most_series = most_series.unwrap_or(0);
    html! {
        section {
            div class="head" {
                h2 { "Resources" }
                a href="#families" {
                    "search " (thousands(data.report.families.len() as u64)) " families"
                }
            }
            div class="scroll" {
                table {
                    thead {
                        tr {
                            th { "Resource" }
                            th { "State" }
                            th class="number" { "Objects" }
                            th class="number" { "Series" }
                            th {}
                            th class="number" { "Bytes" }
                            th class="number" { "Last event" }
                            th class="number" { "Errors" }
                        }
                    }
                    tbody {
                        @for resource in resources {
                            (resource_rows(&data.status, resource, most_series, port))
                        }
                    }
                }
            }
        }
    }
}

/// The row of a resource, and a row for its error if it has one.
fn resource_rows(
    status: &InstanceStatus,
    resource: &ResourceStatus,
    most_series: u64,
    port: Port,
) -> Markup {
    let plural = resource.plural();
    let share = resource.series as f64 / most_series as f64 * 100.0;
    html! {
        tr class=[(resource.objects == 0).then_some("empty")] {
            td {
                @if port == Port::Main {
                    a href={ "/metrics?resources=" (plural) } { (plural) }
                } @else {
                    (plural)
                }
                " "
                small class="soft" { (resource.api_version) }
            }
            td { span class={ "pill " (state_class(resource)) } { (resource.state) } }
            td class="number" { (thousands(resource.objects)) }
            td class="number" { (thousands(resource.series)) }
            td class="share" {
                @if resource.series > 0 {
                    // A `style` attribute would need an exception in the content security policy.
                    svg aria-hidden="true" { rect width=(format!("{share:.1}%")) height="6" rx="3" {} }
                }
            }
            td class="number" { (size(resource.memory_bytes)) }
            td class="number" { (last_event(resource)) }
            td class="number" { (thousands(resource.errors)) }
        }
        @if let Some(error) = status.own_error(resource) {
            tr { td {} td class="error" colspan="7" { (error) } }
        }
    }
}

fn state_class(resource: &ResourceStatus) -> &'static str {
    match resource.state.as_str() {
        "synced" => "good",
        "listing" | "not started" | "left out" | "fed by host" => "wait",
        _ => "bad",
    }
}

fn families(data: &Data, port: Port) -> Markup {
    let found = data.matching_families().count();
    html! {
        section id="families" {
            div class="head" {
                h2 { "Families" }
                span class="pill" id="count" { (found) }
                form action="/#families" role="search" {
                    input type="search" name="q" placeholder="Search by name or meaning"
                        aria-label="Search families" value=(data.search);
                    button { "Search" }
                }
            }
            // The page also has the families that do not match, hidden, so that the script can search them.
            @for family in &data.report.families { (family_details(family, data, port)) }
            p class="none soft" hidden[found > 0] { "No family matches." }
        }
    }
}

fn family_details(family: &FamilyReport, data: &Data, port: Port) -> Markup {
    let series = match family.series {
        0 => "no samples".to_owned(),
        1 => "1 series".to_owned(),
        series => format!("{} series", thousands(series)),
    };
    html! {
        details class=[(family.series == 0).then_some("silent")] hidden[!data.matches(family)] {
            summary {
                code { (family.name) }
                span class="pill" { (family.metric_type) }
                span class="help" { (family.help) }
                span class="number" { (series) }
            }
            div class="about" {
                p { (family.help) }
                @if let Some(sample) = &family.sample {
                    pre { (sample) }
                    @if port == Port::Main {
                        p { a href={ "/metrics?name[]=" (family.name) } { "all of it" } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::report::Report;

    /// A page in which every text is `text`.
    fn page(text: &str) -> Page {
        let text = || text.to_owned();
        let resource = ResourceStatus {
            resource: text(),
            api_version: text(),
            kind: text(),
            state: text(),
            objects: 1,
            series: 1,
            memory_bytes: 1,
            last_event_seconds: None,
            errors: 1,
            oversized: 1,
            last_error: Some(text()),
        };
        let family = FamilyReport {
            name: text(),
            metric_type: text(),
            help: text(),
            resource: Some(text()),
            series: 1,
            bytes: 1,
            sample: Some(text()),
        };
        Page {
            port: Port::Main,
            uptime: text(),
            data: Some(Data {
                status: InstanceStatus {
                    ready: true,
                    source: text(),
                    remarks: vec![text()],
                    limits: vec![text()],
                    resources: vec![resource],
                },
                report: Arc::new(Report {
                    families: vec![family],
                }),
                search: text(),
            }),
        }
    }

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let html = render(&page("<a href='x'>&\""));
        assert!(!html.contains("<a href='x'>"), "{html}");
        // Attributes have double quotes, so single quotes need no escaping.
        let escaped = html.matches("&lt;a href='x'&gt;&amp;&quot;").count();
        // Uptime, source, remark; resource twice, version, state, error; search; name twice, type,
        // help twice, sample.
        assert_eq!(escaped, 3 + 5 + 1 + 6, "{html}");
    }

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        let html = render(&page("text"));
        for outside in ["http://", "https://", "src=", "url(", "@import"] {
            let expected = usize::from(outside == "http://");
            assert_eq!(html.matches(outside).count(), expected, "{outside}");
        }
        assert!(
            html.contains("xmlns='http://www.w3.org/2000/svg'"),
            "{html}"
        );
    }
}
