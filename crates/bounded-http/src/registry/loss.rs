//! [`Loss`]: the response that the server ends if a new response is one too many.
//!
//! Stalled responses end first. If no response is stalled, the peer with the most responses loses the response without
//! progress for the longest time. If this peer has only the new response, the server refuses the new response.
//!
//! If several peers have the most responses, and the new response belongs to one of them, this peer loses. Otherwise, a
//! peer could end the running scrapes of others. But if another of these peers has used the server longer (see
//! [`BusyCount::usage`]), the other peer loses. Otherwise, a peer with slow responses could keep others out.
//!
//! A new response does not end a *fresh* response of the same peer: one that began less than a second ago, and whose
//! bytes do not wait for the client. Then the server refuses the new response. Without this rule, a peer that sends very
//! many requests would begin all their responses and complete none, and the responses of other peers would wait for the
//! CPU.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::busy::BusyCount;
use crate::state::{Answer, ConnectionState, ResponseGuard};

/// A running response has this advantage over a new one, in seconds of use.
const ADVANTAGE: f64 = 2.0;

/// The response that the server ends if it has too many.
pub(super) enum Loss<'a> {
    /// All responses of a connection.
    Connection(&'a Arc<ConnectionState>),
    /// The response of a stream.
    Stream(&'a Arc<ConnectionState>, u64),
    /// The new response.
    Newest,
}

/// The server has too many responses, so it does not send a new response.
#[derive(Debug)]
pub(crate) struct TooManyResponses;

/// What the connections of a peer do.
#[derive(Clone, Copy, Debug, Default)]
struct PeerUse {
    responses: usize,
    seconds: f64,
}

// === impl Loss ===

impl<'a> Loss<'a> {
    /// Chooses the loss if `newest` is one response too many.
    pub(super) fn choose(
        all: impl Iterator<Item = &'a Arc<ConnectionState>>,
        newest: &ResponseGuard,
        busy: &BusyCount,
    ) -> Self {
        let own = newest.connection();
        let mut peers: HashMap<IpAddr, PeerUse> = HashMap::new();
        let mut others: Vec<(&Arc<ConnectionState>, Answer)> = Vec::new();
        for connection in all {
            let answers = connection.answers();
            if answers.is_empty() {
                continue;
            }
            let peer = peers.entry(connection.peer.group()).or_default();
            peer.responses += connection.answering();
            peer.seconds += connection.usage();
            others.extend(answers.into_iter().filter_map(|answer| {
                let is_newest = connection.id == own.id
                    && answer
                        .response
                        .is_none_or(|response| response == newest.id());
                (!is_newest).then_some((connection, answer))
            }));
        }
        for (peer, usage) in &mut peers {
            usage.seconds += busy.usage(*peer);
        }
        let oldest =
            |(connection, answer): &&(&Arc<ConnectionState>, Answer)| (answer.since, connection.id);
        let stalled = others.iter().filter(|(_, answer)| answer.is_stalled);
        let lost = stalled.min_by_key(oldest).or_else(|| {
            let loser = losing_peer(&peers, own.peer.group());
            let may_end = |answer: &Answer| loser != own.peer.group() || !answer.is_fresh;
            let of_loser = others
                .iter()
                .filter(|(connection, answer)| connection.peer.group() == loser && may_end(answer));
            of_loser.min_by_key(oldest)
        });
        match lost {
            Some((connection, answer)) => match answer.response {
                Some(id) => Self::Stream(connection, id),
                None => Self::Connection(connection),
            },
            None => Self::Newest,
        }
    }
}

/// The peer that loses a response, if the new response belongs to the peer `newest`.
fn losing_peer(peers: &HashMap<IpAddr, PeerUse>, newest: IpAddr) -> IpAddr {
    let most = peers.values().map(|peer| peer.responses).max();
    let with_most = peers
        .iter()
        .filter(|(_, peer)| Some(peer.responses) == most);
    let seconds = |ip: &IpAddr, peer: &PeerUse| match *ip == newest {
        true => peer.seconds + ADVANTAGE,
        false => peer.seconds,
    };
    let loser = with_most.max_by(|(ip, peer), (other_ip, other)| {
        let by_use = seconds(ip, peer).total_cmp(&seconds(other_ip, other));
        by_use.then_with(|| ip.cmp(other_ip))
    });
    loser.map_or(newest, |(ip, _)| *ip)
}
