//! Requests to list and watch: paths, selectors and parameters. A *shard selector* is the value of the parameter
//! `shardSelector`. It makes the API server send only the objects of some shards.

use form_urlencoded::{Serializer, byte_serialize};
use http::{Request, header};
use kube::client::Body;
use kube_protobuf::{Message, message_of};

use super::failure::Failure;
use super::representation::Representation;
use crate::decode::Encoding;
use crate::resource::ResourceInfo;
use crate::source::health::FailureReason;

/// A collection: the objects of a resource that match the selectors, in one namespace or in all namespaces.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) resource: ResourceInfo,
    pub(super) namespace: Option<String>,
    pub(super) field_selector: Option<String>,
    pub(super) label_selector: Option<String>,
}

/// A request for a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListWatchRequest<'a> {
    /// A page of a list, or a whole list.
    List {
        limit: Option<u64>,
        version: Option<&'a str>,
        next: Option<&'a str>,
    },
    /// A watch that begins with all objects.
    StreamingList {
        version: Option<&'a str>,
        seconds: u64,
    },
    /// A watch that begins with the changes after a resource version.
    Watch { version: &'a str, seconds: u64 },
}

impl Target {
    /// The protobuf message of the objects. `None` for custom resources.
    pub(super) fn message(&self) -> Option<&'static Message> {
        message_of(&self.resource.api_version(), self.resource.kind())
    }

    /// Creates the target for all objects of a resource.
    pub(super) fn all(resource: ResourceInfo) -> Self {
        Self {
            resource,
            namespace: None,
            field_selector: None,
            label_selector: None,
        }
    }

    /// The HTTP request for objects with the fields of `representation`. `shard` is the shard selector.
    ///
    /// # Errors
    ///
    /// Returns an error if a name cannot be part of a path; see [`segment`].
    pub(super) fn request(
        &self,
        request: ListWatchRequest<'_>,
        shard: Option<&str>,
        representation: Representation,
        encoding: Encoding,
    ) -> Result<Request<Body>, Failure> {
        let mut uri = self.path()?;
        uri.push('?');
        let start = uri.len();
        let mut query = Serializer::for_suffix(uri, start);
        for (name, value) in [
            ("fieldSelector", self.field_selector.as_deref()),
            ("labelSelector", self.label_selector.as_deref()),
            ("shardSelector", shard),
            ("includeObject", representation.included_object()),
        ] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        let is_list = matches!(request, ListWatchRequest::List { .. });
        request.write_to(&mut query);
        let accept = representation.accept(is_list, encoding);
        let mut request = Request::get(query.finish()).header(header::ACCEPT, accept);
        if !is_list {
            // A watch must not be compressed, because compression delays events until a block is complete.
            request = request.header(header::ACCEPT_ENCODING, "identity");
        }
        Ok(request.body(Body::empty())?)
    }

    /// The path of the collection, as in the
    /// [API concepts](https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris).
    ///
    /// # Errors
    ///
    /// Returns an error if a name cannot be part of a path; see [`segment`].
    pub(super) fn path(&self) -> Result<String, Failure> {
        let resource = &self.resource;
        let mut path = if resource.group().is_empty() {
            format!("/api/{}", segment(resource.version())?)
        } else {
            let (group, version) = (segment(resource.group())?, segment(resource.version())?);
            format!("/apis/{group}/{version}")
        };
        if let Some(namespace) = &self.namespace {
            path.push_str("/namespaces/");
            path.push_str(&segment(namespace)?);
        }
        path.push('/');
        path.push_str(&segment(resource.plural())?);
        Ok(path)
    }
}

/// Returns a name as one segment of a path.
///
/// # Errors
///
/// Returns an error if the name is empty, `.` or `..`, or contains `/`, `\` or `%`. A server or a proxy may decode and
/// normalize paths, and would then read a different path. No API group, version, resource, namespace or pod has such a
/// name.
pub(super) fn segment(name: &str) -> Result<String, Failure> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\', '%']) {
        let message = format!("`{name}` cannot be part of the path of a request");
        return Err(Failure::new(FailureReason::Rejected, message));
    }
    Ok(byte_serialize(name.as_bytes()).collect())
}

impl ListWatchRequest<'_> {
    fn write_to(self, query: &mut Serializer<'_, String>) {
        match self {
            ListWatchRequest::List {
                limit,
                version,
                next,
            } => {
                if let Some(limit) = limit {
                    query.append_pair("limit", &limit.to_string());
                }
                if let Some(next) = next {
                    // The request has no version, because the token contains the version.
                    query.append_pair("continue", next);
                } else if let Some(version) = version {
                    query.append_pair("resourceVersion", version);
                }
            }
            ListWatchRequest::StreamingList { version, seconds } => {
                query.append_pair("watch", "true");
                query.append_pair("sendInitialEvents", "true");
                query.append_pair("resourceVersionMatch", "NotOlderThan");
                if let Some(version) = version {
                    query.append_pair("resourceVersion", version);
                }
                write_watch(query, seconds);
            }
            ListWatchRequest::Watch { version, seconds } => {
                query.append_pair("watch", "true");
                query.append_pair("resourceVersion", version);
                write_watch(query, seconds);
            }
        }
    }
}

