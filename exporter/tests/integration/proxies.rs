//! Tests an exporter that reaches the API server through a proxy. The exporter must send the credentials of the API
//! server only to the API server, and those of the proxy only to the proxy.

use std::process::Command;

use serde_json::{Value, json};

use super::api::Api;
use super::authority::Authority;
use super::credentials::in_pod;
use super::relay::{Relay, Speaks};
use super::support::{Directory, Exporter, PORTS, PROGRAM, eventually, run};

/// An API server with TLS. Only a proxy can resolve its host name.
struct Place {
    api: Api,
    authority: Authority,
    directory: Directory,
}

impl Place {
    fn new() -> Self {
        let authority = Authority::new("cluster");
        let place = Self {
            api: Api::start_tls(authority.server()),
            authority,
            directory: Directory::new("proxy"),
        };
        place.api.accept("own");
        place.directory.write("ca.pem", &place.authority.pem());
        place
    }

    fn host(&self) -> String {
        format!("api.test:{}", port(&self.api))
    }

    fn kubeconfig(&self, mut cluster: Value) -> String {
        cluster["certificate-authority"] = json!("ca.pem");
        let text = self.api.kubeconfig_with(cluster, json!({ "token": "own" }));
        let text = text.replace(&self.api.url, &format!("https://{}", self.host()));
        self.directory.write("config", &text)
    }
}

fn port(api: &Api) -> &str {
    api.url.rsplit(':').next().unwrap()
}

/// Starts the program. Removes all environment variables about proxies, and then sets `variables`.
fn with_environment(command: &mut Command, variables: &[(&str, &str)]) -> Exporter {
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.envs(variables.iter().copied());
    Exporter::of_command(command)
}

fn exporter(args: &[&str], variables: &[(&str, &str)]) -> Exporter {
    let mut command = Command::new(PROGRAM);
    with_environment(
        command.args(PORTS).arg("--resources=pods").args(args),
        variables,
    )
}

/// Waits until `/readyz` contains this reason for a failure.
fn fails(exporter: &Exporter, why: &str) -> String {
    eventually(&format!("/readyz contains `{why}`"), || {
        Some(exporter.get("/readyz").text()).filter(|body| body.contains(why))
    })
}

