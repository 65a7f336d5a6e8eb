//! Generators that the families of containers and of init containers share.
//!
//! A generator that exports a field of the container statuses reads only these statuses. It does not read the spec,
//! because a container with a status may be missing in the spec.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateTerminated, ContainerStatus, Pod, ResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as QuantityText;

use crate::families::common;
use crate::family::referenced_labels::DictionaryColumn;
use crate::family::{Sample, SampleValue, Samples};
use crate::k8s::{Quantity, Unit, container_units};

/// The container statuses of a pod, for lookups by the name of the container.
struct StatusesByName<'p> {
    /// The statuses, if their number is below [`SORTED_FROM`]; otherwise empty. A lookup compares the name with each
    /// status.
    few: &'p [ContainerStatus],
    /// The statuses sorted by name, if `few` is empty. A lookup is a binary search.
    many: Vec<&'p ContainerStatus>,
}

/// If a pod has at least this number of statuses, the statuses are sorted.
const SORTED_FROM: usize = 32;

// === impl StatusesByName ===

impl<'p> StatusesByName<'p> {
    fn new(statuses: &'p [ContainerStatus]) -> Self {
        if statuses.len() < SORTED_FROM {
            let many = Vec::new();
            return Self {
                few: statuses,
                many,
            };
        }
        let mut many: Vec<_> = statuses.iter().collect();
        // A stable sort keeps the order of statuses with the same name.
        many.sort_by(|a, b| a.name.cmp(&b.name));
        Self { few: &[], many }
    }

    /// The statuses of the containers with this name, in the order of the pod status.
    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'p ContainerStatus> + 'a {
        let start = self.many.partition_point(|status| *status.name < *name);
        let many = self.many.get(start..).unwrap_or_default();
        let many = many.iter().copied();
        let few = self.few.iter().filter(move |status| status.name == name);
        few.chain(many.take_while(move |status| status.name == name))
    }
}

/// Writes one sample for each status of each container of the spec. A status belongs to the container with the same
/// name. The sample has the images and identifiers of the container. `add_labels` appends further labels.
pub(super) fn info(
    containers: &[Container],
    statuses: &[ContainerStatus],
    s: &mut Samples<'_>,
    add_labels: impl for<'s, 'a> Fn(Sample<'s, 'a>, &Container) -> Sample<'s, 'a>,
) {
    let statuses = StatusesByName::new(statuses);
    for container in containers {
        for status in statuses.named(&container.name) {
            if s.is_full() {
                return;
            }
            let sample = s
                .label("container", &status.name)
                .referenced_label(
                    DictionaryColumn::Image,
                    "image_spec",
                    container.image.as_deref(),
                )
                .referenced_label(DictionaryColumn::Image, "image", &*status.image)
                .referenced_label(DictionaryColumn::Image, "image_id", &*status.image_id)
                .label("container_id", status.container_id.as_ref());
            add_labels(sample, container).value(1);
        }
    }
}

/// Writes the resource limits of each container.
pub(super) fn limits(pod: &Pod, containers: &[Container], s: &mut Samples<'_>) {
    amounts(pod, containers, s, |resources| resources.limits.as_ref());
}

/// Writes the resource requests of each container.
pub(super) fn requests(pod: &Pod, containers: &[Container], s: &mut Samples<'_>) {
    amounts(pod, containers, s, |resources| resources.requests.as_ref());
}

/// Writes the start time of each running or terminated container.
pub(super) fn state_started(statuses: &[ContainerStatus], s: &mut Samples<'_>) {
    each(statuses, s, |status| {
        let state = status.state.as_ref()?;
        let started = match (&state.running, &state.terminated) {
            (Some(running), _) => running.started_at.as_ref(),
            (None, Some(terminated)) => terminated.started_at.as_ref(),
            (None, None) => None,
        };
        common::unix(started)
    });
}

/// Writes the reason why the previous run of each container terminated.
pub(super) fn last_terminated_reason(statuses: &[ContainerStatus], s: &mut Samples<'_>) {
    each_reason(statuses, s, |status| {
        Some(
            last_terminated(status)?
                .reason
                .as_deref()
                .unwrap_or_default(),
        )
    });
}

