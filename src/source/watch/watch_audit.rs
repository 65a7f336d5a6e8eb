//! Audits the open watch: sends the list requests that its [`Audit`](super::audit::Audit) needs, and lists the objects
//! again if the audit finds differences. These requests ask only for the number of objects, or for the *identity* of
//! each object: its uid and its resource version.

use std::sync::Arc;

use super::audit::{Difference, Finding, Listed, Lister, MANY_FAILED, Step};
use super::failure::Failure;
use super::reflector::Reflector;
use super::sink::ListWatchSink;
use crate::k8s::resource_version;

impl<S: ListWatchSink> Reflector<S> {
    /// Continues the audit of the open watch. Returns whether the objects must be listed again.
    pub(super) fn continue_audit(&mut self) -> bool {
        loop {
            let version = self.version.as_deref().and_then(resource_version::as_u64);
            let (Some(audit), Some(received)) = (&mut self.audit, &mut self.sink.received) else {
                return false;
            };
            let Some(version) = version else {
                // An audit compares the objects of the watch with a list of the same version. This requires a numeric
                // version.
                audit.unknown(None);
                received.close_window();
                return false;
            };
            let step = match audit.next(version, received) {
                Step::Compared { without_row } => {
                    received.replace_without_row(without_row);
                    audit.after_comparison()
                }
                step => step,
            };
            match step {
                Step::Wait | Step::Compared { .. } => return false,
                Step::Probe => self.request_count(),
                Step::List { confirms } => self.request_identities(confirms),
                Step::Compare(listed) => self.compare(listed),
                Step::Agreed { compared } => {
                    received.close_window();
                    // Equal numbers of objects do not prove that an earlier difference has ended. So only a comparison
                    // of the objects reports 0 differences.
                    self.feed.reporter().audited(compared.then_some(0));
                }
                Step::Unknown(failure) => {
                    received.close_window();
                    self.log_failed_audit(failure);
                }
                Step::Differs(finding) => {
                    received.close_window();
                    let count = finding.differences.len() as u64;
                    self.feed.reporter().audited(Some(count));
                    self.log_finding(&finding);
                    if finding.heals {
                        self.metrics.audit_relisted();
                        self.heals = true;
                        return true;
                    }
                }
            }
        }
    }

    /// Requests the number of objects from the server, and starts to record the changes that the watch receives.
    fn request_count(&mut self) {
        let rows = self.sink.rows();
        let lister = self.lister();
        let Some(audit) = &mut self.audit else {
            return;
        };
        self.sink.open_window(rows.map_or(0, |rows| rows.len()));
        audit.probe(lister);
    }

    /// Lists the identities of the objects for a comparison. For the first comparison of an audit, starts to record the
    /// changes that the watch receives. For the second comparison (`confirms` is true), keeps the recorded changes.
    fn request_identities(&mut self, confirms: bool) {
        let rows = self.sink.rows();
        let lister = self.lister();
        let (Some(audit), Some(received)) = (&mut self.audit, &mut self.sink.received) else {
            return;
        };
        let Some(rows) = rows else {
            audit.unknown(None);
            received.close_window();
            return;
        };
        let hasher = received.hasher();
        if !confirms {
            self.sink.open_window(rows.len());
        }
        audit.list(lister, Arc::clone(rows.filter()), hasher);
    }

    /// Compares a list with the rows.
    fn compare(&mut self, listed: Listed) {
        let rows = self.sink.rows();
        // The list and the rows can be compared only if the shard has not changed since the request.
        let rows = rows.filter(|rows| Arc::ptr_eq(rows.filter(), &listed.filter));
        let (Some(audit), Some(received)) = (&mut self.audit, &mut self.sink.received) else {
            return;
        };
        let compared = rows.and_then(|rows| audit.compare(listed, rows, received));
        if compared.is_none() {
            let failure = received.too_many_changes();
            audit.unknown(None);
            received.close_window();
            self.log_failed_audit(failure);
        }
    }

    /// Logs that an audit has failed. If all audits fail, logs a warning once.
    fn log_failed_audit(&mut self, failure: Option<Failure>) {
        let (Some(failure), Some(audit)) = (failure, &mut self.audit) else {
            return;
        };
        let resource = self.target.resource.label();
        let namespace = self.target.namespace.as_deref().unwrap_or_default();
        if audit.fails_often() {
            tracing::warn!(
                resource,
                namespace,
                %failure,
                "the last {MANY_FAILED} audits have failed, so changes that the watch has missed are not found; remove \
                 the cause of the failure, or disable audits"
            );
        } else {
            tracing::debug!(resource, namespace, %failure, "an audit failed; a later audit tries again");
        }
    }

    fn lister(&self) -> Lister {
        Lister {
            client: self.client.clone(),
            target: self.target.clone(),
            selector: self.shard_selector(),
            encoding: self.encoding,
            budget: Arc::clone(&self.options.budget),
            timeouts: self.options.timeouts.clone(),
            page_size: self.options.page_size,
            max_list_objects: self.options.max_list_objects,
            requests: self.metrics.audit_requests(),
        }
    }

    fn log_finding(&self, finding: &Finding) {
        let resource = self.target.resource.label();
        let namespace = self.target.namespace.as_deref().unwrap_or_default();
        let count = |how| {
            let differences = finding.differences.iter();
            differences.filter(|own| **own == how).count()
        };
        let missing = count(Difference::Missing);
        let outdated = count(Difference::Outdated);
        let deleted = count(Difference::Deleted);
        let examples = finding.examples.iter();
        let examples = examples.map(|(name, how)| format!("{name} ({how})"));
        let examples = examples.collect::<Vec<_>>().join(", ");
        let outcome = if finding.heals {
            "the watch has missed changes; listing the objects again"
        } else {
            "objects differ from those of the API server, and a new list did not help; later audits try again"
        };
        tracing::warn!(
            resource,
            namespace,
            missing,
            outdated,
            deleted,
            changes_not_sent = finding.is_mute,
            examples,
            "{outcome}"
        );
    }
}