#[test]
fn each_kind_of_proxy_carries_tls_to_the_server_of_a_kubeconfig() {
    let place = Place::new();
    let host = place.host();
    // The exporter also uses the authority in the kubeconfig to verify the proxy, as Go does.
    let secure = || Speaks::Https(place.authority.server());
    let basic = "Proxy-Authorization: Basic dXNlcjpwQHNz";
    let connect = format!("CONNECT {host} HTTP/1.1");
    let with_credentials = format!("{connect}; {basic}");
    let rows = [
        ("http://", Speaks::Http, connect.clone()),
        (
            "http://user:p%40ss@",
            Speaks::Http,
            with_credentials.clone(),
        ),
        ("https://", secure(), connect.clone()),
        ("https://user:p%40ss@", secure(), with_credentials),
        ("socks5://", Speaks::Socks5, host.clone()),
        (
            "socks5h://user:p%40ss@",
            Speaks::Socks5,
            format!("user:p@ss@{host}"),
        ),
    ];
    for (start, speaks, asked) in rows {
        let relay = Relay::start(speaks);
        let url = format!("{start}{}", relay.address);
        let kubeconfig = place.kubeconfig(json!({ "proxy-url": url }));
        // The proxy in the kubeconfig takes precedence over the proxy in the environment.
        let environment = [("HTTPS_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "*")];
        let exporter = exporter(&["--kubeconfig", &kubeconfig], &environment);
        exporter.becomes_ready();
        assert_eq!(relay.asked().first(), Some(&asked), "{url}");
        let log = exporter.log();
        assert!(!log.contains("p@ss") && !log.contains("p%40ss"), "{log}");
    }
}

#[test]
fn the_environment_gives_every_way_to_a_server_its_proxy() {
    let place = Place::new();
    let host = place.host();
    let asked = format!("CONNECT {host} HTTP/1.1");
    let relay = || Relay::start(Speaks::Http);
    let roots = format!("{}/ca.pem", place.directory.str());
    place.api.accept("own");

    let (kubeconfig, proxy) = (place.kubeconfig(json!({})), relay());
    let environment = [
        ("HTTPS_PROXY", &*proxy.address),
        ("HTTP_PROXY", "http://127.0.0.1:1"),
    ];
    exporter(&["--kubeconfig", &kubeconfig], &environment).becomes_ready();
    assert_eq!(proxy.asked().first(), Some(&asked));

    // The address in `--apiserver` takes precedence over the address in the kubeconfig.
    let other = std::fs::read_to_string(&kubeconfig).unwrap();
    let other = place
        .directory
        .write("other", &other.replace(&host, "other.test"));
    let (flag, proxy) = (format!("--apiserver=https://{host}"), relay());
    let environment = [("https_proxy", &*proxy.address), ("HTTPS_PROXY", "")];
    exporter(&["--kubeconfig", &other, &flag], &environment).becomes_ready();
    assert_eq!(proxy.asked().first(), Some(&asked));

    let proxy = relay();
    place.directory.write("token", "own");
    place.directory.write("ca.crt", &place.authority.pem());
    place.directory.write("namespace", "monitoring");
    if let Some(mut pod) = in_pod(&place.directory) {
        pod.env("KUBERNETES_SERVICE_HOST", "api.test");
        pod.env("KUBERNETES_SERVICE_PORT", port(&place.api));
        with_environment(&mut pod, &[("HTTPS_PROXY", &proxy.address)]).becomes_ready();
        assert_eq!(proxy.asked().first(), Some(&asked));
    }

    // With `--apiserver` but without a kubeconfig, the exporter has no credentials, and trusts the authorities of the
    // system.
    let open = Api::start_tls(place.authority.server());
    let host = format!("api.test:{}", port(&open));
    let (flag, proxy) = (format!("--apiserver=https://{host}"), relay());
    let environment = [("HTTPS_PROXY", &*proxy.address), ("SSL_CERT_FILE", &*roots)];
    exporter(&[&flag], &environment).becomes_ready();
    assert_eq!(
        proxy.asked().first(),
        Some(&format!("CONNECT {host} HTTP/1.1"))
    );
}

#[test]
fn an_http_proxy_forwards_the_requests_to_a_server_without_tls() {
    let api = Api::start(&[]);
    let host = format!("api.test:{}", port(&api));
    let flag = format!("--apiserver=http://{host}");
    let relay = Relay::start(Speaks::Http);
    let proxy = format!("http://user:word@{}", relay.address);
    let through = exporter(
        &[&flag],
        &[
            ("HTTP_PROXY", &proxy),
            ("HTTPS_PROXY", "socks5://127.0.0.1:1"),
        ],
    );
    through.becomes_ready();
    let start = format!("GET http://{host}/api/v1/pods?");
    let asked = relay.asked();
    let first = asked.first().unwrap();
    assert!(first.starts_with(&start), "{first}");
    let basic = "; proxy-authorization: Basic dXNlcjp3b3Jk";
    assert!(
        first.to_lowercase().ends_with(&basic.to_lowercase()),
        "{first}"
    );
    // The watch also receives later events through the proxy.
    api.put(
        "pods",
        json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": { "name": "late", "namespace": "a", "uid": "1", "resourceVersion": "7" },
        }),
    );
    eventually("the event comes through", || {
        through.metrics("").contains("pod=\"late\"").then_some(())
    });

    let relay = Relay::start(Speaks::Socks5);
    let proxy = format!("socks5://{}", relay.address);
    exporter(&[&flag], &[("http_proxy", &proxy)]).becomes_ready();
    assert_eq!(relay.asked().first(), Some(&host));
}

#[test]
fn exempted_servers_and_all_proxy_lead_to_no_proxy() {
    let api = Api::start(&[]);
    let relay = Relay::start(Speaks::Http);
    let proxy = &*relay.address;
    // 0.0.0.0 connects to this machine, but it is not a loopback address. For loopback addresses, the exporter uses no
    // proxy.
    let any = format!("--apiserver=http://0.0.0.0:{}", port(&api));
    let own = format!("--apiserver={}", api.url);
    for (flag, environment) in [
        (&own, &[("HTTP_PROXY", proxy)][..]),
        (
            &any,
            &[("HTTP_PROXY", proxy), ("no_proxy", "10.0.0.0/8,0.0.0.0/8")],
        ),
        (&any, &[("ALL_PROXY", proxy), ("all_proxy", proxy)]),
        (&any, &[("HTTPS_PROXY", proxy)]),
    ] {
        exporter(&[flag], environment).becomes_ready();
        assert_eq!(relay.asked(), [""; 0], "{flag} {environment:?}");
    }
    exporter(&[&any], &[("HTTP_PROXY", proxy), ("NO_PROXY", "0.0.0.0:1")]).becomes_ready();
    assert!(!relay.asked().is_empty());
}

