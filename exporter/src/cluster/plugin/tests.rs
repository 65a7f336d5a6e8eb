use super::*;

/// A plugin that runs a shell script. The script can use the environment variable `NAME`.
fn plugin(script: &str) -> ExecConfig {
    serde_json::from_value(json!({
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
        "command": "sh", "args": ["-c", script], "env": [{ "name": "NAME", "value": "n" }],
    }))
    .unwrap()
}

async fn error_of(script: &str) -> String {
    let printed = run_within(&plugin(script), Duration::from_secs(60), &[]).await;
    printed.unwrap_err().to_string()
}

#[tokio::test]
async fn a_plugin_gets_its_environment_and_prints_json_or_yaml() {
    let json = r#"printf '{"status":{"token":"%s %s"}}' "$NAME" "$(echo "$KUBERNETES_EXEC_INFO" | tr -d '"')""#;
    let turn = Turn::default();
    let printed = run(&plugin(json), &turn).await.unwrap();
    assert!(printed.credentials.certificate.is_none());
    assert_eq!(
        printed.credentials.token.unwrap().expose_secret(),
        "n {apiVersion:client.authentication.k8s.io/v1,kind:ExecCredential,spec:{interactive:false}}"
    );
    let yaml = "printf 'status:\\n  token: t\\n  clientCertificateData: c\\n  clientKeyData: k\\n  \
                expirationTimestamp: 2030-01-01T00:00:00Z\\n'";
    let printed = run(&plugin(yaml), &turn).await.unwrap();
    let (certificate, key) = printed.credentials.certificate.unwrap();
    assert_eq!((&*certificate, key.expose_secret()), ("c", "k"));
    assert_eq!(printed.credentials.token.unwrap().expose_secret(), "t");
    assert_eq!(printed.expires.unwrap().to_string(), "2030-01-01T00:00:00Z");
}

