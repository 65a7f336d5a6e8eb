//! File descriptors: the limit of the process, and the share of each server.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that the program needs before it has a connection: standard streams, sockets that
/// listen, the poller, watched and open files.
const RESERVED: u64 = 48;
/// The servers of the two ports have a quarter of the others each. The API server has the rest: a watch
/// of a resource in a namespace is a connection.
const PARTS: u64 = 4;
/// Connections of a server, however low the limit is.
const MINIMUM: usize = 4;

/// Raises the limit on open files to the maximum that the process may set.
///
/// Operating systems start programs with a low limit, because some programs use `select`, which this one
/// does not.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!("cannot raise the limit on open files: {error}");
    }
}

/// The connections that each server may have: as many as `asked`, unless the limit on open files is too
/// low for that.
pub(super) fn connections(asked: usize) -> usize {
    share(limit(), asked)
}

/// Warns if the limit on open files is too low for the connections that were asked for.
pub(crate) fn warn_of_low_limit(asked: usize) {
    let connections = connections(asked);
    if let Some(limit) = limit().filter(|_| connections < asked) {
        tracing::warn!(
            "--max-connections {asked}: the limit of {limit} open files allows {connections} connections \
             per port; raise the hard limit (ulimit -Hn, LimitNOFILE in systemd)"
        );
    }
}

/// The limit on open files; `None` is no limit.
fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

fn share(limit: Option<u64>, asked: usize) -> usize {
    let Some(limit) = limit else {
        return asked;
    };
    let share = limit.saturating_sub(RESERVED) / PARTS;
    let share = usize::try_from(share).unwrap_or(usize::MAX);
    asked.min(share.max(MINIMUM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_limit_leaves_descriptors_for_the_api_server() {
        let cases = [
            (Some(0), 4),
            (Some(64), 4),
            (Some(256), 52),
            (Some(1024), 244),
            (Some(4144), 1024),
            (Some(u64::MAX), 1024),
            (None, 1024),
        ];
        for (limit, connections) in cases {
            assert_eq!(share(limit, 1024), connections, "{limit:?}");
        }
        assert_eq!(share(Some(64), 2), 2);
    }
}
