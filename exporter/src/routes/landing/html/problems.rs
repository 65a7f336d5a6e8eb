//! The problems: one message for each cause.

use kube_state_metrics::source::health::FailureReason;
use maud::{Markup, html};

use super::super::page::{Data, affected};
use super::parts::with_code;
use crate::humanize::span;
use crate::instance::{LimitProblem, Problem, REPEATED};

/// Maximum number of roles whose missing rules the page shows. There can be a role for each namespace.
const MOST_ROLES: usize = 10;
/// Maximum number of resources in a message. If there are more, the message has a list to open.
const MOST_LISTED: usize = 8;

pub(super) fn section(data: &Data) -> Markup {
    let status = &data.status;
    let total = status.resources.len();
    let problems = status.problems.iter();
    let is_forbidden = |own: &&Problem| own.state == FailureReason::Forbidden.as_str();
    let (forbidden, problems): (Vec<_>, Vec<_>) = problems.partition(is_forbidden);
    let (blocking, other): (Vec<_>, Vec<_>) = problems.into_iter().partition(|own| own.is_blocking);
    let is_forbidden_first = forbidden.iter().any(|own| own.is_blocking);
    let forbidden = forbidden_message(&forbidden, &data.missing_rules);
    html! {
        @if let Some(reason) = &status.not_ready {
            div class="message bad" role="alert" { p { b { (reason) } } }
        }
        @if is_forbidden_first { (forbidden) }
        @for problem in blocking { (message(problem, total)) }
        @for refusal in &data.refusals {
            div class="message bad" role="alert" { p { (with_code(refusal)) } }
        }
        @if !is_forbidden_first { (forbidden) }
        @for problem in other { (message(problem, total)) }
        @for note in status.notes.iter().chain(&status.kinds_left_out) {
            div class="message wait" role="status" { p { (with_code(note)) } }
        }
        @for limit in &status.limits { (exceeded(limit)) }
    }
}

/// One message for all resources that the API server forbids, with the rules that the roles lack.
fn forbidden_message(problems: &[&Problem], rules: &[String]) -> Markup {
    let names = problems.iter().flat_map(|own| &own.resources);
    let names: Vec<_> = names.map(String::as_str).collect();
    let removal = problems.iter().filter_map(|own| own.removal_seconds);
    let removal = removal.reduce(f64::min);
    let listed = names.join(", ");
    html! {
        @if !(names.is_empty() && rules.is_empty()) {
            div class="message bad" role="alert" {
                p {
                    b {
                        "The API server forbids resources"
                        @match names.len() {
                            0 => { "." }
                            1..=MOST_LISTED => { ": " (listed) "." }
                            count => { ": " (count) "." }
                        }
                    }
                    @if !rules.is_empty() {
                        " Add the rules to the role of the exporter; " code { "kube-state-metrics rbac" }
                        " writes complete roles."
                    }
                }
                @if let Some(seconds) = removal { (removed_in(seconds)) }
                @for line in rules.iter().take(MOST_ROLES) { (missing_rules(line)) }
                @if rules.len() > MOST_ROLES {
                    p {
                        (rules.len() - MOST_ROLES) " more roles lack rules; " code { "/readyz?verbose" } " has all of them."
                    }
                }
                @if names.len() > MOST_LISTED {
                    details { summary { "Which resources" } p { (listed) } }
                }
                @if problems.iter().any(|own| own.error.is_some()) {
                    details {
                        summary { "What the API server answers" }
                        @for error in problems.iter().filter_map(|own| own.error.as_ref()) { p { (error) } }
                    }
                }
            }
        }
    }
}

fn removed_in(seconds: f64) -> Markup {
    html! {
        p { "Stored objects are removed in " (span(seconds)) " unless the API server permits the exporter to list them." }
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
            p { "Rules that are " (role) ":" }
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
                @if let Some(error) = &problem.error { ". " (with_code(error)) }
            }
            @if let Some(seconds) = problem.removal_seconds { (removed_in(seconds)) }
            @if problem.resources.len() > 1 {
                details { summary { "Which resources" } p { (problem.resources.join(", ")) } }
            }
        }
    }
}
