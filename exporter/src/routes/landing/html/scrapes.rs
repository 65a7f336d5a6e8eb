//! The tables of the landing page about scrapes: the clients that scrape, and their responses.

use maud::{Markup, html};

use super::super::page::{Data, duration, encoding, interval};
use super::parts::{breakable, column, number, table, wide};
use crate::humanize::{size, thousands};
use crate::telemetry::{Scrape, Scraper};

/// Maximum number of scrapes that the page lists individually.
const LISTED: usize = 20;

pub(super) fn section(data: &Data) -> Markup {
    let scrapers = data.scrapers();
    let last = data.scrapes.iter().take(LISTED);
    html! {
        section aria-labelledby="scrapes" {
            div class="head" {
                h2 id="scrapes" { "Scrapes" }
                span class="soft" { "clients of /metrics on the main port" }
            }
            @if scrapers.is_empty() {
                p class="none soft" { "No scrape since the start." }
            } @else {
                (clients(data, &scrapers))
                details {
                    summary { "Last scrapes" }
                    (single(data, last))
                }
            }
        }
    }
}

fn clients(data: &Data, scrapers: &[Scraper]) -> Markup {
    let head = html! {
        (column("Client", "text"))
        (column("Format", "text wide"))
        (column("Encoding", "text"))
        (column("Last", "number"))
        (column("Every", "number wide"))
        (column("Bytes sent", "number"))
        (column("Time", "number wide"))
        (column("Scrapes", "number wide"))
        (column("Incomplete", "number wide"))
    };
    let body = html! {
        @for scraper in scrapers {
            @let Scraper { last, scrapes, incomplete, .. } = scraper;
            tr {
                th scope="row" { (client(last)) }
                (content(last))
                td class="number" data-value=(age(data, last)) { (data.ago(last.ended)) }
                td class="number wide" data-value=(scraper.interval.unwrap_or_default().as_millis()) {
                    (interval(scraper))
                }
                (number(last.bytes, size))
                td class="number wide" data-value=(last.duration.as_micros()) { (duration(last.duration)) }
                (wide(*scrapes as u64, thousands))
                (wide(*incomplete as u64, thousands))
            }
        }
    };
    table("Clients of the last 256 scrapes", true, &head, &body)
}

fn single<'a>(data: &Data, scrapes: impl Iterator<Item = &'a Scrape>) -> Markup {
    let head = html! {
        (column("When", "number"))
        (column("Client", "text"))
        (column("Format", "text wide"))
        (column("Encoding", "text"))
        (column("Bytes sent", "number"))
        (column("Time", "number wide"))
    };
    let body = html! {
        @for scrape in scrapes {
            tr {
                td class="number" data-value=(age(data, scrape)) { (data.ago(scrape.ended)) }
                th scope="row" { (client(scrape)) }
                (content(scrape))
                td class="number" data-value=(scrape.bytes) {
                    (size(scrape.bytes))
                    @if !scrape.is_complete { " " span class="pill bad" { "incomplete" } }
                }
                td class="number wide" data-value=(scrape.duration.as_micros()) { (duration(scrape.duration)) }
            }
        }
    };
    table("Last scrapes, the newest first", true, &head, &body)
}

fn client(scrape: &Scrape) -> Markup {
    let address = scrape.client.map(|ip| ip.to_string());
    html! {
        (breakable(address.as_deref().unwrap_or("unknown")))
        " "
        small class="soft" {
            (scrape.user_agent)
            @if !scrape.query.is_empty() { " ?" (scrape.query) }
        }
    }
}

fn content(scrape: &Scrape) -> Markup {
    let is_gzip = scrape.encoding == "gzip";
    html! {
        td class="wide" { (scrape.format) }
        td {
            span class={ "pill " (if is_gzip { "good" } else { "wait" }) } {
                (encoding(scrape))
            }
        }
    }
}

/// Returns the number of seconds since the end of a scrape.
fn age(data: &Data, scrape: &Scrape) -> u64 {
    let since = data.now.duration_since(scrape.ended);
    since.unwrap_or_default().as_secs()
}
