//! The types of the tables: what a message consists of, on the wire and in JSON.

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
    /// Sorted by number.
    pub(crate) fields: &'static [Field],
}

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    /// The name in JSON; empty for an inline message.
    pub(crate) name: &'static str,
    pub(crate) presence: Presence,
    pub(crate) content: Type,
}

/// How often a field is on the wire, and when JSON has the field, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// The field is in JSON if it is on the wire.
    Always,
    /// A pointer, which the API's encoder writes only if it is set. The field is in JSON if it is on the wire.
    Pointer,
    /// The field is on the wire even if its value is zero (0, false or empty). The field is in JSON only if its value
    /// is not zero.
    NonZero,
    /// A list. The field has a record for each element.
    List,
    /// A map from strings. The field has a record for each entry.
    Map,
    /// A message on the wire. In JSON, its fields belong to the message around it.
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

/// The place of a field in a message on the wire. [`Message::place_of`] finds the place by the JSON name of the field.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WirePlace {
    /// The number of the field. If the field belongs to an inline message, the number is that of the inline message.
    pub number: u32,
    /// The table of the message in the field. `None` if the content of the field is not a message, or is a list or a
    /// map, or if the field belongs to an inline message.
    pub message: Option<&'static Message>,
}

/// The kind of value to which a path leads.
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
    /// A list needs no name in the path: the name after a list is a field of its elements. Below a map, and below a
    /// value that is not a message, every name is accepted.
    #[must_use]
    pub fn contains<'a>(&'static self, path: impl IntoIterator<Item = &'a str>) -> bool {
        !matches!(self.find(path), Found::Nothing)
    }

    /// Whether a path of JSON names leads to a value that is not a message of the tables: a text, a number, or a map or
    /// a list of texts or numbers. Newer versions of the API add fields only to messages, so the tables describe such a
    /// value completely.
    #[must_use]
    pub fn contains_value<'a>(&'static self, path: impl IntoIterator<Item = &'a str>) -> bool {
        matches!(self.find(path), Found::Value)
    }

    /// Returns the place of the field with this name in JSON; `None` if the message lacks the field.
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

    /// The field with this name in JSON.
    pub(crate) fn named(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find_map(|field| match field.content {
            Type::Message(inline) if field.presence == Presence::Inline => inline.named(name),
            _ => (field.name == name).then_some(field),
        })
    }
}

// === impl Type ===

impl Type {
    /// Whether the type is a number on the wire. A list of such numbers may be packed into one record.
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
