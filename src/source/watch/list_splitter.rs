//! [`ListSplitter`]: splits a list, in JSON or protobuf, into items while its bytes arrive.

use std::sync::Arc;
use std::time::Duration;

use kube_protobuf::{ListEnd, ListReader, Message};

use super::buffer_budget::{BufferBudget, HeldTooLong};
use super::json_list::{JsonList, ListPart};
use super::list_meta::{ListMeta, ListMetaFields};
use super::part_buffer::PartBuffer;
use super::representation::Representation;
use super::split_error::SplitError;
use crate::decode::{Encoding, PARTIAL};

/// Splits a list into its items.
#[derive(Debug)]
pub(super) struct ListSplitter {
    list: List,
    /// The representation of the objects that the request asked for.
    requested: Representation,
    /// The incomplete item.
    item: PartBuffer,
}

/// The splitter for the encoding of the list.
#[derive(Debug)]
enum List {
    Json(JsonList),
    Protobuf(&'static Message, ListReader),
}

// === impl ListSplitter ===

impl ListSplitter {
    /// Creates a splitter for a list of objects of `message`. `message` is `None` for custom resources, whose lists may
    /// have any kind. A table, or a list of metadata, is allowed only if it was requested.
    pub(super) fn new(
        encoding: Encoding,
        message: Option<&'static Message>,
        requested: Representation,
        budget: &Arc<BufferBudget>,
    ) -> Self {
        Self {
            requested,
            list: match encoding {
                Encoding::Json => List::Json(JsonList::new(message.map(Message::name), requested)),
                Encoding::Protobuf(message) => List::Protobuf(message, ListReader::default()),
            },
            item: PartBuffer::of_items(encoding, budget),
        }
    }

    /// Waits until there is memory for `more` bytes. Returns how long the feed waited for other feeds.
    pub(super) async fn make_room(&mut self, more: usize) -> Result<Duration, HeldTooLong> {
        self.item.make_room(more).await
    }

    /// Resolves when this feed reads one item for too long while another feed waits for memory.
    pub(super) async fn read_too_long(&self) -> HeldTooLong {
        self.item.read_too_long().await
    }

    /// Accepts the next bytes, and calls `each` with every part that is now complete. A part is an item, or the header
    /// of a table.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(ListPart<'_>),
    ) -> Result<(), SplitError> {
        let item = &mut self.item;
        match &mut self.list {
            List::Json(list) => list.feed(bytes, item, each),
            List::Protobuf(_, list) => Ok(list.feed(bytes, |piece| match piece.left {
                0 => item.end(piece.bytes, |item| each(ListPart::Object(item))),
                _ => item.append(piece.bytes),
            })?),
        }
    }

    /// Releases the memory of handled items. An incomplete item keeps its memory.
    pub(super) fn settle(&mut self) {
        self.item.settle();
    }

    /// Ends the list and returns its metadata.
    pub(super) fn finish(self) -> Result<ListMeta, SplitError> {
        match self.list {
            List::Json(list) => list.finish(),
            List::Protobuf(message, list) => meta_of(message, self.requested, &list.finish()?),
        }
    }
}

/// Checks that a list has the kind of `message`, or of metadata if this was requested. Returns the metadata of the
/// list.
fn meta_of(
    message: &Message,
    requested: Representation,
    end: &ListEnd,
) -> Result<ListMeta, SplitError> {
    let kind = end.kind().strip_suffix("List");
    let is_partial = kind == Some(PARTIAL);
    if is_partial && requested != Representation::Metadata {
        return Err(SplitError::OnlyMetadata);
    }
    let is_list = is_partial || kind == Some(message.name());
    let fields: Option<ListMetaFields> = end.meta().to().ok();
    let fields = fields.filter(|_| is_list).ok_or(SplitError::NotAList)?;
    fields.checked()
}

#[cfg(test)]
mod tests {
    use super::super::oversized::Part;
    use super::*;
    use kube_protobuf::{ANY_OBJECT, Envelope, encode, message_of};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn nodes(budget: &Arc<BufferBudget>) -> ListSplitter {
        let node = message_of("v1", "Node").unwrap();
        let requested = Representation::Object;
        ListSplitter::new(Encoding::Protobuf(node), Some(node), requested, budget)
    }

