//! A short and fair queue for expensive checks, such as password checks of clients that have not logged in yet.
//!
//! A request must wait for a turn, which is the right to run one check. The clients get their turns in rotation. So a
//! client with one request waits for at most one check of each other client. Until the queue is full, one client may
//! have any number of waiting requests.
//!
//! If the queue is full when a new request arrives, the queue uses the first of the following rules whose condition is
//! true:
//!
//! - If another client has at least two more waiting requests than the client of the new request, the new request
//!   replaces the newest request of the client with the most requests. The replaced request is refused.
//! - If another request of the same client already waits, the new request is refused.
//! - If the client of the new request had a turn later than every waiting client, the new request is refused.
//! - If a waiting client has had a turn, the new request replaces the request of the waiting client that had a turn
//!   last.
//! - If no client has had a turn, the queue compares the numbers of vain requests of the clients. A request is *vain*
//!   if it was refused, or if it left the queue without a turn. If the client of the new request has more vain requests
//!   than every waiting client, the new request is refused. Otherwise the new request replaces a request of the waiting
//!   client with the most vain requests.
//!
//! Several waiting clients may have the most vain requests. Then the queue selects one of these clients at random. So
//! all new clients have the same chance, whatever their number is.
//!
//! Clients that have not had a turn get the next turns. Among these clients, those with the fewest vain requests are
//! first. Many clients may repeat their requests before they get a turn. A new client does not wait behind them,
//! because it has no vain requests yet.
//!
//! The queue remembers the last 256 turns, and the numbers of vain requests of up to 4096 clients. When no request
//! waits, the queue forgets the turns and the numbers.
//!
//! ```
//! use prometheus_web_config::fair_queue::FairQueue;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let checks = FairQueue::new(1, 32);
//! let turn = checks.turn("10.0.0.7").await.unwrap();
//! // The check runs here; the next one begins when the turn is dropped.
//! drop(turn);
//! # }
//! ```

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The number of turns that the queue remembers.
///
/// After this number of turns of other clients, a client counts as new again. During a flood, each request may come
/// from a different address. Even then, a client does not wait for long.
const COUNTED_TURNS: u64 = 256;
/// The maximum number of clients whose vain requests the queue counts. If there are more clients, the queue sets the
/// counts of all clients to zero.
const COUNTED_CLIENTS: usize = 4096;

/// A queue that gives turns (rights to run a check) to clients. A key, such as an address, identifies each client.
pub struct FairQueue<K: Eq + Hash + Copy> {
    state: Arc<Mutex<State<K>>>,
    /// Maximum number of waiting requests.
    places: usize,
}

/// The right to run one check. When this value is dropped, the turn ends, and the next request gets a turn.
#[must_use = "the turn ends when it is dropped"]
pub struct Turn<K: Eq + Hash + Copy> {
    state: Arc<Mutex<State<K>>>,
}

/// The error if the queue refuses a request because too many requests wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests wait for a check")]
pub struct QueueFull;

struct State<K: Eq + Hash + Copy> {
    /// The number of checks that may begin immediately.
    free: usize,
    /// The waiting requests, in the order of their arrival.
    waiting: Vec<Waiting<K>>,
    /// The last turn of each client, as a number. Turns are numbered in their order. The queue keeps these numbers only
    /// while requests wait.
    last_turns: HashMap<K, u64>,
    /// The number of vain requests of each client since its last turn. The queue keeps these numbers only while
    /// requests wait.
    vain: HashMap<K, u32>,
    turns: u64,
    next_id: u64,
}

/// The rank of a client: the number of its last turn, and the number of its vain requests. A client with a lower rank
/// is served first. A client without a remembered turn has a lower rank than any client with a remembered turn.
type Rank = (Option<u64>, u32);

struct Waiting<K: Eq + Hash + Copy> {
    id: u64,
    client: K,
    turn: oneshot::Sender<Turn<K>>,
}

/// The place of a waiting request in the queue. When this value is dropped, the request leaves the queue.
struct Place<'a, K: Eq + Hash + Copy> {
    queue: &'a FairQueue<K>,
    id: u64,
}

// === impl FairQueue ===

impl<K: Eq + Hash + Copy> FairQueue<K> {
    /// Creates a queue. `turns` is the number of concurrent checks, and `places` is the number of requests that may
    /// wait.
    #[must_use]
    pub fn new(turns: usize, places: usize) -> Self {
        let state = State {
            free: turns,
            waiting: Vec::new(),
            last_turns: HashMap::new(),
            vain: HashMap::new(),
            turns: 0,
            next_id: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            places,
        }
    }

