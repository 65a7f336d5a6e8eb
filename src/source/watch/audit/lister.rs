//! [`Lister`]: sends the list requests of an audit and reads the responses.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use kube::Client;
use prometheus::IntCounter;
use tokio::time::Instant;

use super::super::buffer_budget::BufferBudget;
use super::super::connection;
use super::super::failure::Failure;
use super::super::json_list::ListPart;
use super::super::list_bounds::ListProgress;
use super::super::list_meta::ListMeta;
use super::super::list_splitter::ListSplitter;
use super::super::next_bytes::next_bytes;
use super::super::oversized::Part;
use super::super::representation::Representation;
use super::super::request::{ListWatchRequest, Target};
use super::super::timeouts::WatchTimeouts;
use super::super::turn::{MAX_PART, Turn};
use super::comparison::{Difference, Listed};
use super::received::ReceivedObjects;
use crate::decode::{Encoding, Peeked, peek};
use crate::k8s::resource_version;
use crate::scope::ObjectFilter;
use crate::source::health::FailureReason;
use crate::store::namespace_in;

/// Sends the list requests of one audit. All requests ask only for the metadata of the objects. The requests do not
/// allow the server to answer from a cache, because a cache may be outdated.
pub(in crate::source::watch) struct Lister {
    pub(in crate::source::watch) client: Client,
    pub(in crate::source::watch) target: Target,
    /// The value of the parameter `shardSelector`, with which the server sends only objects of some shards.
    pub(in crate::source::watch) selector: Option<String>,
    /// The preferred encoding.
    pub(in crate::source::watch) encoding: Encoding,
    pub(in crate::source::watch) budget: Arc<BufferBudget>,
    pub(in crate::source::watch) timeouts: WatchTimeouts,
    pub(in crate::source::watch) page_size: u64,
    pub(in crate::source::watch) max_list_objects: Option<u64>,
    /// Counts the requests.
    pub(in crate::source::watch) requests: IntCounter,
}

/// The number of objects that the server has at a resource version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    pub(super) version: u64,
    /// `None` if the server does not send the number, for example because the request has a selector.
    pub(super) count: Option<u64>,
}

/// An item of a list.
enum Item {
    Known(Peeked),
    /// An item that is too large to be read: its namespace and its name.
    TooLarge(String, String),
}

// === impl Lister ===

impl Lister {
    /// Requests the number of objects. The request is a list that is limited to one object. The metadata of the
    /// response contains the number of the other objects.
    ///
    /// # Errors
    ///
    /// Returns an error if the request fails, or if the version of the list is not a number.
    pub(super) async fn probe(mut self) -> Result<Probe, Failure> {
        let (mut progress, mut items) = (ListProgress::new(), 0_u64);
        let request = ListWatchRequest::List {
            limit: Some(1),
            version: None,
            next: None,
        };
        let meta = self.page(request, &mut progress, |_| items += 1).await?;
        // With a selector, do not use `remaining`: it includes objects that the selector excludes.
        let count = match &meta.next {
            None => Some(items),
            Some(_) if self.selector.is_some() => None,
            Some(_) => meta.remaining.map(|remaining| remaining + items),
        };
        Ok(Probe {
            version: number(&meta)?,
            count,
        })
    }

    /// Lists all objects, with their uids and versions. The result also contains the names of some objects in
    /// `suspects`, which are hashes of their keys.
    ///
    /// # Errors
    ///
    /// Returns an error if a request fails, if an object has no name or uid, or if the version of the list is not a
    /// number.
    pub(super) async fn objects(
        mut self,
        filter: Arc<ObjectFilter>,
        hasher: RandomState,
        suspects: HashMap<u64, Difference>,
    ) -> Result<Listed, Failure> {
        let scope = self.target.resource.scope();
        let mut listed = Listed::new(filter, hasher, suspects);
        let (mut progress, mut next, mut version) = (ListProgress::new(), None, None);
        loop {
            let request = ListWatchRequest::List {
                limit: Some(self.page_size),
                version: None,
                next: next.as_deref(),
            };
            let add = |item: Item| match item {
                Item::Known(object) => {
                    let namespace = namespace_in(scope, &object.namespace);
                    let key = ReceivedObjects::key(scope, namespace, &object.name);
                    listed.add(&key, namespace, &object);
                }
                Item::TooLarge(namespace, name) => {
                    listed.add_unknown(&ReceivedObjects::key(scope, &namespace, &name));
                }
            };
            let meta = self.page(request, &mut progress, add).await?;
            // All pages of a list have the same version, so use the version of the first page.
            if version.is_none() {
                version = Some(number(&meta)?);
            }
            let Some(token) = meta.next else { break };
            progress.page(&token)?;
            next = Some(token);
        }
        listed.version = version.unwrap_or(0);
        Ok(listed)
    }

