//! Converts Go types to the protobuf messages that encode them. [`Resolver`] finds the fields of each message, from
//! which this program generates a table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::go_source::{self, Definition, Package};

/// The Go package with the types that every API uses.
pub(crate) const META: &str = "k8s.io/apimachinery/pkg/apis/meta/v1";

/// Go types whose encoding does not follow their declaration. Each item has the package and the name of the Go type,
/// and the variant of `Type` in the generated tables.
const CODECS: &[(&str, &str, &str)] = &[
    (META, "Time", "Time"),
    (META, "MicroTime", "MicroTime"),
    (META, "FieldsV1", "Json"),
    ("k8s.io/apimachinery/pkg/runtime", "RawExtension", "Json"),
    (
        "k8s.io/apimachinery/pkg/api/resource",
        "Quantity",
        "Quantity",
    ),
    (
        "k8s.io/apimachinery/pkg/util/intstr",
        "IntOrString",
        "IntOrString",
    ),
    // In Go, `ExtraValue` is a list that is the value of a map. A map in protobuf cannot contain lists, so `ExtraValue`
    // is a message there.
    ("k8s.io/api/certificates/v1", "ExtraValue", "Texts"),
];

/// The variants of `Type` that stand for structs in Go.
const STRUCTS: &[&str] = &["Time", "MicroTime", "Json", "Quantity", "IntOrString"];

/// The Go package and the name of a message.
pub(crate) type Name = (String, String);

/// A field for the generated tables.
pub(crate) struct Field {
    pub(crate) number: u32,
    pub(crate) json: String,
    /// The name of the function that creates the field in a generated table.
    pub(crate) constructor: &'static str,
    pub(crate) leaf: Leaf,
}

pub(crate) enum Leaf {
    /// The name of a variant of `Type`.
    Type(&'static str),
    Message(Name),
}

enum Shape {
    Value,
    Pointer,
    List,
    Map,
}

/// Collects the messages of the kinds, and all messages that are nested in them.
pub(crate) struct Resolver {
    api: PathBuf,
    machinery: PathBuf,
    packages: BTreeMap<String, Package>,
    messages: BTreeMap<Name, Vec<Field>>,
}

impl Resolver {
    pub(crate) fn new(api: &Path, machinery: &Path) -> Self {
        Self {
            api: api.to_owned(),
            machinery: machinery.to_owned(),
            packages: BTreeMap::new(),
            messages: BTreeMap::new(),
        }
    }

    pub(crate) fn messages(&self) -> &BTreeMap<Name, Vec<Field>> {
        &self.messages
    }

    /// Adds a message and all messages that are nested in it.
    pub(crate) fn message(&mut self, package: &str, name: &str) -> Result<Name, String> {
        let key = (package.to_owned(), name.to_owned());
        if self.messages.contains_key(&key) {
            return Ok(key);
        }
        self.messages.insert(key.clone(), Vec::new());
        let declaration = self.declaration(package, name)?;
        let Definition::Struct(declared) = &declaration.definition else {
            return Err(format!("{package}.{name} is not a struct"));
        };
        // A field without the tag `protobuf` is not in the protobuf encoding.
        let is_on_wire =
            |field: &&go_source::Field| field.protobuf.as_deref().is_some_and(|tag| tag != "-");
        let declared: Vec<_> = declared.iter().filter(is_on_wire).cloned().collect();
        let mut fields = Vec::new();
        for field in declared {
            let context = |error| format!("{package}.{name}: {}: {error}", field.type_name);
            fields.push(self.field(package, name, &field).map_err(context)?);
        }
        fields.sort_by_key(|field| field.number);
        self.messages.insert(key.clone(), fields);
        Ok(key)
    }

