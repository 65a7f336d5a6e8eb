//! The landing page as text.

use std::fmt::Write;

use super::messages::{ADD_RULES, Forbidden, Message, messages, more_roles, removal};
use super::page::{Data, Page, encoding, interval, last_event, top};
use crate::humanize::{counted, size, thousands};
use crate::instance::REPEATED;
use crate::report::queries;
use crate::version::VERSION;

/// The page for a terminal.
pub(super) fn render(page: &Page) -> String {
    let subject = page.subject();
    let mut text = format!(
        "kube-state-metrics {VERSION}, {subject}, up {}\n",
        page.uptime
    );
    if let Some(data) = &page.data {
        write_summary(data, &mut text);
    }
    text.push('\n');
    for link in page.links() {
        let _ = writeln!(text, "  {:20}{}", link.path, link.about);
    }
    if let Some(other) = &page.other_port {
        let _ = writeln!(text, "  {:20}the {}", other, page.port.other().name());
    }
    match &page.data {
        None => text.push_str("\nA bearer token is needed to see more.\n"),
        Some(data) if data.search.is_empty() => {
            write_resources(data, &mut text);
            write_costs(data, &mut text);
            write_scrapers(data, &mut text);
            write_configuration(data, &mut text);
            let families = counted(data.report.families.len() as u64, "family", "families");
            let _ = writeln!(text, "\n{families}; search them with /?q=WORDS");
        }
        Some(data) => write_families(data, &mut text),
    }
    text
}

fn write_summary(data: &Data, text: &mut String) {
    let status = &data.status;
    let _ = writeln!(
        text,
        "{}, {}: {} series of {} in {} of memory; a scrape has {} of samples without gzip",
        data.readiness(),
        status.source,
        thousands(status.series()),
        counted(status.objects(), "object", "objects"),
        size(status.memory_bytes()),
        size(data.report.bytes()),
    );
    if let Some(version) = &data.server_version {
        let _ = writeln!(text, "Kubernetes {version}");
    }
    for message in messages(data) {
        write_message(&message, status.resources.len(), text);
    }
}

/// Writes a message as one line; indented lines with details follow.
fn write_message(message: &Message<'_>, total: usize, text: &mut String) {
    text.push_str("! ");
    match message {
        Message::NotReady(line) | Message::Refusal(line) | Message::Note(line) => {
            text.push_str(line);
        }
        Message::Forbidden(forbidden) => write_forbidden(forbidden, text),
        Message::Problem(problem) => {
            let _ = write!(text, "{}: {}", problem.affected(total), problem.state);
            let error = problem.error.iter().map(|error| format!(". {error}"));
            text.extend(error);
        }
        Message::Limit(limit) => {
            let (what, flag, resources) = (limit.what, limit.flag, limit.affected());
            let _ = write!(
                text,
                "{flag}: {what} are left out ({resources}); {REPEATED}; the log names the first object of each resource"
            );
        }
    }
    text.push('\n');
}

fn write_forbidden(forbidden: &Forbidden<'_>, text: &mut String) {
    text.push_str(&forbidden.title());
    if !forbidden.rules.is_empty() {
        let _ = write!(text, " {ADD_RULES}");
    }
    if let Some(seconds) = forbidden.removal_seconds {
        let _ = write!(text, "\n    {}", removal(seconds));
    }
    for rules in forbidden.rules {
        let _ = write!(text, "\n    {rules}");
    }
    if forbidden.more_roles > 0 {
        let _ = write!(text, "\n    {}", more_roles(forbidden.more_roles));
    }
    for error in &forbidden.errors {
        let _ = write!(text, "\n    The API server answers: {error}");
    }
}

fn write_resources(data: &Data, text: &mut String) {
    let resources = data.resources();
    let origins: Vec<_> = resources.iter().map(|own| own.origin()).collect();
    let names = width("RESOURCE", resources.iter().map(|own| own.plural()));
    let versions = width("API VERSION", origins.iter().map(String::as_str));
    let states = width("STATE", resources.iter().map(|own| own.shown_state()));
    let _ = writeln!(
        text,
        "\n  {:names$}  {:versions$}  {:states$}  {:>9}  {:>10}  {:>9}  {:>9}  {:>10}  {:>21}",
        "RESOURCE",
        "API VERSION",
        "STATE",
        "OBJECTS",
        "SERIES",
        "BYTES",
        "MEMORY",
        "LAST EVENT",
        "UNDECODABLE/TOO LARGE"
    );
    for (resource, origin) in resources.into_iter().zip(origins) {
        let _ = writeln!(
            text,
            "  {:names$}  {origin:versions$}  {:states$}  {:>9}  {:>10}  {:>9}  {:>9}  {:>10}  {:>21}",
            resource.plural(),
            resource.shown_state(),
            thousands(resource.objects),
            thousands(resource.series),
            size(data.bytes_of(resource)),
            size(resource.memory_bytes),
            last_event(resource),
            thousands(resource.errors + resource.oversized),
        );
    }
}