    /// Waits for a turn. If the returned future is dropped, the request leaves the queue.
    ///
    /// # Errors
    ///
    /// Returns an error if the queue is full and this request does not replace another request. Also returns an error
    /// if another request replaces this request. The [module](self) explains the rules.
    pub async fn turn(&self, client: K) -> Result<Turn<K>, QueueFull> {
        let (id, turn) = {
            let mut state = self.state.lock();
            if state.free > 0 {
                state.free -= 1;
                state.record_turn(client);
                return Ok(Turn {
                    state: Arc::clone(&self.state),
                });
            }
            if state.waiting.len() >= self.places && !state.displace_for(client) {
                state.count_vain(client);
                return Err(QueueFull);
            }
            let (sender, turn) = oneshot::channel();
            let id = state.next_id;
            state.next_id += 1;
            state.waiting.push(Waiting {
                id,
                client,
                turn: sender,
            });
            (id, turn)
        };
        let _place = Place { queue: self, id };
        turn.await.map_err(|_| QueueFull)
    }

    /// Returns the number of requests that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.state.lock().waiting.len()
    }
}

impl<K: Eq + Hash + Copy> fmt::Debug for FairQueue<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FairQueue")
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

// === impl Turn ===

impl<K: Eq + Hash + Copy> Drop for Turn<K> {
    fn drop(&mut self) {
        let next = self.state.lock().next();
        if let Some(next) = next {
            // The send fails if the request has left the queue in the meantime. Then the new turn is dropped, and the
            // drop gives a turn to the next request.
            drop(next.turn.send(Turn {
                state: Arc::clone(&self.state),
            }));
        }
    }
}

impl<K: Eq + Hash + Copy> fmt::Debug for Turn<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").finish_non_exhaustive()
    }
}

// === impl State ===

impl<K: Eq + Hash + Copy> State<K> {
    /// Removes from the queue the request that gets the next turn, and returns this request. If no request waits,
    /// increases the number of checks that may begin immediately.
    fn next(&mut self) -> Option<Waiting<K>> {
        let rank = |waiting: &Waiting<K>| self.rank(&waiting.client);
        let order = self.waiting.iter().map(rank).enumerate();
        // The client with the lowest rank comes first. All requests of one client have the same rank, and `min_by_key`
        // returns the first of them. So they keep their order.
        let Some((at, _)) = order.min_by_key(|(_, rank)| *rank) else {
            self.free += 1;
            self.last_turns.clear();
            self.vain.clear();
            return None;
        };
        let next = self.waiting.remove(at);
        self.record_turn(next.client);
        Some(next)
    }

    fn record_turn(&mut self, client: K) {
        self.turns += 1;
        self.last_turns.insert(client, self.turns);
        self.vain.remove(&client);
        // The queue forgets old turns, so that its memory is limited.
        if self.last_turns.len() as u64 > 2 * COUNTED_TURNS {
            let turns = self.turns;
            self.last_turns.retain(|_, turn| counts(*turn, turns));
        }
    }

    /// Returns the number of a client's last turn, if the queue still remembers it.
    fn last_turn(&self, client: &K) -> Option<u64> {
        let turn = self.last_turns.get(client).copied();
        turn.filter(|turn| counts(*turn, self.turns))
    }

    /// Counts a vain request of `client`.
    fn count_vain(&mut self, client: K) {
        if self.vain.len() >= COUNTED_CLIENTS && !self.vain.contains_key(&client) {
            self.vain.clear();
        }
        let count = self.vain.entry(client).or_default();
        *count = count.saturating_add(1);
    }

    fn rank(&self, client: &K) -> Rank {
        let vain = self.vain.get(client).copied().unwrap_or_default();
        (self.last_turn(client), vain)
    }

    /// Removes a waiting request, so that a request of `client` can take its place. The removed request is refused.
    ///
    /// If another client has at least two more waiting requests than `client`, the newest request of the client with
    /// the most requests is removed. Otherwise, the request at [`Self::of_last_ranked`] is removed, unless `client`
    /// already has a waiting request. Returns `true` if a request was removed.
    fn displace_for(&mut self, client: K) -> bool {
        let mut requests: HashMap<K, usize> = HashMap::new();
        for waiting in &self.waiting {
            *requests.entry(waiting.client).or_default() += 1;
        }
        let own = requests.get(&client).copied().unwrap_or_default();
        let most = requests.values().copied().max().unwrap_or_default();
        let displaced = if most > own + 1 {
            let mut waiting = self.waiting.iter();
            waiting.rposition(|waiting| requests.get(&waiting.client) == Some(&most))
        } else if own == 0 {
            self.of_last_ranked(client)
        } else {
            None
        };
        displaced.is_some_and(|at| {
            let displaced = self.waiting.remove(at);
            self.count_vain(displaced.client);
            true
        })
    }

