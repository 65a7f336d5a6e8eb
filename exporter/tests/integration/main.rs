//! Tests the exporter as a process: command line, configuration, HTTP, limits, TLS and tokens.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "tests fail by panicking"
)]

mod api;
mod authority;
mod blocked_log;
mod browser;
mod certificates;
mod check;
mod cli;
mod client;
mod cluster;
mod compare;
mod continuity;
mod credential_faults;
mod credentials;
mod custom;
mod dashboards;
mod deploy;
mod files;
mod flags;
mod floods;
mod high_availability;
mod hostile;
mod http;
mod identity_provider;
mod image;
mod joined_alerts;
mod joined_labels;
mod kept_credentials;
mod large_objects;
mod limits;
mod logins;
mod messages;
mod migration;
mod nesting;
mod other_server;
mod own_metrics;
mod prometheus;
mod promtool;
mod proxies;
mod published_dashboards;
mod rbac;
mod relay;
mod replaced_plugins;
mod rollouts;
mod scraper;
mod secrets;
mod serving;
mod support;
mod surfaces;
mod tls;
mod tokens;
#[path = "../../../tests/integration/support/tools.rs"]
#[allow(dead_code, reason = "the library's tests use the rest")]
mod tools;
mod top;
mod well_known;
