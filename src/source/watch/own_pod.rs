//! [`OwnPod`]: finds the StatefulSet whose replicas are the shards.

use std::fmt;
use std::time::Duration;

use http::{Request, header};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::client::Body;
use serde::Deserialize;
use tokio::time::sleep;

use super::connection::send;
use super::failure::Failure;
use super::request::{Target, segment};
use super::timeouts::{Backoff, WatchTimeouts};
use crate::decode::Encoding;
use crate::resource::ResourceInfo;
use crate::source::health::{FailureReason, Health};

/// The pod in which this process runs. The StatefulSet of the pod determines the shard.
#[derive(Clone, Debug)]
pub(super) struct OwnPod {
    pub(super) namespace: String,
    pub(super) name: String,
}

/// A StatefulSet whose replicas are shards.
#[derive(Clone, Debug, Default)]
pub(super) struct Replicas {
    pub(super) name: String,
    /// The number at the end of the pod's name. If the StatefulSet has no start ordinal, this number is the index of
    /// the replica.
    pub(super) ordinal: u32,
}

/// The fields of a pod that identify the pod and its controller.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodOwners {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    metadata: OwnerMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OwnerMetadata {
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    owner_references: Vec<OwnerReference>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OwnerReference {
    api_version: String,
    kind: String,
    name: String,
    #[serde(default)]
    controller: bool,
}

/// Maximum size of the response. A pod is always smaller.
const MAX_POD_BYTES: usize = 4 << 20;

const OTHER_OBJECT: &str = "the response is another object than the requested pod; check whether a proxy changes \
                            requests or responses of the API server";

// === impl OwnPod ===

impl OwnPod {
    /// Finds the StatefulSet of the pod. Repeats the request after each failure.
    pub(super) async fn replicas(
        &self,
        client: &Client,
        health: &Health,
        timeouts: &WatchTimeouts,
    ) -> Replicas {
        let mut backoff = Backoff::new(timeouts.clone());
        let mut logged = None;
        loop {
            let failure = match self.find(client, timeouts.response).await {
                Ok(replicas) => return replicas,
                Err(failure) => failure,
            };
            if logged.replace(failure.reason) != Some(failure.reason) {
                let error = &failure;
                tracing::warn!(
                    pod = %self,
                    %error,
                    "the shard is not known, because the pod's StatefulSet cannot be found; grant `get` on the \
                     pod, and `list` and `watch` on StatefulSets, or set the shard explicitly"
                );
            }
            health.set_sharding(Some(format!("no StatefulSet for pod {self}: {failure}")));
            sleep(backoff.next(&failure)).await;
        }
    }

    async fn find(&self, client: &Client, timeout: Duration) -> Result<Replicas, Failure> {
        let request = self.request()?;
        let response = send(client, request, Encoding::Json, timeout).await?;
        self.replicas_of(&response.collect(MAX_POD_BYTES, timeout).await?)
    }

    fn request(&self) -> Result<Request<Body>, Failure> {
        let pods = Target {
            namespace: Some(self.namespace.clone()),
            ..Target::all(ResourceInfo::of::<Pod>())
        };
        Request::get(format!("{}/{}", pods.path()?, segment(&self.name)?))
            .header(header::ACCEPT, "application/json")
            .body(Body::empty())
            .map_err(|error| Failure::new(FailureReason::Rejected, error.to_string()))
    }

    /// Whether the response is this pod.
    fn is_in(&self, pod: &PodOwners) -> bool {
        (pod.api_version.is_empty() || pod.api_version == "v1")
            && (pod.kind.is_empty() || pod.kind == "Pod")
            && pod.metadata.namespace == self.namespace
            && pod.metadata.name == self.name
    }

    /// Returns the StatefulSet that controls the pod in `json`.
    fn replicas_of(&self, json: &[u8]) -> Result<Replicas, Failure> {
        let rejected = |message| Failure::new(FailureReason::Rejected, message);
        let pod: PodOwners = serde_json::from_slice(json)
            .map_err(|_| Failure::new(FailureReason::DecodeError, "the response is not a pod"))?;
        if !self.is_in(&pod) {
            return Err(rejected(OTHER_OBJECT));
        }
        let mut owners = pod.metadata.owner_references.into_iter();
        let set = owners.find(|own| {
            own.controller && own.api_version == "apps/v1" && own.kind == "StatefulSet"
        });
        let set = set
            .ok_or_else(|| rejected("no StatefulSet controls the pod; set the shard explicitly"))?;
        let ordinal = self.name.strip_prefix(&set.name);
        let ordinal = ordinal.and_then(|rest| rest.strip_prefix('-')?.parse().ok());
        let ordinal = ordinal
            .ok_or_else(|| rejected("the pod's name does not end with the ordinal of a replica"))?;
        Ok(Replicas {
            name: set.name,
            ordinal,
        })
    }
}

impl fmt::Display for OwnPod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