fn write_watch(query: &mut Serializer<'_, String>, seconds: u64) {
    query.append_pair("allowWatchBookmarks", "true");
    query.append_pair("timeoutSeconds", &seconds.to_string());
}

/// Returns a field selector that excludes namespaces, in the given order.
pub(super) fn without_namespaces<'a>(
    names: impl IntoIterator<Item = &'a String>,
) -> Option<String> {
    let terms = names.into_iter().map(|name| {
        let name = name
            .replace('\\', r"\\")
            .replace(',', r"\,")
            .replace('=', r"\=");
        format!("metadata.namespace!={name}")
    });
    join(terms)
}

/// Joins selectors to one selector. An object matches the result if it matches all of these selectors.
pub(super) fn join(terms: impl IntoIterator<Item = String>) -> Option<String> {
    let terms: Vec<_> = terms.into_iter().filter(|term| !term.is_empty()).collect();
    (!terms.is_empty()).then(|| terms.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Scope;
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::core::v1::Pod;
    use kube::core::ApiResource;
    use kube_protobuf::message_of;

    fn uri(target: &Target, request: ListWatchRequest<'_>) -> String {
        let request = target.request(request, None, Representation::Object, Encoding::Json);
        request.unwrap().uri().to_string()
    }

    #[test]
    fn paths_are_those_of_the_api() {
        let pods = Target::all(ResourceInfo::of::<Pod>());
        assert_eq!(pods.path().unwrap(), "/api/v1/pods");
        let mut deployments = Target::all(ResourceInfo::of::<Deployment>());
        assert_eq!(deployments.path().unwrap(), "/apis/apps/v1/deployments");
        deployments.namespace = Some("a b?c#d".into());
        assert_eq!(
            deployments.path().unwrap(),
            "/apis/apps/v1/namespaces/a+b%3Fc%23d/deployments"
        );
    }

    #[test]
    fn no_name_leaves_its_segment_of_the_path() {
        for name in ["", ".", "..", "a/b", "../secrets", "%2e%2e", "..\\x"] {
            let namespaced = Target {
                namespace: Some(name.to_owned()),
                ..Target::all(ResourceInfo::of::<Pod>())
            };
            let kind = ApiResource {
                group: "g".into(),
                version: "v1".into(),
                api_version: "g/v1".into(),
                kind: "K".into(),
                plural: name.into(),
            };
            let of_kind = Target::all(ResourceInfo::dynamic(&kind, Scope::Cluster));
            for target in [namespaced, of_kind] {
                let failure = target.path().unwrap_err();
                assert_eq!(failure.reason, FailureReason::Rejected, "{name}");
            }
        }
    }

    #[test]
    fn each_request_has_its_parameters() {
        let pods = Target::all(ResourceInfo::of::<Pod>());
        for (request, query) in [
            (
                ListWatchRequest::List {
                    limit: Some(500),
                    version: Some("0"),
                    next: None,
                },
                "limit=500&resourceVersion=0",
            ),
            (
                ListWatchRequest::List {
                    limit: Some(500),
                    version: Some("0"),
                    next: Some("a=b"),
                },
                "limit=500&continue=a%3Db",
            ),
            (
                ListWatchRequest::List {
                    limit: None,
                    version: None,
                    next: None,
                },
                "",
            ),
            (
                ListWatchRequest::StreamingList {
                    version: None,
                    seconds: 300,
                },
                "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
                 &allowWatchBookmarks=true&timeoutSeconds=300",
            ),
            (
                ListWatchRequest::Watch {
                    version: "7",
                    seconds: 300,
                },
                "watch=true&resourceVersion=7&allowWatchBookmarks=true&timeoutSeconds=300",
            ),
        ] {
            assert_eq!(uri(&pods, request), format!("/api/v1/pods?{query}"));
        }
    }

    #[test]
    fn selectors_are_joined_and_escaped() {
        let denied = [String::from("a"), String::from(r"b,c=d\")];
        let denied = without_namespaces(&denied);
        assert_eq!(
            denied.as_deref(),
            Some(r"metadata.namespace!=a,metadata.namespace!=b\,c\=d\\")
        );
        assert_eq!(without_namespaces(&[]), None);
        let mut pods = Target::all(ResourceInfo::of::<Pod>());
        pods.field_selector = join([String::from("spec.nodeName=n"), String::new()]);
        pods.label_selector = Some("a in (b, c)".into());
        let request = ListWatchRequest::List {
            limit: None,
            version: None,
            next: None,
        };
        let request = pods
            .request(
                request,
                Some("shardRange(x, '0x0', '0x1')"),
                Representation::Object,
                Encoding::Protobuf(message_of("v1", "Pod").unwrap()),
            )
            .unwrap();
        assert_eq!(
            request.headers()[header::ACCEPT],
            "application/vnd.kubernetes.protobuf,application/json"
        );
        assert_eq!(
            request.uri().query(),
            Some(
                "fieldSelector=spec.nodeName%3Dn&labelSelector=a+in+%28b%2C+c%29\
                 &shardSelector=shardRange%28x%2C+%270x0%27%2C+%270x1%27%29"
            )
        );
    }
}