#[test]
fn a_proxy_that_does_not_work_is_named_with_its_setting_and_without_its_password() {
    let place = Place::new();
    let kubeconfig = place.kubeconfig(json!({}));
    let refusing = Relay::start(Speaks::Refusal(403));
    let demanding = Relay::start(Speaks::Refusal(407));
    let host = place.host();
    let not = |address: &str| {
        format!(
            "the proxy http://{address} (HTTPS_PROXY) does not connect to {host}; check its rules \
             and the credentials for it: tunnel error: "
        )
    };
    for (address, why) in [
        (
            "127.0.0.1:1",
            "cannot connect to the proxy http://127.0.0.1:1 (HTTPS_PROXY); check its address and \
             that it runs: "
                .to_owned(),
        ),
        (&refusing.address, not(&refusing.address) + "unsuccessful"),
        (
            &demanding.address,
            not(&demanding.address) + "proxy authorization required",
        ),
    ] {
        let proxy = format!("http://user:secret@{address}");
        let exporter = exporter(&["--kubeconfig", &kubeconfig], &[("HTTPS_PROXY", &proxy)]);
        let body = fails(&exporter, &why);
        exporter.tells(&why);
        assert!(!body.contains("secret"), "{body}");
        assert!(!exporter.log().contains("secret"), "{}", exporter.log());
    }
    let relay = Relay::start(Speaks::Socks5);
    let proxy = format!("socks5://{}", relay.address);
    let exporter = exporter(
        &["--apiserver=https://api.test:1"],
        &[("HTTPS_PROXY", &proxy)],
    );
    fails(
        &exporter,
        &format!("the proxy {proxy} (HTTPS_PROXY) does not connect to api.test:1; "),
    );

    let wrong = place.kubeconfig(json!({ "proxy-url": "ftp://user:secret@proxy" }));
    let output = run(&["--kubeconfig", &wrong], "");
    assert!(!output.status.success());
    let start = format!("kubeconfig {wrong}: proxy-url is not the URL of a proxy");
    assert!(output.stderr.contains(&start), "{}", output.stderr);
    assert!(!output.stderr.contains("secret"), "{}", output.stderr);
}

#[test]
fn credentials_of_a_kubeconfig_do_not_go_over_plain_http() {
    let directory = Directory::new("plain");
    let identity = Authority::new("users").issue("user");
    directory.write("cert.pem", &identity.certificate);
    directory.write("key.pem", &identity.key);
    let plugin = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
        "command": "sh", "args": ["-c", "exit 3"],
    });
    let warning = "the credentials of the kubeconfig are not sent to http://";
    for (user, warnings) in [
        (json!({ "token": "secret" }), 1),
        (json!({ "tokenFile": "nowhere" }), 1),
        (json!({ "username": "user", "password": "secret" }), 1),
        (
            json!({ "client-certificate": "cert.pem", "client-key": "key.pem" }),
            1,
        ),
        (json!({ "exec": plugin }), 1),
        (json!({ "as": "somebody" }), 0),
    ] {
        let api = Api::start(&[]);
        let path = directory.write("config", &api.kubeconfig_with(json!({}), user.clone()));
        let exporter = exporter(&["--kubeconfig", &path], &[]);
        exporter.becomes_ready();
        for asked in api.asked() {
            assert_eq!(asked.authorization, None, "{user}");
        }
        let log = exporter.log();
        assert_eq!(log.matches(warning).count(), warnings, "{user}: {log}");
    }
}

#[test]
fn no_other_server_gets_the_credentials_by_a_redirect() {
    let place = Place::new();
    let other = Api::start_tls(place.authority.server());
    place.api.redirect(&other.url);
    let cluster = json!({ "certificate-authority": "ca.pem" });
    let text = place
        .api
        .kubeconfig_with(cluster, json!({ "token": "own" }));
    let path = place.directory.write("config", &text);
    let exporter = exporter(&["--kubeconfig", &path], &[]);
    fails(&exporter, "302 Found");
    assert!(place.api.count("/api/v1/pods") > 0);
    assert_eq!(other.requests(), [""; 0]);
}
