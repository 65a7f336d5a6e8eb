//! The types of the tables, which describe the fields of each message in protobuf and in JSON.

/// A kind that has a table.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Kind {
    /// The API version of the kind, such as `v1` or `apps/v1`.
    pub api_version: &'static str,
    /// The kind, such as `Pod`.
    pub kind: &'static str,
    /// The fields of the objects of this kind.
    pub message: &'static Message,
}

/// The fields of a message.
#[derive(Debug)]
pub struct Message {
    pub(crate) name: &'static str,
    /// The fields, sorted by number.
    pub(crate) fields: &'static [Field],
}

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    /// The name in JSON. The name is empty for an inline message.
    pub(crate) name: &'static str,
    pub(crate) presence: Presence,
    pub(crate) content: Type,
}

/// How protobuf encodes a field, and when JSON contains the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// A field that is not a pointer in Go, and has one record (an encoded value). JSON contains the field if the
    /// message contains it.
    Always,
    /// A pointer in Go. The message contains the field only if the pointer is set. JSON contains the field if the
    /// message does.
    Pointer,
    /// The message contains the field even if its value is zero (0, false or empty). JSON contains the field only if
    /// its value is not zero.
    NonZero,
    /// A list. The message contains one record for each element.
    List,
    /// A map from strings. The message contains one record for each entry.
    Map,
    /// A message in protobuf. In JSON, the fields of this message belong to the surrounding object.
    Inline,
}

/// The type of a value, of the elements of a list, or of the values of a map.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Type {
    Text,
    Bool,
    Int32,
    Int64,
    /// Bytes. In JSON, they are a base64 string.
    Bytes,
    Message(&'static Message),
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    /// A message with one field, which contains JSON.
    Json,
    /// A message that contains a list of strings. The reason for this type: in protobuf, the values of a map can be
    /// messages, but not lists.
    Texts,
}

/// The number of a field, and the table of the message that the field contains. [`Message::place_of`] finds both by the
/// name of the field in JSON.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WirePlace {
    /// The number of the field. If the field belongs to an inline message, this is the number of the inline message.
    pub number: u32,
    /// The table of the message that the field contains. `None` if the field contains a list, a map, or a value that is
    /// not a message. The value is also `None` if the field belongs to an inline message.
    pub message: Option<&'static Message>,
}

/// What a path leads to.
enum Found {
    Nothing,
    Message,
    Value,
}

// === impl Message ===

impl Message {
    /// The name of the Go type of the message, such as `PodSpec`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns `true` if a path of JSON names, such as `["spec", "nodeName"]`, leads to a field.
    ///
    /// In a path, the name after a list is the name of a field of the list's elements. The function returns `true` for
    /// every name below a map, and below a value that is not a message.
    #[must_use]
    pub fn contains<'a>(&'static self, path: impl IntoIterator<Item = &'a str>) -> bool {
        !matches!(self.find(path), Found::Nothing)
    }

    /// Returns `true` if a path of JSON names leads to a text, to a number, or to a list or map of texts or numbers.
    ///
    /// New versions of the API add fields only to messages. So the tables describe such a value completely, even for a
    /// newer API server.
    #[must_use]
    pub fn contains_value<'a>(&'static self, path: impl IntoIterator<Item = &'a str>) -> bool {
        matches!(self.find(path), Found::Value)
    }

    /// Returns the number and the table of a field. `name` is the name of the field in JSON. Returns `None` if the
    /// message has no such field.
    ///
    /// ```
    /// let pod = kube_protobuf::message_of("v1", "Pod").unwrap();
    /// let spec = pod.place_of("spec").unwrap();
    /// let spec = spec.message.unwrap();
    /// assert_eq!(spec.name(), "PodSpec");
    /// assert!(spec.place_of("containers").is_some_and(|place| place.message.is_none())); // a list
    /// assert!(pod.place_of("unknown").is_none());
    /// ```
    #[must_use]
    pub fn place_of(&'static self, name: &str) -> Option<WirePlace> {
        self.fields.iter().find_map(|field| {
            let message = match (field.presence, field.content) {
                (Presence::Inline, Type::Message(inline)) => {
                    inline.named(name)?;
                    None
                }
                _ if field.name != name => return None,
                (Presence::List | Presence::Map, _) => None,
                (_, Type::Message(message)) => Some(message),
                _ => None,
            };
            let number = field.number;
            Some(WirePlace { number, message })
        })
    }

    fn find<'a>(&'static self, path: impl IntoIterator<Item = &'a str>) -> Found {
        let mut message = self;
        for name in path {
            let Some(field) = message.named(name) else {
                return Found::Nothing;
            };
            match (field.presence, field.content) {
                (Presence::Map, Type::Message(_)) => return Found::Message,
                (Presence::Map, _) => return Found::Value,
                (_, Type::Message(below)) => message = below,
                _ => return Found::Value,
            }
        }
        Found::Message
    }

    /// Returns the field whose name in JSON is `name`.
    pub(crate) fn named(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find_map(|field| match field.content {
            Type::Message(inline) if field.presence == Presence::Inline => inline.named(name),
            _ => (field.name == name).then_some(field),
        })
    }
}

// === impl Type ===

impl Type {
    /// Returns `true` if protobuf encodes values of this type as numbers. In a list of such values, one record may
    /// contain several numbers (a packed record).
    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Bool | Self::Int32 | Self::Int64)
    }
}

pub(crate) const fn always(number: u32, name: &'static str, content: Type) -> Field {
    field(number, name, Presence::Always, content)
}

pub(crate) const fn pointer(number: u32, name: &'static str, content: Type) -> Field {
    field(number, name, Presence::Pointer, content)
}

pub(crate) const fn nonzero(number: u32, name: &'static str, content: Type) -> Field {
    field(number, name, Presence::NonZero, content)
}

pub(crate) const fn list(number: u32, name: &'static str, content: Type) -> Field {
    field(number, name, Presence::List, content)
}

pub(crate) const fn map(number: u32, name: &'static str, content: Type) -> Field {
    field(number, name, Presence::Map, content)
}

pub(crate) const fn inline(number: u32, content: Type) -> Field {
    field(number, "", Presence::Inline, content)
}

const fn field(number: u32, name: &'static str, presence: Presence, content: Type) -> Field {
    Field {
        number,
        name,
        presence,
        content,
    }
}