/// Writes the exit code of the previous run of each container.
pub(super) fn last_terminated_exit_code(statuses: &[ContainerStatus], s: &mut Samples<'_>) {
    each(statuses, s, |status| {
        Some(last_terminated(status)?.exit_code)
    });
}

/// Writes the time when the previous run of each container terminated.
pub(super) fn last_terminated_time(statuses: &[ContainerStatus], s: &mut Samples<'_>) {
    each(statuses, s, |status| {
        common::unix(last_terminated(status)?.finished_at.as_ref())
    });
}

/// Writes whether each container is ready.
pub(super) fn ready(statuses: &[ContainerStatus], s: &mut Samples<'_>) {
    each(statuses, s, |status| Some(status.ready));
}

/// Writes the number of restarts of each container.
pub(super) fn restarts(statuses: &[ContainerStatus], s: &mut Samples<'_>) {
    each(statuses, s, |status| Some(status.restart_count));
}

/// Writes whether each container is running.
pub(super) fn running(statuses: &[ContainerStatus], s: &mut Samples<'_>) {
    each(statuses, s, |status| {
        Some(is_in_state(status, |state| state.running.is_some()))
    });
}

/// Writes whether each container is terminated.
pub(super) fn is_terminated(statuses: &[ContainerStatus], s: &mut Samples<'_>) {
    each(statuses, s, |status| Some(terminated(status).is_some()));
}

/// Writes the reason of each terminated container.
pub(super) fn terminated_reason(statuses: &[ContainerStatus], s: &mut Samples<'_>) {
    each_reason(statuses, s, |status| {
        Some(terminated(status)?.reason.as_deref().unwrap_or_default())
    });
}

/// Writes whether each container is waiting to start.
pub(super) fn waiting(statuses: &[ContainerStatus], s: &mut Samples<'_>) {
    each(statuses, s, |status| {
        Some(is_in_state(status, |state| state.waiting.is_some()))
    });
}

/// Writes the reason of each waiting container.
pub(super) fn waiting_reason(statuses: &[ContainerStatus], s: &mut Samples<'_>) {
    each_reason(statuses, s, |status| {
        let waiting = status.state.as_ref()?.waiting.as_ref()?;
        Some(waiting.reason.as_deref().unwrap_or_default())
    });
}

/// The terminated state of the container, if it is terminated and has not been restarted.
pub(super) fn terminated(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    status.state.as_ref()?.terminated.as_ref()
}

fn last_terminated(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    status.last_state.as_ref()?.terminated.as_ref()
}

fn is_in_state(status: &ContainerStatus, state: impl Fn(&ContainerState) -> bool) -> bool {
    status.state.as_ref().is_some_and(state)
}

/// Writes one sample per container status that has a value.
fn each<V: SampleValue>(
    statuses: &[ContainerStatus],
    s: &mut Samples<'_>,
    value: impl Fn(&ContainerStatus) -> Option<V>,
) {
    for status in statuses {
        if let Some(value) = value(status) {
            s.label("container", &status.name).value(value);
        }
    }
}

/// Writes one sample with the value 1 per container status that has a reason. The reason may be empty.
fn each_reason(
    statuses: &[ContainerStatus],
    s: &mut Samples<'_>,
    reason: impl Fn(&ContainerStatus) -> Option<&str>,
) {
    for status in statuses {
        if let Some(reason) = reason(status) {
            s.label("container", &status.name)
                .label("reason", reason)
                .value(1);
        }
    }
}

fn amounts(
    pod: &Pod,
    containers: &[Container],
    s: &mut Samples<'_>,
    list: impl Fn(&ResourceRequirements) -> Option<&BTreeMap<String, QuantityText>>,
) {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    for container in containers {
        let resources = container.resources.as_ref().and_then(&list);
        for (name, QuantityText(text)) in resources.into_iter().flatten() {
            let Some(quantity) = Quantity::parse(text) else {
                continue;
            };
            for unit in container_units(name) {
                let amount = match unit {
                    Unit::Core => quantity.milli(),
                    Unit::Byte | Unit::Integer => quantity.whole(),
                };
                if let Some(amount) = amount {
                    s.label("container", &container.name)
                        .referenced_label(DictionaryColumn::Node, "node", node)
                        .label("resource", common::resource_label(name))
                        .label("unit", unit.as_str())
                        .value(amount);
                }
            }
        }
    }
}
