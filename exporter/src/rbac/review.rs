//! Asks the API server which permissions are missing. A *review* is a request (`SelfSubjectAccessReview`) that asks
//! whether the client may use one verb on one resource.

use futures::stream::{self, StreamExt, TryStreamExt};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Client;
use kube::api::{Api, PostParams};

use super::permission::{Permission, Permissions};
use crate::humanize::start_of;

/// The maximum number of concurrent reviews. With a larger number, the API server would throttle the exporter.
const CONCURRENT: usize = 8;

/// The result of the reviews of all permissions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reviewed {
    /// The number of reviews: one for each verb on each resource.
    pub(crate) total: usize,
    /// A text for each verb that is not allowed, such as `list pods in namespace shop`. If the API server could not
    /// evaluate all rules, the text contains its error.
    pub(crate) missing: Vec<String>,
    /// Whether the API server could not evaluate all rules for one of these verbs.
    pub(crate) has_errors: bool,
}

/// The answer to a review that does not allow a verb.
struct Denial {
    /// Why the API server could not evaluate all rules; `None` if it evaluated them.
    evaluation_error: Option<String>,
}

/// The maximum number of bytes of an evaluation error that a text shows.
const SHOWN: usize = 1_000;

/// Asks the API server which permissions the user of the client has. Sends one review for each verb on each resource.
///
/// # Errors
///
/// The function fails if a review fails.
pub(crate) async fn review(
    client: &Client,
    permissions: &Permissions,
) -> Result<Reviewed, kube::Error> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let questions = permissions.iter().flat_map(|permission| {
        let verbs = permission.verbs.iter();
        verbs.map(move |verb| (permission, *verb))
    });
    let reviews = &reviews;
    let answers = stream::iter(questions).map(|(permission, verb)| async move {
        let denial = denial(reviews, permission, verb).await?;
        Ok::<_, kube::Error>(denial.map(|denial| (format!("{verb} {permission}"), denial)))
    });
    let answers: Vec<_> = answers.buffered(CONCURRENT).try_collect().await?;
    let mut reviewed = Reviewed {
        total: answers.len(),
        ..Reviewed::default()
    };
    for (mut text, Denial { evaluation_error }) in answers.into_iter().flatten() {
        if let Some(error) = evaluation_error {
            reviewed.has_errors = true;
            text += &format!(" (evaluation error: {})", start_of(&error, SHOWN));
        }
        reviewed.missing.push(text);
    }
    Ok(reviewed)
}

/// Sends a review. Returns `None` if the verb is allowed.
async fn denial(
    reviews: &Api<SelfSubjectAccessReview>,
    permission: &Permission,
    verb: &str,
) -> Result<Option<Denial>, kube::Error> {
    let attributes = ResourceAttributes {
        group: Some(permission.group.clone()),
        resource: Some(permission.resource.clone()),
        name: permission.name.clone(),
        namespace: permission.namespace.clone(),
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let review = reviews.create(&PostParams::default(), &review).await?;
    let status = review.status.unwrap_or_default();
    // An API server never sets both fields. As in Kubernetes, a denial takes precedence.
    let is_allowed = status.allowed && status.denied != Some(true);
    Ok((!is_allowed).then(|| Denial {
        evaluation_error: status.evaluation_error.filter(|error| !error.is_empty()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_denial_takes_precedence() {
        for (status, expected) in [
            (serde_json::json!({ "allowed": true }), true),
            (
                serde_json::json!({ "allowed": true, "denied": false }),
                true,
            ),
            (
                serde_json::json!({ "allowed": true, "denied": true }),
                false,
            ),
            (
                serde_json::json!({ "allowed": false, "denied": true }),
                false,
            ),
        ] {
            let body = serde_json::json!({ "spec": {}, "status": status }).to_string();
            let server = tower::service_fn(move |_: http::Request<kube::client::Body>| {
                let response =
                    http::Response::new(kube::client::Body::from(body.clone().into_bytes()));
                async move { Ok::<_, std::convert::Infallible>(response) }
            });
            let reviews = Api::all(Client::new(server, "default"));
            let pods = Permission {
                group: String::new(),
                resource: "pods".into(),
                name: None,
                namespace: None,
                verbs: &["list"],
            };
            let denial = denial(&reviews, &pods, "list").await.unwrap();
            assert_eq!(denial.is_none(), expected);
        }
    }

    #[tokio::test]
    async fn the_error_of_an_evaluation_is_shown_with_the_permission() {
        let status = serde_json::json!({
            "allowed": false,
            "evaluationError": "clusterrole.rbac.authorization.k8s.io \"shop\" not found",
        });
        let body = serde_json::json!({ "spec": {}, "status": status }).to_string();
        let server = tower::service_fn(move |_: http::Request<kube::client::Body>| {
            let response = http::Response::new(kube::client::Body::from(body.clone().into_bytes()));
            async move { Ok::<_, std::convert::Infallible>(response) }
        });
        let permissions = [Permission::new(None, "", "pods", &["list"])];
        let permissions = permissions.into_iter().collect();
        let reviewed = review(&Client::new(server, "default"), &permissions).await;
        assert_eq!(
            reviewed.unwrap().missing,
            [
                "list pods (evaluation error: clusterrole.rbac.authorization.k8s.io \"shop\" not found)"
            ]
        );
    }
}
