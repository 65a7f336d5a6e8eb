//! [`Problems`]: whether the requests for the Lease succeed.

use kube::Error;

use crate::humanize::visible_line;

/// The problems of the requests for the Lease. Successful reads do not hide that the API server refuses all writes, so
/// this value contains separate problems for reads and writes.
#[derive(Debug, Default)]
pub(super) struct Problems {
    read: Option<String>,
    write: Option<String>,
}

/// Maximum length of a message of the API server in the log and on the landing page, in characters.
const MAX_MESSAGE: usize = 300;

/// The problem if the API server refuses writes because of conflicts, although the Lease does not change.
pub(super) const CONFLICTS: &str = "the API server has refused several writes in a row with the status 409 (conflict), \
                                    although reads show no change of the Lease; check whether a cache, a proxy or a \
                                    webhook changes requests or responses of the API server";

// === impl Problems ===

impl Problems {
    /// Records the reason why a request failed.
    pub(super) fn failed(&mut self, is_write: bool, reason: &str) {
        let problem = format!("cannot read or write the Lease: {reason}");
        let own = match is_write {
            true => &mut self.write,
            false => &mut self.read,
        };
        *own = Some(problem);
    }

    /// Records a successful request. `has_write` states whether the replica must write the Lease next. If it must, a
    /// successful read does not end the problem of the writes.
    pub(super) fn succeeded(&mut self, is_write: bool, has_write: bool) {
        self.read = None;
        if is_write || !has_write {
            self.write = None;
        }
    }

    /// The problem that the log and the pages show.
    pub(super) fn current(&self) -> Option<&str> {
        self.write.as_deref().or(self.read.as_deref())
    }
}

/// Describes an error of the client for people, as one line. The messages of some errors of the client contain the
/// debug text of Rust values, so this function does not use these messages.
pub(super) fn problem_text(error: &Error) -> String {
    let text = match error {
        Error::Api(status) => {
            let message = match status.message.trim() {
                "" => "the response has no message",
                message => message,
            };
            match status.code {
                0 => message.to_owned(),
                code => format!("status {code}: {message}"),
            }
        }
        Error::SerdeError(error) => format!("the response is not a valid Lease: {error}"),
        Error::Service(error) => error.to_string(),
        error => error.to_string(),
    };
    visible_line(text.chars().take(MAX_MESSAGE).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_do_not_end_the_problem_of_writes_while_a_write_is_due() {
        let mut problems = Problems::default();
        problems.failed(true, "no right");
        problems.succeeded(false, true);
        let problem = "cannot read or write the Lease: no right";
        assert_eq!(problems.current(), Some(problem));
        // While reads also fail, the problem of the writes stays.
        problems.failed(false, "no response in time");
        assert_eq!(problems.current(), Some(problem));
        problems.succeeded(true, true);
        assert_eq!(problems.current(), None);
        // Another replica leads now, so this replica has nothing to write.
        problems.failed(true, "no right");
        problems.succeeded(false, false);
        assert_eq!(problems.current(), None);
        problems.failed(false, "no response in time");
        problems.succeeded(false, true);
        assert_eq!(problems.current(), None);
    }

    #[test]
    fn a_message_is_one_line_without_debug_text() {
        let status = |message: &str| {
            let status = kube::core::Status::failure(message, "Forbidden").with_code(403);
            problem_text(&Error::Api(status.boxed()))
        };
        assert_eq!(status("no\nright"), "status 403: no\\nright");
        assert_eq!(status(""), "status 403: the response has no message");
        assert_eq!(status(&"x".repeat(1_000)).len(), MAX_MESSAGE);
    }
}
