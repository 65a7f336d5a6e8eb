//! Metrics of the watches, for a registry of the host.
//!
//! In [`WatchMetrics`], a blank line separates two groups of metrics. The metrics above the line have the names, labels
//! and values of kube-state-metrics, so that the alerts of kube-state-metrics work. The metrics below the line do not
//! exist in kube-state-metrics.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Registry,
};

use super::buffer_budget::BufferBudget;
use super::watch_event::EventKind;
use crate::decode::Encoding;
use crate::resource::ResourceInfo;
use crate::scope::Shard;
use crate::self_metrics::{
    DefinitionMetrics, Figures, counters, gauge, gauges, go_type, options, resource_label,
};
use crate::source::health::{FeedOrigin, Health, ReadinessPolicy, ResourceState};

/// All metrics of a cluster watch.
#[derive(Clone)]
pub(super) struct WatchMetrics {
    lists: IntCounterVec,
    watches: IntCounterVec,
    list_objects: IntGaugeVec,
    list_limit: IntGaugeVec,
    shard_ordinal: IntGaugeVec,
    total_shards: IntGauge,

    events: IntCounterVec,
    latency: HistogramVec,
    relists: IntCounterVec,
    oversized: IntCounterVec,
    responses: IntCounterVec,
    audit_requests: IntCounterVec,
    audit_relists: IntCounterVec,
    definitions: DefinitionMetrics,
    gauges: Gauges,
}

/// Gauges that are computed at each scrape.
#[derive(Clone)]
struct Gauges {
    figures: Figures,
    synced: IntGaugeVec,
    failing: IntGaugeVec,
    ready_without: IntGaugeVec,
    removal: GaugeVec,
    age: GaugeVec,
    audit_age: GaugeVec,
    audit_difference: IntGaugeVec,
    unapplied: IntGaugeVec,
    unapplied_age: GaugeVec,
    buffered: IntGauge,
    most_buffered: IntGauge,
    buffer_waits: IntCounter,
}

/// The metrics of one watch.
pub(super) struct FeedMetrics {
    list_ok: IntCounter,
    list_error: IntCounter,
    watch_ok: IntCounter,
    watch_error: IntCounter,
    list_objects: IntGaugeVec,
    resource: String,
    events: [IntCounter; EventKind::ALL.len()],
    latency: Histogram,
    relists: IntCounter,
    oversized: IntCounter,
    json_responses: IntCounter,
    protobuf_responses: IntCounter,
    audit_requests: IntCounter,
    audit_relists: IntCounter,
}

/// The collector that the registry of the host contains: all metrics, and the data from which gauges are computed.
struct Registered {
    metrics: WatchMetrics,
    health: Health,
    budget: Arc<BufferBudget>,
    /// Allows one scrape at a time, because each scrape resets the gauges before it sets them.
    one_at_a_time: Mutex<()>,
}

/// Latencies are usually tens of microseconds. The upper buckets show a lack of CPU time.
const LATENCY_BUCKETS: [f64; 12] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0,
];

/// The names of encodings in metrics.
const JSON: &str = "json";
const PROTOBUF: &str = "protobuf";

// === impl WatchMetrics ===

