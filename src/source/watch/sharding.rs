//! Shards that change while running, by hand or with the replicas of a StatefulSet.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

use http::{Request, header};
use kube::Client;
use kube::client::Body;

use super::connection::send;
use super::failure::{Failure, FailureReason};
use super::health::Health;
use super::metrics::WatchMetrics;
use super::reflector::ShardScope;
use super::request::Target;
use super::timeouts::{Backoff, WatchTimeouts};
use crate::StateMetrics;
use crate::decode::{DecodeError, Fields, decode};
use crate::resource::ResourceInfo;
use crate::scope::Shard;
use crate::store::{ObjectWriter, Sealed};

/// The current shard, for the stores and for the requests.
pub(super) struct ShardControl {
    metrics: StateMetrics,
    watch_metrics: WatchMetrics,
    handover: Duration,
    current: Mutex<Current>,
    scope: watch::Sender<ShardScope>,
    changed: Notify,
}

struct Current {
    /// None until a StatefulSet has told it.
    shard: Option<Shard>,
    /// Earlier shards whose objects are still served, and until when.
    leaving: Vec<(Instant, Shard)>,
    generation: u64,
}

/// The pod whose StatefulSet tells the shard.
#[derive(Clone, Debug)]
pub(super) struct OwnPod {
    pub(super) namespace: String,
    pub(super) name: String,
}

/// A StatefulSet that shards are replicas of.
#[derive(Clone, Debug, Default)]
pub(super) struct Replicas {
    pub(super) name: String,
    /// The number of the own replica.
    pub(super) index: u32,
}

/// Takes the number of shards from what is said of a StatefulSet.
pub(super) struct ReplicaWriter {
    control: Arc<ShardControl>,
    health: Health,
    resource: ResourceInfo,
    index: u32,
    by_range: bool,
    name: String,
    version: String,
    seen: bool,
}

/// A pod is some kilobytes.
const MAX_POD: usize = 4 << 20;

// === impl ShardControl ===

impl ShardControl {
    /// Begins with the shard the stores have, or with none where it is yet to be told.
    pub(super) fn new(
        metrics: StateMetrics,
        watch_metrics: WatchMetrics,
        handover: Duration,
        known: bool,
    ) -> Self {
        let shard = metrics.shard();
        watch_metrics.set_shard(shard);
        let selector = Shard::selector(&[shard]).filter(|_| known);
        Self {
            metrics,
            watch_metrics,
            handover,
            current: Mutex::new(Current {
                shard: known.then_some(shard),
                leaving: Vec::new(),
                generation: 0,
            }),
            scope: watch::Sender::new(ShardScope {
                generation: 0,
                selector,
            }),
            changed: Notify::new(),
        }
    }

    /// Changes the shard: what stays is never interrupted, what leaves goes after the hand-over,
    /// and what comes is listed now.
    pub(super) fn set(&self, shard: Shard) {
        let mut current = self.current.lock();
        if current.shard == Some(shard) {
            return;
        }
        if let Some(before) = current.shard.replace(shard)
            && !self.handover.is_zero()
        {
            let until = Instant::now() + self.handover;
            current.leaving.retain(|(_, own)| *own != before);
            current.leaving.push((until, before));
        }
        current.leaving.retain(|(_, own)| *own != shard);
        current.generation += 1;
        tracing::info!(%shard, "serving another shard");
        self.publish(&current);
    }

    /// Ends hand-overs when their time has come; runs for ever.
    pub(super) async fn run(&self) {
        loop {
            let first = self
                .current
                .lock()
                .leaving
                .iter()
                .map(|(until, _)| *until)
                .min();
            let Some(first) = first else {
                self.changed.notified().await;
                continue;
            };
            tokio::select! {
                () = sleep_until(first) => {
                    let mut current = self.current.lock();
                    current.leaving.retain(|(until, _)| *until > Instant::now());
                    self.publish(&current);
                }
                () = self.changed.notified() => {}
            }
        }
    }

    /// Lets every watch look whether objects are wanted that it has not listed.
    pub(super) fn look_again(&self) {
        self.scope.send_modify(|_| {});
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<ShardScope> {
        self.scope.subscribe()
    }

    /// Waits until the shard is known.
    pub(super) async fn known(&self) {
        let mut scope = self.scope.subscribe();
        while self.current.lock().shard.is_none() {
            if scope.changed().await.is_err() {
                return;
            }
        }
    }

    fn publish(&self, current: &Current) {
        let Some(shard) = current.shard else { return };
        let leaving: Vec<_> = current.leaving.iter().map(|(_, shard)| *shard).collect();
        let all: Vec<_> = leaving.iter().copied().chain([shard]).collect();
        // The stores first: a list that begins now must find them ready for what it brings.
        self.metrics.set_shards(shard, leaving);
        self.watch_metrics.set_shard(shard);
        self.scope.send_replace(ShardScope {
            generation: current.generation,
            selector: Shard::selector(&all),
        });
        self.changed.notify_one();
    }
}

// === impl OwnPod ===

impl OwnPod {
    /// Finds the StatefulSet of the pod, trying for as long as it takes.
    pub(super) async fn replicas(
        &self,
        client: &Client,
        health: &Health,
        timeouts: &WatchTimeouts,
    ) -> Replicas {
        let mut backoff = Backoff::new(timeouts.clone());
        let mut said = None;
        loop {
            let failure = match self.find(client, timeouts.response).await {
                Ok(replicas) => return replicas,
                Err(failure) => failure,
            };
            let pod = format!("{}/{}", self.namespace, self.name);
            if said != Some(failure.reason) {
                said = Some(failure.reason);
                tracing::warn!(%pod, error = %failure, "no shard yet: cannot find the pod's StatefulSet");
            }
            health.set_sharding(Some(format!("no StatefulSet for pod {pod}: {failure}")));
            sleep(backoff.next(&failure)).await;
        }
    }

