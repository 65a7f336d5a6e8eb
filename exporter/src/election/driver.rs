//! [`Driver`]: sends the requests of an election to the API server. [`Election`] decides which request is next.

use std::mem;
use std::sync::Arc;

use http::StatusCode;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{DynamicObject, PostParams};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::clock::uptime;
use super::leadership::Leadership;
use super::machine::{Election, Outcome, Request, Step, Uptime};
use super::problems::{CONFLICTS, Problems, problem_text};
use super::record::{Exported, LeaseRecord, duration_seconds, lease_resource, new_lease};
use super::timing::Timing;
use crate::options::LONGEST_LEASE;
use crate::pace::Pace;

/// Sends the requests of an election, and passes its decisions to [`Leadership`].
pub(super) struct Driver {
    pub(super) election: Election,
    pub(super) timing: Timing,
    pub(super) leases: LeaseClient,
    pub(super) problems: Problems,
    pub(super) leadership: Leadership,
    pub(super) exported: Arc<ExportedFn>,
    /// The time at which the hand-over must end; `None` until this replica starts to shut down.
    pub(super) leave: watch::Receiver<Option<Uptime>>,
}

/// Returns the versions of the objects that this replica exports; `None` until the replica meets the readiness policy.
/// The function takes time, because it reads the state of all resources. So the caller runs it with `spawn_blocking`.
pub(super) type ExportedFn = dyn Fn() -> Option<Exported> + Send + Sync;

/// Reads and writes one Lease.
pub(super) struct LeaseClient {
    leases: Api<DynamicObject>,
    name: String,
    /// The Lease in the last response. This value includes fields that the election does not use, so that writes keep
    /// these fields.
    last: DynamicObject,
    /// Whether the Lease contains a longer duration than [`LONGEST_LEASE`]. No replica writes such a duration, so
    /// somebody must have edited the Lease.
    is_too_long: bool,
    pace: Pace,
}

/// Maximum number of requests per second. The election needs at most half of them. The limit is for a Lease that
/// changes in a way that the election does not expect, for example because a webhook removes annotations. Without the
/// limit, the election would send its next request immediately, again and again.
const MAX_REQUESTS: u32 = 20;

const NOT_WRITTEN: &str = "the response to a write has another leader than the written Lease; a server between this \
                           replica and the API server may send outdated responses";

const NOT_A_LEASE: &str = "the response is not the requested Lease, or has no resource version; check whether a proxy \
                           changes requests or responses of the API server";

// === impl Driver ===

impl Driver {
    /// Takes part in the election until this replica has left it.
    pub(super) async fn run(mut self) {
        let mut is_leaving = false;
        loop {
            let mut now = uptime();
            if !is_leaving && let Some(at) = *self.leave.borrow_and_update() {
                is_leaving = true;
                self.election.leave(now, at);
            }
            if self.election.needs_exported(now) {
                let exported = Arc::clone(&self.exported);
                let exported = tokio::task::spawn_blocking(move || exported()).await;
                // The result is an error only if the runtime is shutting down. The error counts as `None`.
                self.election.set_complete(exported.ok().flatten());
                now = uptime();
            }
            self.election.scraped(self.leadership.scraped_at());
            let step = self.election.next(now);
            self.publish();
            match step {
                Step::Stop => return,
                Step::WaitUntil(until) => {
                    let wait = until.saturating_sub(uptime());
                    tokio::select! {
                        () = sleep(wait) => {}
                        left = self.leave.changed(), if !is_leaving => {
                            if left.is_err() {
                                // The sender was dropped, so the program ends without a hand-over.
                                return;
                            }
                        }
                    }
                }
                Step::Send(request) => {
                    self.send(&request).await;
                    self.publish();
                }
            }
        }
    }

    fn publish(&self) {
        self.leadership.set_holder(self.election.holder());
        self.leadership.set_term(self.election.term());
    }

    /// Sends a request, and passes its outcome to the election.
    async fn send(&mut self, request: &Request) {
        let start = uptime();
        let sent = timeout(self.timing.timeout(), self.leases.send(request)).await;
        let (outcome, problem) =
            sent.unwrap_or_else(|_| (Outcome::Failed, Some("no response in time".to_owned())));
        if let Outcome::Lease(_) = outcome {
            self.leadership.set_joined();
        }
        let is_conflict = outcome == Outcome::Conflict;
        self.election.received(request, start, uptime(), outcome);
        let is_write = *request != Request::Read;
        match problem {
            Some(problem) => self.problems.failed(is_write, &problem),
            None if is_conflict => {
                // The replica reads the Lease after a conflict. So few conflicts are usual if replicas write at the
                // same time.
                if self.election.has_lasting_conflicts() {
                    self.problems.failed(is_write, CONFLICTS);
                }
            }
            None => {
                let has_write = self.election.has_write(uptime());
                self.problems.succeeded(is_write, has_write);
            }
        }
        self.report();
    }

