//! Tests the HTML and the text of the landing page: escaping, links and content.

mod contrast;
mod problems;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::super::super::port::Port;
use super::super::settings::Setting;
use super::*;
use crate::humanize::is_visible;
use crate::instance::{InstanceStatus, LimitProblem, LimitedResource, Problem, ResourceStatus};
use crate::limited_threads::LimitedThreads;
use crate::options::IgnoredKey;
use crate::report::{CostRow, FamilyReport, LabelExamples, LabelRow, Report, Search};
use crate::telemetry::{FileInUse, Scrape, UsedContent};

fn resource(text: &str) -> ResourceStatus {
    ResourceStatus {
        resource: text.to_owned(),
        api_version: text.to_owned(),
        kind: text.to_owned(),
        state: text.to_owned(),
        objects: 1,
        series: 1,
        memory_bytes: 1,
        last_event_seconds: None,
        is_silent: false,
        errors: 1,
        oversized: 1,
        is_limited: false,
        audit_difference: 0,
        unapplied_objects: 0,
        unapplied_seconds: None,
        last_error: Some(text.to_owned()),
    }
}

fn limited(resource: &str) -> LimitedResource {
    LimitedResource {
        resource: resource.to_owned(),
        count: 3,
    }
}

fn report(text: &str) -> Report {
    let row = CostRow {
        name: text.to_owned(),
        series: 1,
        bytes: 1,
    };
    Report {
        families: vec![FamilyReport {
            name: text.to_owned(),
            metric_type: text.to_owned(),
            help: text.to_owned(),
            resource: Some(text.to_owned()),
            series: 1,
            repeated: 0,
            bytes: 1,
            sample: Some(text.to_owned()),
            labels: vec![LabelExamples {
                name: text.to_owned(),
                values: vec![text.to_owned()],
                has_more: false,
            }],
            base_labels: Vec::new(),
            search_words: text.to_owned(),
        }],
        resources: vec![row.clone()],
        namespaces: vec![row],
        labels: vec![LabelRow {
            name: text.to_owned(),
            values: 1,
            series: 1,
            bytes: 1,
        }],
    }
}

/// Returns a landing page. All texts of the page have the value `text`.
fn page(text: &str) -> Page {
    let owned = || text.to_owned();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(60);
    let problem = Problem {
        state: owned(),
        is_normal: false,
        resources: vec![owned(), owned()],
        error: Some(owned()),
        removal_seconds: Some(60.0),
        is_blocking: false,
    };
    let scrape = Scrape {
        ended: now,
        client: None,
        user_agent: owned(),
        query: owned(),
        format: "text",
        encoding: "gzip",
        bytes: 1,
        duration: Duration::from_millis(1),
        is_complete: false,
    };
    Page {
        port: Port::Main,
        uptime: owned(),
        other_port: Some(owned()),
        data: Some(Data {
            status: InstanceStatus {
                ready: true,
                not_ready: None,
                source: owned(),
                remarks: vec![owned()],
                problems: vec![problem],
                notes: vec![owned()],
                limits: vec![LimitProblem {
                    what: "samples",
                    flag: "--sample-limit",
                    resources: ["pods", text].map(limited).into(),
                }],
                kinds_left_out: Some(owned()),
                resources: vec![resource(text)],
            },
            report: Arc::new(report(text)),
            search: Search::new(text),
            server_version: Some(owned()),
            refusals: vec![owned()],
            missing_rules: vec![owned()],
            scrapes: vec![scrape],
            settings: vec![Setting {
                name: "Shard",
                flag: "--shard",
                values: vec![owned()],
            }],
            files: vec![FileInUse {
                path: owned(),
                kind: "config",
                content: Some(UsedContent {
                    hash: [0; 6],
                    since: now,
                    ignored: vec![IgnoredKey {
                        key: owned(),
                        reason: owned(),
                    }],
                }),
                is_current: true,
            }],
            now,
        }),
    }
}