impl WatchMetrics {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let latency = HistogramOpts::new(
            "kube_state_metrics_update_latency_seconds",
            "Time from the arrival of an event until its samples are stored, in seconds.",
        );
        let latency = latency.buckets(LATENCY_BUCKETS.to_vec());
        Ok(Self {
            lists: counters(
                "list_total",
                "List requests, including each page, by result (success or error).",
                &["resource", "result"],
            )?,
            watches: counters(
                "watch_total",
                "Watch requests, including streaming lists, by result (success or error).",
                &["resource", "result"],
            )?,
            list_objects: gauges(
                "list_objects",
                "Number of objects in the last list of the resource; absent without an object limit.",
                &["resource"],
            )?,
            list_limit: gauges(
                "list_objects_limit",
                "Maximum number of objects in a list of the resource; absent without an object limit.",
                &["resource"],
            )?,
            shard_ordinal: gauges(
                "shard_ordinal",
                "Zero-based index of this shard.",
                &["shard_ordinal"],
            )?,
            total_shards: IntGauge::new(
                "kube_state_metrics_total_shards",
                "Number of shards that share the objects of the cluster.",
            )?,
            events: counters(
                "events_total",
                "Events that the watches of the resource received, by type.",
                &["resource", "event"],
            )?,
            latency: HistogramVec::new(latency, &["resource"])?,
            relists: counters(
                "relists_total",
                "Complete lists of the resource after the first list.",
                &["resource"],
            )?,
            oversized: counters(
                "oversized_objects_total",
                "Objects from the API server that were skipped because they are larger than the maximum size.",
                &["resource"],
            )?,
            responses: counters(
                "responses_total",
                "Responses to lists, pages and watches, by the encoding of the objects (protobuf or json).",
                &["resource", "encoding"],
            )?,
            audit_requests: counters(
                "audit_requests_total",
                "List requests of the audits of the resource, including each page.",
                &["resource"],
            )?,
            audit_relists: counters(
                "audit_relists_total",
                "Lists of the resource that were requested because an audit found stored objects \
                 that differ from those of the API server.",
                &["resource"],
            )?,
            definitions: DefinitionMetrics::new()?,
            gauges: Gauges {
                figures: Figures::new()?,
                synced: gauges(
                    "synced",
                    "1 if the resource has a complete list and receives changes, otherwise 0.",
                    &["resource"],
                )?,
                failing: gauges(
                    "failing",
                    "1 for the reason why the list or watch of the resource currently fails; absent otherwise.",
                    &["resource", "reason"],
                )?,
                ready_without: gauges(
                    "ready_without",
                    "1 for a resource whose first list is not complete although the watch is ready; \
                     absent for other resources.",
                    &["resource"],
                )?,
                removal: GaugeVec::new(
                    options(
                        "forbidden_removal_seconds",
                        "Seconds until the stored objects of a resource are removed because the API server \
                         forbids the resource; absent for other resources.",
                    ),
                    &["resource"],
                )?,
                age: GaugeVec::new(
                    options(
                        "last_event_age_seconds",
                        "Time since the last event or bookmark, in seconds; the maximum over namespaces.",
                    ),
                    &["resource"],
                )?,
                audit_age: GaugeVec::new(
                    options(
                        "audit_age_seconds",
                        "Time since the last audit of the resource had a result, in seconds; the maximum over \
                         namespaces.",
                    ),
                    &["resource"],
                )?,
                audit_difference: gauges(
                    "audit_difference",
                    "Number of stored objects that differed from those of the API server in the last audit.",
                    &["resource"],
                )?,
                unapplied: gauges(
                    "unapplied_objects",
                    "Number of changed objects that the watch has received but whose samples are not stored yet.",
                    &["resource"],
                )?,
                unapplied_age: GaugeVec::new(
                    options(
                        "unapplied_age_seconds",
                        "Time since the arrival of the oldest changed object whose samples are not stored yet, in \
                         seconds; 0 if there is no such object.",
                    ),
                    &["resource"],
                )?,
                buffered: IntGauge::with_opts(options(
                    "feed_buffer_bytes",
                    "Memory for incomplete objects from the API server, of all feeds, in bytes. Buffers of up to 64 KiB do not count.",
                ))?,
                most_buffered: IntGauge::with_opts(options(
                    "feed_buffer_peak_bytes",
                    "Maximum of kube_state_metrics_feed_buffer_bytes since the watch began.",
                ))?,
                buffer_waits: IntCounter::with_opts(options(
                    "feed_buffer_waits_total",
                    "How often a feed waited for memory, because all feeds together had reached their limit.",
                ))?,
            },
        })
    }

    /// Registers all metrics.
    pub(super) fn register(
        &self,
        registry: &Registry,
        health: &Health,
        budget: &Arc<BufferBudget>,
    ) -> Result<(), prometheus::Error> {
        registry.register(Box::new(Registered {
            metrics: self.clone(),
            health: health.clone(),
            budget: Arc::clone(budget),
            one_at_a_time: Mutex::new(()),
        }))
    }

    /// The metrics of one feed. `limit` is the maximum number of objects of a list.
    pub(super) fn feed(&self, resource: &ResourceInfo, limit: Option<u64>) -> FeedMetrics {
        let (go_type, own) = (go_type(resource), resource_label(resource));
        if let Some(limit) = limit {
            let limit = gauge(limit);
            self.list_limit.with_label_values(&[&*go_type]).set(limit);
        }
        FeedMetrics {
            list_ok: self.lists.with_label_values(&[&*go_type, "success"]),
            list_error: self.lists.with_label_values(&[&*go_type, "error"]),
            watch_ok: self.watches.with_label_values(&[&*go_type, "success"]),
            watch_error: self.watches.with_label_values(&[&*go_type, "error"]),
            list_objects: self.list_objects.clone(),
            events: EventKind::ALL
                .map(|kind| self.events.with_label_values(&[&*own, kind.as_str()])),
            latency: self.latency.with_label_values(&[&*own]),
            relists: self.relists.with_label_values(&[&*own]),
            oversized: self.oversized.with_label_values(&[&*own]),
            json_responses: self.responses.with_label_values(&[&*own, JSON]),
            protobuf_responses: self.responses.with_label_values(&[&*own, PROTOBUF]),
            audit_requests: self.audit_requests.with_label_values(&[&*own]),
            audit_relists: self.audit_relists.with_label_values(&[&*own]),
            resource: go_type,
        }
    }

    /// Sets the metrics of the shard. The metric `shard_ordinal` has a series only for the current shard.
    pub(super) fn set_shard(&self, shard: Shard) {
        self.shard_ordinal.reset();
        let index = shard.index();
        (self.shard_ordinal.with_label_values(&[index.to_string()])).set(i64::from(index));
        self.total_shards.set(i64::from(shard.total()));
    }

    /// The metrics of the definitions of custom resources.
    #[cfg(feature = "custom-resources")]
    pub(super) fn definitions(&self) -> &DefinitionMetrics {
        &self.definitions
    }

    /// Removes the series of a resource that is no longer watched.
    pub(super) fn forget(&self, resource: &ResourceInfo) {
        let own = resource_label(resource);
        for kind in EventKind::ALL {
            // The call returns an error if the series does not exist. Such an error is ignored.
            let _ = self.events.remove_label_values(&[&*own, kind.as_str()]);
        }
        for encoding in [JSON, PROTOBUF] {
            let _ = self.responses.remove_label_values(&[&*own, encoding]);
        }
        let _ = self.latency.remove_label_values(&[&*own]);
        let _ = self.relists.remove_label_values(&[&*own]);
        let _ = self.oversized.remove_label_values(&[&*own]);
        let _ = self.audit_requests.remove_label_values(&[&*own]);
        let _ = self.audit_relists.remove_label_values(&[&*own]);
    }

    fn parts(&self) -> [&dyn Collector; 27] {
        let Gauges {
            figures,
            synced,
            failing,
            ready_without,
            removal,
            age,
            audit_age,
            audit_difference,
            unapplied,
            unapplied_age,
            buffered,
            most_buffered,
            buffer_waits,
        } = &self.gauges;
        [
            &self.lists,
            &self.watches,
            &self.list_objects,
            &self.list_limit,
            &self.shard_ordinal,
            &self.total_shards,
            &self.events,
            &self.latency,
            &self.relists,
            &self.oversized,
            &self.responses,
            &self.audit_requests,
            &self.audit_relists,
            &self.definitions,
            figures,
            synced,
            failing,
            ready_without,
            removal,
            age,
            audit_age,
            audit_difference,
            unapplied,
            unapplied_age,
            buffered,
            most_buffered,
            buffer_waits,
        ]
    }
}