    fn field(
        &mut self,
        package: &str,
        name: &str,
        field: &go_source::Field,
    ) -> Result<Field, String> {
        let protobuf = field.protobuf.as_deref().unwrap_or_default();
        let number = protobuf
            .split(',')
            .nth(1)
            .and_then(|number| number.parse().ok());
        let number = number.ok_or("the tag protobuf has no number")?;
        let json = field.json.as_deref().ok_or("there is no tag json")?;
        let mut options = json.split(',');
        let json = options.next().unwrap_or_default().to_owned();
        let options: Vec<_> = options.collect();
        let is_inline = field.is_embedded && json.is_empty();
        let (shape, leaf) = self.resolve(package, name, &field.type_name)?;
        let is_message = matches!(leaf, Leaf::Message(_));
        let is_struct = match leaf {
            Leaf::Message(_) => true,
            Leaf::Type(name) => STRUCTS.contains(&name),
        };
        let unknown = options.iter().find(|option| match **option {
            "omitempty" | "inline" => false,
            // With `omitzero`, Go omits a message from JSON if the message is the zero value of its Go type. A message
            // without encoded fields is not always the zero value: for example, it may have an empty list instead of a
            // nil list. The tables cannot distinguish these messages, so the generator does not support `omitzero` for
            // messages.
            "omitzero" => is_message,
            _ => true,
        });
        if let Some(option) = unknown {
            return Err(format!("unknown option `{option}` of the tag json"));
        }
        let constructor = match shape {
            Shape::Value if is_inline && is_message => "inline",
            _ if json.is_empty() => {
                return Err(String::from("only embedded messages have no name in JSON"));
            }
            // In Go, the option `omitempty` has no effect on structs.
            Shape::Value if options.contains(&"omitempty") && !is_struct => "nonzero",
            Shape::Value if options.contains(&"omitzero") => "nonzero",
            Shape::Value => "always",
            Shape::Pointer => "pointer",
            Shape::List => "list",
            Shape::Map => "map",
        };
        Ok(Field {
            number,
            json,
            constructor,
            leaf,
        })
    }

    /// Returns the shape of a type (value, pointer, list or map), and the type of its content. `go` is the type in the
    /// notation of Go, as it stands in a declaration of the package.
    fn resolve(&mut self, package: &str, inside: &str, go: &str) -> Result<(Shape, Leaf), String> {
        if go == "[]byte" {
            return Ok((Shape::Value, Leaf::Type("Bytes")));
        }
        let (shape, element) = if let Some(element) = go.strip_prefix('*') {
            (Shape::Pointer, element)
        } else if let Some(element) = go.strip_prefix("[]") {
            (Shape::List, element)
        } else if let Some(rest) = go.strip_prefix("map[") {
            let (key, element) = rest.split_once(']').ok_or("the map has no key")?;
            if !matches!(
                self.resolve(package, inside, key)?,
                (Shape::Value, Leaf::Type("Text"))
            ) {
                return Err(String::from("the keys of the map are not strings"));
            }
            (Shape::Map, element)
        } else {
            return self.resolve_name(package, inside, go);
        };
        match self.resolve(package, inside, element)? {
            (Shape::Value, leaf) => Ok((shape, leaf)),
            _ => Err(String::from("pointers, lists and maps cannot be nested")),
        }
    }

    fn resolve_name(
        &mut self,
        package: &str,
        inside: &str,
        go: &str,
    ) -> Result<(Shape, Leaf), String> {
        let scalar = match go {
            "string" => Some("Text"),
            "bool" => Some("Bool"),
            "int32" => Some("Int32"),
            "int64" => Some("Int64"),
            _ => None,
        };
        if let Some(scalar) = scalar {
            return Ok((Shape::Value, Leaf::Type(scalar)));
        }
        let (package, name) = match go.split_once('.') {
            None => (package.to_owned(), go),
            Some((alias, name)) => {
                let imports = &self.declaration(package, inside)?.imports;
                let path = imports
                    .get(alias)
                    .ok_or_else(|| format!("unknown import {alias}"))?;
                (path.clone(), name)
            }
        };
        let codec = CODECS
            .iter()
            .find(|(path, own, _)| *path == package && *own == name);
        if let Some((_, _, codec)) = codec {
            return Ok((Shape::Value, Leaf::Type(codec)));
        }
        match &self.declaration(&package, name)?.definition {
            Definition::Struct(_) => {
                let message = self.message(&package, name)?;
                Ok((Shape::Value, Leaf::Message(message)))
            }
            Definition::Other(other) => {
                let other = other.clone();
                if other.starts_with("[]") {
                    return Err(format!("{name} is a list with a name, and needs a codec"));
                }
                self.resolve(&package, name, &other)
            }
        }
    }

    fn declaration(
        &mut self,
        package: &str,
        name: &str,
    ) -> Result<&go_source::Declaration, String> {
        if !self.packages.contains_key(package) {
            let directory = if let Some(path) = package.strip_prefix("k8s.io/api/") {
                self.api.join(path)
            } else if let Some(path) = package.strip_prefix("k8s.io/apimachinery/") {
                self.machinery.join(path)
            } else {
                return Err(format!("{package} is in neither module"));
            };
            self.packages
                .insert(package.to_owned(), go_source::package(&directory)?);
        }
        let declaration = self.packages.get(package).and_then(|types| types.get(name));
        declaration.ok_or_else(|| format!("{package} does not declare {name}"))
    }
}
