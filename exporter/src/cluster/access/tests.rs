//! Tests the address and the credentials that the exporter takes from kubeconfigs, and the errors about kubeconfigs.

use super::super::plugin::Turn;
use super::super::transport::connect;
use super::*;

/// Writes `texts` as the files of a kubeconfig, and returns the connection for this kubeconfig.
async fn connection(name: &str, texts: &[&str]) -> Result<Connection, String> {
    let directory = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let kubeconfig = (texts.iter().enumerate())
        .map(|(at, text)| {
            let path = directory.join(at.to_string());
            std::fs::write(&path, text).unwrap();
            path
        })
        .collect();
    let access = Access {
        kubeconfig,
        apiserver: None,
    };
    let connection = access.connection().await;
    std::fs::remove_dir_all(&directory).unwrap();
    connection.map_err(|error| {
        let prefix = format!("kubeconfig {}/", directory.display());
        error.to_string().replace(&prefix, "")
    })
}

async fn error(name: &str, texts: &[&str]) -> String {
    let connection = connection(name, texts).await;
    connection.err().unwrap_or_default()
}

/// A kubeconfig with one cluster and one user.
fn kubeconfig_with(cluster: &str, user: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u}}}}], \
         clusters: [{{name: c, cluster: {{{cluster}}}}}], users: [{{name: u, user: {{{user}}}}}]}}"
    )
}

