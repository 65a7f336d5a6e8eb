//! The resource `serviceaccounts`: its families show which service accounts exist, and which secrets they refer to.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::common;
use crate::family::{Samples, Stability};
use crate::{Collector, Family};

/// The families of ServiceAccounts.
///
/// ```
/// use kube_state_metrics::families::serviceaccounts;
///
/// assert!(serviceaccounts().iter().any(|family| family.descriptor().name() == "kube_serviceaccount_info"));
/// ```
#[must_use]
pub fn serviceaccounts() -> Collector<ServiceAccount> {
    type F = Family<ServiceAccount>;
    Collector::new().uid_label("uid").families([
        F::gauge(
            "kube_serviceaccount_info",
            "Always 1 for each ServiceAccount; `automount_token` is true if pods mount its \
             token, empty if not set.",
        )
        .labels(["automount_token"])
        .reads(["automountServiceAccountToken"])
        .generate(|account, s| {
            s.label("automount_token", account.automount_service_account_token)
                .value(1);
        }),
        F::gauge(
            "kube_serviceaccount_created",
            "Unix time when the ServiceAccount was created, in seconds.",
        )
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_serviceaccount_deleted",
            "Unix time when the ServiceAccount is due for deletion, in seconds; absent until \
             deletion is requested.",
        )
        .reads([common::DELETED])
        .generate(common::deleted),
        F::gauge(
            "kube_serviceaccount_secret",
            "Always 1 for each secret that pods of the ServiceAccount may use; `name` is the \
             secret. Absent if there is no such secret.",
        )
        .labels(["name"])
        .reads(["secrets.name"])
        .generate(secrets),
        F::gauge(
            "kube_serviceaccount_image_pull_secret",
            "Always 1 for each image pull secret of the ServiceAccount; `name` is the secret. \
             Absent if there is no such secret.",
        )
        .labels(["name"])
        .reads(["imagePullSecrets.name"])
        .generate(image_pull_secrets),
        common::annotations(
            "kube_serviceaccount_annotations",
            "ServiceAccount",
            Stability::Alpha,
        ),
        common::labels(
            "kube_serviceaccount_labels",
            "ServiceAccount",
            Stability::Alpha,
        ),
    ])
}

fn secrets(account: &ServiceAccount, s: &mut Samples<'_>) {
    for secret in account.secrets.iter().flatten() {
        s.label("name", secret.name.as_ref()).value(1);
    }
}

fn image_pull_secrets(account: &ServiceAccount, s: &mut Samples<'_>) {
    for secret in account.image_pull_secrets.iter().flatten() {
        s.label("name", &secret.name).value(1);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::families::testing::samples;

    #[test]
    fn an_account_that_leaves_automounting_open_has_an_empty_label() {
        assert_eq!(
            samples(serviceaccounts(), &json!({})),
            [
                r#"kube_serviceaccount_info{namespace="",serviceaccount="",uid="",automount_token=""} 1"#
            ]
        );
    }

    #[test]
    fn a_deleted_account_shows_times_and_secrets_in_list_order() {
        let account = json!({
            "metadata": {
                "name": "ci", "namespace": "a", "uid": "u",
                "creationTimestamp": "1970-01-01T00:00:01Z",
                "deletionTimestamp": "1970-01-01T00:00:02Z",
            },
            "automountServiceAccountToken": false,
            "secrets": [{ "name": "z", "namespace": "other" }, {}, { "name": "a" }, { "name": "z" }],
            "imagePullSecrets": [{ "name": "registry" }, null],
        });
        assert_eq!(
            samples(serviceaccounts(), &account),
            [
                r#"kube_serviceaccount_info{namespace="a",serviceaccount="ci",uid="u",automount_token="false"} 1"#,
                r#"kube_serviceaccount_created{namespace="a",serviceaccount="ci",uid="u"} 1"#,
                r#"kube_serviceaccount_deleted{namespace="a",serviceaccount="ci",uid="u"} 2"#,
                r#"kube_serviceaccount_secret{namespace="a",serviceaccount="ci",uid="u",name="z"} 1"#,
                r#"kube_serviceaccount_secret{namespace="a",serviceaccount="ci",uid="u",name=""} 1"#,
                r#"kube_serviceaccount_secret{namespace="a",serviceaccount="ci",uid="u",name="a"} 1"#,
                r#"kube_serviceaccount_image_pull_secret{namespace="a",serviceaccount="ci",uid="u",name="registry"} 1"#,
                r#"kube_serviceaccount_image_pull_secret{namespace="a",serviceaccount="ci",uid="u",name=""} 1"#,
            ]
        );
    }
}
