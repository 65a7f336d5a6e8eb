//! File descriptors: the limit of the process, and how many descriptors each server may use.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The number of reserved descriptors: for standard streams, listening sockets, epoll, watched files and open files,
/// but not for connections.
const RESERVED: u64 = 48;
/// The exporter divides the descriptors that are not reserved into this number of equal parts. The server of each port
/// may use at most one part. Usually, the servers need few descriptors, and most of them are for connections to the API
/// server: each watch of a resource in a namespace can need a connection.
const PARTS: u64 = 4;
/// The minimum number of connections of a server, even if the limit is very low.
const MINIMUM: usize = 4;
/// A limit on open files that is sufficient for every cluster, even for watches of 80 resources in 200 namespaces.
const ENOUGH: u64 = 16_384;

/// Raises the soft limit on open files to the number that the connections need. The hard limit is the maximum.
///
/// Operating systems start programs with a low soft limit, because some programs use `select`. The exporter does not
/// use `select`. Credential plugins inherit the limit. At startup, some programs close every possible descriptor up to
/// the limit, which takes long if the limit is high. Therefore, the function does not raise the limit more than
/// necessary.
fn raise_limit(connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    let Some(raised) = raised(limit, connections) else {
        return;
    };
    let raised = Rlimit {
        current: Some(raised),
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!("cannot raise the limit on open files: {error}");
    }
}

/// Returns the soft limit to set, if it is higher than the current soft limit.
fn raised(limit: Rlimit, connections: usize) -> Option<u64> {
    let connections = u64::try_from(connections).unwrap_or(u64::MAX);
    let needed = connections.saturating_mul(PARTS).saturating_add(RESERVED);
    let raised = needed.max(ENOUGH).min(limit.maximum.unwrap_or(u64::MAX));
    (limit.current? < raised).then_some(raised)
}

/// Returns the number of connections that each server may have. `asked` is the number that the options request. The
/// result is less than `asked` if the hard limit on open files is too low. Raises the soft limit if necessary.
pub(crate) fn connections(asked: usize) -> usize {
    raise_limit(asked);
    share(limit(), asked)
}

/// Returns the number of connections to the API server that the limit on open files allows, and this limit. Returns
/// `None` if there is no limit.
pub(crate) fn for_api_server() -> Option<(usize, u64)> {
    let limit = limit()?;
    Some((api_share(limit), limit))
}

/// The descriptors that are not reserved, without an eighth for the two ports. A reload needs two connections for each
/// watch, because the previous watches run until the lists of the new ones are complete.
fn api_share(limit: u64) -> usize {
    let share = limit.saturating_sub(RESERVED) / 8 * 7;
    usize::try_from(share).unwrap_or(usize::MAX).max(MINIMUM)
}

/// Warns if the limit on open files is too low for the number of connections that the options request.
pub(crate) fn warn_of_low_limit(asked: usize) {
    let connections = connections(asked);
    if let Some(limit) = limit().filter(|_| connections < asked) {
        tracing::warn!(
            "--max-connections {asked}: the limit of {limit} open files allows only {connections} \
             connections per port; raise the hard limit (ulimit -Hn, LimitNOFILE in systemd)"
        );
    }
}

/// The limit on open files. `None` means no limit.
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
    fn the_soft_limit_is_raised_to_what_is_needed() {
        let raise = |current, maximum, connections| {
            let (current, maximum) = (Some(current), maximum);
            raised(Rlimit { current, maximum }, connections)
        };
        assert_eq!(raise(1_024, Some(524_288), 1_024), Some(16_384));
        assert_eq!(raise(1_024, None, 1_024), Some(16_384));
        assert_eq!(raise(1_024, Some(4_096), 1_024), Some(4_096));
        assert_eq!(raise(1_024, Some(524_288), 10_000), Some(40_048));
        assert_eq!(raise(65_536, Some(524_288), 1_024), None);
        assert_eq!(raise(1_024, Some(1_024), 1_024), None);
    }

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
        let api = [0, 128, 512, 1024, 16_384].map(api_share);
        assert_eq!(api, [4, 70, 406, 854, 14_294]);
    }
}
