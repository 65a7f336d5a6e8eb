//! Shows how to test families. Run the tests with
//! `cargo test --features testing,manifests --example unit_test_families`.
//!
//! The families belong to the custom resource `Backup`. The function `main` does the same check as the test
//! `the_families_are_valid`.

use kube::CustomResource;
use kube_state_metrics::testing::assert_valid;
use kube_state_metrics::{Collector, Family};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "acme.dev",
    version = "v1",
    kind = "Backup",
    namespaced,
    status = "BackupStatus"
)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BackupSpec {
    schedule: String,
}

#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BackupStatus {
    phase: String,
    bytes: Option<u64>,
}

/// Returns the families of backups.
pub(crate) fn backups() -> Collector<Backup> {
    Collector::new()
        .family(
            Family::info("backup_info", "Always 1; the schedule is in a label.")
                .labels(["schedule"])
                .generate(|backup: &Backup, s| s.label("schedule", &backup.spec.schedule).value(1)),
        )
        .family(
            Family::state_set(
                "backup_phase",
                "1 for the phase of the backup, 0 for the others.",
            )
            .labels(["phase"])
            .generate(|backup: &Backup, s| {
                if let Some(status) = &backup.status {
                    s.state_set("phase", &["Running", "Done", "Failed"], &status.phase);
                }
            }),
        )
        .family(
            Family::gauge(
                "backup_bytes",
                "Size of the backup; absent until it is known.",
            )
            .generate(|backup: &Backup, s| {
                s.maybe_value(backup.status.as_ref().and_then(|status| status.bytes));
            }),
        )
}

fn main() {
    assert_valid(backups());
}

#[cfg(test)]
mod tests {
    use kube_state_metrics::testing::{assert_valid, render};
    use serde_json::json;

    use super::backups;

    /// The object is JSON. `assert_eq` compares all samples of the object.
    #[test]
    fn a_new_backup_has_a_schedule_and_nothing_else() {
        let backup = json!({
            "metadata": { "name": "db", "namespace": "shop" }, "spec": { "schedule": "@daily" }
        });
        render(backups(), backup)
            .assert_eq(r#"backup_info{namespace="shop",backup="db",schedule="@daily"} 1"#);
    }

    /// The object is YAML. `only` selects the families whose samples are compared.
    #[test]
    fn a_failed_backup_says_so() {
        let backup = "
            metadata: { name: db, namespace: shop }
            spec: { schedule: '@daily' }
            status: { phase: Failed }
        ";
        render(backups(), backup)
            .only(["backup_phase", "backup_bytes"])
            .assert_eq(
                r#"
            backup_phase{namespace="shop",backup="db",phase="Running"} 0
            backup_phase{namespace="shop",backup="db",phase="Done"} 0
            backup_phase{namespace="shop",backup="db",phase="Failed"} 1
            "#,
            );
    }

    /// Checks names, help texts, repeated labels and the rules of OpenMetrics for all families.
    #[test]
    fn the_families_are_valid() {
        assert_valid(backups());
    }
}
