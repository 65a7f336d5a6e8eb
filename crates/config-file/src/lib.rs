#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod keys;
mod reading;
mod yaml;

pub use reading::{ReadError, read, read_at_most, read_text, text};
pub use yaml::{YamlProblem, yaml_problem};
