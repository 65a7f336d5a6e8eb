//! The resource `ingresses`: its families show classes, paths with their backends, and hosts with TLS.

use k8s_openapi::api::networking::v1::{HTTPIngressPath, Ingress};

use super::common;
use crate::family::{Samples, Stability};
use crate::{Collector, Family};

/// The annotation with the class of an ingress. The annotation takes precedence over the class in the spec.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// The value of the class label if an ingress has no class.
const DEFAULT_CLASS: &str = "_default";

/// The families of ingresses.
///
/// ```
/// use kube_state_metrics::families::ingresses;
///
/// assert!(ingresses().iter().any(|family| family.descriptor().name() == "kube_ingress_info"));
/// ```
#[must_use]
pub fn ingresses() -> Collector<Ingress> {
    type F = Family<Ingress>;
    Collector::new().families([
        F::gauge(
            "kube_ingress_info",
            "Always 1 for each ingress; `ingressclass` is `_default` if the ingress names no \
             class.",
        )
        .stable()
        .labels(["ingressclass"])
        .reads(["metadata.annotations", "spec.ingressClassName"])
        .generate(|ingress, s| s.label("ingressclass", class(ingress)).value(1)),
        common::annotations("kube_ingress_annotations", "ingress", Stability::Alpha),
        common::labels("kube_ingress_labels", "ingress", Stability::Stable),
        F::gauge(
            "kube_ingress_created",
            "Unix time when the ingress was created, in seconds.",
        )
        .stable()
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_ingress_metadata_resource_version",
            "Resource version of the ingress, a number that changes with every update; absent if \
             the version is not a decimal integer.",
        )
        .reads([common::VERSION])
        .generate(common::version),
        F::gauge(
            "kube_ingress_path",
            "Always 1 for each HTTP path of each rule of the ingress; the labels name the \
             backend service, or the backend resource.",
        )
        .stable()
        .labels([
            "host",
            "path",
            "path_type",
            "service_name",
            "service_port",
            "resource_api_group",
            "resource_kind",
            "resource_name",
        ])
        .reads([
            "spec.rules.host",
            "spec.rules.http.paths.path",
            "spec.rules.http.paths.pathType",
            "spec.rules.http.paths.backend.service.name",
            "spec.rules.http.paths.backend.service.port.number",
            "spec.rules.http.paths.backend.resource.apiGroup",
            "spec.rules.http.paths.backend.resource.kind",
            "spec.rules.http.paths.backend.resource.name",
        ])
        .generate(paths),
        F::gauge(
            "kube_ingress_tls",
            "Always 1 for each TLS host of the ingress; `secret` is the secret with the \
             certificate of the host. Absent for TLS entries without hosts.",
        )
        .stable()
        .labels(["tls_host", "secret"])
        .reads(["spec.tls.hosts", "spec.tls.secretName"])
        .generate(tls),
    ])
}

fn class(ingress: &Ingress) -> &str {
    let annotations = ingress.metadata.annotations.as_ref();
    let annotated = annotations.and_then(|annotations| annotations.get(CLASS_ANNOTATION));
    let specified = || ingress.spec.as_ref()?.ingress_class_name.as_ref();
    annotated
        .or_else(specified)
        .map_or(DEFAULT_CLASS, String::as_str)
}

fn paths(ingress: &Ingress, s: &mut Samples<'_>) {
    let rules = ingress
        .spec
        .iter()
        .flat_map(|spec| spec.rules.iter().flatten());
    for rule in rules {
        for path in rule.http.iter().flat_map(|http| &http.paths) {
            backend(rule.host.as_deref(), path, s);
        }
    }
}

fn backend(host: Option<&str>, path: &HTTPIngressPath, s: &mut Samples<'_>) {
    let sample = s
        .label("host", host)
        .label("path", path.path.as_deref())
        .label("path_type", &path.path_type);
    if let Some(service) = &path.backend.service {
        // If a port has only a name, the label is 0, because its value must be a number.
        let port = service.port.as_ref().and_then(|port| port.number);
        sample
            .label("service_name", &service.name)
            .label("service_port", port.unwrap_or(0))
            .value(1);
    } else if let Some(resource) = &path.backend.resource {
        sample
            .label("resource_api_group", resource.api_group.as_deref())
            .label("resource_kind", &resource.kind)
            .label("resource_name", &resource.name)
            .value(1);
    }
}