#[tokio::test]
async fn each_failure_names_the_plugin_and_quotes_no_output() {
    for (script, says) in [
        (
            "echo secret; echo first >&2; echo no luck >&2; exit 3",
            "failed with exit status: 3: no luck",
        ),
        ("exit 3", "failed with exit status: 3"),
        ("echo secret", "is not an ExecCredential"),
        ("echo '{\"secret\":1}'", "is not an ExecCredential"),
        (
            "echo '{\"kind\":\"Secret\",\"status\":{\"token\":\"secret\"}}'",
            "printed an object of another kind; it must print an ExecCredential",
        ),
        (
            "echo '{\"apiVersion\":\"client.authentication.k8s.io/v1beta1\",\"kind\":\"ExecCredential\",\
             \"status\":{\"token\":\"secret\"}}'",
            "another apiVersion than `client.authentication.k8s.io/v1`",
        ),
        (
            "echo '{\"status\":{\"clientKeyData\":\"secret\"}}'",
            "neither a token",
        ),
        ("echo '{\"status\":{\"token\":\"\"}}'", "neither a token"),
        (
            "printf %s '{\"status\":{\"token\":\"secret\\n\"}}'",
            "invalid characters",
        ),
        (
            "echo '{\"status\":{\"token\":\"t\",\"expirationTimestamp\":\"secret\"}}'",
            "is not a time",
        ),
    ] {
        let error = error_of(script).await;
        assert!(error.contains("credential plugin `sh`"), "{error}");
        assert!(error.contains(says), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
    let mut missing = plugin("");
    missing.command = Some("/no/such/plugin".to_owned());
    missing.install_hint = Some("install it".to_owned());
    let error = run(&missing, &Turn::default())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("`/no/such/plugin`"), "{error}");
    assert!(error.ends_with("; install it"), "{error}");
}

#[tokio::test]
async fn an_error_shows_no_secret_that_the_plugin_knows() {
    let plugin: ExecConfig = serde_json::from_value(json!({
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": "sh",
        "args": ["-c", "echo no: \"$0\" \"$1\" $PASSWORD la''st-tok''en 01234567''89abcdef >&2; exit 1",
                 "argument", "--key=in-flag"],
        "env": [{ "name": "PASSWORD", "value": "hunter2" }],
    }))
    .unwrap();
    let last = [SecretString::from("last-token")];
    let printed = run_within(&plugin, Duration::from_secs(60), &last).await;
    let error = printed.unwrap_err().to_string();
    let says = "1: no: [hidden] --key=[hidden] [hidden] [hidden] [hidden]";
    assert!(error.ends_with(says), "{error}");
}

#[tokio::test]
async fn an_error_shows_no_value_that_is_attached_to_a_flag() {
    for (arg, shown) in [
        ("-ts3cret-t0ken", "-[hidden]"),
        ("-ts3cret==", "-[hidden]"),
        ("-t=s3cret", "-[hidden]"),
        ("-ts3c", "-[hidden]"),
        ("-é\u{fc}bersecret", "-[hidden]"),
        ("-v", "-v"),
        ("--verbose", "--verbose"),
        ("--key=s3cret", "--key=[hidden]"),
    ] {
        let plugin: ExecConfig = serde_json::from_value(json!({
            "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": "sh",
            "args": ["-c", "echo no: $0 >&2; exit 1", arg],
        }))
        .unwrap();
        let printed = run_within(&plugin, Duration::from_secs(60), &[]).await;
        let error = printed.unwrap_err().to_string();
        assert!(error.ends_with(&format!("1: no: {shown}")), "{error}");
    }
}

#[tokio::test]
async fn an_error_shows_neither_the_last_key_nor_the_token_beside_it() {
    let line = "MIGHAgEAMBMGByqGSM-line-of-a-key";
    let key = format!("-----BEGIN PRIVATE KEY-----\\n{line}\\nQ2==\\n-----END PRIVATE KEY-----");
    let status = format!(
        r#"{{"status":{{"clientCertificateData":"c","clientKeyData":"{key}","token":"other-secret"}}}}"#
    );
    let printing = plugin(&format!("printf %s '{status}'"));
    let printed = run_within(&printing, Duration::from_secs(60), &[]).await;
    // The arguments of this plugin do not contain the secrets.
    let secrets = secrets(&plugin(""), &printed.unwrap().secrets);
    for (text, shown) in [
        (line, "[hidden]"),
        (&line[4..24], "[hidden]"),
        (&format!("{line}\nQ2=="), "[hidden]"),
        ("other-secret", "[hidden]"),
        ("-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----"),
    ] {
        assert_eq!(secrets.message(text), shown);
    }
}

#[tokio::test]
async fn an_output_without_an_end_is_read_as_far_as_the_limit() {
    let error = error_of("exec yes").await;
    assert!(
        error.ends_with("printed more than 1048576 bytes and was killed"),
        "{error}"
    );
    // The exporter reads the whole standard error, but keeps only its last bytes.
    let error = error_of("head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 1").await;
    assert!(error.len() < 2 * SHOWN, "{}", error.len());
}

#[tokio::test]
async fn a_plugin_that_hangs_is_killed_with_its_children() {
    let directory = std::env::temp_dir().join(format!("plugin-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("pids");
    let script = format!("sleep 1000 & echo $$ $! > {}; wait", file.display());
    let hanging = plugin(&script);
    let start = std::time::Instant::now();
    let error = run_within(&hanging, Duration::from_secs(2), &[])
        .await
        .unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(60));
    assert!(
        error.to_string().contains("within 2s and was killed"),
        "{error}"
    );
    let pids = std::fs::read_to_string(&file).unwrap();
    let mut pids: Vec<&str> = pids.split_whitespace().collect();
    assert_eq!(pids.len(), 2);
    // After a process is killed, it may exist as a zombie (`Z`) until its parent reads its exit status.
    while !pids.is_empty() {
        pids.retain(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            stat.is_ok_and(|stat| !stat.contains(") Z "))
        });
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{pids:?} still run"
        );
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test]
async fn a_child_in_the_background_that_keeps_the_output_open_does_not_delay_the_credentials() {
    let script = "echo '{\"status\":{\"token\":\"t\"}}'; sleep 20 & exit 0";
    let start = std::time::Instant::now();
    let printed = run_within(&plugin(script), Duration::from_secs(60), &[]).await;
    assert!(printed.unwrap().credentials.token.is_some());
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[test]
fn the_end_of_the_year_9999_is_no_expiry() {
    let time = "2030-01-01T00:00:00Z";
    assert_eq!(expiry(time), Some(time.parse().ok()));
    assert_eq!(expiry("9999-12-31T23:59:59Z"), Some(None));
    for wrong in ["", "soon", "2030-13-01T00:00:00Z", "9999-99-99T00:00:00Z"] {
        assert_eq!(expiry(wrong), None, "{wrong}");
    }
}

#[test]
fn only_the_program_of_a_command_with_arguments_is_shown() {
    let directory = std::env::temp_dir().join(format!("plugin name {}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let program = directory.join("log in");
    std::fs::write(&program, "").unwrap();
    let shown = |command: &str| {
        let command = Some(command.to_owned());
        name(&ExecConfig {
            command,
            ..plugin("")
        })
    };
    assert_eq!(shown("get-token"), "get-token");
    assert_eq!(shown("sh -c secret"), "sh");
    assert_eq!(shown("./get-token\t--secret s"), "./get-token");
    assert_eq!(shown(" "), " ");
    let program = program.to_str().unwrap();
    assert_eq!(shown(program), program);
    assert!(!shown(&format!("{program} secret")).contains("secret"));
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn other_credentials_take_precedence() {
    let mut user = AuthInfo {
        exec: Some(plugin("")),
        ..AuthInfo::default()
    };
    assert!(in_use(&user).is_some());
    user.token = Some("t".into());
    assert!(in_use(&user).is_none());
}