    /// Returns the position of the waiting request whose client has the highest rank.
    ///
    /// Returns `None` if the rank of `client` is higher than the ranks of all waiting clients. If several waiting
    /// requests have the highest rank, returns the position of a random one of them.
    fn of_last_ranked(&self, client: K) -> Option<usize> {
        let ranks = self.waiting.iter().map(|own| self.rank(&own.client));
        let latest = ranks.clone().max()?;
        if latest < self.rank(&client) {
            return None;
        }
        let candidates = ranks.enumerate().filter(|(_, rank)| *rank == latest);
        let candidates: Vec<_> = candidates.map(|(at, _)| at).collect();
        fastrand::choice(candidates)
    }
}

/// Returns `true` if the queue still remembers a turn. `turn` is the number of this turn, and `turns` is the number of
/// all turns so far.
fn counts(turn: u64, turns: u64) -> bool {
    turn + COUNTED_TURNS > turns
}

// === impl Place ===

impl<K: Eq + Hash + Copy> Drop for Place<'_, K> {
    fn drop(&mut self) {
        let mut state = self.queue.state.lock();
        let own = state
            .waiting
            .iter()
            .position(|waiting| waiting.id == self.id);
        if let Some(own) = own {
            let left = state.waiting.remove(own);
            state.count_vain(left.client);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    type Asking<'a> = Pin<Box<dyn Future<Output = Result<Turn<char>, QueueFull>> + 'a>>;

    /// Requests a turn for a client while another client has the turn.
    fn ask(queue: &FairQueue<char>, client: char) -> Asking<'_> {
        let mut asking: Asking<'_> = Box::pin(queue.turn(client));
        assert!(poll(&mut asking).is_none(), "the turn is taken");
        asking
    }

    fn poll(asking: &mut Asking<'_>) -> Option<Result<Turn<char>, QueueFull>> {
        match asking
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }

    fn first(queue: &FairQueue<char>) -> Turn<char> {
        poll(&mut (Box::pin(queue.turn('a')) as Asking<'_>))
            .unwrap()
            .unwrap()
    }

    #[test]
    fn turns_go_round_among_clients() {
        let queue = FairQueue::new(1, 8);
        let mut turn = first(&queue);
        let mut asking: Vec<_> = "aaabbc".chars().map(|client| ask(&queue, client)).collect();
        let clients: Vec<_> = "aaabbc".chars().collect();
        let mut order = String::new();
        for _ in 0..clients.len() {
            drop(turn);
            let ready = asking.iter_mut().enumerate();
            let mut ready = ready.filter_map(|(at, asking)| Some((at, poll(asking)?)));
            let (at, next) = ready.next().unwrap();
            turn = next.unwrap();
            order.push(clients[at]);
            // The code replaces the future, because a future must not be polled again after it is complete.
            asking[at] = Box::pin(std::future::pending());
        }
        assert_eq!(order, "bcabaa");
        drop(turn);
        drop(first(&queue));
    }

    #[test]
    fn one_client_may_take_all_places_and_loses_the_newest_to_another() {
        let queue = FairQueue::new(1, 4);
        let turn = first(&queue);
        let mut flood: Vec<_> = (0..4).map(|_| ask(&queue, 'a')).collect();
        // The new request comes from the client with the most requests, so the queue refuses this request.
        let mut more: Asking<'_> = Box::pin(queue.turn('a'));
        assert_eq!(poll(&mut more).map(|result| result.is_err()), Some(true));
        let mut other = ask(&queue, 'b');
        let displaced: Vec<_> = flood
            .iter_mut()
            .map(|asking| poll(asking).is_some())
            .collect();
        assert_eq!(displaced, [false, false, false, true]);
        drop(turn);
        assert!(poll(&mut other).is_some_and(|result| result.is_ok()));
        assert_eq!(
            queue.waiting(),
            2,
            "a dropped turn passes to the next request"
        );
    }

    /// Simulates attackers and a new client. Returns the number of requests that the new client needed for its first
    /// turn, and the number of turns that the attackers had in the meantime.
    ///
    /// Each of the `attackers` requests a turn again as soon as it is refused or has had its turn. The new client
    /// starts after `warm_up` turns, and does the same.
    fn first_turn_of_a_newcomer(attackers: usize, warm_up: usize) -> Option<(usize, usize)> {
        let queue = FairQueue::new(1, 32);
        let client = |number: usize| char::from_u32(0x1000 + number as u32).unwrap();
        let mut turn = Some(first(&queue));
        let mut asking: Vec<Option<Asking<'_>>> = (0..=attackers).map(|_| None).collect();
        let mut tries = 0;
        for turns in 0..5_000 {
            let clients = if turns < warm_up {
                attackers
            } else {
                attackers + 1
            };
            // In each iteration, half of the attackers request a turn before the new client.
            let order = (0..attackers / 2).chain([attackers]);
            let order = order.chain(attackers / 2..attackers);
            for number in order.filter(|number| *number < clients) {
                if asking[number].is_none() {
                    tries += usize::from(number == attackers);
                    asking[number] = Some(Box::pin(queue.turn(client(number))));
                }
                let polled = asking[number].as_mut().and_then(poll);
                if polled.is_some() {
                    asking[number] = None;
                }
            }
            drop(turn.take());
            for (number, own) in asking.iter_mut().enumerate() {
                match own.as_mut().and_then(poll) {
                    Some(Ok(_)) if number == attackers => return Some((tries, turns - warm_up)),
                    Some(Ok(next)) => turn = Some(next),
                    Some(Err(_)) => {}
                    None => continue,
                }
                *own = None;
            }
        }
        None
    }

    #[test]
    fn a_newcomer_gets_a_turn_beside_more_clients_than_places() {
        // Each of the 48 attackers has had a turn, so the new client is next.
        let (tries, turns) = first_turn_of_a_newcomer(48, 100).unwrap();
        assert!(tries == 1 && turns <= 1, "{tries} tries, {turns} turns");
        // Without warm-up turns, none of the 48 attackers has had a turn when the new client requests its first turn.
        let (tries, turns) = first_turn_of_a_newcomer(48, 0).unwrap();
        assert!(turns <= 60, "{tries} tries, {turns} turns");
        // The attackers repeat their requests, so they have vain requests. The new client has none yet, and is served
        // before most of the attackers. This is also true for 300 attackers, although the queue remembers only 256
        // turns.
        for (attackers, warm_up) in [(200, 40), (300, 40), (300, 400)] {
            let (tries, turns) = first_turn_of_a_newcomer(attackers, warm_up).unwrap();
            assert!(turns <= 40, "{attackers}: {tries} tries, {turns} turns");
        }
        assert!(first_turn_of_a_newcomer(300, 0).is_some());
    }

    #[test]
    fn a_client_without_vain_requests_is_served_before_clients_that_repeat_theirs() {
        let queue = FairQueue::new(1, 2);
        let turn = first(&queue);
        let (left, stays) = (ask(&queue, 'b'), ask(&queue, 'c'));
        drop((left, stays));
        let mut repeated = [ask(&queue, 'b'), ask(&queue, 'c')];
        let mut new = ask(&queue, 'd');
        let refused = repeated.iter_mut().filter_map(poll).count();
        assert_eq!(refused, 1, "the new request replaces one of them");
        drop(turn);
        assert!(poll(&mut new).is_some_and(|result| result.is_ok()));
    }

    #[test]
    fn the_counts_of_vain_requests_are_limited() {
        let queue = FairQueue::new(1, 1);
        let turn: Turn<u32> = block(queue.turn(0));
        for client in 1..3 * COUNTED_CLIENTS as u32 {
            let mut asking = Box::pin(queue.turn(client));
            let _ = asking
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
        }
        assert!(queue.state.lock().vain.len() <= COUNTED_CLIENTS);
        drop(turn);
        assert!(queue.state.lock().vain.is_empty());
    }

    /// Returns the turn. Panics if the client must wait for the turn.
    fn block<K: Eq + Hash + Copy>(
        asking: impl Future<Output = Result<Turn<K>, QueueFull>>,
    ) -> Turn<K> {
        let asking = std::pin::pin!(asking);
        match asking.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(turn)) => turn,
            _ => panic!("the turn is taken"),
        }
    }

    #[test]
    fn a_client_that_has_had_a_turn_does_not_displace_new_clients() {
        let queue = FairQueue::new(1, 2);
        let turn = first(&queue);
        let mut new = [ask(&queue, 'b'), ask(&queue, 'c')];
        let mut again: Asking<'_> = Box::pin(queue.turn('a'));
        assert_eq!(poll(&mut again).map(|result| result.is_err()), Some(true));
        assert!(new.iter_mut().all(|asking| poll(asking).is_none()));
        drop(turn);
    }

    #[test]
    fn a_request_that_leaves_gives_up_its_place_or_its_turn() {
        let queue = FairQueue::new(1, 2);
        let turn = first(&queue);
        let leaves = ask(&queue, 'b');
        let mut stays = ask(&queue, 'c');
        drop(leaves);
        assert_eq!(queue.waiting(), 1);
        let late = ask(&queue, 'b');
        drop(turn);
        // Client `c` gets the turn, but its future is dropped before the check.
        drop(std::mem::replace(
            &mut stays,
            Box::pin(std::future::pending()),
        ));
        drop(late);
        drop(first(&queue));
        assert_eq!(queue.waiting(), 0);
    }
}