    /// Shows the current problem, and logs the start and the end of problems.
    fn report(&self) {
        let name = &self.leases.name;
        let problem = self.problems.current();
        let before = self.leadership.set_problem(problem.map(str::to_owned));
        match (before, problem) {
            (None, Some(problem)) => tracing::warn!("lease {name}: {problem}"),
            (Some(_), None) => tracing::info!("lease {name}: requests for the Lease succeed again"),
            _ => {}
        }
    }
}

// === impl LeaseClient ===

impl LeaseClient {
    pub(super) fn new(leases: Api<DynamicObject>, name: String) -> Self {
        Self {
            leases,
            last: new_lease(&name),
            name,
            is_too_long: false,
            pace: Pace::new(MAX_REQUESTS),
        }
    }

    /// Logs a warning if the duration in the Lease is longer than [`LONGEST_LEASE`], the maximum that replicas write.
    fn report_duration(&mut self) {
        let seconds = duration_seconds(&self.last);
        let is_too_long = seconds > LONGEST_LEASE.as_secs();
        let was_too_long = mem::replace(&mut self.is_too_long, is_too_long);
        if is_too_long && !was_too_long {
            tracing::warn!(
                "lease {}: another program has set leaseDurationSeconds to {seconds}; a standby waits {} s, which is \
                 the maximum of --ha-lease-duration, and the next leader corrects the Lease",
                self.name,
                LONGEST_LEASE.as_secs()
            );
        }
    }

    /// Sends a request, at the permitted rate, and returns its outcome. If the request fails for a reason that the log
    /// must show, also returns the reason.
    async fn send(&mut self, request: &Request) -> (Outcome, Option<String>) {
        self.pace.wait().await;
        let name = &self.name;
        let sent = match request {
            Request::Read => self.leases.get(name).await,
            Request::Create(record) => {
                let mut lease = new_lease(name);
                record.write(&mut lease, Timestamp::now());
                self.leases.create(&PostParams::default(), &lease).await
            }
            Request::Update(record) => {
                let mut lease = self.last.clone();
                record.write(&mut lease, Timestamp::now());
                self.leases
                    .replace(name, &PostParams::default(), &lease)
                    .await
            }
        };
        let error = match sent {
            // Without this check, an object with only metadata would look like a Lease that no replica holds.
            Ok(lease) if !is_lease(&lease, name) => {
                return (Outcome::Failed, Some(NOT_A_LEASE.to_owned()));
            }
            Ok(lease) => {
                let record = LeaseRecord::of(&lease);
                if request
                    .written()
                    .is_some_and(|written| written.holder != record.holder)
                {
                    // The outcome is a failure, so that the election waits before the next attempt. With the outcome
                    // `Lease`, the election would repeat the write immediately.
                    return (Outcome::Failed, Some(NOT_WRITTEN.to_owned()));
                }
                self.last = lease;
                self.report_duration();
                return (Outcome::Lease(record), None);
            }
            Err(error) => error,
        };
        let code = match &error {
            kube::Error::Api(status) => StatusCode::from_u16(status.code).ok(),
            _ => None,
        };
        let problem = problem_text(&error);
        match (request, code) {
            (_, Some(StatusCode::CONFLICT)) => (Outcome::Conflict, None),
            (Request::Read, Some(StatusCode::NOT_FOUND)) => (Outcome::NotFound, None),
            (_, Some(StatusCode::NOT_FOUND)) => (Outcome::NotFound, Some(problem)),
            _ => (Outcome::Failed, Some(problem)),
        }
    }
}