#[tokio::test]
async fn a_server_of_a_kubeconfig_without_a_scheme_gets_one() {
    for (server, more, user, expected) in [
        ("127.0.0.1:9", "", "", "http://127.0.0.1:9/"),
        ("localhost:9", "", "", "http://localhost:9/"),
        ("'[::1]:9'", "", "", "http://[::1]:9/"),
        ("h.invalid", "", "", "http://h.invalid/"),
        (
            "127.0.0.1:9",
            ", insecure-skip-tls-verify: true",
            "",
            "https://127.0.0.1:9/",
        ),
        (
            "127.0.0.1:9",
            ", insecure-skip-tls-verify: true, certificate-authority-data: ''",
            "token: t",
            "https://127.0.0.1:9/",
        ),
        (
            "127.0.0.1:9",
            ", certificate-authority-data: ''",
            "client-certificate-data: ''",
            "http://127.0.0.1:9/",
        ),
        ("HTTPS://127.0.0.1:9/a", "", "", "https://127.0.0.1:9/a"),
    ] {
        let text = kubeconfig_with(&format!("server: {server}{more}"), user);
        let connection = connection("scheme", &[&text]).await.unwrap();
        assert_eq!(connection.config.cluster_url, expected);
        let files = [(Path::new("/k"), text.as_bytes())];
        let identity = ServerIdentity::of_kubeconfigs(files, None).unwrap();
        assert_eq!(identity.url(), expected);
        assert_eq!(connection.identity.change_to(&identity), None, "{text}");
        // kube must not panic.
        let connected = connect(connection, None, &Turn::default()).await.unwrap();
        assert!(
            connected.client.apiserver_version().await.is_err(),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_no_url_is_refused_and_not_quoted() {
    for (server, expected) in [
        ("'*'", "is not a URL; write `https://HOST:PORT`"),
        ("/SECRET", "is not a URL; write `https://HOST:PORT`"),
        ("https://", "is not a URL; write `https://HOST:PORT`"),
        ("ftp://SECRET", "is not a URL; write `https://HOST:PORT`"),
        (
            "https://h:99999",
            "has an invalid port; give a number from 1 to 65535",
        ),
        ("h:-1", "has an invalid port; give a number from 1 to 65535"),
        (
            "https://h/?pw=SECRET",
            "has a query or a fragment, which may contain a password, and which the exporter does not send; remove it",
        ),
        (
            "https://h#SECRET",
            "has a query or a fragment, which may contain a password, and which the exporter does not send; remove it",
        ),
        (
            "\"https://h/\\u202eSECRET\"",
            "has invisible characters, such as control characters; remove them",
        ),
        (
            "https://user:SECRET@h",
            "has a user name or a password, which the exporter does not send; remove them, and use a kubeconfig whose \
             user has a token, a certificate or a credential plugin",
        ),
    ] {
        let text = kubeconfig_with(&format!("server: {server}"), "token: t");
        let error = error("no-url", &[&text]).await;
        assert_eq!(error, format!("0: the cluster's `server` {expected}"));
        let files = [(Path::new("/k"), text.as_bytes())];
        assert!(ServerIdentity::of_kubeconfigs(files, None).is_none());
    }
}

#[tokio::test]
async fn repeated_names_in_a_file_are_refused() {
    let entries = [
        ("clusters", "{name: a, cluster: {server: 'https://a'}}"),
        ("users", "{name: a, user: {token: SECRET}}"),
        ("contexts", "{name: a, context: {cluster: a, user: a}}"),
    ];
    for (part, _) in entries {
        let lists = entries.map(|(name, entry)| match name == part {
            true => format!("{name}: [{entry}, {entry}]\n"),
            false => format!("{name}: [{entry}]\n"),
        });
        let text = format!("current-context: a\n{}", lists.concat());
        let expected = format!("there are several {part} with the name `a`, which kubectl refuses");
        let error = error("repeated", &[&text]).await;
        assert!(error.contains(&expected), "{error}");
    }
    // In several files, the first entry with a name takes precedence, as with kubectl.
    let text = format!(
        "current-context: a\n{}",
        entries
            .map(|(name, entry)| format!("{name}: [{entry}]\n"))
            .concat()
    );
    assert!(connection("repeated", &[&text, &text]).await.is_ok());
}

#[tokio::test]
async fn an_empty_value_counts_as_not_set() {
    let exec =
        "exec: {apiVersion: client.authentication.k8s.io/v1, command: p, interactiveMode: Never}";
    let more = ", certificate-authority: '', certificate-authority-data: '', proxy-url: '', tls-server-name: ''";
    let cluster = format!("server: 'https://a'{more}");
    let user_of = async |user: &str| {
        let text = kubeconfig_with(&cluster, user);
        let connection = connection("empty-values", &[&text]).await;
        let connection = connection
            .map_err(|error| format!("{user}: {error}"))
            .unwrap();
        assert_eq!(connection.config.tls_server_name, None);
        assert_eq!(connection.config.root_cert, None);
        connection.config.auth_info
    };
    let user = user_of("username: '', password: '', token: T").await;
    assert_eq!((&user.username, user.password.is_some()), (&None, false));
    assert_eq!(user.token.unwrap().expose_secret(), "T");
    for start in [
        "token: ''",
        "username: ''",
        "password: ''",
        "tokenFile: ''",
        "username: '', password: '', token: '', tokenFile: ''",
    ] {
        let user = user_of(&format!("{start}, {exec}")).await;
        assert!(crate::cluster::plugin::in_use(&user).is_some(), "{start}");
    }
    let user = user_of(
        "token: '', client-certificate: '', client-certificate-data: '', client-key: '', client-key-data: '', as: '', \
         as-uid: '', as-groups: [], as-user-extra: {}",
    )
    .await;
    let user = serde_json::to_value(user).unwrap();
    assert_eq!(user, serde_json::json!({}));

    let text = kubeconfig_with(&cluster, "token: '', tokenFile: /nonexistent");
    let error = error("empty-values", &[&text]).await;
    assert!(
        error.starts_with("cannot read the token file /nonexistent: "),
        "{error}"
    );
    // As in kubectl, the password of a user may be empty.
    let user = user_of("username: u, password: ''").await;
    assert_eq!(user.password.unwrap().expose_secret(), "");
}

#[tokio::test]
async fn a_kubeconfig_that_impersonates_names_the_user() {
    for (settings, named) in [
        ("as-groups: [g]", "as-groups"),
        ("as-uid: '1'", "as-uid"),
        ("as-user-extra: {k: [v]}", "as-user-extra"),
        ("as: '', as-uid: '1', as-groups: [g]", "as-uid"),
    ] {
        let text = kubeconfig_with("server: 'https://a'", &format!("token: t, {settings}"));
        assert_eq!(
            error("impersonation", &[&text]).await,
            format!(
                "0: the user of the current context has {named} without `as`, so there is no user to impersonate; add \
                 `as` with the name of a user, or remove {named}"
            )
        );
    }
    let settings = "token: t, as: u, as-uid: '1', as-groups: [g], as-user-extra: {k: [v]}";
    let text = kubeconfig_with("server: 'https://a'", settings);
    assert_eq!(error("impersonation", &[&text]).await, "");
}

#[tokio::test]
async fn no_error_quotes_a_kubeconfig() {
    for (text, expected) in [
        (
            "users: [{name: u, user: {token: [SECRET]}}]",
            "0: line 1, column 33: ",
        ),
        ("users: [{name: u, user: SECRET}]", "0: line 1, column "),
        (
            "users: [{name: u, user: {exec: SECRET}}]",
            "0: line 1, column ",
        ),
        ("\nusers: *SECRET", "0: line 2, column "),
        (
            "users:\n- name: u\n  user: {SECRET: 1, SECRET: 2}",
            "0: line 3, column ",
        ),
        ("SECRET: [", "0: "),
        ("'SECRET", "0: "),
        ("users: !SECRET {SECRET", "0: "),
        (
            "users: [{name: u, user: {token: t, exec: {env: SECRET}}}]",
            "0: line 1, column ",
        ),
        (
            "users: [{name: u, user: {exec: {interactiveMode: SECRET}}}]",
            "0: line 1, column ",
        ),
    ] {
        let error = error("secret", &[text]).await;
        assert!(error.starts_with(expected), "{text}: {error}");
        assert!(!error.contains("SECRET"), "{text}: {error}");
    }
}

#[tokio::test]
async fn a_user_name_without_a_password_is_an_error_unless_there_are_other_credentials() {
    let kubeconfig = |user: &str| kubeconfig_with("server: 'https://a'", user);
    for (user, given, missing) in [
        ("username: s3cr3t", "username", "password"),
        ("password: s3cr3t", "password", "username"),
    ] {
        assert_eq!(
            error("half", &[&kubeconfig(user)]).await,
            format!(
                "0: the user of the current context has a {given} without a {missing}, so requests would have no \
                 credentials; add the {missing}, or remove the {given}"
            )
        );
    }
    for user in ["", "username: u, password: ''", "username: u, token: t"] {
        assert_eq!(error("half", &[&kubeconfig(user)]).await, "", "{user}");
    }
}

#[tokio::test]
async fn a_provider_that_runs_a_program_is_refused() {
    for name in ["gcp", "azure", "openstack", "OIDC", "''"] {
        let kubeconfig = format!(
            "
clusters: [{{name: a, cluster: {{server: 'https://a'}}}}]
contexts: [{{name: x, context: {{cluster: a, user: u}}}}]
users: [{{name: u, user: {{auth-provider: {{name: {name}, config: {{cmd-path: /bin/SECRET}}}}}}}}]
current-context: x
"
        );
        assert_eq!(
            error("provider", &[&kubeconfig]).await,
            "0: the user has an `auth-provider` other than `oidc`, which kubectl no longer supports, either; use a \
             credential plugin (`exec`)",
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_authority_that_kube_would_ignore_is_refused() {
    for key in [
        "idp-certificate-authority",
        "idp-certificate-authority-data",
    ] {
        for (value, is_refused) in [("/SECRET", true), ("''", false)] {
            let kubeconfig = format!(
                "
clusters: [{{name: a, cluster: {{server: 'https://a'}}}}]
contexts: [{{name: x, context: {{cluster: a, user: u}}}}]
users: [{{name: u, user: {{auth-provider: {{name: oidc, config: {{{key}: {value}}}}}}}}}]
current-context: x
"
            );
            let error = error("provider-authority", &[&kubeconfig]).await;
            let expected = format!("0: the exporter does not support `{key}` of the auth-provider");
            assert_eq!(error.starts_with(&expected), is_refused, "{error}");
            assert!(!error.contains("SECRET"), "{error}");
        }
    }
}

#[tokio::test]
async fn an_empty_context_of_a_file_leaves_that_of_the_next() {
    let first = "
apiVersion: ''
kind: ''
current-context: ''
";
    let second = "
apiVersion: v1
kind: Config
clusters: [{name: b, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: b, user: {token: t}}]
contexts: [{name: b, context: {cluster: b, user: b}}]
current-context: b
";
    assert_eq!(error("merge", &[first, second]).await, "");
}

#[tokio::test]
async fn a_context_that_names_no_user_or_cluster_of_the_file_is_an_error() {
    let kubeconfig = "
clusters: [{name: a, cluster: {server: 'https://a'}}]
users: [{name: u, user: {token: SECRET}}]
contexts: [{name: x, context: {cluster: a, user: u}}]
current-context: x
";
    assert_eq!(error("context", &[kubeconfig]).await, "");
    let says = |part: &str, name: &str| {
        format!(
            "0: the context `x` names the {part} `{name}`, which does not exist; add the {part}, or correct the context"
        )
    };
    for (from, to, expected) in [
        ("user: u}", "user: v}", says("user", "v")),
        ("cluster: a,", "cluster: b,", says("cluster", "b")),
        ("user: u}", "user: ''}", String::new()),
        (", user: u}", "}", String::new()),
    ] {
        let error = error("context", &[&kubeconfig.replace(from, to)]).await;
        assert_eq!(error, expected, "{to}");
    }
}

#[tokio::test]
async fn an_authority_without_certificates_is_none() {
    let directory = std::env::temp_dir().join(format!("authority-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("config");
    let kubeconfig = "
clusters: [{name: a, cluster: {server: 'https://a', certificate-authority: ca.pem}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: x, context: {cluster: a, user: u}}]
current-context: x
";
    std::fs::write(&path, kubeconfig).unwrap();
    std::fs::write(directory.join("ca.pem"), "").unwrap();
    let access = Access {
        kubeconfig: vec![path],
        apiserver: None,
    };
    let connection = access.connection().await.unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(connection.config.root_cert.is_none());
    assert!(
        connect(connection, None, &Turn::default()).await.is_ok(),
        "the file may be filled later"
    );
}

#[test]
fn all_files_that_credentials_come_from_are_watched() {
    let directory = std::env::temp_dir().join(format!("access-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("config");
    let kubeconfig = "
clusters: [{name: a, cluster: {server: 'https://a', certificate-authority: ca.pem}}]
users: [{name: u, user: {tokenFile: token, client-certificate: /c.pem, client-key: key.pem}}]
";
    std::fs::write(&path, kubeconfig).unwrap();
    let access = Access {
        kubeconfig: vec![path.clone()],
        apiserver: None,
    };
    let files = access.files();
    let beside = |name: &str| directory.join(name);
    let c = PathBuf::from("/c.pem");
    let all = [
        path,
        beside("ca.pem"),
        beside("token"),
        c,
        beside("key.pem"),
    ];
    assert_eq!(files, all);
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(access.files().len(), 1, "the file may appear again");
    let pod = Access {
        kubeconfig: Vec::new(),
        apiserver: None,
    };
    assert_eq!(pod.files().len(), 2);
}

#[tokio::test]
async fn a_secret_in_the_place_of_a_path_is_not_shown() {
    let server = "server: 'https://a'";
    let contexts = "contexts: [{name: c, context: {cluster: c, user: u}}]\ncurrent-context: c\n";
    for (cluster, user) in [
        ("", "tokenFile: eyJhbGciOiJub25lIn0.hunter2"),
        ("", "tokenFile: \"users:\\n- hunter2\\n\""),
        (", certificate-authority: LS0tLS1CRUdJTihunter2", "token: t"),
    ] {
        let text = format!(
            "clusters: [{{name: c, cluster: {{{server}{cluster}}}}}]\n\
             users: [{{name: u, user: {{{user}}}}}]\n{contexts}"
        );
        let shown = error("secret-path", &[&text]).await;
        assert!(shown.contains(" (hidden, "), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_file_of_the_pod_that_cannot_be_used_is_named() {
    let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
    for (error, name) in [
        (InClusterError::ReadCertificateBundle(missing()), "ca.crt"),
        (InClusterError::ReadDefaultNamespace(missing()), "namespace"),
    ] {
        let text = of_pod(error).to_string();
        assert!(
            text.contains(&format!("{SERVICE_ACCOUNT}/{name}: ")),
            "{text}"
        );
        assert!(!text.contains("does not run in a pod"), "{text}");
    }
    let variable = std::env::VarError::NotPresent;
    let text = of_pod(InClusterError::ReadEnvironmentVariable(variable)).to_string();
    assert!(text.contains("does not run in a pod"), "{text}");
}
