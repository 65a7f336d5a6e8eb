//! [`Value`]: a serde deserializer that reads protobuf as if it were JSON.
//!
//! A message consists of *records*, each with a field number and an encoded value. A table lists the fields of a
//! message. The fields of an *inline* message belong to the surrounding object in JSON.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::value::{BorrowedStrDeserializer, StringDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use crate::error::{Error, Malformed, Step};
use crate::leaf::{self, IntOrString, Precision};
use crate::schema::{Field, Message, Presence, Type};
use crate::wire::{Payload, Records, varint};

/// A value of an object: the object itself, or the content of one of its fields.
///
/// The value is a [`Deserializer`]. It gives the deserialized type the same data as JSON would. Messages are maps with
/// the JSON names of their fields. Times and quantities are strings, and bytes are base64 strings. If the type does not
/// need a value, the deserializer skips the bytes of the value.
#[derive(Clone, Copy, Debug)]
pub struct Value<'de> {
    content: Content<'de>,
}

#[derive(Clone, Copy, Debug)]
enum Content<'de> {
    /// The object itself, with its API version and its kind, which are not in the bytes of the message.
    Object(&'static Message, [&'de str; 2], &'de [u8]),
    Message(&'static Message, &'de [u8]),
    /// A single value whose type has no table, such as a number, a string or a time.
    Leaf(Type, Payload<'de>),
    /// A list: the type of its elements, the number of the field, and the records of the field.
    List(Type, u32, &'de [u8]),
    /// The records of a map.
    Map(Type, &'de [u8]),
}

/// The elements of a list.
struct Elements<'de> {
    content: Type,
    number: u32,
    records: Records<'de>,
    /// The unread bytes of a packed record. A packed record contains several numbers.
    packed: &'de [u8],
    index: usize,
}

/// The entries of a map, or the fields of a message as entries.
struct Entries<'de> {
    source: Source<'de>,
    /// The value for the key that was read last.
    value: Option<(Content<'de>, Step)>,
}

enum Source<'de> {
    Message(Fields<'de>),
    Map(Type, Records<'de>),
}

/// The fields of a message, including the fields of its inline messages.
struct Fields<'de> {
    at: Position<'de>,
    /// The positions in the surrounding messages, while an inline message is read. The outermost message comes first.
    outer: Vec<Position<'de>>,
    /// The API version and the kind.
    header: [&'de str; 2],
}

#[derive(Clone, Copy)]
struct Position<'de> {
    message: &'static Message,
    records: Records<'de>,
    /// The field number of the record that was read last.
    last: u32,
    /// The index in the table at which the search for the next field begins.
    next: usize,
}

/// The JSON names of the two fields that come from the envelope of an object, and not from the message.
const HEADER: [&str; 2] = ["apiVersion", "kind"];

/// Maximum number of messages in one list of an object. An object that fits into etcd has fewer messages.
const MAX_MESSAGES: usize = 1 << 18;

// === impl Value ===

impl<'de> Value<'de> {
    /// Creates the value for an object. If the texts in `header` are empty, as for an item of a list, the value has no
    /// fields `apiVersion` and `kind`.
    pub(crate) fn object(message: &'static Message, header: [&'de str; 2], raw: &'de [u8]) -> Self {
        Self {
            content: Content::Object(message, header, raw),
        }
    }
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.content {
            Content::Object(message, header, bytes) => {
                visitor.visit_map(Entries::of_message(message, header, bytes))
            }
            Content::Message(message, bytes) => {
                visitor.visit_map(Entries::of_message(message, [""; 2], bytes))
            }
            Content::Leaf(content, payload) => visit_leaf(content, payload, visitor),
            Content::List(content, number, records) => {
                visitor.visit_seq(Elements::new(content, number, records))
            }
            Content::Map(content, records) => visitor.visit_map(Entries {
                source: Source::Map(content, Records::new(records)),
                value: None,
            }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.content.is_null() {
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.content {
            Content::Leaf(Type::Text, payload) => {
                let text = leaf::text(payload.bytes()?).into_owned();
                visitor.visit_enum(StringDeserializer::new(text))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier
    }
}

// === impl Content ===

impl<'de> Content<'de> {
    fn new(content: Type, payload: Payload<'de>) -> Result<Self, Malformed> {
        match content {
            Type::Message(message) => Ok(Self::Message(message, payload.bytes()?)),
            _ if content.is_number() => payload.number().map(|_| Self::Leaf(content, payload)),
            _ => payload.bytes().map(|_| Self::Leaf(content, payload)),
        }
    }

    /// Returns the default value of a type. A map entry has this value if protobuf leaves out the value of the entry.
    fn missing(content: Type) -> Self {
        match content {
            Type::Message(message) => Self::Message(message, &[]),
            _ if content.is_number() => Self::Leaf(content, Payload::Varint(0)),
            _ => Self::Leaf(content, Payload::Bytes(&[])),
        }
    }

    /// Returns `true` if the value is `null` in JSON. A zero time is `null`, and so is an empty JSON text.
    fn is_null(&self) -> bool {
        match self {
            Self::Leaf(Type::Time | Type::MicroTime | Type::Json, Payload::Bytes(bytes)) => {
                bytes.is_empty()
            }
            _ => false,
        }
    }

    /// Returns `true` if the value is the zero value of its Go type.
    fn is_zero(&self) -> bool {
        match self {
            Self::Leaf(Type::Int32, Payload::Varint(number)) => leaf::int32(*number) == 0,
            Self::Leaf(_, Payload::Varint(number)) => *number == 0,
            Self::Leaf(_, Payload::Bytes(bytes)) => bytes.is_empty(),
            _ => false,
        }
    }
}

fn visit_leaf<'de, V: Visitor<'de>>(
    content: Type,
    payload: Payload<'de>,
    visitor: V,
) -> Result<V::Value, Error> {
    if content.is_number() {
        let number = payload.number()?;
        return match content {
            Type::Bool => visitor.visit_bool(number != 0),
            Type::Int32 => visitor.visit_i64(leaf::int32(number).into()),
            _ => visitor.visit_i64(leaf::int64(number)),
        };
    }
    let bytes = payload.bytes()?;
    match content {
        Type::Time | Type::MicroTime if bytes.is_empty() => visitor.visit_unit(),
        Type::Time => visitor.visit_str(leaf::time(bytes, Precision::Seconds)?.as_str()),
        Type::MicroTime => visitor.visit_str(leaf::time(bytes, Precision::Microseconds)?.as_str()),
        Type::Quantity => visit_text(leaf::quantity(bytes)?, visitor),
        Type::IntOrString => match leaf::int_or_string(bytes)? {
            IntOrString::Int(int) => visitor.visit_i64(int.into()),
            IntOrString::Text(text) => visit_text(text, visitor),
        },
        Type::Bytes => visitor.visit_string(STANDARD.encode(bytes)),
        Type::Texts => visitor.visit_seq(Elements::new(Type::Text, 1, bytes)),
        Type::Json => match leaf::last_bytes(bytes)? {
            [] => visitor.visit_unit(),
            json => visit_json(json, visitor),
        },
        _ => visit_text(leaf::text(bytes), visitor),
    }
}

fn visit_text<'de, V: Visitor<'de>>(text: Cow<'de, str>, visitor: V) -> Result<V::Value, Error> {
    match text {
        Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
        Cow::Owned(text) => visitor.visit_string(text),
    }
}

fn visit_json<'de, V: Visitor<'de>>(json: &'de [u8], visitor: V) -> Result<V::Value, Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = deserializer.deserialize_any(visitor);
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    value.map_err(de::Error::custom)
}

// === impl Elements ===

impl<'de> Elements<'de> {
    fn new(content: Type, number: u32, records: &'de [u8]) -> Self {
        Self {
            content,
            number,
            records: Records::new(records),
            packed: &[],
            index: 0,
        }
    }

    fn next(&mut self) -> Result<Option<Content<'de>>, Malformed> {
        loop {
            if !self.packed.is_empty() {
                let number = Payload::Varint(varint(&mut self.packed)?);
                return Ok(Some(Content::Leaf(self.content, number)));
            }
            match self.records.next()? {
                None => return Ok(None),
                Some(record) if record.number != self.number => {}
                Some(record) => match record.payload {
                    Payload::Bytes(packed) if self.content.is_number() => self.packed = packed,
                    payload => return Content::new(self.content, payload).map(Some),
                },
            }
        }
    }
}

impl<'de> SeqAccess<'de> for Elements<'de> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let Some(content) = self.next()? else {
            return Ok(None);
        };
        let index = self.index;
        self.index += 1;
        let value = seed.deserialize(Value { content });
        value
            .map(Some)
            .map_err(|error| error.inside(Step::Element(index)))
    }
}