/// Whether an object is the Lease with this name. The API server sends no Lease without a resource version. A write
/// without a resource version would replace any version of the Lease.
fn is_lease(object: &DynamicObject, name: &str) -> bool {
    let types = object.types.as_ref();
    let version = object.metadata.resource_version.as_deref();
    types.is_none_or(|types| types.kind == lease_resource().kind)
        && object.metadata.name.as_deref() == Some(name)
        && version.is_some_and(|version| !version.is_empty())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::options::OnOutage;

    /// Returns a client for a server that answers each request with the Lease of another replica.
    fn leases_of_other() -> LeaseClient {
        leases(
            r#"{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"l",
                "resourceVersion":"1"},"spec":{"holderIdentity":"other","leaseDurationSeconds":15}}"#,
        )
    }

    /// Returns a client for a server that answers each request with this object.
    fn leases(answer: &'static str) -> LeaseClient {
        leases_with_writes(answer, 200, answer)
    }

    /// Returns a client for a server that answers reads with `read`, and writes with this status and `written`.
    fn leases_with_writes(read: &'static str, status: u16, written: &'static str) -> LeaseClient {
        let answer = move |request: http::Request<kube::client::Body>| async move {
            let (status, text) = match *request.method() == http::Method::GET {
                true => (200, read),
                false => (status, written),
            };
            let body = kube::client::Body::from(text.as_bytes().to_vec());
            let response = http::Response::builder().status(status).body(body);
            Ok::<_, std::convert::Infallible>(response.unwrap())
        };
        let client = kube::Client::new(tower::service_fn(answer), "default");
        let leases = Api::namespaced_with(client, "default", &lease_resource());
        LeaseClient::new(leases, String::from("l"))
    }

    /// Returns the driver of a replica that may claim a released Lease at once.
    fn driver(leases: LeaseClient) -> Driver {
        let timing = Timing::new(Duration::from_secs(15));
        let mut election = Election::new(String::from("me"), timing, OnOutage::Keep);
        election.set_complete(Some(Exported::default()));
        Driver {
            election,
            timing,
            leases,
            problems: Problems::default(),
            leadership: Leadership::new("default/l", "me").unwrap(),
            exported: Arc::new(|| Some(Exported::default())),
            leave: watch::channel(None).1,
        }
    }

    /// A Lease that the last leader has released.
    const RELEASED: &str = r#"{"metadata":{"name":"l","resourceVersion":"1"},
        "spec":{"holderIdentity":"","leaseDurationSeconds":1}}"#;

    /// Executes requests of the election until it has sent `writes` writes. After each request that follows the first
    /// `silent` writes, checks whether the state contains `problem`.
    async fn refused(driver: &mut Driver, writes: usize, silent: usize, problem: &str) {
        let mut sent = 0;
        while sent < writes {
            // The time of the next request is far in the future of the clock.
            let now = uptime() + Duration::from_secs(3600);
            let Step::Send(request) = driver.election.next(now) else {
                panic!("no request is due");
            };
            sent += usize::from(request.written().is_some());
            driver.send(&request).await;
            let state = driver.leadership.to_string();
            assert_eq!(state.contains(problem), sent > silent, "{sent}: {state}");
        }
    }

    #[tokio::test]
    async fn a_refused_write_stays_a_problem_although_reads_succeed() {
        let refusal =
            r#"{"kind":"Status","status":"Failure","code":403,"message":"no right","reason":"x"}"#;
        let mut driver = driver(leases_with_writes(RELEASED, 403, refusal));
        let problem = "nobody holds; cannot read or write the Lease: status 403: no right";
        refused(&mut driver, 4, 0, problem).await;
        // Another replica claims the Lease, so this replica has nothing to write.
        driver.leases = leases_of_other();
        driver.send(&Request::Read).await;
        driver.publish();
        let state = driver.leadership.to_string();
        assert_eq!(state, "standby for lease default/l, which other holds");
    }

    #[tokio::test]
    async fn conflicts_without_a_change_of_the_lease_are_a_problem() {
        let refusal = r#"{"kind":"Status","status":"Failure","code":409,"message":"no"}"#;
        let mut driver = driver(leases_with_writes(RELEASED, 409, refusal));
        refused(&mut driver, 5, 2, CONFLICTS).await;
    }

    #[tokio::test]
    async fn an_object_without_a_name_or_version_is_not_a_lease() {
        for answer in [
            "{}",
            r#"{"metadata":{"name":"l"}}"#,
            r#"{"metadata":{"name":"l","resourceVersion":""}}"#,
            r#"{"metadata":{"resourceVersion":"1"}}"#,
            r#"{"metadata":{"name":"other","resourceVersion":"1"}}"#,
        ] {
            let (outcome, problem) = leases(answer).send(&Request::Read).await;
            assert_eq!(outcome, Outcome::Failed, "{answer}");
            assert_eq!(problem.as_deref(), Some(NOT_A_LEASE));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_changes_in_an_unexpected_way_gets_few_requests() {
        let mut leases = leases_of_other();
        let start = tokio::time::Instant::now();
        for _ in 0..10 * MAX_REQUESTS {
            leases.send(&Request::Read).await;
        }
        assert!(
            start.elapsed() >= Duration::from_secs(8),
            "{:?}",
            start.elapsed()
        );
    }

    #[tokio::test]
    async fn an_object_with_only_metadata_is_not_a_lease_without_a_leader() {
        let mut leases = leases(
            r#"{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata","metadata":{"name":"l",
                "resourceVersion":"1"}}"#,
        );
        let (outcome, problem) = leases.send(&Request::Read).await;
        assert_eq!(outcome, Outcome::Failed);
        assert_eq!(problem.as_deref(), Some(NOT_A_LEASE));
    }

    #[tokio::test]
    async fn a_write_that_is_answered_with_another_leader_has_failed() {
        let mut leases = leases_of_other();
        let record = |holder: &str| LeaseRecord {
            version: String::from("1"),
            holder: holder.to_owned(),
            duration: Duration::from_secs(15),
            ..LeaseRecord::default()
        };
        for request in [Request::Create(record("a")), Request::Update(record("a"))] {
            let (outcome, problem) = leases.send(&request).await;
            assert_eq!(outcome, Outcome::Failed);
            assert_eq!(problem.as_deref(), Some(NOT_WRITTEN));
        }
        for request in [Request::Read, Request::Update(record("other"))] {
            let (outcome, problem) = leases.send(&request).await;
            assert!(matches!(outcome, Outcome::Lease(own) if own.holder == "other"));
            assert_eq!(problem, None);
        }
    }
}
