//! The landing page: what is served, in which state, and what all the families mean.
//!
//! One file, filled in on the server, so that it needs neither assets nor JavaScript; for a
//! terminal the same as text.

use std::fmt::Write;
use std::sync::Arc;

use crate::app_state::AppState;
use crate::humanize::{size, span, thousands};
use crate::instance::{InstanceStatus, ResourceStatus};
use crate::report::{FamilyReport, Report};
use crate::routes::Port;
use crate::version::{REVISION, VERSION};

const TEMPLATE: &str = include_str!("landing.html");

/// What a page shows.
pub(crate) struct Page {
    port: Port,
    uptime: String,
    /// Nothing where the one who asks may not see data.
    data: Option<Data>,
}

struct Data {
    status: InstanceStatus,
    report: Arc<Report>,
    /// What the families were searched for.
    query: String,
}

/// What can be asked for, with a word about it.
const MAIN_LINKS: [(&str, &str); 4] = [
    (
        "/metrics",
        "metrics of objects; ?resources=pods, ?namespace=a, ?name[]=kube_pod_info",
    ),
    ("/readyz?verbose", "whether every resource is there"),
    ("/livez", "whether the exporter works"),
    ("/healthz", "the same"),
];
const TELEMETRY_LINKS: [(&str, &str); 7] = [
    ("/metrics", "metrics of the exporter itself"),
    ("/readyz?verbose", "whether every resource is there"),
    ("/livez", "whether the exporter works"),
    ("/debug/resources", "the state of every resource as JSON"),
    (
        "/debug/cardinality",
        "families by series; ?family=kube_pod_info for its labels",
    ),
    ("/debug/memory", "memory of stores and process"),
    ("/debug/log-level", "what is logged; PUT another level"),
];

// === impl Page ===

impl Page {
    /// A page without data.
    pub(crate) fn closed(port: Port, app: &AppState) -> Self {
        Self {
            port,
            uptime: span(app.started.elapsed().as_secs_f64()),
            data: None,
        }
    }

    /// A page with everything; the query may have words to search families for as `q`.
    pub(crate) async fn open(port: Port, app: &AppState, query: &str) -> Self {
        let instance = app.instance();
        let report = instance
            .reports
            .get(&instance.metrics, &instance.options)
            .await;
        let query = query.split('&').find_map(|pair| pair.strip_prefix("q="));
        let query = query.map(words).unwrap_or_default();
        Self {
            data: Some(Data {
                status: instance.status(),
                report,
                query,
            }),
            ..Self::closed(port, app)
        }
    }

    fn links(&self) -> &'static [(&'static str, &'static str)] {
        match self.port {
            Port::Main => &MAIN_LINKS,
            Port::Telemetry => &TELEMETRY_LINKS,
        }
    }

    /// The page for a browser.
    pub(crate) fn html(&self) -> String {
        let mut state = String::new();
        let mut about = format!("{VERSION}, up {}", self.uptime);
        let mut body = String::new();
        match &self.data {
            Some(data) => {
                let (class, word) = if data.status.ready { ("good", "ready") } else { ("wait", "not ready") };
                state = format!("<span class=\"pill {class}\">{word}</span>");
                let _ = write!(about, ", {}", escape(&data.status.source));
                data.html(self.port, &mut body);
            }
            None => body.push_str(
                "<section><p class=\"none soft\">A bearer token is needed to see more.</p></section>",
            ),
        }
        let mut links = String::new();
        for (path, _) in self.links() {
            let name = path
                .trim_start_matches('/')
                .split('?')
                .next()
                .unwrap_or_default();
            let _ = write!(
                links,
                "<a href=\"{path}\">{}</a>",
                name.trim_start_matches("debug/")
            );
        }
        let revision = if REVISION.is_empty() {
            "unknown"
        } else {
            REVISION
        };
        let footer = format!("Version {VERSION}, revision {revision}");
        let slots = [
            ("{{state}}", &state),
            ("{{about}}", &about),
            ("{{links}}", &links),
            ("{{footer}}", &footer),
            // The last one: what it brings in is not looked at for slots.
            ("{{body}}", &body),
        ];
        slots
            .iter()
            .fold(TEMPLATE.to_owned(), |page, (slot, text)| {
                page.replacen(slot, text, 1)
            })
    }

    /// The page for a terminal.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("kube-state-metrics {VERSION}, up {}\n", self.uptime);
        if let Some(data) = &self.data {
            data.text_summary(&mut text);
        }
        text.push('\n');
        for (path, about) in self.links() {
            let _ = writeln!(text, "  {path:20}{about}");
        }
        match &self.data {
            Some(data) => data.text(&mut text),
            None => text.push_str("\nA bearer token is needed to see more.\n"),
        }
        text
    }
}

// === impl Data ===

