//! Values from flags and the options file.

use std::path::Path;

use crate::config_file::Scalar;

/// Reads values from flags and the file, and notes what is wrong with them.
pub(super) struct Reader<'a> {
    /// The options file, where there is one.
    pub(super) path: Option<&'a Path>,
    pub(super) problems: Vec<String>,
    pub(super) warnings: Vec<String>,
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(super) fn new(path: Option<&'a Path>) -> Self {
        Self {
            path,
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The value of the file, or else of the flag, or else the default.
    pub(super) fn value<T>(
        &mut self,
        flag: &'static str,
        flag_value: &Option<String>,
        key: &'static str,
        file_value: &Scalar,
        read: impl Fn(&str) -> Result<T, String>,
        default: T,
    ) -> T {
        let Some(text) = file_value.0.as_ref().or(flag_value.as_ref()) else {
            return default;
        };
        read(text).unwrap_or_else(|cure| {
            let from = self.from(flag, key, file_value.0.is_some());
            self.problems.push(format!("{from}: `{text}` {cure}"));
            default
        })
    }

    /// Where a value is from.
    pub(super) fn from(&self, flag: &'static str, key: &'static str, in_file: bool) -> String {
        match self.path.filter(|_| in_file) {
            Some(path) => format!("{}: `{key}`", path.display()),
            None => flag.to_owned(),
        }
    }
}
