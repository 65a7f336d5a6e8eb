//! The resource `endpoints`: its families show the addresses and ports of services. The newer kind with these data is
//! EndpointSlice.

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints};

use super::common;
use crate::family::{Samples, Stability};
use crate::{Collector, Family};

/// The families of Endpoints.
///
/// ```
/// use kube_state_metrics::families::endpoints;
///
/// assert!(endpoints().iter().any(|family| family.descriptor().name() == "kube_endpoint_info"));
/// ```
#[must_use]
pub fn endpoints() -> Collector<Endpoints> {
    type F = Family<Endpoints>;
    Collector::new()
        .no_base_labels()
        .namespace_label("namespace")
        .name_label("endpoint")
        .families([
            F::gauge("kube_endpoint_info", "Always 1 for each Endpoints object.")
                .stable()
                .reads_identity_only()
                .generate(common::always),
            F::gauge(
                "kube_endpoint_created",
                "Unix time when the Endpoints object was created, in seconds.",
            )
            .stable()
            .reads([common::CREATED])
            .generate(common::created),
            common::annotations(
                "kube_endpoint_annotations",
                "Endpoints object",
                Stability::Alpha,
            ),
            common::labels(
                "kube_endpoint_labels",
                "Endpoints object",
                Stability::Stable,
            ),
            F::gauge(
                "kube_endpoint_address",
                "Always 1 for each port of each IP address of an Endpoints object; `ready` is \
                 true or false. Absent for addresses without ports.",
            )
            .stable()
            .labels(["port_protocol", "port_number", "port_name", "ip", "ready"])
            .reads([
                "subsets.ports.protocol",
                "subsets.ports.port",
                "subsets.ports.name",
                "subsets.addresses.ip",
                "subsets.notReadyAddresses.ip",
            ])
            .generate(|endpoints, s| {
                for (subset, port) in ports(endpoints) {
                    addresses(port, subset.addresses.as_deref(), true, s);
                    addresses(port, subset.not_ready_addresses.as_deref(), false, s);
                }
            }),
            F::gauge(
                "kube_endpoint_ports",
                "Always 1 for each port of an Endpoints object, with or without addresses.",
            )
            .stable()
            .deprecated("v2.14.0")
            .labels(["port_name", "port_protocol", "port_number"])
            .reads([
                "subsets.ports.name",
                "subsets.ports.protocol",
                "subsets.ports.port",
            ])
            .generate(|endpoints, s| {
                for (_, port) in ports(endpoints) {
                    s.label("port_name", port.name.as_deref())
                        .label("port_protocol", port.protocol.as_deref())
                        .label("port_number", port.port)
                        .value(1);
                }
            }),
        ])
}

/// Returns every port, with the subset of the Endpoints that contains the port.
fn ports(endpoints: &Endpoints) -> impl Iterator<Item = (&EndpointSubset, &EndpointPort)> {
    let subsets = endpoints.subsets.iter().flatten();
    subsets.flat_map(|subset| {
        subset
            .ports
            .iter()
            .flatten()
            .map(move |port| (subset, port))
    })
}

fn addresses(
    port: &EndpointPort,
    addresses: Option<&[EndpointAddress]>,
    ready: bool,
    s: &mut Samples<'_>,
) {
    for address in addresses.unwrap_or_default() {
        if s.is_full() {
            return;
        }
        s.label("port_protocol", port.protocol.as_deref())
            .label("port_number", port.port)
            .label("port_name", port.name.as_deref())
            .label("ip", &address.ip)
            .label("ready", ready)
            .value(1);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::families::testing::{family, samples};

    #[test]
    fn each_port_lists_ready_addresses_before_unready_ones() {
        let object = json!({ "subsets": [{
            "ports": [{ "name": "http", "port": 80, "protocol": "TCP" }, { "port": 53 }],
            "notReadyAddresses": [{ "ip": "10.0.0.3" }],
            "addresses": [{ "ip": "10.0.0.1" }, { "hostname": "only-a-name" }],
        }] });
        assert_eq!(
            family(endpoints(), "kube_endpoint_address", &object),
            [
                r#"kube_endpoint_address{namespace="",endpoint="",port_protocol="TCP",port_number="80",port_name="http",ip="10.0.0.1",ready="true"} 1"#,
                r#"kube_endpoint_address{namespace="",endpoint="",port_protocol="TCP",port_number="80",port_name="http",ip="",ready="true"} 1"#,
                r#"kube_endpoint_address{namespace="",endpoint="",port_protocol="TCP",port_number="80",port_name="http",ip="10.0.0.3",ready="false"} 1"#,
                r#"kube_endpoint_address{namespace="",endpoint="",port_protocol="",port_number="53",port_name="",ip="10.0.0.1",ready="true"} 1"#,
                r#"kube_endpoint_address{namespace="",endpoint="",port_protocol="",port_number="53",port_name="",ip="",ready="true"} 1"#,
                r#"kube_endpoint_address{namespace="",endpoint="",port_protocol="",port_number="53",port_name="",ip="10.0.0.3",ready="false"} 1"#,
            ]
        );
    }

    #[test]
    fn addresses_without_ports_and_ports_without_addresses_do_not_meet() {
        let object = json!({
            "metadata": { "namespace": "shop", "name": "db" },
            "subsets": [{ "addresses": [{ "ip": "10.0.0.1" }], "ports": null }, { "ports": [null] }],
        });
        assert_eq!(
            samples(endpoints(), &object),
            [
                r#"kube_endpoint_info{namespace="shop",endpoint="db"} 1"#,
                r#"kube_endpoint_ports{namespace="shop",endpoint="db",port_name="",port_protocol="",port_number="0"} 1"#,
            ]
        );
    }

    #[test]
    fn a_port_of_two_subsets_is_one_series() {
        let port = json!([{ "name": "http", "port": 80, "protocol": "TCP" }]);
        let address = json!([{ "ip": "10.0.0.1" }]);
        let object = json!({ "subsets": [
            { "ports": port, "addresses": address },
            { "ports": port, "addresses": address, "notReadyAddresses": address },
        ] });
        assert_eq!(
            samples(endpoints(), &object),
            [
                r#"kube_endpoint_info{namespace="",endpoint=""} 1"#,
                r#"kube_endpoint_address{namespace="",endpoint="",port_protocol="TCP",port_number="80",port_name="http",ip="10.0.0.1",ready="true"} 1"#,
                r#"kube_endpoint_address{namespace="",endpoint="",port_protocol="TCP",port_number="80",port_name="http",ip="10.0.0.1",ready="false"} 1"#,
                r#"kube_endpoint_ports{namespace="",endpoint="",port_name="http",port_protocol="TCP",port_number="80"} 1"#,
            ]
        );
    }
}
