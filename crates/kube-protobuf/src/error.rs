//! [`Error`]: why bytes could not be read.

use std::fmt::{self, Write as _};

/// Why bytes could not be read.
///
/// The message contains a value of the object only if the deserialized type puts the value into its error message.
pub struct Error {
    // The details are in a box, because errors are rare, and results should not reserve space for the details.
    details: Box<Details>,
}

#[derive(Debug)]
struct Details {
    problem: Problem,
    /// The steps of the path to the value, the innermost first.
    path: Vec<Step>,
}

/// A step of a path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Field(&'static str),
    Element(usize),
    /// A value of a map, whose key may be secret.
    Entry,
}

#[derive(Debug)]
pub(crate) enum Problem {
    Malformed(Malformed),
    /// The fields of a message are out of order or split, which the API's encoder does not do. The object is then
    /// rewritten.
    NotCanonical,
    /// The deserialized type refuses a value.
    Data(String),
}

/// Why bytes are not protobuf, or not of the expected messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The bytes end too early, or a length exceeds the number of bytes that follow.
    #[error("a length exceeds the number of bytes that follow")]
    Truncated,
    /// A number has more than 64 bits.
    #[error("a number has more than 64 bits")]
    Number,
    /// A tag has the field number 0, a field number of more than 32 bits, or an unknown wire type.
    #[error("a tag is invalid")]
    Tag,
    /// A field is a group. Groups are obsolete, and the API does not use them.
    #[error("a field is a group, which the API does not use")]
    Group,
    /// A field has a wire type that differs from the type of the field in the API.
    #[error("a field has the wrong wire type")]
    WireType,
    /// The bytes do not begin as the API's protobuf encoding does.
    #[error("the bytes do not begin with the API's protobuf prefix")]
    Prefix,
    /// The object is compressed, which the API does not do.
    #[error("the object has an unknown content encoding")]
    Encoding,
    /// An object, or the metadata of a list, is too large.
    #[error("an object, or the metadata of a list, is too large")]
    TooLarge,
}

// === impl Error ===

impl Error {
    pub(crate) fn not_canonical() -> Self {
        Self::new(Problem::NotCanonical)
    }

    fn new(problem: Problem) -> Self {
        let path = Vec::new();
        Self {
            details: Box::new(Details { problem, path }),
        }
    }

    /// Adds a step to the path of the value with the error.
    #[cold]
    pub(crate) fn inside(mut self, step: Step) -> Self {
        self.details.path.push(step);
        self
    }

    /// Whether the bytes are valid protobuf, but the deserialized type refuses a value.
    #[must_use]
    pub fn is_data(&self) -> bool {
        matches!(self.details.problem, Problem::Data(_))
    }

    /// The path to the value, such as `spec.containers[1].image`; empty if the error concerns the whole object.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = String::new();
        for step in self.details.path.iter().rev() {
            let _ = match step {
                Step::Field(name) if path.is_empty() => write!(path, "{name}"),
                Step::Field(name) => write!(path, ".{name}"),
                Step::Element(at) => write!(path, "[{at}]"),
                Step::Entry => Ok(()),
            };
        }
        path
    }

    /// The message without the path.
    #[must_use]
    pub fn problem(&self) -> String {
        match &self.details.problem {
            Problem::Malformed(malformed) => malformed.to_string(),
            Problem::NotCanonical => String::from("the fields are out of order"),
            Problem::Data(message) => message.clone(),
        }
    }

    pub(crate) fn is_not_canonical(&self) -> bool {
        matches!(self.details.problem, Problem::NotCanonical)
    }
}

impl From<Malformed> for Error {
    #[cold]
    fn from(malformed: Malformed) -> Self {
        Self::new(Problem::Malformed(malformed))
    }
}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Problem::Data(message.to_string()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem())?;
        if !self.details.path.is_empty() {
            write!(f, " at {}", self.path())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}