impl Gauges {
    fn refresh(&self, health: &Health, budget: &BufferBudget) {
        let figures = budget.figures();
        self.buffered.set(gauge(figures.bytes));
        self.most_buffered.set(gauge(figures.peak));
        self.buffer_waits.reset();
        self.buffer_waits.inc_by(figures.waits);
        // All series are removed first, because some resources may no longer be registered.
        self.figures.reset(health.metrics());
        self.synced.reset();
        self.failing.reset();
        self.ready_without.reset();
        self.removal.reset();
        self.age.reset();
        self.audit_age.reset();
        self.audit_difference.reset();
        self.unapplied.reset();
        self.unapplied_age.reset();
        let readiness = health.readiness(ReadinessPolicy::Default);
        let waiting = readiness.waiting.iter().filter(|_| readiness.ready);
        let waiting: HashSet<_> = waiting.map(|own| &*own.resource).collect();
        for (resource, stats, own) in health.figures() {
            let label = &*resource_label(&resource);
            self.figures.set(label, &stats);
            if own.source == FeedOrigin::LeftOut {
                continue;
            }
            let resource = &[label];
            let synced = i64::from(own.state == ResourceState::Synced);
            self.synced.with_label_values(resource).set(synced);
            if let ResourceState::Failing(reason) = own.state {
                let labels = [label, reason.as_str()];
                self.failing.with_label_values(&labels).set(1);
            }
            if waiting.contains(&*own.resource) {
                self.ready_without.with_label_values(resource).set(1);
            }
            if let Some(seconds) = own.removal_seconds {
                self.removal.with_label_values(resource).set(seconds);
            }
            if own.source == FeedOrigin::Watched {
                let unapplied = gauge(own.unapplied_objects);
                self.unapplied.with_label_values(resource).set(unapplied);
                let age = own.unapplied_seconds.unwrap_or_default();
                self.unapplied_age.with_label_values(resource).set(age);
            }
            if let Some(age) = own.silent_seconds {
                self.age.with_label_values(resource).set(age);
            }
            if let Some(age) = own.audit_seconds {
                self.audit_age.with_label_values(resource).set(age);
            }
            if let Some(difference) = own.audit_difference {
                let difference = gauge(difference);
                (self.audit_difference.with_label_values(resource)).set(difference);
            }
        }
    }
}

