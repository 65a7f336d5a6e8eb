//! The section of the landing page about the configuration: the source, the options that select metrics, and the
//! configuration files in use.

use maud::{Markup, html};

use super::super::page::Data;
use super::parts::{breakable, column, table, with_code};
use crate::telemetry::{FileInUse, UsedContent};

pub(super) fn section(data: &Data) -> Markup {
    let version = data.server_version.as_deref();
    html! {
        section aria-labelledby="configuration" {
            div class="head" {
                h2 id="configuration" { "Configuration in use" }
                span class="soft" { "source, filters and files; other options may also be set" }
            }
            dl class="settings" {
                div { dt { "Source" } dd { (data.status.source) } }
                @if let Some(version) = version { div { dt { "Kubernetes" } dd { (version) } } }
                @for setting in &data.settings {
                    div {
                        dt { (setting.name) " " small class="soft" { (setting.flag) } }
                        dd { @for value in &setting.values { code { (value) } " " } }
                    }
                }
            }
            @if data.files.is_empty() {
                p class="none soft" { "No options file, no file of custom resources and no web configuration file." }
            } @else {
                (files(data))
                @for file in &data.files { (ignored_keys(file)) }
            }
        }
    }
}

fn files(data: &Data) -> Markup {
    let head = html! {
        (column("File", "text"))
        (column("State", "text"))
        (column("Content", "text wide"))
        (column("MD5", "text"))
        (column("Read", "number"))
    };
    let body = html! {
        @for file in &data.files {
            tr {
                th scope="row" { code { (breakable(&file.path)) } }
                td { (state(file)) }
                td class="wide" { (content(file)) }
                td class="words" { @if let Some(used) = &file.content { (hash(file, used)) } }
                td class="number words" { @if let Some(used) = &file.content { (data.ago(used.since)) } }
            }
        }
    };
    table("Files in use", false, &head, &body)
}

/// Renders the hash of a file. In a narrow column, a browser may break the line in the middle of the hash. The tooltip
/// of the hash shows the value of the metric `kube_state_metrics_config_hash`.
fn hash(file: &FileInUse, used: &UsedContent) -> Markup {
    let number = file.metric_value();
    let title = number.map(|number| format!("kube_state_metrics_config_hash {number}"));
    let text = used.hash_text();
    let (start, end) = text.split_at_checked(text.len() / 2).unwrap_or_default();
    html! { code title=[title] { (start) wbr; (end) "…" } }
}

/// Renders the keys of a file that have no effect, with the reason for each key.
fn ignored_keys(file: &FileInUse) -> Markup {
    let (ignored, more) = file.first_ignored();
    html! {
        @if !ignored.is_empty() {
            div class="message wait" role="status" {
                p { b { "Ignored keys of " (file.path) } }
                dl class="settings" {
                    @for own in ignored { div { dt { code { (own.key) } } dd { (with_code(&own.reason)) } } }
                }
                @if more > 0 { p { (more) " more keys are ignored." } }
            }
        }
    }
}

fn content(file: &FileInUse) -> &'static str {
    match file.kind {
        "config" => "options",
        "webconfig" => "TLS and authentication",
        _ => "custom resources",
    }
}

fn state(file: &FileInUse) -> Markup {
    let class = match (file.is_current, file.ignored().is_empty()) {
        (false, _) => "bad",
        (true, false) => "wait",
        (true, true) => "good",
    };
    html! { span class={ "pill " (class) } { (file.state()) } }
}
