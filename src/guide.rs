//! Tutorials and how-to guides of the book.
//!
//! | to ... | read |
//! |---|---|
//! | expose state from an existing service | [`service`] |
//! | export metrics of a custom kind | [`own_kind`] |
//! | share the watches of an operator | [`share_a_watch`] |
//! | add metrics to a plain `Controller::new` | [`controller`] |
//! | serve the metrics of the program in the same scrape | [`own_metrics`] |
//! | test families | [`test_a_family`] |
//! | test alerts and recording rules | [`test_alerts`] |
//! | build the program and the image | [`build`] |
//! | install the exporter with its permissions | [`install`] |
//! | divide a large cluster among instances | [`shard`] |
//! | run several replicas, one of which serves the metrics | [`high_availability`] |
//! | configure Prometheus | [`scrape`] |
//! | load alerts and dashboards | [`alerts`] |
//! | add labels of the namespace, the node or the workload | [`join_labels`] |
//! | find the cause of a problem, and the metrics that cost most | [`observe`] |
//! | replace kube-state-metrics | [`migrate`] |
//!
//! If a page contains a `Cargo.toml`, the code of the page is a complete project. The CI pipeline builds and tests this
//! project outside the repository.

/// Declares a module per page of the book. The link definitions at the end of a page are relative paths, which work
/// only in the book. Rustdoc uses the first definition of a link, so the URLs in `guide/links.md` come before the page.
macro_rules! pages {
    ($($name:ident => $page:literal,)*) => {$(
        #[doc = include_str!("guide/links.md")]
        #[doc = ""]
        #[doc = include_str!(concat!("../docs/", $page, ".md"))]
        pub mod $name {}
    )*};
}

pages! {
    service => "tutorials/service",
    own_kind => "tutorials/own-kind",
    share_a_watch => "how-to/share-a-watch",
    controller => "how-to/controller",
    own_metrics => "how-to/own-metrics",
    test_a_family => "how-to/test-a-family",
    test_alerts => "how-to/test-alerts",
    build => "how-to/build",
    install => "how-to/install",
    shard => "how-to/shard",
    high_availability => "how-to/high-availability",
    scrape => "how-to/scrape",
    alerts => "how-to/alerts",
    join_labels => "how-to/join-labels",
    observe => "how-to/observe",
    migrate => "how-to/migrate",
}