    fn split(bytes: &[u8], size: usize) -> Result<(Vec<String>, ListMeta), SplitError> {
        let budget = Arc::new(BufferBudget::new(None, Some(100)));
        let mut splitter = nodes(&budget);
        let mut items = Vec::new();
        for chunk in bytes.chunks(size) {
            splitter.feed(chunk, |part| {
                items.push(match part {
                    ListPart::Object(Part::Whole(object)) => format!("{} bytes", object.len()),
                    ListPart::Object(Part::Oversized(object)) => format!("oversized {object}"),
                    ListPart::TableHeader(_) => panic!("no table"),
                });
            })?;
            assert!(splitter.item.bytes().len() <= 100);
        }
        Ok((items, splitter.finish()?))
    }

    fn list(kind: &str, meta: &Value) -> Vec<u8> {
        let large =
            json!({ "metadata": { "name": "a" }, "spec": { "providerID": "x".repeat(200) } });
        let small = json!({ "metadata": { "name": "b" } });
        let items = [small.clone(), large, json!({}), small];
        encode::list("v1", kind, meta, &items).unwrap().unwrap()
    }

    #[test]
    fn a_list_is_cut_the_same_however_its_bytes_arrive() {
        let meta =
            json!({ "resourceVersion": "7", "continue": "t", "shardInfo": { "selector": "s" } });
        let bytes = list("Node", &meta);
        for size in 1..=bytes.len() {
            let (items, meta) = split(&bytes, size).unwrap();
            assert_eq!(items.len(), 4, "chunks of {size}");
            assert_eq!(items[1], "oversized a");
            assert_eq!(items[0], items[3]);
            assert_eq!((&*meta.version, meta.next.as_deref()), ("7", Some("t")));
            assert_eq!(meta.shard.as_deref(), Some("s"));
        }
    }

    #[test]
    fn responses_that_are_not_lists_are_never_empty_lists() {
        let meta = json!({ "resourceVersion": "7" });
        let status = json!({ "apiVersion": "v1", "kind": "Status", "message": "no" });
        let status = encode::object(&status).unwrap().unwrap();
        for bytes in [
            list("Pod", &meta),
            status,
            Vec::new(),
            br#"{"items":[]}"#.to_vec(),
        ] {
            assert!(split(&bytes, 5).is_err());
        }
        let unversioned = split(&list("Node", &json!({})), 5);
        assert_eq!(unversioned.unwrap_err(), SplitError::NoVersion);
        let whole = list("Node", &meta);
        // The last two fields are empty strings. The list is complete with or without these fields.
        for end in 0..whole.len() - 2 {
            let is_whole = end == whole.len() - 4;
            assert_eq!(split(&whole[..end], 4).is_ok(), is_whole, "cut at {end}");
        }
    }

    #[test]
    fn lists_of_metadata_are_accepted_only_if_they_were_requested() {
        use Representation::{Metadata, Object};
        let node = message_of("v1", "Node").unwrap();
        let meta = json!({ "resourceVersion": "7" });
        let partial = |items: &[Value]| {
            let list = encode::list("v1", "Node", &meta, items).unwrap().unwrap();
            let raw = Envelope::parse(&list).unwrap().object_as(&ANY_OBJECT).raw();
            encode::envelope("meta.k8s.io/v1", "PartialObjectMetadataList", raw)
        };
        let split = |bytes: &[u8], requested| {
            let budget = Arc::new(BufferBudget::new(None, None));
            let encoding = Encoding::Protobuf(node);
            let mut splitter = ListSplitter::new(encoding, Some(node), requested, &budget);
            splitter.feed(bytes, |_| {})?;
            splitter.finish()
        };
        let item = json!({ "metadata": { "name": "a" } });
        for list in [partial(&[]), partial(&[item])] {
            assert!(split(&list, Metadata).is_ok());
            let error = split(&list, Object).unwrap_err();
            assert_eq!(error, SplitError::OnlyMetadata);
        }
        let remaining = json!({ "resourceVersion": "7", "remainingItemCount": 2 });
        let error = split(&list("Node", &remaining), Object).unwrap_err();
        assert_eq!(error, SplitError::NoToken);
        assert!(split(&list("Node", &meta), Metadata).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_harmless(bytes: Vec<u8>, size in 1_usize..40) {
            let mut splitter = nodes(&Arc::new(BufferBudget::new(None, None)));
            let bytes = [&kube_protobuf::PREFIX, &bytes[..]].concat();
            for chunk in bytes.chunks(size) {
                if splitter.feed(chunk, |_| {}).is_err() { break; }
            }
            let _ = splitter.finish();
        }
    }
}
