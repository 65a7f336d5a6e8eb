//! Derives the shard from a StatefulSet, if the replicas of this StatefulSet share the objects of the cluster. The
//! number of shards is the number of replicas, and the ordinal of the pod determines the shard of this replica.

use std::fmt;
use std::mem;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube_protobuf::Envelope;
use serde::Deserialize;

use super::context::WatchContext;
use super::failure::Failure;
use super::metrics::WatchMetrics;
use super::own_pod::{OwnPod, Replicas};
use super::request::Target;
use super::shard_control::ShardControl;
use super::sink::ListWatchSink;
use crate::decode::{DecodeError, Encoded, Encoding, Fields, decode};
use crate::resource::ResourceInfo;
use crate::scope::Shard;
use crate::source::health::Health;

/// The sink that receives the StatefulSet, and sets the shard when the number of replicas changes.
struct ReplicaSink {
    shards: Arc<ShardControl>,
    health: Health,
    resource: ResourceInfo,
    namespace: String,
    replicas: Replicas,
    is_by_range: bool,
    version: String,
    /// Whether the StatefulSet has been received and decoded.
    is_found: bool,
    /// Whether the last version of the StatefulSet does not decode.
    is_unreadable: bool,
    /// Whether the log contains a warning about an object that is not in the requested list.
    has_warned: bool,
}

/// The fields of a StatefulSet that [`ReplicaSink`] reads.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReplicaCount {
    /// Empty in the items of lists, like the kind.
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    metadata: Metadata,
    /// Required, because a StatefulSet without a specification would count as one replica. The API server always sends
    /// this field.
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    namespace: String,
    name: String,
    #[serde(default)]
    resource_version: String,
}

#[derive(Deserialize)]
struct Spec {
    replicas: Option<u32>,
    #[serde(default)]
    ordinals: Ordinals,
}

#[derive(Default, Deserialize)]
struct Ordinals {
    /// The ordinal of the first replica.
    #[serde(default)]
    start: u32,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    /// `None` if the StatefulSet has no status yet. Otherwise, the API server always sets this field.
    replicas: Option<u32>,
    #[serde(default)]
    ready_replicas: u32,
}

/// Finds the StatefulSet to which the pod of this exporter belongs, and sets the shard whenever the number of replicas
/// changes. Never resolves.
pub(super) async fn follow(context: WatchContext, pod: OwnPod) {
    let (client, timeouts) = (&context.config.client, &context.config.options.timeouts);
    let replicas = pod.replicas(client, &context.health, timeouts).await;
    // This watch has separate metrics, which are not registered. Otherwise, its requests would count as requests of the
    // watch that exports StatefulSets.
    let Ok(metrics) = WatchMetrics::new() else {
        return;
    };
    let resource = ResourceInfo::of::<StatefulSet>();
    let target = Target {
        namespace: Some(pod.namespace.clone()),
        field_selector: Some(format!("metadata.name={}", replicas.name)),
        ..Target::all(resource.clone())
    };
    let sink = ReplicaSink {
        shards: Arc::clone(&context.shards),
        health: context.health.clone(),
        resource,
        namespace: pod.namespace,
        replicas,
        is_by_range: context.config.metrics.shard().is_by_range(),
        version: String::new(),
        is_found: false,
        is_unreadable: false,
        has_warned: false,
    };
    let feed = context.feed(&target);
    let reflector = context.unsharded_reflector(sink, target, feed, &metrics);
    reflector.run().await;
}

// === impl ReplicaSink ===

impl ReplicaSink {
    fn read(&mut self, object: Encoded<'_>) -> Result<ReplicaCount, DecodeError> {
        let set: ReplicaCount = decode(self.resource.kind(), object, &Fields::All)?;
        self.version.clone_from(&set.metadata.resource_version);
        Ok(set)
    }

