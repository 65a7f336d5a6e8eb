//! The problems: one message for each cause.

use maud::{Markup, html};

use super::super::page::{Data, affected};
use crate::humanize::span;
use crate::instance::{LimitProblem, Problem, REPEATED};

/// Maximum number of roles whose missing rules the page shows. There can be a role for each namespace.
const MOST_ROLES: usize = 10;
/// Maximum number of resources in a message. If there are more, the message has a list to open.
const MOST_LISTED: usize = 8;

pub(super) fn section(data: &Data) -> Markup {
    let status = &data.status;
    let total = status.resources.len();
    let (blocking, other): (Vec<_>, Vec<_>) =
        status.problems.iter().partition(|own| own.is_blocking);
    html! {
        @if let Some(reason) = &status.not_ready {
            div class="message bad" role="alert" { p { b { (reason) } } }
        }
        @for problem in blocking { (message(problem, total)) }
        @for refusal in &data.refusals {
            div class="message bad" role="alert" { p { (refusal) } }
        }
        @for problem in other { (message(problem, total)) }
        @for note in status.notes.iter().chain(&status.kinds_left_out) {
            div class="message wait" role="status" { p { (note) } }
        }
        @for limit in &status.limits { (exceeded(limit)) }
        @if !data.missing_rules.is_empty() {
            div class="message bad" role="alert" {
                p {
                    b { "The API server forbids resources." }
                    " Add the rules to the role of the exporter; `kube-state-metrics rbac` writes complete roles."
                }
            }
            @for line in data.missing_rules.iter().take(MOST_ROLES) { (missing_rules(line)) }
            @if data.missing_rules.len() > MOST_ROLES {
                p { "and " (data.missing_rules.len() - MOST_ROLES) " more roles; /readyz?verbose has all of them" }
            }
        }
    }
}

/// A limit, and the resources whose objects have exceeded it.
fn exceeded(limit: &LimitProblem) -> Markup {
    let resources = limit.affected();
    html! {
        div class="message wait" role="status" {
            p {
                b { code { (limit.flag) } ": " (limit.what) " are left out" }
                "; " (REPEATED) ". The log names an object of each resource. Raise the limit if the objects are correct."
            }
            @if limit.resources.len() > MOST_LISTED {
                details { summary { (limit.resources.len()) " resources" } p { (resources) } }
            } @else {
                p { (resources) }
            }
        }
    }
}

/// The role that lacks rules, and the rules as YAML to copy.
fn missing_rules(line: &str) -> Markup {
    let (role, rules) = line.split_once(": ").unwrap_or(("missing", line));
    html! {
        div class="rules" {
            p { (role) }
            pre class="copy" { (rules) }
        }
    }
}

fn message(problem: &Problem, total: usize) -> Markup {
    let (class, role) = match problem.is_normal {
        true => ("message wait", "status"),
        false => ("message bad", "alert"),
    };
    html! {
        div class=(class) role=(role) {
            p {
                b { (affected(problem, total)) ": " (problem.state) }
                @if let Some(error) = &problem.error { ". " (error) }
            }
            @if let Some(seconds) = problem.removal_seconds {
                p { "Stored objects are removed in " (span(seconds)) " unless the API server permits the exporter to list them." }
            }
            @if problem.resources.len() > 1 {
                details { summary { "Which resources" } p { (problem.resources.join(", ")) } }
            }
        }
    }
}