#[tokio::test]
async fn other_tasks_run_while_a_page_is_written() {
    let other = tokio::spawn(async {});
    let threads = LimitedThreads::new(1);
    for is_html in [true, false] {
        let written = super::super::write(page("text"), is_html, &threads).await;
        assert_eq!(written.unwrap().contains("</html>"), is_html);
    }
    assert!(other.is_finished());
}

#[test]
fn nothing_from_outside_becomes_markup() {
    let html = render(&page("<a href='x'>&\""));
    assert!(!html.contains("<a href='x'>"), "{html}");
    // The page has its attributes in double quotes, so it need not escape single quotes.
    let escaped = html.matches("&lt;a href='x'&gt;&amp;&quot;").count();
    assert!(escaped > 35, "{escaped}: {html}");
}

#[tokio::test]
async fn nothing_from_outside_controls_the_terminal_or_the_direction_of_text() {
    let threads = LimitedThreads::new(1);
    for is_html in [true, false] {
        let page = page("a\u{1b}[31m\u{9b}2J\0\u{202e}\u{2028}b");
        let written = super::super::write(page, is_html, &threads).await.unwrap();
        let wrong: Vec<_> = written
            .chars()
            .filter(|own| *own != '\n' && !is_visible(*own))
            .collect();
        assert_eq!(wrong, [], "{is_html}");
        let shown = "a\\u{1b}[31m\\u{9b}2J\\u{0}\\u{202e}\\u{2028}b";
        assert!(written.contains(shown), "{written}");
        // In the search field, spaces replace the invisible characters, so that the words of the search stay the same.
        assert!(
            written.contains(if is_html {
                "value=\"a [31m 2J   b\""
            } else {
                "`a [31m 2J   b`"
            }),
            "{written}"
        );
    }
}

#[test]
fn the_page_loads_nothing_from_elsewhere() {
    let html = render(&page("text"));
    for outside in ["src=", "url(", "@import", "<form action=\"http"] {
        assert!(!html.contains(outside), "{outside}");
    }
    // The browser loads the icon without a click of the user. The page must have no other link that the browser loads
    // without a click.
    assert_eq!(html.matches("<link ").count(), 1);
    assert!(
        html.contains("<link rel=\"icon\" href=\"data:image/svg+xml,"),
        "{html}"
    );
    let addresses = html.matches("https://").count();
    assert_eq!(addresses, html.matches("<a href=\"https://").count());
}

#[test]
fn each_port_has_its_own_title_and_a_link_to_the_other_one() {
    let main = page("text");
    let telemetry = Page {
        port: Port::Telemetry,
        ..page("text")
    };
    let (main, telemetry) = (render(&main), render(&telemetry));
    assert!(
        main.contains("<title>kube-state-metrics: metrics of objects</title>"),
        "{main}"
    );
    assert!(
        telemetry.contains("<title>kube-state-metrics: telemetry</title>"),
        "{telemetry}"
    );
    assert!(
        main.contains("<a href=\"text\">telemetry port</a>"),
        "{main}"
    );
    assert!(
        telemetry.contains("<a href=\"text\">main port</a>"),
        "{telemetry}"
    );
}