impl Data {
    /// Whether a family has all words that were searched for.
    fn matches(&self, family: &FamilyReport) -> bool {
        let FamilyReport {
            name,
            metric_type,
            help,
            resource,
            ..
        } = family;
        let text = format!(
            "{name} {metric_type} {help} {}",
            resource.as_deref().unwrap_or_default()
        );
        let text = text.to_lowercase();
        self.query
            .split_whitespace()
            .all(|word| text.contains(&word.to_lowercase()))
    }

    fn found(&self) -> impl Iterator<Item = &FamilyReport> {
        self.report
            .families
            .iter()
            .filter(|family| self.matches(family))
    }

    fn html(&self, port: Port, body: &mut String) {
        let status = &self.status;
        let with_objects = status
            .resources
            .iter()
            .filter(|own| own.objects > 0)
            .count();
        let figures = [
            ("series", thousands(status.series())),
            ("objects", thousands(status.objects())),
            (
                "resources with objects",
                format!("{with_objects} of {}", status.resources.len()),
            ),
            ("in the stores", size(status.memory_bytes())),
        ];
        body.push_str("<div class=\"figures\">");
        for (name, figure) in figures {
            let _ = write!(
                body,
                "<div><b>{figure}</b><span class=\"soft\">{name}</span></div>"
            );
        }
        body.push_str("</div>\n");
        if !status.remarks.is_empty() {
            body.push_str("<ul class=\"remarks\">");
            for remark in &status.remarks {
                let _ = write!(body, "<li>{}</li>", escape(remark));
            }
            body.push_str("</ul>\n");
        }
        self.html_resources(port, body);
        self.html_families(port, body);
    }

    fn html_resources(&self, port: Port, body: &mut String) {
        let _ = write!(
            body,
            "<section><div class=\"head\"><h2>Resources</h2><a href=\"#families\">search {} \
             families</a></div>",
            thousands(self.report.families.len() as u64),
        );
        body.push_str(
            "<div class=\"scroll\"><table>\n<thead><tr><th>Resource</th><th>State</th><th class=\"number\">Objects</th>\
             <th class=\"number\">Series</th><th></th><th class=\"number\">Bytes</th>\
             <th class=\"number\">Last event</th><th class=\"number\">Errors</th></tr></thead><tbody>\n",
        );
        let most = self
            .status
            .resources
            .iter()
            .map(|own| own.series)
            .max()
            .unwrap_or(0)
            .max(1);
        for own in &self.status.resources {
            let plural = escape(own.plural());
            let name = match port {
                Port::Main => format!("<a href=\"/metrics?resources={plural}\">{plural}</a>"),
                Port::Telemetry => plural,
            };
            let version = escape(&own.api_version);
            let share = own.series as f64 / most as f64 * 100.0;
            let bar = match own.series {
                0 => String::new(),
                _ => format!("<i style=\"width:{share:.1}%\"></i>"),
            };
            let _ = writeln!(
                body,
                "<tr{}><td>{name} <small class=\"soft\">{version}</small></td><td><span class=\"pill {}\">{}</span></td>\
                 <td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"share\">{bar}</td>\
                 <td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
                if own.objects == 0 {
                    " class=\"empty\""
                } else {
                    ""
                },
                class(own),
                escape(&own.state),
                thousands(own.objects),
                thousands(own.series),
                size(own.memory_bytes),
                last_event(own),
                thousands(own.errors),
            );
            if let Some(error) = own.last_error.as_ref().filter(|_| !own.is_synced()) {
                let _ = writeln!(
                    body,
                    "<tr><td></td><td class=\"error\" colspan=\"7\">{}</td></tr>",
                    escape(error)
                );
            }
        }
        body.push_str("</tbody></table></div></section>\n");
    }

    fn html_families(&self, port: Port, body: &mut String) {
        let _ = writeln!(
            body,
            "<section id=\"families\"><div class=\"head\"><h2>Families</h2>\
             <span class=\"pill\" id=\"count\">{}</span>\
             <form action=\"/#families\" role=\"search\"><input type=\"search\" name=\"q\" \
             placeholder=\"Search by name or meaning\" aria-label=\"Search families\" value=\"{}\">\
             <button>Search</button></form></div>",
            self.found().count(),
            escape(&self.query),
        );
        // Those that do not match are there too, for a search that goes on in the browser.
        for family in &self.report.families {
            let (name, help) = (escape(&family.name), escape(&family.help));
            let class = if family.series == 0 {
                " class=\"silent\""
            } else {
                ""
            };
            let hidden = if self.matches(family) { "" } else { " hidden" };
            let series = match family.series {
                0 => "no samples".to_owned(),
                1 => "1 series".to_owned(),
                series => format!("{} series", thousands(series)),
            };
            let _ = write!(
                body,
                "<details{class}{hidden}><summary><code>{name}</code><span class=\"pill\">{}</span>\
                 <span class=\"help\">{help}</span><span class=\"number\">{series}</span></summary><div class=\"about\"><p>{help}</p>",
                escape(&family.metric_type),
            );
            if let Some(sample) = &family.sample {
                let _ = write!(body, "<pre>{}</pre>", escape(sample));
                if port == Port::Main {
                    let _ = write!(
                        body,
                        "<p><a href=\"/metrics?name[]={name}\">all of it</a></p>"
                    );
                }
            }
            body.push_str("</div></details>\n");
        }
        let hidden = if self.found().next().is_none() {
            ""
        } else {
            " hidden"
        };
        let _ = writeln!(
            body,
            "<p class=\"none soft\"{hidden}>No family matches.</p></section>"
        );
    }

