//! The source, the lists and the files in force.

use maud::{Markup, html};

use super::super::page::Data;
use super::parts::{column, table};
use crate::telemetry::FileInUse;

pub(super) fn section(data: &Data) -> Markup {
    let version = data.server_version.as_deref();
    html! {
        section aria-labelledby="in-force" {
            div class="head" {
                h2 id="in-force" { "In force" }
                span class="soft" { "filters, lists and files; other options may also be set" }
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
                p class="none soft" { "No options file and no file of custom resources." }
            } @else {
                (files(data))
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
                th scope="row" { code { (file.path) } }
                td { (state(file)) }
                td class="wide" { (content(file)) }
                td { @if let Some(used) = &file.content { code { (used.hash) "…" } } }
                td class="number" { @if let Some(used) = &file.content { (data.ago(used.since)) } }
            }
        }
    };
    table("Files in use", false, &head, &body)
}

fn content(file: &FileInUse) -> &'static str {
    match file.kind {
        "config" => "options",
        _ => "custom resources",
    }
}

fn state(file: &FileInUse) -> Markup {
    let class = if file.is_current { "good" } else { "bad" };
    html! { span class={ "pill " (class) } { (file.state()) } }
}