fn tls(ingress: &Ingress, s: &mut Samples<'_>) {
    for tls in ingress
        .spec
        .iter()
        .flat_map(|spec| spec.tls.iter().flatten())
    {
        for host in tls.hosts.iter().flatten() {
            s.label("tls_host", host)
                .label("secret", tls.secret_name.as_deref())
                .value(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::families::testing::{family, samples};

    fn with_backend(backend: &Value) -> Value {
        json!({ "spec": { "rules": [{ "http": { "paths": [{ "backend": backend }] } }] } })
    }

    #[test]
    fn an_ingress_without_a_class_has_the_default_one() {
        assert_eq!(
            samples(
                ingresses(),
                &json!({ "metadata": { "namespace": "shop", "name": "web" } })
            ),
            [r#"kube_ingress_info{namespace="shop",ingress="web",ingressclass="_default"} 1"#]
        );
    }

    #[test]
    fn an_annotation_without_a_value_beats_the_class_of_the_spec() {
        let object = json!({
            "metadata": { "annotations": { CLASS_ANNOTATION: null } },
            "spec": { "ingressClassName": "nginx" },
        });
        assert_eq!(
            samples(ingresses(), &object),
            [r#"kube_ingress_info{namespace="",ingress="",ingressclass=""} 1"#]
        );
    }

    #[test]
    fn a_path_without_any_backend_is_left_out_and_the_others_stay() {
        let path = |path: &str, backend: Value| json!({ "path": path, "backend": backend });
        let object = json!({ "spec": { "rules": [
            { "host": "a.example", "http": { "paths": [
                path("/none", json!({})),
                path("/null", Value::Null),
                path("/service", json!({ "service": { "name": "web", "port": { "number": 80 } } })),
                null,
            ] } },
            { "http": null },
            { "http": { "paths": [path("/", json!({ "resource": {} }))] } },
        ] } });
        assert_eq!(
            family(ingresses(), "kube_ingress_path", &object),
            [
                r#"kube_ingress_path{namespace="",ingress="",host="a.example",path="/service",path_type="",service_name="web",service_port="80"} 1"#,
                r#"kube_ingress_path{namespace="",ingress="",host="",path="/",path_type="",resource_api_group="",resource_kind="",resource_name=""} 1"#,
            ]
        );
    }

    #[test]
    fn a_service_backend_that_says_nothing_is_still_one() {
        let object = with_backend(&json!({ "service": {}, "resource": { "kind": "Bucket" } }));
        assert_eq!(
            family(ingresses(), "kube_ingress_path", &object),
            [
                r#"kube_ingress_path{namespace="",ingress="",host="",path="",path_type="",service_name="",service_port="0"} 1"#
            ]
        );
    }

    #[test]
    fn a_named_service_port_is_zero() {
        let service = json!({ "service": { "name": "web", "port": { "name": "http" } } });
        assert_eq!(
            family(ingresses(), "kube_ingress_path", &with_backend(&service)),
            [
                r#"kube_ingress_path{namespace="",ingress="",host="",path="",path_type="",service_name="web",service_port="0"} 1"#
            ]
        );
    }

    #[test]
    fn every_tls_host_names_its_secret() {
        let object = json!({ "spec": { "tls": [
            { "hosts": ["a.example", null, "a.example"], "secretName": "a" },
            { "secretName": "default-certificate" },
            { "hosts": ["b.example"] },
        ] } });
        assert_eq!(
            family(ingresses(), "kube_ingress_tls", &object),
            [
                r#"kube_ingress_tls{namespace="",ingress="",tls_host="a.example",secret="a"} 1"#,
                r#"kube_ingress_tls{namespace="",ingress="",tls_host="",secret="a"} 1"#,
                r#"kube_ingress_tls{namespace="",ingress="",tls_host="b.example",secret=""} 1"#,
            ]
        );
    }
}