// === impl Fields ===

impl<'de> Fields<'de> {
    /// Returns the next field that the JSON of the API contains.
    fn next(&mut self) -> Result<Option<(&'static str, Content<'de>)>, Error> {
        for (name, text) in HEADER.into_iter().zip(&mut self.header) {
            if !text.is_empty() {
                let text = std::mem::take(text);
                let text = Content::Leaf(Type::Text, Payload::Bytes(text.as_bytes()));
                return Ok(Some((name, text)));
            }
        }
        loop {
            let start = self.at.records.rest();
            let Some(record) = self.at.records.next()? else {
                match self.outer.pop() {
                    Some(outer) => self.at = outer,
                    None => return Ok(None),
                }
                continue;
            };
            let Some(field) = self.at.field(record.number)? else {
                continue;
            };
            let content = match field.presence {
                Presence::Inline => {
                    self.enter(field, record.payload)?;
                    continue;
                }
                Presence::List => {
                    let records = self.at.records_of(field, start)?;
                    Content::List(field.content, field.number, records)
                }
                Presence::Map => Content::Map(field.content, self.at.records_of(field, start)?),
                Presence::Always | Presence::Pointer => {
                    Content::new(field.content, record.payload)?
                }
                Presence::NonZero => match Content::new(field.content, record.payload)? {
                    zero if zero.is_zero() => continue,
                    content => content,
                },
            };
            return Ok(Some((field.name, content)));
        }
    }