/// The width of a column.
fn width<'a>(head: &str, values: impl Iterator<Item = &'a str>) -> usize {
    let longest = values.map(str::len).max();
    longest.unwrap_or(0).max(head.len())
}

fn write_costs(data: &Data, text: &mut String) {
    let families = data.top_families().into_iter();
    let families = families.map(|own| (&*own.name, own.series, own.bytes));
    write_cost_rows("FAMILY", families, text);
    let namespaces = top(&data.report.namespaces).iter();
    let namespaces = namespaces.map(|own| (own.shown_name(), own.series, own.bytes));
    write_cost_rows("NAMESPACE", namespaces, text);
}

fn write_cost_rows<'a>(
    title: &str,
    rows: impl Iterator<Item = (&'a str, u64, u64)> + Clone,
    text: &mut String,
) {
    let width = rows.clone().map(|(name, ..)| name.len()).max();
    let Some(width) = width.map(|width| width.max(title.len())) else {
        return;
    };
    let _ = writeln!(text, "\n  {title:width$}  {:>10}  {:>9}", "SERIES", "BYTES");
    for (name, series, bytes) in rows {
        let (series, bytes) = (thousands(series), size(bytes));
        let _ = writeln!(text, "  {name:width$}  {series:>10}  {bytes:>9}");
    }
}

fn write_scrapers(data: &Data, text: &mut String) {
    let scrapers = data.scrapers();
    if scrapers.is_empty() {
        text.push_str("\n  No scrape since the start.\n");
        return;
    }
    let _ = writeln!(
        text,
        "\n  {:24}  {:11}  {:8}  {:>10}  {:>8}  {:>7}  {:>9}  CLIENT",
        "SCRAPER", "FORMAT", "ENCODING", "LAST", "EVERY", "SCRAPES", "BYTES"
    );
    for scraper in scrapers {
        let last = &scraper.last;
        let query = match &*last.query {
            "" => String::new(),
            query => format!(" ?{}", query.escape_debug()),
        };
        let address = last.client.map(|ip| ip.to_string());
        let _ = writeln!(
            text,
            "  {:24}  {:11}  {:8}  {:>10}  {:>8}  {:>7}  {:>9}  {}{query}",
            address.as_deref().unwrap_or("unknown"),
            last.format,
            encoding(last),
            data.ago(last.ended),
            interval(&scraper),
            scraper.scrapes,
            size(last.bytes),
            last.user_agent.escape_debug(),
        );
    }
}

fn write_configuration(data: &Data, text: &mut String) {
    text.push('\n');
    for file in &data.files {
        let _ = write!(text, "  {}: {}", file.path, file.state());
        if let Some(used) = &file.content {
            let _ = write!(text, ", MD5 {}…", used.hash_text());
            let number = file.metric_value().into_iter();
            text.extend(number.map(|number| format!(" ({number} in the metric)")));
            let _ = write!(text, ", read {}", data.ago(used.since));
        }
        text.push('\n');
        let (ignored, more) = file.first_ignored();
        for own in ignored {
            let _ = writeln!(
                text,
                "    `{}` is ignored: {}",
                own.key.escape_debug(),
                own.reason
            );
        }
        if more > 0 {
            let _ = writeln!(text, "    {more} more keys are ignored");
        }
    }
    for setting in &data.settings {
        let _ = writeln!(text, "  {}: {}", setting.flag, setting.values.join(" "));
    }
}

fn write_families(data: &Data, text: &mut String) {
    let families: Vec<_> = data.matching_families().collect();
    for family in &families {
        let (name, metric_type, help) = (&family.name, &family.metric_type, &family.help);
        let _ = writeln!(text, "\n{name} ({metric_type})\n  {help}");
        if let Some(sample) = &family.sample {
            let _ = writeln!(text, "  {sample}");
            if family.repeated > 0 {
                let samples = counted(family.repeated, "sample is", "samples are");
                let _ = writeln!(
                    text,
                    "  {samples} left out, because samples of other objects have the same labels"
                );
            }
        } else {
            let labels: Vec<_> = family.labels.iter().map(|own| &*own.name).collect();
            let _ = match &labels[..] {
                [] => writeln!(text, "  no samples"),
                labels => writeln!(text, "  no samples; labels: {}", labels.join(", ")),
            };
        }
        for query in queries(family) {
            let _ = writeln!(text, "  > {query}");
        }
    }
    let matching = counted(families.len() as u64, "family matches", "families match");
    let _ = writeln!(text, "\n{matching} `{}`", data.search.text);
}
