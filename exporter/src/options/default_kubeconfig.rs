//! The kubeconfig of an exporter that gets none: that of kubectl, unless it runs in a pod.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The token of a pod that has a service account.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// `KUBECONFIG` names several files.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error(
    "KUBECONFIG names several files ({0}); merge them with `kubectl config view --flatten > FILE` \
     and give --kubeconfig FILE"
)]
pub(crate) struct SeveralKubeconfigs(String);

/// What the process knows of its surroundings.
#[derive(Clone, Debug, Default)]
struct Environment {
    /// A service account is mounted, and the environment has the address of the API server.
    is_pod: bool,
    kubeconfig: Option<OsString>,
    home: Option<PathBuf>,
}

/// The first of `$KUBECONFIG` and `~/.kube/config`; `None` in a pod with a service account, and if there
/// is no such file.
///
/// # Errors
///
/// If `$KUBECONFIG` names several files that exist.
pub(super) fn find() -> Result<Option<PathBuf>, SeveralKubeconfigs> {
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

    fn kubeconfig(&self) -> Result<Option<PathBuf>, SeveralKubeconfigs> {
        if self.is_pod {
            return Ok(None);
        }
        let variable = self.kubeconfig.as_deref().unwrap_or_default();
        let named: Vec<_> = env::split_paths(variable)
            .filter(|path| !path.as_os_str().is_empty())
            .collect();
        // As for kubectl, files of a list may be missing.
        let mut existing = named.iter().filter(|path| path.exists());
        match (existing.next(), existing.next(), named.first()) {
            (Some(_), Some(_), _) => {
                let names = named.iter().map(|path| path.display().to_string());
                let names: Vec<_> = names.collect();
                Err(SeveralKubeconfigs(names.join(", ")))
            }
            (Some(path), None, _) | (None, _, Some(path)) => Ok(Some(path.clone())),
            (None, _, None) => {
                let path = self.home.as_ref().map(|home| home.join(".kube/config"));
                Ok(path.filter(|path| path.exists()))
            }
        }
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
        assert_eq!(environment.kubeconfig(), Ok(None), "there is no file");
        std::fs::write(&in_home, "").unwrap();
        assert_eq!(environment.kubeconfig(), Ok(Some(in_home.clone())));
        environment.kubeconfig = Some(OsString::new());
        assert_eq!(environment.kubeconfig(), Ok(Some(in_home.clone())));
        environment.kubeconfig = Some(named.clone().into());
        let missing = environment.kubeconfig();
        assert_eq!(missing, Ok(Some(named.clone())), "the error names it");

        // Of a list, the file that exists; several would have to be merged.
        let list = env::join_paths([&named, &in_home]).unwrap();
        environment.kubeconfig = Some(list);
        assert_eq!(environment.kubeconfig(), Ok(Some(in_home)));
        std::fs::write(&named, "").unwrap();
        let error = environment.kubeconfig().unwrap_err().to_string();
        for part in [named.to_str().unwrap(), "kubectl config view --flatten"] {
            assert!(error.contains(part), "{error}");
        }

        environment.is_pod = true;
        assert_eq!(environment.kubeconfig(), Ok(None));
        std::fs::remove_dir_all(home).unwrap();
    }
}
