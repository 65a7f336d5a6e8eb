//! How log lines are written.

use super::LogFlags;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogOptions {
    pub(crate) json: bool,
    pub(crate) verbosity: i64,
}

// === impl LogOptions ===

impl LogOptions {
    /// Reads the flags.
    ///
    /// # Errors
    ///
    /// Each problem, with its flag and what would be right.
    pub(crate) fn new(flags: &LogFlags) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let verbosity = flags.verbosity.as_deref().map_or(Ok(0), str::parse);
        let verbosity = verbosity.unwrap_or_else(|_| {
            let text = flags.verbosity.as_deref().unwrap_or_default();
            problems.push(format!("-v: `{text}` is not a whole number"));
            0
        });
        let json = match flags.log_format.as_deref() {
            None | Some("text") => false,
            Some("json") => true,
            Some(other) => {
                problems.push(format!(
                    "--log-format: `{other}` is neither `text` nor `json`"
                ));
                false
            }
        };
        if problems.is_empty() {
            Ok(Self { json, verbosity })
        } else {
            Err(problems)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbosity_is_a_whole_number() {
        let flags = LogFlags {
            verbosity: Some("x".into()),
            log_format: None,
        };
        let problems = LogOptions::new(&flags).unwrap_err();
        assert_eq!(problems, ["-v: `x` is not a whole number"]);
    }
}