    fn text_summary(&self, text: &mut String) {
        let status = &self.status;
        let ready = if status.ready { "ready" } else { "not ready" };
        let _ = writeln!(
            text,
            "{ready}, {}: {} series of {} objects in {}",
            status.source,
            thousands(status.series()),
            thousands(status.objects()),
            size(status.memory_bytes()),
        );
        for remark in &status.remarks {
            let _ = writeln!(text, "! {remark}");
        }
    }

    fn text(&self, text: &mut String) {
        if !self.query.is_empty() {
            for family in self.found() {
                let _ = write!(
                    text,
                    "\n{} ({})\n  {}\n",
                    family.name, family.metric_type, family.help
                );
                if let Some(sample) = &family.sample {
                    let _ = writeln!(text, "  {sample}");
                }
            }
            let _ = writeln!(
                text,
                "\n{} families match `{}`",
                self.found().count(),
                self.query
            );
            return;
        }
        let names = self.status.resources.iter().map(|own| own.plural().len());
        let states = self.status.resources.iter().map(|own| own.state.len());
        let (names, states) = (
            names.max().unwrap_or(0).max(8),
            states.max().unwrap_or(0).max(5),
        );
        let _ = writeln!(
            text,
            "\n  {:names$}  {:states$}  {:>9}  {:>10}  {:>9}  {:>10}  {:>6}",
            "RESOURCE", "STATE", "OBJECTS", "SERIES", "BYTES", "LAST EVENT", "ERRORS"
        );
        for own in &self.status.resources {
            let _ = writeln!(
                text,
                "  {:names$}  {:states$}  {:>9}  {:>10}  {:>9}  {:>10}  {:>6}",
                own.plural(),
                own.state,
                thousands(own.objects),
                thousands(own.series),
                size(own.memory_bytes),
                last_event(own),
                thousands(own.errors),
            );
            if let Some(error) = own.last_error.as_ref().filter(|_| !own.is_synced()) {
                let _ = writeln!(text, "    {error}");
            }
        }
        let _ = writeln!(
            text,
            "\n{} families; search them with /?q=WORDS",
            self.report.families.len()
        );
    }
}

fn class(own: &ResourceStatus) -> &'static str {
    match own.state.as_str() {
        "synced" => "good",
        "listing" | "not started" | "left out" | "fed by host" => "wait",
        _ => "bad",
    }
}

fn last_event(own: &ResourceStatus) -> String {
    own.last_event_seconds
        .map_or_else(|| "never".to_owned(), |seconds| span(seconds) + " ago")
}

/// Text that is safe between tags and in quoted attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The words of a query as a browser sends them.
fn words(query: &str) -> String {
    let mut bytes = Vec::with_capacity(query.len());
    let mut rest = query.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let hex = |digit: &u8| char::from(*digit).to_digit(16);
        match (first, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [a, b, after @ ..]) if hex(a).is_some() && hex(b).is_some() => {
                let value = hex(a).unwrap_or(0) << 4 | hex(b).unwrap_or(0);
                bytes.push(value as u8);
                rest = after;
            }
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_becomes_markup() {
        assert_eq!(
            escape("<a href='x'>&\""),
            "&lt;a href=&#39;x&#39;&gt;&amp;&quot;"
        );
        assert_eq!(words("a+b%3Cc%3e%zz%"), "a b<c>%zz%");
    }

    #[test]
    fn the_template_has_every_slot_once() {
        for slot in ["state", "about", "links", "body", "footer"] {
            assert_eq!(
                TEMPLATE.matches(&format!("{{{{{slot}}}}}")).count(),
                1,
                "{slot}"
            );
        }
        // Nothing is loaded from anywhere.
        for outside in ["http://", "https://", "src="] {
            let found = TEMPLATE.matches(outside).count();
            let own = TEMPLATE.matches("http://www.w3.org/2000/svg").count();
            assert_eq!(
                found,
                if outside == "http://" { own } else { 0 },
                "{outside}"
            );
        }
    }
}