impl Collector for Registered {
    fn desc(&self) -> Vec<&Desc> {
        self.metrics
            .parts()
            .into_iter()
            .flat_map(Collector::desc)
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _one = self.one_at_a_time.lock();
        self.metrics.gauges.refresh(&self.health, &self.budget);
        self.metrics
            .parts()
            .into_iter()
            .flat_map(Collector::collect)
            .collect()
    }
}

// === impl FeedMetrics ===

impl FeedMetrics {
    pub(super) fn list_request(&self, worked: bool) {
        if worked {
            &self.list_ok
        } else {
            &self.list_error
        }
        .inc();
    }

    pub(super) fn watch_request(&self, worked: bool) {
        if worked {
            &self.watch_ok
        } else {
            &self.watch_error
        }
        .inc();
    }

    /// Sets the metric for the number of objects in a list with an object limit.
    pub(super) fn limited_list(&self, objects: u64) {
        let objects = gauge(objects);
        (self.list_objects.with_label_values(&[&*self.resource])).set(objects);
    }

    pub(super) fn event(&self, kind: EventKind) {
        if let Some(counter) = self.events.get(kind as usize) {
            counter.inc();
        }
    }

    pub(super) fn applied(&self, latency: Duration) {
        self.latency.observe(latency.as_secs_f64());
    }

    pub(super) fn oversized(&self) {
        self.oversized.inc();
    }

    /// Counts a response when the response begins.
    pub(super) fn response(&self, encoding: Encoding) {
        match encoding {
            Encoding::Json => self.json_responses.inc(),
            Encoding::Protobuf(_) => self.protobuf_responses.inc(),
        }
    }

    pub(super) fn relisted(&self) {
        self.relists.inc();
    }

    /// The counter of the requests that audits send.
    pub(super) fn audit_requests(&self) -> IntCounter {
        self.audit_requests.clone()
    }

    pub(super) fn audit_relisted(&self) {
        self.audit_relists.inc();
    }
}
