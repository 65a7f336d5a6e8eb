//! Code that the families of admission policies and webhooks share: base labels, the services of webhooks, and the
//! parameters of policies.

use k8s_openapi::api::admissionregistration::v1::{ParamKind, ParamRef, WebhookClientConfig};
use kube::Resource;

use crate::Collector;
use crate::family::{Sample, Samples};
use crate::resource::CollectedResource;
use crate::resource::StaticScope;

/// Returns a collector with the base labels that admission policies, their bindings and webhook configurations have.
///
/// These resources are cluster-scoped, but their samples start with the label `namespace`, whose value is empty.
pub(in crate::families) fn collector<K>(name_label: &'static str) -> Collector<K>
where
    K: CollectedResource + Resource<DynamicType = (), Scope: StaticScope>,
{
    Collector::new()
        .no_base_labels()
        .namespace_label("namespace")
        .name_label(name_label)
}

/// Writes one sample for a webhook. The labels are its name and the service that it calls. If the webhook calls a URL,
/// the labels of the service are empty.
pub(in crate::families) fn webhook(name: &str, client: &WebhookClientConfig, s: &mut Samples<'_>) {
    let service = client.service.as_ref();
    s.label("webhook_name", name)
        .label("service_name", service.map(|service| &service.name))
        .label(
            "service_namespace",
            service.map(|service| &service.namespace),
        )
        .value(1);
}

/// Starts a sample of a policy. Its first labels name the kind of the policy's parameters.
pub(in crate::families) fn param_kind<'s, 'a>(
    s: &'s mut Samples<'a>,
    kind: Option<&ParamKind>,
) -> Sample<'s, 'a> {
    s.label(
        "param_api_version",
        kind.and_then(|kind| kind.api_version.as_deref()),
    )
    .label("param_kind", kind.and_then(|kind| kind.kind.as_deref()))
}

/// Writes one sample for a binding. The labels name the policy and the parameter object.
pub(in crate::families) fn binding(
    policy: Option<&String>,
    param: Option<&ParamRef>,
    s: &mut Samples<'_>,
) {
    let not_found = param.and_then(|param| param.parameter_not_found_action.as_deref());
    s.label("policy_name", policy)
        .label("param_name", param.and_then(|param| param.name.as_deref()))
        .label(
            "param_namespace",
            param.and_then(|param| param.namespace.as_deref()),
        )
        .label("param_not_found_action", not_found)
        .value(1);
}
