#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod keys;
mod paths;
mod reading;
mod yaml;

pub use paths::shown_path;
pub use reading::{ReadError, read, read_at_most, read_text, text};
pub use yaml::{YamlProblem, without_empty_documents, yaml_problem};
