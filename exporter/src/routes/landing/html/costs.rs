//! The tables of the landing page about costs: the families, namespaces and labels with the most series and bytes.

use maud::{Markup, html};

use super::super::page::{Data, top};
use super::parts::{breakable, column, number, share, table, wide};
use crate::humanize::{size, thousands};
use crate::report::CostRow;

pub(super) fn section(data: &Data) -> Markup {
    let (namespaces, labels) = (&data.report.namespaces, &data.report.labels);
    html! {
        section aria-labelledby="costs" {
            div class="head" {
                h2 id="costs" { "What costs most" }
                span class="soft" { "bytes of sample lines in a scrape, before gzip" }
            }
            (families(data))
        }
        div class="columns" {
            section aria-labelledby="namespaces" {
                div class="head" { h2 id="namespaces" { "Namespaces" } (count(namespaces.len())) }
                (self::namespaces(top(namespaces)))
            }
            section aria-labelledby="labels" {
                div class="head" { h2 id="labels" { "Labels" } (count(labels.len())) }
                (self::labels(data))
            }
        }
    }
}

fn count(rows: usize) -> Markup {
    html! { span class="soft" { "of " (thousands(rows as u64)) } }
}

fn families(data: &Data) -> Markup {
    let families = data.top_families();
    let most = families.iter().map(|own| own.bytes).max().unwrap_or(0);
    let head = html! {
        (column("Family", "text"))
        (column("Resource", "text wide"))
        (column("Series", "number"))
        (column("Bytes", "number"))
        th scope="col" class="share" { span class="hidden" { "Share of bytes" } }
    };
    let body = html! {
        @for family in families {
            tr {
                th scope="row" { code { (breakable(&family.name)) } }
                td class="wide" { (family.resource_name()) }
                (number(family.series, thousands))
                (number(family.bytes, size))
                (share(family.bytes, most))
            }
        }
    };
    table("Families with the most series or bytes", true, &head, &body)
}

fn namespaces(rows: &[CostRow]) -> Markup {
    let head = html! {
        (column("Namespace", "text"))
        (column("Series", "number"))
        (column("Bytes", "number"))
    };
    let body = html! {
        @for row in rows {
            tr {
                th scope="row" { (breakable(row.shown_name())) }
                (number(row.series, thousands))
                (number(row.bytes, size))
            }
        }
    };
    table("Namespaces with the most bytes", true, &head, &body)
}

fn labels(data: &Data) -> Markup {
    let head = html! {
        (column("Label", "text"))
        (column("Values", "number"))
        (column("Series", "number wide"))
        (column("Bytes", "number"))
    };
    let body = html! {
        @for row in top(&data.report.labels) {
            tr {
                th scope="row" { code { (breakable(&row.name)) } }
                (number(row.values, thousands))
                (wide(row.series, thousands))
                (number(row.bytes, size))
            }
        }
    };
    table("Labels with the most bytes", true, &head, &body)
}
