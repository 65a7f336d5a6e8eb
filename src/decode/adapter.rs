//! An adapter that wraps a deserializer. It removes fields, treats `null` as an absent field, and normalises times and
//! quantities.

use std::any::type_name;
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use k8s_openapi::ByteString;
use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer, StrDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use super::fields::{Fields, Tree};
use super::reason::{ONLY_METADATA, PARTIAL};
use crate::k8s::{normalize_base64, normalize_rfc3339};

/// Maximum memory for the items of all lists in an object. The memory to which the items point is not included.
///
/// The limit is necessary, because a short text can need much memory. `{}` has two bytes, but as a container of
/// a pod it takes more than two kilobytes.
const ITEM_BYTES: usize = 128 << 20;
const TOO_LARGE: &str = "too many items, expected lists whose items take at most 128 MiB of memory";

thread_local! {
    /// The memory that the items of lists may still take, in the object that this thread decodes.
    static LEFT: Cell<usize> = const { Cell::new(ITEM_BYTES) };
}

/// The fields that families read below one value in the object.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'f> {
    /// At the top level of an object: these fields. The kind of the object must not be [`PARTIAL`].
    Object(&'f Fields),
    /// The kind of the object, which must not be [`PARTIAL`].
    Kind,
    All,
    /// At the top level of an object: all fields, but without these fields of the metadata. No family reads them.
    AllButMetadata(&'static [&'static str]),
    AllBut(&'static [&'static str]),
    Some(&'f Tree),
    /// In a list: these fields of each item. If the value is not a list, the decoder keeps the whole value.
    Items(&'f Tree),
}

/// A deserializer that passes on only the wanted fields from another deserializer.
pub(super) struct Adapter<'f, D> {
    inner: D,
    wanted: Wanted<'f>,
}

/// Wraps a visitor or a seed of the object's type, so that nested values also go through an [`Adapter`].
struct Layer<'f, T> {
    inner: T,
    wanted: Wanted<'f>,
    null: Null,
}

/// The value that replaces `null` if the type requires a value.
#[derive(Clone, Copy)]
enum Null {
    Unit,
    EmptyText,
    EmptyMap,
    EmptyList,
    Zero,
    False,
}

// === impl Wanted ===

impl<'f> Wanted<'f> {
    pub(super) fn of(fields: &'f Fields) -> Self {
        match fields {
            Fields::All => Self::All,
            Fields::AllBut(names) => Self::AllButMetadata(names),
            Fields::Some(tree) if tree.is_of_items() => Self::Items(tree),
            Fields::Some(tree) => Self::Some(tree),
        }
    }

    /// Returns an error if `text` is the kind of an object that has only metadata.
    fn check_kind<E: Error>(self, text: &str) -> Result<(), E> {
        match self {
            Self::Kind if text == PARTIAL => Err(E::custom(ONLY_METADATA)),
            _ => Ok(()),
        }
    }

    /// Returns the fields that families read in each item of a list.
    fn item(self) -> Self {
        match self {
            Self::Object(fields) => Self::of(fields).item(),
            Self::Items(tree) => Self::Some(tree),
            wanted => wanted,
        }
    }

    /// Returns the fields that families read below the field `name`; `None` if no family reads this field.
    pub(super) fn field(self, name: &str) -> Option<Self> {
        match self {
            Self::Object(_) if name == "kind" => Some(Self::Kind),
            Self::Object(fields) => Self::of(fields).field(name),
            Self::All | Self::Kind => Some(Self::All),
            Self::AllButMetadata(names) if name == "metadata" => Some(Self::AllBut(names)),
            Self::AllButMetadata(_) => Some(Self::All),
            Self::AllBut(names) => (!names.contains(&name)).then_some(Self::All),
            Self::Some(tree) => match tree.get(name)? {
                Fields::AllBut(_) => Some(Self::All),
                fields => Some(Self::of(fields)),
            },
            // The families expect a list, so `tree` contains the fields of the items. The value is a map instead. It is
            // unknown which fields of the map the families read, so the decoder keeps all fields.
            Self::Items(_) => Some(Self::All),
        }
    }
}

// === impl Adapter ===