    /// Continues with the fields of an inline message.
    fn enter(&mut self, field: &Field, payload: Payload<'de>) -> Result<(), Malformed> {
        if let Type::Message(message) = field.content {
            let inline = Position::new(message, payload.bytes()?);
            self.outer.push(std::mem::replace(&mut self.at, inline));
        }
        Ok(())
    }
}

// === impl Position ===

impl<'de> Position<'de> {
    fn new(message: &'static Message, bytes: &'de [u8]) -> Self {
        Self {
            message,
            records: Records::new(bytes),
            last: 0,
            next: 0,
        }
    }

    /// Returns the field with the number of the record that was read last. Returns `None` if the table has no such
    /// field.
    fn field(&mut self, number: u32) -> Result<Option<&'static Field>, Error> {
        if number < self.last {
            return Err(Error::not_canonical());
        }
        let repeats = std::mem::replace(&mut self.last, number) == number;
        let after = self.message.fields.get(self.next..).unwrap_or_default();
        let skipped = after
            .iter()
            .take_while(|field| field.number < number)
            .count();
        self.next += skipped;
        let field = after.get(skipped).filter(|field| field.number == number);
        if field.is_some() && repeats {
            return Err(Error::not_canonical());
        }
        Ok(field)
    }

    /// Returns the bytes of all records of a list or map. The first record begins at `start`, and has already been
    /// read.
    fn records_of(&mut self, field: &Field, start: &'de [u8]) -> Result<&'de [u8], Malformed> {
        let (mut ahead, mut count) = (self.records, 1);
        while ahead
            .next()?
            .is_some_and(|record| record.number == field.number)
        {
            self.records = ahead;
            count += 1;
        }
        if count > MAX_MESSAGES && matches!(field.content, Type::Message(_)) {
            return Err(Malformed::TooLarge);
        }
        let length = start.len() - self.records.rest().len();
        Ok(start.get(..length).unwrap_or_default())
    }
}

// === impl Entries ===

impl<'de> Entries<'de> {
    fn of_message(message: &'static Message, header: [&'de str; 2], bytes: &'de [u8]) -> Self {
        let fields = Fields {
            at: Position::new(message, bytes),
            outer: Vec::new(),
            header,
        };
        Self {
            source: Source::Message(fields),
            value: None,
        }
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        match &mut self.source {
            Source::Message(fields) => {
                let Some((name, content)) = fields.next()? else {
                    return Ok(None);
                };
                self.value = Some((content, Step::Field(name)));
                seed.deserialize(BorrowedStrDeserializer::new(name))
                    .map(Some)
            }
            Source::Map(content, records) => {
                let Some(record) = records.next()? else {
                    return Ok(None);
                };
                let (key, value) = entry(*content, record.payload.bytes()?)?;
                self.value = Some((value, Step::Entry));
                match leaf::text(key) {
                    Cow::Borrowed(key) => seed
                        .deserialize(BorrowedStrDeserializer::new(key))
                        .map(Some),
                    Cow::Owned(key) => seed.deserialize(StringDeserializer::new(key)).map(Some),
                }
            }
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let Some((content, step)) = self.value.take() else {
            return Err(de::Error::custom("a value was requested before its key"));
        };
        seed.deserialize(Value { content })
            .map_err(|error| error.inside(step))
    }
}

/// Returns the key and the value of a map entry. The key or the value may be missing, and the value may come before the
/// key.
fn entry(content: Type, entry: &[u8]) -> Result<(&[u8], Content<'_>), Error> {
    let (mut records, mut key, mut value) = (Records::new(entry), &[][..], None);
    while let Some(record) = records.next()? {
        match record.number {
            1 => key = record.payload.bytes()?,
            2 if value.is_some() => return Err(Error::not_canonical()),
            2 => value = Some(Content::new(content, record.payload)?),
            _ => {}
        }
    }
    Ok((key, value.unwrap_or_else(|| Content::missing(content))))
}