    async fn find(&self, client: &Client, patience: Duration) -> Result<Replicas, Failure> {
        #[derive(Deserialize)]
        struct Pod {
            metadata: Metadata,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Metadata {
            #[serde(default)]
            owner_references: Vec<Owner>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Owner {
            api_version: String,
            kind: String,
            name: String,
            #[serde(default)]
            controller: bool,
        }
        let pods = Target {
            namespace: Some(self.namespace.clone()),
            ..Target::all(ResourceInfo::of::<k8s_openapi::api::core::v1::Pod>())
        };
        let name: String = form_urlencoded::byte_serialize(self.name.as_bytes()).collect();
        let request = Request::get(format!("{}/{name}", pods.path()))
            .header(header::ACCEPT, "application/json")
            .body(Body::empty())
            .map_err(|error| Failure::new(FailureReason::Rejected, error.to_string()))?;
        let mut answer = send(client, request, patience).await?;
        let mut json = Vec::new();
        while let Some(bytes) = answer.next(patience).await? {
            json.extend_from_slice(&bytes);
            if json.len() > MAX_POD {
                break;
            }
        }
        let pod: Pod = serde_json::from_slice(&json)
            .map_err(|_| Failure::new(FailureReason::DecodeError, "the answer is not a pod"))?;
        let owner = pod.metadata.owner_references.into_iter().find(|own| {
            own.controller && own.api_version == "apps/v1" && own.kind == "StatefulSet"
        });
        let no_set = "the pod has no StatefulSet as its controller; without one, give the shard";
        let owner = owner.ok_or_else(|| Failure::new(FailureReason::Rejected, no_set))?;
        let index = self.name.strip_prefix(&owner.name);
        let index = index.and_then(|rest| rest.strip_prefix('-')?.parse().ok());
        let no_index = "the pod's name does not end with a replica's number";
        Ok(Replicas {
            index: index.ok_or_else(|| Failure::new(FailureReason::Rejected, no_index))?,
            name: owner.name,
        })
    }
}

// === impl ReplicaWriter ===

impl ReplicaWriter {
    pub(super) fn new(
        control: Arc<ShardControl>,
        health: Health,
        replicas: &Replicas,
        by_range: bool,
    ) -> Self {
        Self {
            control,
            health,
            resource: ResourceInfo::of::<k8s_openapi::api::apps::v1::StatefulSet>(),
            index: replicas.index,
            by_range,
            name: replicas.name.clone(),
            version: String::new(),
            seen: false,
        }
    }

    fn read(&mut self, json: &[u8]) -> Result<u32, DecodeError> {
        #[derive(Deserialize)]
        struct StatefulSet {
            metadata: Metadata,
            #[serde(default)]
            spec: Spec,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Metadata {
            #[serde(default)]
            resource_version: String,
        }
        #[derive(Default, Deserialize)]
        struct Spec {
            replicas: Option<u32>,
        }
        let set: StatefulSet = decode(self.resource.kind(), json, &Fields::All)?;
        self.version = set.metadata.resource_version;
        Ok(set.spec.replicas.unwrap_or(1))
    }
}

impl Sealed for ReplicaWriter {}

impl ObjectWriter for ReplicaWriter {
    fn resource(&self) -> &ResourceInfo {
        &self.resource
    }

    fn apply_json(&mut self, json: &[u8]) -> Result<(), DecodeError> {
        let total = self.read(json)?;
        let shard = Shard::of_replica(self.index, total);
        self.seen = true;
        self.control.set(if self.by_range {
            shard.by_range()
        } else {
            shard
        });
        self.health.set_sharding(None);
        Ok(())
    }

    /// A StatefulSet that is deleted takes its pods along: there is nothing to rearrange.
    fn delete_json(&mut self, json: &[u8]) -> Result<(), DecodeError> {
        self.read(json).map(drop)
    }

    fn delete_key(&mut self, _namespace: &str, _name: &str) {}

    fn last_version(&self) -> &str {
        &self.version
    }

    fn begin_list(&mut self) {}

    fn end_list(&mut self) {
        if !self.seen {
            let problem = format!("the StatefulSet {} is not there", self.name);
            self.health.set_sharding(Some(problem));
        }
    }

    fn abandon_list(&mut self) {}

    fn close(self: Box<Self>) {}
}

impl std::fmt::Debug for ReplicaWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplicaWriter")
            .field("name", &self.name)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}
