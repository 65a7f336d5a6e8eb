//! The types of the tables, which describe the fields of each message in protobuf and in JSON.

/// A kind that has a table.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Kind {
    /// The API version, such as `v1` or `apps/v1`.
    pub api_version: &'static str,
    /// The kind, such as `Pod`.
    pub kind: &'static str,
    /// The fields of its objects.
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

/// How many records a field has in protobuf, and when JSON contains the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// One record, without a pointer. JSON contains the field if protobuf contains it.
    Always,
    /// A pointer. The API's encoder writes the field only if the pointer is set. JSON contains the field if protobuf
    /// contains it.
    Pointer,
    /// Protobuf contains the field even if its value is zero (0, false or empty). JSON contains the field only if its
    /// value is not zero.
    NonZero,
    /// A list. The field has a record for each element.
    List,
    /// A map from strings. The field has a record for each entry.
    Map,
    /// A message in protobuf. In JSON, its fields belong to the message that contains it.
    Inline,
}

/// The type of a value, of the elements of a list, or of the values of a map.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Type {
    Text,
    Bool,
    Int32,
    Int64,
    /// Bytes, which are base64 in JSON.
    Bytes,
    Message(&'static Message),
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    /// A message whose only field contains JSON.
    Json,
    /// A message with a list of strings. In protobuf, a map can contain a message, but not a list.
    Texts,
}

/// The field number of a field, and the table of its message. [`Message::place_of`] finds both by the JSON name of the
/// field.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WirePlace {
    /// The number of the field. A field of an inline message has the number of the inline message.
    pub number: u32,
    /// The table of the message in the field. `None` if the field contains a list, a map, or a value that is not a
    /// message. Also `None` if the field belongs to an inline message.
    pub message: Option<&'static Message>,
}

/// The type of the value to which a path leads.
enum Found {
    Nothing,
    Message,
    Value,
}

// === impl Message ===

impl Message {
    /// The name of the Go type, such as `PodSpec`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether a path of JSON names, such as `["spec", "nodeName"]`, leads to a field.
    ///
    /// The path does not name the elements of a list: the name after a list is a field of its elements. Below a map,
    /// and below a value that is not a message, the function accepts every name.
    #[must_use]
    pub fn contains<'a>(&'static self, path: impl IntoIterator<Item = &'a str>) -> bool {
        !matches!(self.find(path), Found::Nothing)
    }

    /// Whether a path of JSON names leads to a value that contains no message: a text, a number, or a map or list of
    /// these.
    ///
    /// Newer versions of the API add fields only to messages. So the tables describe a value without messages
    /// completely.
    #[must_use]
    pub fn contains_value<'a>(&'static self, path: impl IntoIterator<Item = &'a str>) -> bool {
        matches!(self.find(path), Found::Value)
    }

    /// Returns the number and the table of the field with this name in JSON. Returns `None` if the message has no such
    /// field.
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

    /// Returns the field with this name in JSON.
    pub(crate) fn named(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find_map(|field| match field.content {
            Type::Message(inline) if field.presence == Presence::Inline => inline.named(name),
            _ => (field.name == name).then_some(field),
        })
    }
}

// === impl Type ===

impl Type {
    /// Whether protobuf encodes the type as a number. One record may contain several numbers of a list (a packed
    /// record).
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
