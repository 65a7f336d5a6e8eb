//! The resource `endpointslices`: its families show the endpoints of services, with their conditions, zones and ports.

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use super::common;
use crate::family::{Samples, Stability};
use crate::{Collector, Family};

/// The families of EndpointSlices.
///
/// ```
/// use kube_state_metrics::families::endpointslices;
///
/// assert!(endpointslices().iter().any(|family| family.descriptor().name() == "kube_endpointslice_info"));
/// ```
#[must_use]
pub fn endpointslices() -> Collector<EndpointSlice> {
    type F = Family<EndpointSlice>;
    // The order of the base labels differs from other resources: the name comes before the namespace.
    Collector::new()
        .no_base_labels()
        .name_label("endpointslice")
        .namespace_label("namespace")
        .families([
            F::gauge(
                "kube_endpointslice_info",
                "Always 1 for each EndpointSlice; `addresstype` is IPv4, IPv6 or FQDN.",
            )
            .labels(["addresstype"])
            .reads(["addressType"])
            .generate(|slice, s| s.label("addresstype", &slice.address_type).value(1)),
            F::gauge(
                "kube_endpointslice_created",
                "Unix time when the EndpointSlice was created, in seconds.",
            )
            .reads([common::CREATED])
            .generate(common::created),
            F::gauge(
                "kube_endpointslice_endpoints_hints",
                "Always 1 for each zone in the topology hints of an endpoint; `address` is the \
                 first address of the endpoint. Absent if the endpoint has no hints.",
            )
            .labels(["address", "for_zone"])
            .reads(["endpoints.addresses", "endpoints.hints.forZones.name"])
            .generate(|slice, s| {
                for endpoint in endpoints(slice) {
                    hints(endpoint, s);
                }
            }),
            F::gauge(
                "kube_endpointslice_endpoints",
                "Always 1 for each address of each endpoint; the labels are its conditions \
                 (empty if unknown), target object, node and zone.",
            )
            .labels([
                "ready",
                "serving",
                "hostname",
                "terminating",
                "targetref_kind",
                "targetref_name",
                "targetref_namespace",
                "endpoint_nodename",
                "endpoint_zone",
                "address",
            ])
            .reads([
                "endpoints.conditions.ready",
                "endpoints.conditions.serving",
                "endpoints.conditions.terminating",
                "endpoints.hostname",
                "endpoints.targetRef.kind",
                "endpoints.targetRef.name",
                "endpoints.targetRef.namespace",
                "endpoints.nodeName",
                "endpoints.zone",
                "endpoints.addresses",
            ])
            .generate(|slice, s| {
                for endpoint in endpoints(slice) {
                    addresses(endpoint, s);
                }
            }),
            F::gauge(
                "kube_endpointslice_ports",
                "Always 1 for each port of the EndpointSlice; an empty `port_number` means all \
                 ports.",
            )
            .labels(["port_name", "port_protocol", "port_number"])
            .reads(["ports.name", "ports.protocol", "ports.port"])
            .generate(|slice, s| {
                for port in slice.ports.iter().flatten() {
                    s.label("port_name", port.name.as_deref())
                        .label("port_protocol", port.protocol.as_deref())
                        .label("port_number", port.port)
                        .value(1);
                }
            }),
            common::annotations(
                "kube_endpointslice_annotations",
                "EndpointSlice",
                Stability::Alpha,
            ),
            common::labels(
                "kube_endpointslice_labels",
                "EndpointSlice",
                Stability::Alpha,
            ),
        ])
}

fn endpoints(slice: &EndpointSlice) -> impl Iterator<Item = &Endpoint> {
    let endpoints: Option<&Vec<Endpoint>> = common::optional(&slice.endpoints);
    endpoints.into_iter().flatten()
}

fn hints(endpoint: &Endpoint, s: &mut Samples<'_>) {
    let Some(address) = endpoint.addresses.first() else {
        return;
    };
    let hints = endpoint.hints.as_ref();
    for zone in hints
        .and_then(|hints| hints.for_zones.as_ref())
        .into_iter()
        .flatten()
    {
        s.label("address", address)
            .label("for_zone", &zone.name)
            .value(1);
    }
}