    /// Whether an object is a StatefulSet of the requested namespace. If the result is false, a proxy or an unusual
    /// server ignores a part of the request. Another object with the same name must not determine the shard.
    fn is_requested(&self, set: &ReplicaCount, object: Encoded<'_>) -> bool {
        let is_kind = |api_version: &str, kind: &str| {
            (kind.is_empty() || kind == self.resource.kind())
                && (api_version.is_empty() || api_version == self.resource.api_version())
        };
        let envelope = match object.encoding() {
            Encoding::Json => None,
            Encoding::Protobuf(_) => Envelope::parse(object.bytes()).ok(),
        };
        set.metadata.namespace == self.namespace
            && is_kind(&set.api_version, &set.kind)
            && envelope.is_none_or(|own| is_kind(own.api_version(), own.kind()))
    }

    /// Reports that the StatefulSet does not decode. If the shard is known, it stays the same.
    fn report_unreadable(&mut self, error: &DecodeError) {
        let is_requested = error.identity() == Some((&self.namespace, &self.replicas.name));
        if !is_requested || mem::replace(&mut self.is_unreadable, true) {
            return;
        }
        if self.is_found {
            tracing::warn!(
                %error,
                "the shard stays the same, because the StatefulSet of the shards cannot be read; check whether a proxy \
                 changes responses of the API server"
            );
        } else {
            self.set_unreadable(error);
        }
    }

    fn set_unreadable(&self, error: &impl fmt::Display) {
        let name = &self.replicas.name;
        let problem = format!("cannot read the StatefulSet {name}: {error}");
        self.health.set_sharding(Some(problem));
    }

    fn warn_not_requested(&mut self) {
        if !mem::replace(&mut self.has_warned, true) {
            tracing::warn!(
                namespace = %self.namespace,
                name = %self.replicas.name,
                "the response to the request for the StatefulSet of the shards has an object of another namespace or \
                 another kind; the exporter ignores this object, and the shard stays the same; check whether a proxy \
                 changes requests or responses of the API server"
            );
        }
    }
}

impl ListWatchSink for ReplicaSink {
    fn apply(&mut self, object: Encoded<'_>) -> Result<(), DecodeError> {
        let set = self.read(object);
        let set = set.inspect_err(|error| self.report_unreadable(error))?;
        if !self.is_requested(&set, object) {
            self.warn_not_requested();
            return Ok(());
        }
        // Other StatefulSets are ignored here, because a proxy or an unusual server may ignore the field selector of
        // the request.
        if set.metadata.name != self.replicas.name {
            return Ok(());
        }
        let total = set.spec.replicas.unwrap_or(1);
        let has_status = set.status.replicas.is_some();
        // `set_replicas_ready` is called before the shard changes, so that the hand-over waits for the new replicas.
        (self.shards).set_replicas_ready(!has_status || set.status.ready_replicas >= total);
        // A replica with an ordinal outside the range of the StatefulSet gets the index of a shard without objects.
        // Kubernetes deletes such a replica soon.
        let index = self.replicas.ordinal.checked_sub(set.spec.ordinals.start);
        let shard = Shard::of_replica(index.unwrap_or(total), total);
        self.is_found = true;
        self.is_unreadable = false;
        self.shards.set_soon(if self.is_by_range {
            shard.by_range()
        } else {
            shard
        });
        self.health.set_sharding(None);
        Ok(())
    }

    /// Keeps the shard: if the StatefulSet is deleted, its pods are deleted, too.
    fn delete(&mut self, object: Encoded<'_>) -> Result<(), DecodeError> {
        self.read(object).map(drop)
    }

    fn last_version(&self) -> &str {
        &self.version
    }

    fn end_list(&mut self) {
        if !self.is_found && !self.is_unreadable {
            let problem = format!("the StatefulSet {} does not exist", self.replicas.name);
            self.health.set_sharding(Some(problem));
        }
    }

    /// Reports a failure to read the StatefulSet, if the shard is not known yet. A later failure does not change the
    /// shard.
    fn failed(&mut self, failure: &Failure) {
        if !self.is_found {
            self.set_unreadable(failure);
        }
    }
}
