//! The resource `services`: its families show types, addresses and load balancers.

use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use super::common;
use crate::family::{Samples, Stability};
use crate::{Collector, Family};

/// The families of services.
///
/// ```
/// use kube_state_metrics::families::services;
///
/// assert!(services().iter().any(|family| family.descriptor().name() == "kube_service_info"));
/// ```
#[must_use]
pub fn services() -> Collector<Service> {
    type F = Family<Service>;
    Collector::new().uid_label("uid").families([
        F::gauge(
            "kube_service_info",
            "Always 1 for each service; the labels are its addresses and external traffic \
             policy, empty if not set.",
        )
        .stable()
        .labels([
            "cluster_ip",
            "external_name",
            "load_balancer_ip",
            "external_traffic_policy",
        ])
        .reads([
            "spec.clusterIP",
            "spec.externalName",
            "spec.loadBalancerIP",
            "spec.externalTrafficPolicy",
        ])
        .generate(info),
        F::gauge(
            "kube_service_created",
            "Unix time when the service was created, in seconds.",
        )
        .stable()
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_service_spec_type",
            "Always 1 for each service; `type` is ClusterIP, NodePort, LoadBalancer or \
             ExternalName.",
        )
        .stable()
        .labels(["type"])
        .reads(["spec.type"])
        .generate(|service, s| {
            s.label("type", spec(service).and_then(|spec| spec.type_.as_ref()))
                .value(1);
        }),
        common::annotations("kube_service_annotations", "service", Stability::Alpha),
        common::labels("kube_service_labels", "service", Stability::Stable),
        F::gauge(
            "kube_service_spec_external_ip",
            "Always 1 for each external IP address of the service; absent if the service has none.",
        )
        .stable()
        .labels(["external_ip"])
        .reads(["spec.externalIPs"])
        .generate(external_ips),
        F::gauge(
            "kube_service_status_load_balancer_ingress",
            "Always 1 for each ingress point (IP address or host name) of the load balancer of \
             the service; absent until there is one.",
        )
        .stable()
        .labels(["ip", "hostname"])
        .reads([
            "status.loadBalancer.ingress.ip",
            "status.loadBalancer.ingress.hostname",
        ])
        .generate(load_balancer_ingress),
        F::gauge(
            "kube_service_deletion_timestamp",
            "Unix time when the service is due for deletion, in seconds; absent until deletion \
             is requested.",
        )
        .reads([common::DELETED])
        .generate(common::deleted),
    ])
}

fn spec(service: &Service) -> Option<&ServiceSpec> {
    service.spec.as_ref()
}

fn info(service: &Service, s: &mut Samples<'_>) {
    let spec = spec(service);
    s.label("cluster_ip", spec.and_then(|spec| spec.cluster_ip.as_ref()))
        .label(
            "external_name",
            spec.and_then(|spec| spec.external_name.as_ref()),
        )
        .label(
            "load_balancer_ip",
            spec.and_then(|spec| spec.load_balancer_ip.as_ref()),
        )
        .label(
            "external_traffic_policy",
            spec.and_then(|spec| spec.external_traffic_policy.as_ref()),
        )
        .value(1);
}

fn external_ips(service: &Service, s: &mut Samples<'_>) {
    let addresses = spec(service).and_then(|spec| spec.external_ips.as_ref());
    for address in addresses.into_iter().flatten() {
        s.label("external_ip", address).value(1);
    }
}

fn load_balancer_ingress(service: &Service, s: &mut Samples<'_>) {
    let balancer = service
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_ref());
    for point in ingress.into_iter().flatten() {
        s.label("ip", point.ip.as_ref())
            .label("hostname", point.hostname.as_ref())
            .value(1);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::families::testing::samples;

    #[test]
    fn a_service_without_spec_has_empty_labels_and_no_default_type() {
        assert_eq!(
            samples(
                services(),
                &json!({ "spec": { "clusterIPs": ["10.0.0.1"] } })
            ),
            [
                r#"kube_service_info{namespace="",service="",uid="",cluster_ip="",external_name="",load_balancer_ip="",external_traffic_policy=""} 1"#,
                r#"kube_service_spec_type{namespace="",service="",uid="",type=""} 1"#,
            ]
        );
    }

    #[test]
    fn addresses_come_in_list_order_whatever_the_type() {
        let service = json!({
            "metadata": {
                "name": "web", "namespace": "shop", "uid": "u",
                "creationTimestamp": "1970-01-01T00:00:01Z",
                "deletionTimestamp": "1970-01-01T00:00:02Z",
            },
            "spec": {
                "type": "NodePort", "clusterIP": "None", "externalName": "db.example.com",
                "loadBalancerIP": "192.0.2.1", "externalTrafficPolicy": "Local",
                "externalIPs": ["198.51.100.2", "", "198.51.100.1", "198.51.100.2"],
            },
            "status": {
                "loadBalancer": {
                    "ingress": [{ "hostname": "lb.example.com" }, { "ip": "192.0.2.1" }, {}],
                },
            },
        });
        assert_eq!(
            samples(services(), &service),
            [
                r#"kube_service_info{namespace="shop",service="web",uid="u",cluster_ip="None",external_name="db.example.com",load_balancer_ip="192.0.2.1",external_traffic_policy="Local"} 1"#,
                r#"kube_service_created{namespace="shop",service="web",uid="u"} 1"#,
                r#"kube_service_spec_type{namespace="shop",service="web",uid="u",type="NodePort"} 1"#,
                r#"kube_service_spec_external_ip{namespace="shop",service="web",uid="u",external_ip="198.51.100.2"} 1"#,
                r#"kube_service_spec_external_ip{namespace="shop",service="web",uid="u",external_ip=""} 1"#,
                r#"kube_service_spec_external_ip{namespace="shop",service="web",uid="u",external_ip="198.51.100.1"} 1"#,
                r#"kube_service_status_load_balancer_ingress{namespace="shop",service="web",uid="u",ip="",hostname="lb.example.com"} 1"#,
                r#"kube_service_status_load_balancer_ingress{namespace="shop",service="web",uid="u",ip="192.0.2.1",hostname=""} 1"#,
                r#"kube_service_status_load_balancer_ingress{namespace="shop",service="web",uid="u",ip="",hostname=""} 1"#,
                r#"kube_service_deletion_timestamp{namespace="shop",service="web",uid="u"} 2"#,
            ]
        );
    }
}