impl<'f, D> Adapter<'f, D> {
    /// Creates an adapter for one object.
    pub(super) fn of_object(inner: D, wanted: Wanted<'f>) -> Self {
        LEFT.set(ITEM_BYTES);
        Self::new(inner, wanted)
    }

    fn new(inner: D, wanted: Wanted<'f>) -> Self {
        Self { inner, wanted }
    }

    fn layer<T>(wanted: Wanted<'f>, inner: T, null: Null) -> Layer<'f, T> {
        Layer {
            inner,
            wanted,
            null,
        }
    }
}

macro_rules! nullable {
    ($($method:ident => $null:ident),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            let layer = Self::layer(self.wanted, visitor, Null::$null);
            self.inner.deserialize_any(layer)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Adapter<'_, D> {
    type Error = D::Error;

    nullable! {
        deserialize_string => EmptyText,
        deserialize_map => EmptyMap,
        deserialize_seq => EmptyList,
        deserialize_bool => False,
        deserialize_i8 => Zero,
        deserialize_i16 => Zero,
        deserialize_i32 => Zero,
        deserialize_i64 => Zero,
        deserialize_u8 => Zero,
        deserialize_u16 => Zero,
        deserialize_u32 => Zero,
        deserialize_u64 => Zero,
        deserialize_f32 => Zero,
        deserialize_f64 => Zero,
        deserialize_any => Unit
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        // The type `ByteString` does not pass its name to the deserializer, so the names of the types are compared. A
        // comparison of `TypeId`s is not possible, because the type of the visitor is not `'static`.
        if type_name::<V::Value>() == type_name::<ByteString>() {
            let text = self.inner.deserialize_str(Base64Text)?;
            return visitor.visit_str(&text);
        }
        let layer = Self::layer(self.wanted, visitor, Null::EmptyText);
        self.inner.deserialize_any(layer)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let layer = Self::layer(self.wanted, visitor, Null::Unit);
        self.inner.deserialize_option(layer)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        match name {
            "Time" | "MicroTime" => {
                let text = self.inner.deserialize_str(TimeText)?;
                visitor.visit_newtype_struct(StrDeserializer::new(&text))
            }
            "Quantity" => {
                let text = self.inner.deserialize_any(QuantityText)?;
                visitor.visit_newtype_struct(StrDeserializer::new(&text))
            }
            _ => {
                let layer = Self::layer(self.wanted, visitor, Null::Unit);
                self.inner.deserialize_newtype_struct(name, layer)
            }
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        match self.wanted {
            // The kind is checked, even if the type of the object has no such field.
            Wanted::Kind => self.deserialize_any(visitor),
            _ => self.inner.deserialize_ignored_any(visitor),
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_identifier(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_unit(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_bytes(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_byte_buf(visitor)
    }

    forward_to_deserialize_any! {
        i128 u128 char unit_struct tuple tuple_struct
    }
}

// === impl Layer (visitor) ===

impl<'de, V: Visitor<'de>> Visitor<'de> for Layer<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        match self.null {
            Null::Unit => self.inner.visit_unit(),
            Null::EmptyText => self.inner.visit_borrowed_str(""),
            Null::EmptyMap => self.inner.visit_map(Nothing(std::marker::PhantomData)),
            Null::EmptyList => self.inner.visit_seq(Nothing(std::marker::PhantomData)),
            Null::Zero => self.inner.visit_u64(0),
            Null::False => self.inner.visit_bool(false),
        }
    }

    fn visit_bool<E: Error>(self, v: bool) -> Result<V::Value, E> {
        self.inner.visit_bool(v)
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<V::Value, E> {
        self.inner.visit_i64(v)
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<V::Value, E> {
        self.inner.visit_u64(v)
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<V::Value, E> {
        self.inner.visit_f64(v)
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<V::Value, E> {
        self.wanted.check_kind(v)?;
        self.inner.visit_str(v)
    }

    fn visit_borrowed_str<E: Error>(self, v: &'de str) -> Result<V::Value, E> {
        self.wanted.check_kind(v)?;
        self.inner.visit_borrowed_str(v)
    }

    fn visit_string<E: Error>(self, v: String) -> Result<V::Value, E> {
        self.wanted.check_kind(&v)?;
        self.inner.visit_string(v)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Adapter::new(inner, self.wanted))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner
            .visit_newtype_struct(Adapter::new(inner, self.wanted))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(Entries {
            inner,
            wanted: self.wanted,
            value: self.wanted.item(),
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Entries {
            inner,
            wanted: self.wanted,
            value: Wanted::All,
        })
    }
}

// === impl Layer (seed) ===

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Layer<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Adapter::new(inner, self.wanted))
    }
}

/// The entries of a list or a map. Fields that are not wanted are skipped.
struct Entries<'f, A> {
    inner: A,
    wanted: Wanted<'f>,
    /// For a map, the wanted fields below the next value.
    value: Wanted<'f>,
}

impl<'f, A> Entries<'f, A> {
    fn seed<S>(inner: S, wanted: Wanted<'f>) -> Layer<'f, S> {
        Layer {
            inner,
            wanted,
            null: Null::Unit,
        }
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Entries<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let left = LEFT.get().checked_sub(size_of::<S::Value>());
        LEFT.set(left.ok_or_else(|| A::Error::custom(TOO_LARGE))?);
        self.inner.next_element_seed(Self::seed(seed, self.value))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        if matches!(self.wanted, Wanted::All | Wanted::Items(_)) {
            return self.inner.next_key_seed(seed);
        }
        while let Some(key) = self.inner.next_key_seed(KeyText)? {
            let Some(wanted) = self.wanted.field(&key) else {
                self.inner.next_value::<IgnoredAny>()?;
                continue;
            };
            self.value = wanted;
            return match key {
                Cow::Borrowed(key) => seed.deserialize(BorrowedStrDeserializer::new(key)),
                Cow::Owned(key) => seed.deserialize(StrDeserializer::new(&key)),
            }
            .map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(Self::seed(seed, self.value))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

/// An empty list or an empty map. It replaces `null`.
struct Nothing<E>(std::marker::PhantomData<E>);

impl<'de, E: Error> SeqAccess<'de> for Nothing<E> {
    type Error = E;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, _: S) -> Result<Option<S::Value>, E> {
        Ok(None)
    }
}

impl<'de, E: Error> MapAccess<'de> for Nothing<E> {
    type Error = E;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, _: S) -> Result<Option<S::Value>, E> {
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, E> {
        seed.deserialize(MapAccessDeserializer::new(self))
    }
}

/// The key of a map as text. If the key has no escapes, the text is borrowed from the input.
pub(super) struct KeyText;

impl<'de> DeserializeSeed<'de> for KeyText {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
        inner.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeyText {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_borrowed_str<E: Error>(self, v: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(v))
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(v.to_owned()))
    }
}

/// Converts a time to the notation that the type of the object accepts.
struct TimeText;

impl<'de> Visitor<'de> for TimeText {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an RFC 3339 time")
    }

    fn visit_borrowed_str<E: Error>(self, v: &'de str) -> Result<Self::Value, E> {
        normalize_rfc3339(v).map_err(|_| E::invalid_value(Unexpected::Str(v), &self))
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<Self::Value, E> {
        normalize_rfc3339(v)
            .map(|text| Cow::Owned(text.into_owned()))
            .map_err(|_| E::invalid_value(Unexpected::Str(v), &self))
    }
}

/// Converts Base64 to the notation that the type of the object accepts.
struct Base64Text;

impl<'de> Visitor<'de> for Base64Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("base64 text")
    }

    fn visit_borrowed_str<E: Error>(self, v: &'de str) -> Result<Self::Value, E> {
        Ok(normalize_base64(v))
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(normalize_base64(v).into_owned()))
    }
}

/// Reads a quantity as text, even if the quantity is a JSON number. `null` is zero.
struct QuantityText;

impl<'de> Visitor<'de> for QuantityText {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quantity")
    }

    fn visit_borrowed_str<E: Error>(self, v: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(v))
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(v.to_owned()))
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(v.to_string()))
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(v.to_string()))
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(format!("{v:e}")))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed("0"))
    }
}
