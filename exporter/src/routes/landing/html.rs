//! The landing page as HTML: one file without assets, which also works without JavaScript.

mod configuration;
mod costs;
mod families;
mod parts;
mod problems;
mod resources;
mod scrapes;

use maud::{Markup, PreEscaped, html};

use super::page::{Data, Link, Page};
use crate::humanize::{size, thousands};
use crate::version::{REVISION, VERSION};

pub(super) const STYLE: &str = include_str!("style.css");
pub(super) const SCRIPT: &str = include_str!("script.js");
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E\
    %3Crect width='32' height='32' rx='7' fill='%23326ce5'/%3E\
    %3Cpath d='M7 24V14m6 10V8m6 16v-7m6 7V11' stroke='%23fff' stroke-width='3.4' stroke-linecap='round'/%3E\
    %3C/svg%3E";
const SOURCE: &str = env!("CARGO_PKG_REPOSITORY");
const DOCS: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/README.md");

/// The page for a browser.
pub(super) fn render(page: &Page) -> String {
    let page = html! {
        (PreEscaped("<!doctype html>\n"))
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { "kube-state-metrics: " (page.subject()) }
                link rel="icon" href=(ICON);
                style { (PreEscaped(STYLE)) }
            }
            body {
                a class="skip" href="#main" { "Skip to the content" }
                header { div { (header(page)) } }
                main id="main" {
                    @match &page.data {
                        Some(data) => {
                            (problems::section(data))
                            (figures(data))
                            // If the request has a search, the families that match come first.
                            @if !data.search.is_empty() { (families::section(data, page.port)) }
                            (resources::section(data, page.port))
                            (costs::section(data))
                            (scrapes::section(data))
                            (configuration::section(data))
                            @if data.search.is_empty() { (families::section(data, page.port)) }
                        }
                        None => section {
                            p class="none soft" { "A bearer token is needed to see more." }
                        }
                    }
                }
                footer {
                    div {
                        "Version " (VERSION) ", revision " (revision()) ". "
                        a href=(DOCS) { "Documentation" } ", " a href=(SOURCE) { "source" } "."
                    }
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
    let other_name = page.port.other().name();
    html! {
        svg viewBox="0 0 32 32" aria-hidden="true" {
            rect width="32" height="32" rx="7" fill="#326ce5" {}
            path d="M7 24V14m6 10V8m6 16v-7m6 7V11" stroke="#fff" stroke-width="3.4" stroke-linecap="round" {}
        }
        h1 { "kube-state-metrics " span class="soft" { (page.subject()) } }
        @if let Some(data) = &page.data {
            span class={ "pill " (if data.status.ready { "good" } else { "wait" }) } {
                (data.readiness())
            }
        }
        nav aria-label="Pages" {
            @for link in page.links() { a href=(link.path) title=(link.about) { (link_name(link)) } }
            @if let Some(other) = &page.other_port { a href=(other) { (other_name) } }
            a href=(DOCS) { "docs" }
        }
        p class="soft" {
            "Version " (VERSION) ", up " (page.uptime)
            @if let Some(data) = &page.data {
                ", " (data.status.source)
                @if let Some(version) = &data.server_version { " (Kubernetes " (version) ")" }
            }
        }
    }
}

/// Returns the path of a link without the query, the first slash and the directory `debug/`.
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
        (
            "of samples in a scrape without gzip",
            size(data.report.bytes()),
        ),
        ("objects", thousands(status.objects())),
        ("resources with objects", with_objects),
        ("memory of the stores", size(status.memory_bytes())),
    ];
    html! {
        dl class="figures" {
            @for (name, figure) in figures {
                div { dt { (name) } dd { (figure) } }
            }
        }
    }
}

#[cfg(test)]
mod tests;
