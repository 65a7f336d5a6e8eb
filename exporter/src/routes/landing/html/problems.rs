//! The messages about problems on the landing page. There is one message for each cause.

use maud::{Markup, html};

use super::super::messages::{
    ADD_RULES, Forbidden, MOST_LISTED, Message, messages, more_roles, removal,
};
use super::super::page::Data;
use super::parts::with_code;
use crate::instance::{LimitProblem, MOST_NAMES, Problem, REPEATED};

pub(super) fn section(data: &Data) -> Markup {
    let total = data.status.resources.len();
    html! {
        @for message in messages(data) {
            @match message {
                Message::NotReady(reason) => {
                    div class="message bad" role="alert" { p { b { (reason) } } }
                }
                Message::Forbidden(forbidden) => { (forbidden_message(&forbidden)) }
                Message::Problem(problem) => { (problem_message(problem, total)) }
                Message::Refusal(line) => {
                    div class="message bad" role="alert" { p { (with_code(line)) } }
                }
                Message::Note(note) => {
                    div class="message wait" role="status" { p { (with_code(note)) } }
                }
                Message::Limit(limit) => { (exceeded(limit)) }
            }
        }
    }
}

fn forbidden_message(forbidden: &Forbidden<'_>) -> Markup {
    html! {
        div class="message bad" role="alert" {
            p {
                b { (forbidden.title()) }
                @if !forbidden.rules.is_empty() { " " (with_code(ADD_RULES)) }
            }
            @if let Some(seconds) = forbidden.removal_seconds { (removed_in(seconds)) }
            @for line in forbidden.rules { (missing_rules(line)) }
            @if forbidden.more_roles > 0 {
                p { (with_code(&more_roles(forbidden.more_roles))) }
            }
            @if forbidden.resources.len() > MOST_LISTED {
                details { summary { "Which resources" } p { (forbidden.resources.join(", ")) } }
            }
            @if !forbidden.errors.is_empty() {
                details {
                    summary { "What the API server answers" }
                    @for error in &forbidden.errors { p { (error) } }
                }
            }
        }
    }
}

fn removed_in(seconds: f64) -> Markup {
    html! { p { (removal(seconds)) } }
}

/// Renders an exceeded limit, and the resources whose objects exceed the limit.
fn exceeded(limit: &LimitProblem) -> Markup {
    let resources = limit.affected();
    html! {
        div class="message wait" role="status" {
            p {
                b { code { (limit.flag) } ": " (limit.what) " are left out" }
                "; " (REPEATED) ". The log names the first object of each resource. Raise the limit if the objects are correct."
            }
            @if limit.resources.len() > MOST_LISTED {
                details { summary { (limit.resources.len()) " resources" } p { (resources) } }
            } @else {
                p { (resources) }
            }
        }
    }
}

/// Renders a role that lacks rules, and the missing rules as YAML that the user can copy.
fn missing_rules(line: &str) -> Markup {
    let (role, rules) = line.split_once(": ").unwrap_or(("missing", line));
    html! {
        div class="rules" {
            p { "Rules that are " (role) ":" }
            pre class="copy" { (rules) }
        }
    }
}

fn problem_message(problem: &Problem, total: usize) -> Markup {
    let (class, role) = match problem.is_normal {
        true => ("message wait", "status"),
        false => ("message bad", "alert"),
    };
    html! {
        div class=(class) role=(role) {
            p {
                b { (problem.affected(total)) ": " (problem.state) }
                @if let Some(error) = &problem.error { ". " (with_code(error)) }
            }
            @if let Some(seconds) = problem.removal_seconds { (removed_in(seconds)) }
            @if problem.resources.len() > MOST_NAMES {
                details { summary { "Which resources" } p { (problem.resources.join(", ")) } }
            }
        }
    }
}