fn addresses(endpoint: &Endpoint, s: &mut Samples<'_>) {
    let conditions = endpoint.conditions.as_ref();
    let target = endpoint.target_ref.as_ref();
    for address in &endpoint.addresses {
        s.label("ready", conditions.and_then(|conditions| conditions.ready))
            .label(
                "serving",
                conditions.and_then(|conditions| conditions.serving),
            )
            .label("hostname", endpoint.hostname.as_deref())
            .label(
                "terminating",
                conditions.and_then(|conditions| conditions.terminating),
            )
            .label(
                "targetref_kind",
                target.and_then(|target| target.kind.as_deref()),
            )
            .label(
                "targetref_name",
                target.and_then(|target| target.name.as_deref()),
            )
            .label(
                "targetref_namespace",
                target.and_then(|target| target.namespace.as_deref()),
            )
            .label("endpoint_nodename", endpoint.node_name.as_deref())
            .label("endpoint_zone", endpoint.zone.as_deref())
            .label("address", address)
            .value(1);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::families::testing::{family, samples};

    #[test]
    fn an_endpoint_has_a_sample_per_address_with_all_it_says() {
        let object = json!({
            "metadata": { "name": "web-1", "namespace": "shop" },
            "endpoints": [{
                "addresses": ["10.0.0.1", "10.0.0.2"],
                "conditions": { "ready": true, "serving": false },
                "hostname": "web-0",
                "nodeName": "node-a",
                "zone": "zone-a",
                "targetRef": { "kind": "Pod", "name": "web-0", "namespace": "shop", "uid": "1" },
                "deprecatedTopology": { "zone": "other" },
            }, { "conditions": { "ready": true } }],
        });
        assert_eq!(
            family(endpointslices(), "kube_endpointslice_endpoints", &object),
            [
                r#"kube_endpointslice_endpoints{endpointslice="web-1",namespace="shop",ready="true",serving="false",hostname="web-0",terminating="",targetref_kind="Pod",targetref_name="web-0",targetref_namespace="shop",endpoint_nodename="node-a",endpoint_zone="zone-a",address="10.0.0.1"} 1"#,
                r#"kube_endpointslice_endpoints{endpointslice="web-1",namespace="shop",ready="true",serving="false",hostname="web-0",terminating="",targetref_kind="Pod",targetref_name="web-0",targetref_namespace="shop",endpoint_nodename="node-a",endpoint_zone="zone-a",address="10.0.0.2"} 1"#,
            ]
        );
    }

    #[test]
    fn hints_show_zones_under_the_first_address_only() {
        let object = json!({ "endpoints": [
            {
                "addresses": ["10.0.0.1", "10.0.0.2"],
                "hints": {
                    "forZones": [{ "name": "a" }, null, { "name": "a" }],
                    "forNodes": [{ "name": "n" }],
                },
            },
            { "addresses": [], "hints": { "forZones": [{ "name": "b" }] } },
            { "addresses": ["10.0.0.3"], "hints": { "forZones": [] } },
            { "addresses": ["10.0.0.4"], "hints": {} },
        ] });
        assert_eq!(
            family(
                endpointslices(),
                "kube_endpointslice_endpoints_hints",
                &object
            ),
            [
                r#"kube_endpointslice_endpoints_hints{endpointslice="",namespace="",address="10.0.0.1",for_zone="a"} 1"#,
                r#"kube_endpointslice_endpoints_hints{endpointslice="",namespace="",address="10.0.0.1",for_zone=""} 1"#,
            ]
        );
    }

    #[test]
    fn a_port_without_a_number_differs_from_port_zero() {
        let object = json!({ "ports": [{ "name": "", "port": 0 }, {}, { "port": 1_000_000 }] });
        assert_eq!(
            family(endpointslices(), "kube_endpointslice_ports", &object),
            [
                r#"kube_endpointslice_ports{endpointslice="",namespace="",port_name="",port_protocol="",port_number="0"} 1"#,
                r#"kube_endpointslice_ports{endpointslice="",namespace="",port_name="",port_protocol="",port_number=""} 1"#,
                r#"kube_endpointslice_ports{endpointslice="",namespace="",port_name="",port_protocol="",port_number="1000000"} 1"#,
            ]
        );
    }

    #[test]
    fn an_empty_slice_has_only_its_own_samples() {
        let object = json!({
            "metadata": { "name": "web-1", "creationTimestamp": "2023-11-14T22:13:20Z" },
            "addressType": "IPv4",
            "endpoints": null,
            "ports": null,
        });
        assert_eq!(
            samples(endpointslices(), &object),
            [
                r#"kube_endpointslice_info{endpointslice="web-1",namespace="",addresstype="IPv4"} 1"#,
                r#"kube_endpointslice_created{endpointslice="web-1",namespace=""} 1.7e+09"#,
            ]
        );
    }
}
