//! The resource `ingressclasses`: its families show the controller of each ingress class.

use k8s_openapi::api::networking::v1::IngressClass;

use super::common;
use crate::family::Stability;
use crate::{Collector, Family};

/// The families of IngressClasses.
///
/// ```
/// use kube_state_metrics::families::ingressclasses;
///
/// assert!(ingressclasses().iter().any(|family| family.descriptor().name() == "kube_ingressclass_info"));
/// ```
#[must_use]
pub fn ingressclasses() -> Collector<IngressClass> {
    type F = Family<IngressClass>;
    Collector::new().families([
        F::gauge(
            "kube_ingressclass_info",
            "Always 1 for each IngressClass; `controller` is the ingress controller that \
             implements the class.",
        )
        .labels(["controller"])
        .reads(["spec.controller"])
        .generate(|class, s| {
            let spec = class.spec.as_ref();
            s.label(
                "controller",
                spec.and_then(|spec| spec.controller.as_deref()),
            )
            .value(1);
        }),
        F::gauge(
            "kube_ingressclass_created",
            "Unix time when the IngressClass was created, in seconds.",
        )
        .reads([common::CREATED])
        .generate(common::created),
        common::annotations(
            "kube_ingressclass_annotations",
            "IngressClass",
            Stability::Alpha,
        ),
        common::labels("kube_ingressclass_labels", "IngressClass", Stability::Alpha),
    ])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::families::testing::samples;

    #[test]
    fn a_class_shows_its_controller_and_never_a_namespace() {
        let object = json!({
            "metadata": {
                "name": "nginx",
                "namespace": "stray",
                "annotations": { "ingressclass.kubernetes.io/is-default-class": "true" },
                "creationTimestamp": "1970-01-01T00:00:00Z",
            },
            "spec": { "controller": "k8s.io/ingress-nginx", "parameters": { "name": "p" } },
        });
        assert_eq!(
            samples(ingressclasses(), &object),
            [
                r#"kube_ingressclass_info{ingressclass="nginx",controller="k8s.io/ingress-nginx"} 1"#,
                r#"kube_ingressclass_created{ingressclass="nginx"} 0"#,
            ]
        );
    }
}
