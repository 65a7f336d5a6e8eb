//! Finds the default kubeconfig: in a pod, there is none; otherwise it is the kubeconfig that kubectl uses.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The path of the token in a pod that has a service account.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The environment variables and files on which the default kubeconfig depends.
#[derive(Clone, Debug, Default)]
struct Environment {
    /// Whether the process runs in a pod: a service account is mounted, and an environment variable contains the
    /// address of the API server.
    is_pod: bool,
    kubeconfig: Option<OsString>,
    home: Option<PathBuf>,
}

/// Returns the files of `$KUBECONFIG`, or `~/.kube/config`. The result is empty in a pod with a service account, or if
/// no such file exists.
pub(super) fn find() -> Vec<PathBuf> {
    Environment::of_process().kubeconfig()
}

// === impl Environment ===

impl Environment {
    fn of_process() -> Self {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        Self {
            is_pod: is_set("KUBERNETES_SERVICE_HOST")
                && is_set("KUBERNETES_SERVICE_PORT")
                && Path::new(TOKEN).exists(),
            kubeconfig: env::var_os("KUBECONFIG"),
            home: env::home_dir(),
        }
    }

    fn kubeconfig(&self) -> Vec<PathBuf> {
        if self.is_pod {
            return Vec::new();
        }
        let variable = self.kubeconfig.as_deref().unwrap_or_default();
        let mut named: Vec<_> = env::split_paths(variable)
            .filter(|path| !path.as_os_str().is_empty())
            .collect();
        if named.is_empty() {
            let in_home = self.home.as_ref().map(|home| home.join(".kube/config"));
            return in_home.filter(|path| path.exists()).into_iter().collect();
        }
        // As in kubectl, some files of the list may be missing. If all files are missing, the first one stays in the
        // list, so that a later error names it.
        match named.iter().any(|path| path.exists()) {
            true => named.retain(|path| path.exists()),
            false => named.truncate(1),
        }
        named
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_account_comes_first_then_the_variable_then_the_home() {
        let home = env::temp_dir().join(format!("default-kubeconfig-{}", std::process::id()));
        std::fs::create_dir_all(home.join(".kube")).unwrap();
        let in_home = home.join(".kube/config");
        let named = home.join("named");
        let mut environment = Environment {
            home: Some(home.clone()),
            ..Environment::default()
        };
        assert!(
            environment.kubeconfig().is_empty(),
            "there is no kubeconfig"
        );
        std::fs::write(&in_home, "").unwrap();
        assert_eq!(environment.kubeconfig(), vec![in_home.clone()]);
        environment.kubeconfig = Some(OsString::new());
        assert_eq!(environment.kubeconfig(), vec![in_home.clone()]);
        environment.kubeconfig = Some(named.clone().into());
        let missing = environment.kubeconfig();
        assert_eq!(missing, vec![named.clone()], "the error names the file");

        let list = env::join_paths([&named, &in_home]).unwrap();
        environment.kubeconfig = Some(list);
        assert_eq!(environment.kubeconfig(), vec![in_home.clone()]);
        std::fs::write(&named, "").unwrap();
        assert_eq!(environment.kubeconfig(), [named, in_home]);

        environment.is_pod = true;
        assert!(environment.kubeconfig().is_empty());
        std::fs::remove_dir_all(home).unwrap();
    }
}
