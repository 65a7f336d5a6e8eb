//! The resource `certificatesigningrequests`: its families show decisions and issued certificates.

use std::borrow::Cow;

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

use super::common;
use crate::family::{Samples, Stability};
use crate::{Collector, Family};

/// The families of CertificateSigningRequests.
///
/// ```
/// use kube_state_metrics::families::certificatesigningrequests;
///
/// assert!(certificatesigningrequests().iter().any(|family| family.descriptor().name() == "kube_certificatesigningrequest_annotations"));
/// ```
#[must_use]
pub fn certificatesigningrequests() -> Collector<CertificateSigningRequest> {
    type F = Family<CertificateSigningRequest>;
    Collector::new()
        .field_label(
            "signer_name",
            "spec.signerName",
            |request: &CertificateSigningRequest| Cow::Borrowed(&request.spec.signer_name),
        )
        .families([
            common::annotations(
                "kube_certificatesigningrequest_annotations",
                "CertificateSigningRequest",
                Stability::Alpha,
            ),
            common::labels(
                "kube_certificatesigningrequest_labels",
                "CertificateSigningRequest",
                Stability::Stable,
            ),
            F::gauge(
                "kube_certificatesigningrequest_created",
                "Unix time when the CertificateSigningRequest was created, in seconds.",
            )
            .stable()
            .reads([common::CREATED])
            .generate(common::created),
            F::gauge(
                "kube_certificatesigningrequest_condition",
                "Number of conditions of the CertificateSigningRequest by type (approved, \
                 denied, failed), whatever their status; all 0 while the request is pending.",
            )
            .stable()
            .labels(["condition"])
            .reads(["status.conditions.type"])
            .generate(conditions),
            F::gauge(
                "kube_certificatesigningrequest_cert_length",
                "Length of the issued certificate of the CertificateSigningRequest, in bytes; 0 \
                 until a certificate is issued.",
            )
            .stable()
            .reads(["status.certificate"])
            .generate(|request, s| {
                let status = request.status.as_ref();
                let certificate = status.and_then(|status| status.certificate.as_ref());
                s.value(certificate.map_or(0, |certificate| certificate.0.len()));
            }),
        ])
}

fn conditions(request: &CertificateSigningRequest, s: &mut Samples<'_>) {
    let status = request.status.as_ref();
    let conditions = status
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    for (label, of_type) in [
        ("approved", "Approved"),
        ("denied", "Denied"),
        ("failed", "Failed"),
    ] {
        let count = conditions
            .iter()
            .filter(|condition| condition.type_ == of_type)
            .count();
        s.label("condition", label).value(count);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::families::testing::{family, samples};

    #[test]
    fn conditions_are_counted_by_type_and_the_signer_is_a_base_label() {
        let object = json!({
            "metadata": { "name": "csr-1", "namespace": "stray" },
            "spec": { "signerName": "kubernetes.io/kubelet-serving" },
            "status": { "conditions": [
                { "type": "Approved", "status": "True" },
                { "type": "Failed" },
                { "type": "approved", "status": "True" },
                { "type": "Approved", "status": "False" },
                null,
            ] },
        });
        assert_eq!(
            samples(certificatesigningrequests(), &object),
            [
                r#"kube_certificatesigningrequest_condition{certificatesigningrequest="csr-1",signer_name="kubernetes.io/kubelet-serving",condition="approved"} 2"#,
                r#"kube_certificatesigningrequest_condition{certificatesigningrequest="csr-1",signer_name="kubernetes.io/kubelet-serving",condition="denied"} 0"#,
                r#"kube_certificatesigningrequest_condition{certificatesigningrequest="csr-1",signer_name="kubernetes.io/kubelet-serving",condition="failed"} 1"#,
                r#"kube_certificatesigningrequest_cert_length{certificatesigningrequest="csr-1",signer_name="kubernetes.io/kubelet-serving"} 0"#,
            ]
        );
    }

    #[test]
    fn the_length_of_a_certificate_is_that_of_the_decoded_bytes() {
        let length = |certificate: &str| {
            let object = json!({ "status": { "certificate": certificate } });
            family(
                certificatesigningrequests(),
                "kube_certificatesigningrequest_cert_length",
                &object,
            )
        };
        let bytes = |count: usize| {
            let labels = r#"certificatesigningrequest="",signer_name="""#;
            [format!(
                "kube_certificatesigningrequest_cert_length{{{labels}}} {count}"
            )]
        };
        assert_eq!(length("YWJj"), bytes(3));
        assert_eq!(length("YWJj\r\nYQ\n==\n"), bytes(4));
        assert_eq!(length("YR=="), bytes(1));
    }
}