#[test]
fn the_text_has_what_the_html_has() {
    let mut page = page("");
    let data = page.data.as_mut().unwrap();
    let mut resources = ["deployments.apps", "deployments.v1.apps"].map(resource);
    for own in &mut resources {
        own.api_version = "apps/v1".to_owned();
    }
    data.status.resources = resources.into();
    data.scrapes[0].query = "resources=pods".to_owned();
    data.scrapes[0].user_agent = "curl".to_owned();
    data.scrapes[0].encoding = "identity";
    data.scrapes.push(data.scrapes[0].clone());
    data.scrapes[1].ended -= Duration::from_secs(20);
    let file = data.files[0].content.as_mut().unwrap();
    file.hash = [0x7e, 0x11, 0xf0, 0x1c, 0xb0, 0x81];
    let html = render(&page);
    let text = super::super::text::render(&page);
    // The number of spaces between columns does not matter.
    let text: Vec<_> = text.split_whitespace().collect();
    let text = text.join(" ");
    for part in [
        "deployments apps/v1 ",
        "deployments apps/v1, configured ",
        "UNDECODABLE/TOO LARGE",
        "ago 20s 2 1 B curl ?resources=pods",
        "unknown text no gzip",
        "(none) 1 1 B",
        "2 series of 2 objects in 2 B of memory; a scrape has 1 B of samples without gzip",
        "MD5 7e11f01cb081… (142593399722366 in the metric), read",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for part in [
        "<small class=\"soft\">apps/<wbr>v1, configured</small>",
        ">Undecodable or too large<",
        "<small class=\"soft\">curl ?resources=pods</small>",
        "<th scope=\"row\">(none)</th>",
        "title=\"kube_state_metrics_config_hash 142593399722366\"",
        "data-value=\"\">never<",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
}

#[test]
fn a_silent_resource_is_not_shown_as_synced() {
    let mut page = page("synced");
    let data = page.data.as_mut().unwrap();
    data.search = Search::default();
    data.status.resources = [(false, 0), (true, 0), (false, 1)]
        .map(|(is_silent, errors)| ResourceStatus {
            is_silent,
            errors,
            oversized: 0,
            ..resource("synced")
        })
        .into();
    let html = render(&page);
    let pills = ["wait\">silent", "wait\">synced", "good\">synced"];
    let pills = pills.map(|pill| html.find(&format!("<span class=\"pill {pill}<")).unwrap());
    assert!(
        pills.is_sorted(),
        "the most urgent resource comes first: {html}"
    );
    assert!(super::super::text::render(&page).contains("  silent "));
}

#[test]
fn a_family_without_samples_has_labels_and_a_query() {
    let mut page = page("kube_pod_labels");
    let data = page.data.as_mut().unwrap();
    let mut report = report("kube_pod_labels");
    let family = &mut report.families[0];
    (family.series, family.sample) = (0, None);
    family.labels = ["pod", "label_*"].map(LabelExamples::new).into();
    data.report = Arc::new(report);
    let html = render(&page);
    for part in [
        "<dt><code>label_*</code></dt><dd><span class=\"soft\">no value yet</span></dd>",
        "<pre class=\"copy\">kube_pod_labels</pre>",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert!(!html.contains("all samples"), "{html}");
    let text = super::super::text::render(&page);
    let lines = "\n  no samples; labels: pod, label_*\n  > kube_pod_labels\n";
    assert!(text.contains(lines), "{text}");
}

#[test]
fn a_file_with_ignored_keys_is_not_shown_as_good() {
    let mut page = page("portt");
    page.data.as_mut().unwrap().search = Search::default();
    let html = render(&page);
    let pill = "<span class=\"pill wait\">in use, 1 key ignored</span>";
    assert!(
        html.contains(pill) && html.contains("Ignored keys of portt"),
        "{html}"
    );
    let text = super::super::text::render(&page);
    assert!(text.contains("    `portt` is ignored: portt\n"), "{text}");
    let file = &mut page.data.as_mut().unwrap().files[0];
    file.content.as_mut().unwrap().ignored.clear();
    let html = render(&page);
    assert!(
        html.contains("<span class=\"pill good\">in use</span>"),
        "{html}"
    );
    assert!(!html.contains("Ignored keys"), "{html}");
}

#[test]
fn tables_have_names_and_heads() {
    let html = render(&page("text"));
    let tables = html.matches("<table").count();
    assert_eq!(tables, 7, "{html}");
    assert_eq!(html.matches("<caption>").count(), tables);
    assert_eq!(html.matches("tabindex=\"0\" aria-label=").count(), tables);
    let heads = html.matches("<th ").count() + html.matches("<th>").count();
    assert_eq!(html.matches("<th scope=").count(), heads);
}

#[test]
fn a_client_without_permission_sees_no_data() {
    let closed = Page {
        data: None,
        uptime: "1s".to_owned(),
        ..page("secret")
    };
    let html = render(&Page {
        other_port: None,
        ..closed
    });
    assert!(
        !html.contains("secret") && html.contains("A bearer token is needed"),
        "{html}"
    );
}