    /// Requests one page of a list, and passes each of its items to `each`. If the server refuses the preferred
    /// encoding, requests JSON.
    async fn page(
        &mut self,
        request: ListWatchRequest<'_>,
        progress: &mut ListProgress,
        mut each: impl FnMut(Item),
    ) -> Result<ListMeta, Failure> {
        let timeout = self.timeouts.response;
        let mut response = loop {
            self.requests.inc();
            let representation = Representation::Metadata;
            let selector = self.selector.as_deref();
            let http = (self.target).request(request, selector, representation, self.encoding)?;
            let sent = connection::send(&self.client, http, self.encoding, timeout).await;
            match (self.encoding, sent) {
                (Encoding::Protobuf(_), Err(failure)) if failure.is_of_encoding => {
                    self.encoding = Encoding::Json;
                }
                (_, sent) => break sent?,
            }
        };
        let encoding = response.encoding();
        let (message, requested) = (self.target.message(), Representation::Metadata);
        let mut splitter = ListSplitter::new(encoding, message, requested, &self.budget);
        let (mut turn, mut last_object) = (Turn::new(), Instant::now());
        let most = self.max_list_objects;
        loop {
            let (timeouts, began) = (&self.timeouts, progress.began());
            let read = next_bytes(&mut response, timeouts, began, last_object, &splitter);
            let Some(bytes) = read.await? else { break };
            let before = progress.objects();
            for bytes in bytes.chunks(MAX_PART) {
                let waited = splitter.make_room(bytes.len()).await?;
                progress.exclude_work(waited);
                last_object += waited;
                let mut bounded = Ok(());
                let fed = splitter.feed(bytes, |part| {
                    let ListPart::Object(part) = part else { return };
                    let item = match part {
                        Part::Whole(item) => {
                            let counted = progress.object(most, Some(item));
                            counted.and_then(|()| identity_of(item, encoding))
                        }
                        Part::Oversized(object) => {
                            let counted = progress.object(most, None);
                            counted.and_then(|()| match object.key() {
                                Some((namespace, name)) => {
                                    Ok(Item::TooLarge(namespace.to_owned(), name.to_owned()))
                                }
                                None => Err(no_identity()),
                            })
                        }
                    };
                    match item {
                        Ok(item) if bounded.is_ok() => each(item),
                        Ok(_) => {}
                        Err(failure) => bounded = Err(failure),
                    }
                });
                splitter.settle();
                fed?;
                bounded?;
                if turn.is_over(bytes.len()) {
                    turn.pause().await;
                }
            }
            if progress.objects() > before {
                last_object = Instant::now();
            }
        }
        Ok(splitter.finish()?)
    }
}

fn identity_of(item: &[u8], encoding: Encoding) -> Result<Item, Failure> {
    let object = peek(encoding.object(item)).filter(|object| !object.name.is_empty());
    object.map(Item::Known).ok_or_else(no_identity)
}

fn no_identity() -> Failure {
    let message = "an object of the list has no name";
    Failure::new(FailureReason::DecodeError, message)
}

/// Returns the version of a list as a number.
fn number(meta: &ListMeta) -> Result<u64, Failure> {
    resource_version::as_u64(&meta.version).ok_or_else(|| {
        let message = "the resourceVersion of the list is not a number";
        Failure::new(FailureReason::DecodeError, message)
    })
}
