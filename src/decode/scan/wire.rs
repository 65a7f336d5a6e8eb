//! Scans protobuf objects: reads the identity, and computes a fingerprint for each group of fields. A fingerprint is a
//! hash of the bytes of these fields.

use kube_protobuf::{Envelope, Malformed, Message, PREFIX, RawFields};

use super::super::fingerprint::{GroupHashers, GroupSet};
use super::super::groups::{FieldGroups, GroupedField, METADATA};
use super::identity::Identity;

/// The fields of a kind that families read, with their field numbers in protobuf.
#[derive(Debug)]
pub(super) struct WireFields {
    fields: Vec<WireField>,
    /// The field numbers of those fields in the metadata that identify an object.
    identity: Vec<(u32, &'static str)>,
}

#[derive(Debug)]
struct WireField {
    number: u32,
    groups: GroupSet,
    /// The groups of the fields below, by field number. `None` if the value is not a message, or is not divided into
    /// its fields.
    below: Option<Vec<GroupSet>>,
    is_metadata: bool,
}

/// This number is added to each fingerprint, so that the fingerprints of protobuf and JSON differ.
const PROTOBUF: u64 = 2;

/// Reads the identity of an object, and adds its fields to the fingerprints. Returns `None` if the object is malformed
/// or has another kind.
///
/// In protobuf, fields can have any order, and one message can consist of several pieces. The fingerprint depends on
/// the order of the bytes. If only the order changes, the fingerprint also changes. Then the object is decoded
/// unnecessarily, but the samples stay correct.
pub(super) fn scan<'a>(
    wire: &WireFields,
    header: &[String; 2],
    message: &'static Message,
    bytes: &'a [u8],
    hashers: &mut GroupHashers,
) -> Option<Identity<'a>> {
    let mut object = bytes;
    if bytes.starts_with(&PREFIX) {
        let envelope = Envelope::parse(bytes).ok()?;
        let found = [envelope.api_version(), envelope.kind()];
        let mut pairs = found.iter().zip(header);
        if pairs.any(|(found, expected)| !found.is_empty() && found != expected) {
            return None;
        }
        object = envelope.object_as(message).raw();
    }
    wire.read(object, hashers).ok()
}

// === impl WireFields ===

impl WireFields {
    /// Finds the field numbers of the grouped fields in `message`. Returns `None` if the message has no metadata.
    ///
    /// Fields that the message does not have get no number and no group, because the decoder ignores them.
    pub(super) fn new(groups: &FieldGroups, message: &'static Message) -> Option<Self> {
        let fields = groups.fields().iter();
        let fields = fields.filter_map(|field| WireField::new(field, message));
        let metadata = message.place_of(METADATA)?.message?;
        let identity = ["namespace", "name", "uid", "resourceVersion"];
        let identity = identity
            .into_iter()
            .map(|name| Some((metadata.place_of(name)?.number, name)));
        Some(Self {
            fields: fields.collect(),
            identity: identity.collect::<Option<_>>()?,
        })
    }

    fn read<'a>(
        &self,
        object: &'a [u8],
        hashers: &mut GroupHashers,
    ) -> Result<Identity<'a>, Malformed> {
        let mut identity = Identity::default();
        for field in &self.fields {
            hashers.add_number(field.groups, PROTOBUF);
        }
        for record in RawFields::new(object) {
            let record = record?;
            let Some(field) = self.fields.iter().find(|own| own.number == record.number) else {
                continue;
            };
            let Some(below) = &field.below else {
                hashers.add(field.groups, field.number, record.bytes);
                continue;
            };
            // The samples of a family can depend on whether the message exists, so an empty message must also change
            // the fingerprint.
            hashers.add_number(field.groups, field.number.into());
            let message = record.payload.ok_or(Malformed::WireType)?;
            if field.is_metadata {
                self.read_identity(message, &mut identity)?;
            }
            add_fields(field.number, message, below, hashers)?;
        }
        Ok(identity)
    }

    fn read_identity<'a>(
        &self,
        metadata: &'a [u8],
        identity: &mut Identity<'a>,
    ) -> Result<(), Malformed> {
        for record in RawFields::new(metadata) {
            let record = record?;
            let mut own = self.identity.iter();
            let Some((_, name)) = own.find(|(number, _)| *number == record.number) else {
                continue;
            };
            let text = record.payload.ok_or(Malformed::WireType)?;
            if let Some(own) = identity.field(name) {
                *own = Some(String::from_utf8_lossy(text));
            }
        }
        Ok(())
    }
}

/// Adds the fields of a message to the fingerprints. One call adds the bytes of all adjacent fields that belong to the
/// same groups.
fn add_fields(
    number: u32,
    message: &[u8],
    below: &[GroupSet],
    hashers: &mut GroupHashers,
) -> Result<(), Malformed> {
    let (mut start, mut end, mut groups) = (0, 0, GroupSet::EMPTY);
    let mut add = |groups: GroupSet, start: usize, end: usize| {
        if !groups.is_empty() {
            hashers.add(groups, number, message.get(start..end).unwrap_or_default());
        }
    };
    for record in RawFields::new(message) {
        let record = record?;
        let at = usize::try_from(record.number).unwrap_or(usize::MAX);
        let next = below.get(at).copied().unwrap_or_default();
        if next != groups {
            add(groups, start, end);
            (start, groups) = (end, next);
        }
        end += record.bytes.len();
    }
    add(groups, start, end);
    Ok(())
}

// === impl WireField ===

impl WireField {
    /// Finds a field in a message; returns `None` if the message does not have this field.
    fn new(field: &GroupedField, message: &'static Message) -> Option<Self> {
        let place = message.place_of(&field.name)?;
        let below = match place.message {
            Some(message) if field.is_split() => {
                let mut groups: Vec<GroupSet> = Vec::new();
                for (name, group) in &field.below {
                    let Some(place) = message.place_of(name) else {
                        continue;
                    };
                    let at = usize::try_from(place.number).unwrap_or_default();
                    if groups.len() <= at {
                        groups.resize(at + 1, GroupSet::EMPTY);
                    }
                    // In JSON, the fields of an inline message are fields of the outer message. So one field number in
                    // protobuf can stand for several JSON fields with different groups.
                    groups[at] = groups[at].with(*group);
                }
                Some(groups)
            }
            _ => None,
        };
        Some(Self {
            number: place.number,
            groups: field.groups,
            below,
            is_metadata: field.name == METADATA,
        })
    }
}
