//! Tests the address and the credentials that the exporter takes from kubeconfigs, and the errors about kubeconfigs.

use super::super::transport::connect;
use super::*;

#[test]
fn a_server_without_a_scheme_speaks_tls_only_where_that_can_be_checked() {
    let bare: http::Uri = "a:6443".parse().unwrap();
    let mut config = Config::new(bare.clone());
    assert_eq!(with_scheme(&bare, &config), "http://a:6443/");
    config.root_cert = Some(vec![vec![1]]);
    assert_eq!(with_scheme(&bare, &config), "https://a:6443/");
    let full = "http://a:6443/x".parse().unwrap();
    assert_eq!(with_scheme(&full, &config), full);
}

/// Writes `texts` as the files of a kubeconfig, and returns the error for this kubeconfig.
async fn error(name: &str, texts: &[&str]) -> String {
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
    let error = access.connection().await.err();
    std::fs::remove_dir_all(&directory).unwrap();
    error.map_or_else(String::new, |error| {
        let prefix = format!("kubeconfig {}/", directory.display());
        error.to_string().replace(&prefix, "")
    })
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
    let kubeconfig = |user: &str| {
        format!(
            "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u}}}}], \
             clusters: [{{name: c, cluster: {{server: 'https://a'}}}}], users: [{{name: u, user: {{{user}}}}}]}}"
        )
    };
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
async fn a_server_with_a_password_is_refused_and_not_quoted() {
    let kubeconfig = "
clusters: [{name: a, cluster: {server: 'https://user:SECRET@a'}}]
contexts: [{name: x, context: {cluster: a, user: u}}]
users: [{name: u, user: {token: t}}]
current-context: x
";
    assert_eq!(
        error("user-info", &[kubeconfig]).await,
        "0: the server's URL has a user name or a password, which the exporter does not send; remove \
         them from the URL and give the user a token, a certificate or a credential plugin"
    );
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
        connect(connection).await.is_ok(),
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
