//! Asks the API server which permissions are missing. A *review* is a request (`SelfSubjectAccessReview`) that asks
//! whether the client may use one verb on one resource.

use futures::stream::{self, StreamExt, TryStreamExt};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
    SubjectAccessReviewStatus,
};
use kube::Client;
use kube::api::{Api, PostParams};

use super::permission::{Permission, Permissions};

/// The maximum number of concurrent reviews. With a larger number, the API server would throttle the exporter.
const CONCURRENT: usize = 8;

/// The result of the reviews of all permissions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reviewed {
    /// The number of reviews: one for each verb on each resource.
    pub(crate) total: usize,
    /// A text for each verb that is not allowed, such as `list pods in namespace shop`.
    pub(crate) missing: Vec<String>,
}

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
        let allowed = is_allowed(reviews, permission, verb).await?;
        Ok::<_, kube::Error>((!allowed).then(|| format!("{verb} {permission}")))
    });
    let answers: Vec<_> = answers.buffered(CONCURRENT).try_collect().await?;
    Ok(Reviewed {
        total: answers.len(),
        missing: answers.into_iter().flatten().collect(),
    })
}

async fn is_allowed(
    reviews: &Api<SelfSubjectAccessReview>,
    permission: &Permission,
    verb: &str,
) -> Result<bool, kube::Error> {
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
    // An API server never sets both fields. As in Kubernetes, a denial takes precedence.
    let is_allowed =
        |status: SubjectAccessReviewStatus| status.allowed && status.denied != Some(true);
    Ok(review.status.is_some_and(is_allowed))
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
            assert_eq!(is_allowed(&reviews, &pods, "list").await.unwrap(), expected);
        }
    }
}
