//! Flags of old versions of the Go program kube-state-metrics, and the flags of this exporter to use instead.

/// A flag that no longer exists.
#[derive(Debug)]
pub(crate) struct OldFlag {
    /// The flag, with its dashes.
    pub(super) flag: &'static str,
    /// The versions that had the flag.
    pub(super) versions: &'static str,
    /// What to do instead. The text is an imperative, such as `use --resources`.
    pub(super) instead: &'static str,
}

/// The flags that newer versions of the Go program no longer have. Source: its
/// [changelog](https://github.com/kubernetes/kube-state-metrics/blob/main/CHANGELOG.md).
pub(super) const OLD_FLAGS: &[OldFlag] = &[
    OldFlag::new("--collectors", "1.x", "use --resources"),
    OldFlag::new("--namespace", "1.x", "use --namespaces"),
    OldFlag::new("--metric-whitelist", "1.x", "use --metric-allowlist"),
    OldFlag::new("--metric-blacklist", "1.x", "use --metric-denylist"),
    OldFlag::new("--whitelist", "1.x", "use --metric-allowlist"),
    OldFlag::new("--blacklist", "1.x", "use --metric-denylist"),
    OldFlag::new(
        "--disable-node-non-generic-resource-metrics",
        "1.x",
        "leave it out, because its metrics no longer exist; kube_node_status_capacity and \
         kube_node_status_allocatable have all resources",
    ),
    OldFlag::new(
        "--disable-pod-non-generic-resource-metrics",
        "1.x",
        "leave it out, because its metrics no longer exist; kube_pod_container_resource_requests and \
         kube_pod_container_resource_limits have all resources",
    ),
    OldFlag::new(
        "--in-cluster",
        "before 1.3",
        "leave it out in a pod; elsewhere use --kubeconfig or --apiserver",
    ),
    OldFlag::new(
        "--labels-allow-list",
        "2.0 alpha",
        "use --metric-labels-allowlist",
    ),
    OldFlag::new(
        "--labels-metric-allow-list",
        "2.0 beta",
        "use --metric-labels-allowlist",
    ),
    OldFlag::new("--namespace-denylist", "2.3", "use --namespaces-denylist"),
    OldFlag::new(
        "--custom-resources-only",
        "2.7",
        "use --custom-resource-state-only",
    ),
];

// === impl OldFlag ===

impl OldFlag {
    const fn new(flag: &'static str, versions: &'static str, instead: &'static str) -> Self {
        Self {
            flag,
            versions,
            instead,
        }
    }

    /// Finds the old flag in a command line argument. The argument may contain `=VALUE`.
    pub(crate) fn find(argument: &str) -> Option<&'static Self> {
        let (name, _) = argument.split_once('=').unwrap_or((argument, ""));
        OLD_FLAGS.iter().find(|old| old.flag == name)
    }

    /// Returns a sentence that tells the user what to do instead.
    pub(crate) fn advice(&self) -> String {
        let Self {
            flag,
            versions,
            instead,
        } = self;
        format!("{flag} is a flag of kube-state-metrics {versions}; {instead}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::TABLE;
    use super::*;

    #[test]
    fn each_old_flag_is_documented_and_names_flags_that_exist() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/compat.md");
        let document = std::fs::read_to_string(path).unwrap();
        for old in OLD_FLAGS {
            let row = format!("| `{}` | {} | ", old.flag, old.versions);
            assert!(
                document.contains(&row),
                "docs/reference/compat.md lacks {row}"
            );
            let exists = |flag: &str| TABLE.iter().any(|row| row.flag == flag);
            assert!(!exists(old.flag), "{} is not old", old.flag);
            for word in old.instead.split([' ', ',', ';']) {
                assert!(!word.starts_with("--") || exists(word), "{word}");
            }
        }
    }

    #[test]
    fn a_value_behind_an_equals_sign_is_no_part_of_the_flag() {
        let found = OldFlag::find("--collectors=pods,nodes").unwrap().advice();
        let expected = "--collectors is a flag of kube-state-metrics 1.x; use --resources";
        assert_eq!(found, expected);
        assert!(OldFlag::find("--collector").is_none());
    }
}
