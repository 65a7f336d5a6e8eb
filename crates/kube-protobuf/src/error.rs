//! [`Error`]: the reason why the crate could not read bytes.

use std::fmt::{self, Write as _};

/// The reason why the crate could not read an object.
///
/// The error message does not contain values of the object. The only exception is a value that the deserialized type
/// writes into its own error.
pub struct Error {
    // The details are in a box, so that a `Result` with this error is small. Errors are rare.
    details: Box<Details>,
}

#[derive(Debug)]
struct Details {
    problem: Problem,
    /// The steps of the path to the value, from the innermost step to the outermost step.
    path: Vec<Step>,
}

/// A step of a path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Field(&'static str),
    Element(usize),
    /// A value of a map. The step has no key, because the key may be secret.
    Entry,
}

#[derive(Debug)]
pub(crate) enum Problem {
    Malformed(Malformed),
    /// The fields of a message are in an unusual order, or a field is split into several pieces. The encoders of the
    /// API never write such a message. The crate rewrites the object and reads it again.
    NotCanonical,
    /// The deserialized type refuses a value.
    Data(String),
}

/// The reason why bytes are not valid protobuf, or are not the expected message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The bytes end too early, or a length exceeds the number of bytes that follow.
    #[error("a length exceeds the number of bytes that follow")]
    Truncated,
    /// A number has more than 64 bits.
    #[error("a number has more than 64 bits")]
    Number,
    /// A tag (the start of a field) has the field number 0, a field number of more than 32 bits, or an unknown wire
    /// type.
    #[error("a tag is invalid")]
    Tag,
    /// A field has the wire type of a group. Groups are obsolete, and the API does not use them.
    #[error("a field is a group, which the API does not use")]
    Group,
    /// The wire type of a field differs from the type that the API declares for this field.
    #[error("a field has the wrong wire type")]
    WireType,
    /// The bytes do not begin with the [prefix](crate::PREFIX) of the API's protobuf encoding.
    #[error("the bytes do not begin with the API's protobuf prefix")]
    Prefix,
    /// The envelope states a content encoding, for example a compression. The API does not use content encodings.
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

    /// Adds a step at the front of the path.
    #[cold]
    pub(crate) fn inside(mut self, step: Step) -> Self {
        self.details.path.push(step);
        self
    }

    /// Returns `true` if the bytes are valid protobuf, but the deserialized type refuses a value.
    #[must_use]
    pub fn is_data(&self) -> bool {
        matches!(self.details.problem, Problem::Data(_))
    }

    /// Returns the path to the value, such as `spec.containers[1].image`. The path is empty if the error is about the
    /// whole object.
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

    /// Returns the error message without the path.
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
