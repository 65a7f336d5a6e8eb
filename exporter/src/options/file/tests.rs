use super::*;

fn parse(text: &str) -> Result<OptionsFile, String> {
    OptionsFile::parse(Path::new("o.yaml"), text).map_err(|error| error.to_string())
}

#[test]
fn every_form_of_value_is_read() {
    let file = parse(
        "resources: {pods: {}, nodes: }\nmetric_allowlist:\n  a:\n  b: {}\nport: 80\n\
         host: '::'\nnode:\nauth_filter: true\nserver_read_timeout: 5s\n\
         labels_allow_list: {pods: [a, 'b*']}\nnamespaces: [x]\nauto-gomemlimit-ratio: 0.5\n",
    )
    .unwrap();
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let text = |text: &str| Some(FileValue::Text(text.to_owned()));
    let lists = [("pods".to_owned(), texts(&["a", "b*"]))];
    for (key, value) in [
        (
            "resources",
            Some(FileValue::Keys(texts(&["nodes", "pods"]))),
        ),
        (
            "metric_allowlist",
            Some(FileValue::Keys(texts(&["a", "b"]))),
        ),
        ("port", text("80")),
        ("host", text("::")),
        ("node", None),
        ("auth_filter", text("true")),
        ("auto-gomemlimit-ratio", text("0.5")),
        ("server_read_timeout", text("5s")),
        (
            "labels_allow_list",
            Some(FileValue::Allowlists(lists.into())),
        ),
        ("namespaces", Some(FileValue::List(texts(&["x"])))),
    ] {
        assert_eq!(file.get(key), value.as_ref(), "{key}");
    }
}

#[test]
fn an_empty_path_does_not_disable_the_protections_of_the_web_configuration_file() {
    let problem = "the options file o.yaml is not valid: line 2, column 1: `tls_config`: expected the path of a file; \
                   to serve without TLS and passwords, remove the key";
    for value in [" ''", "", " null", " ~"] {
        let text = format!("port: 80\ntls_config:{value}\n");
        assert_eq!(parse(&text).unwrap_err(), problem, "{text}");
    }
}

#[test]
fn a_filter_of_tokens_without_a_value_is_an_error() {
    let problem = "the options file o.yaml is not valid: line 2, column 1: `auth_filter`: expected `true` or `false`; \
                   to serve without tokens, write `false`";
    for text in ["port: 80\nauth_filter:", "port: 80\nauth_filter: ~\n"] {
        assert_eq!(parse(text).unwrap_err(), problem, "{text}");
    }
    let file = parse("kubeconfig: ''\nauth_filter: false\n").unwrap();
    assert!(file.get("auth_filter").is_some());
}

#[test]
fn a_protection_with_another_spelling_is_an_error() {
    for key in [
        "auth-filter",
        "authFilter",
        "AUTH_FILTER",
        "auth.filter",
        "--auth-filter",
    ] {
        let problem = parse(&format!("port: 80\n{key}: true\n")).unwrap_err();
        let expected = "`auth_filter`: expected the key with exactly this spelling";
        assert!(problem.ends_with(expected), "{key}: {problem}");
    }
    // These values do not request the protection.
    for value in ["false", "off", "'F'", "0"] {
        let file = parse(&format!("auth-filter: {value}\nport: 80\n")).unwrap();
        assert_eq!(file.unknown, ["auth-filter"], "{value}");
    }
    for value in ["", "~", "no thanks", "[false]", "{a: false}"] {
        let problem = parse(&format!("auth-filter: {value}\n")).unwrap_err();
        assert!(
            problem.contains("exactly this spelling"),
            "{value}: {problem}"
        );
    }
    let both = parse("tls-config: a\nauth-filter: true\nauth_filter: true\n").unwrap_err();
    assert!(both.contains("2 problems"), "{both}");
    assert_eq!(
        parse("auth_filters: true\n").unwrap().unknown,
        ["auth_filters"]
    );
}

#[test]
fn keys_without_effect_are_named_with_the_reason() {
    let file = parse(
        "port: 80\nportt: 81\nhost:\nresources: {}\nlabels_allow_list: {}\nenable_gzip_encoding: true\n\
         custom_resource_config_file: old\ncustom_resource_state_config_file: new\nnamespaces: []\n",
    );
    let ignored = file.unwrap().ignored();
    let ignored: Vec<_> = ignored
        .iter()
        .map(|own| format!("{}: {}", own.key, own.reason))
        .collect();
    let no_value = |key: &str, flag: &str| {
        format!("{key}: it has no value, so `{flag}` or its default applies")
    };
    let mut expected = [
        "portt: there is no such option".to_owned(),
        no_value("host", "--host"),
        no_value("resources", "--resources"),
        no_value("labels_allow_list", "--metric-labels-allowlist"),
        "enable_gzip_encoding: the option has no effect: clients that accept gzip always get gzip"
            .to_owned(),
        "custom_resource_config_file: `custom_resource_state_config_file` replaces this key"
            .to_owned(),
    ];
    let mut ignored = ignored;
    ignored.sort();
    expected.sort();
    assert_eq!(ignored, expected);
    assert_eq!(parse("port: 1\nnamespaces: [a]\n").unwrap().ignored(), []);
}

#[test]
fn a_list_in_place_of_a_map_is_told_what_to_write() {
    let error = parse("port: 1\nresources: [pods]").unwrap_err();
    assert!(
        error.contains("a map such as `{pods: {}, nodes: {}}`"),
        "{error}"
    );
    assert!(error.contains("line 2"), "{error}");
}

#[test]
fn the_value_of_a_flag_is_refused_with_the_form_of_the_file() {
    let error = parse("labels_allow_list: pods=[team]\n").unwrap_err();
    let expected = "expected a map of lists such as `{pods: [team], nodes: [\"*\"]}`";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn all_values_of_a_wrong_type_are_told_with_their_keys() {
    let text = "port: [SECRET]\nhost: a\nnamespaces: SECRET\nresources: [SECRET]\n\
                labels_allow_list: {pods: SECRET}\nauth_filter: {SECRET: 1}\n";
    let error = parse(text).unwrap_err();
    assert!(!error.contains("SECRET"), "{error}");
    let lines: Vec<_> = error.lines().collect();
    let heading = "the options file o.yaml is not valid: 5 problems:";
    assert_eq!(lines[0], heading, "{error}");
    for (line, (place, problem)) in lines[1..].iter().zip([
        ("  line 1, column ", "`port`: expected a single value"),
        ("  line 3, column ", "`namespaces`: expected a list"),
        (
            "  line 4, column ",
            "`resources`: expected a map such as `{pods: {}, nodes: {}}`",
        ),
        ("  line 5, column ", "`labels_allow_list`: expected a list"),
        (
            "  line 6, column ",
            "`auth_filter`: expected a single value",
        ),
    ]) {
        let is_told = line.starts_with(place) && line.contains(problem);
        assert!(is_told, "{place}{problem}: {line}");
    }
}

#[test]
fn an_error_quotes_nothing_of_the_file() {
    for text in [
        "port: 'SECRET",
        "port: {SECRET",
        "host: SECRET\nhost: SECRET",
        "host:\n\tSECRET",
        "SECRET",
        "- SECRET",
        "a: *SECRET",
        "--- SECRET\n--- SECRET",
    ] {
        let error = parse(text).unwrap_err();
        assert!(!error.contains("SECRET"), "{text}: {error}");
        assert!(error.contains(": line "), "{text}: {error}");
    }
}

#[test]
fn empty_documents_at_the_end_are_ignored_and_others_refused() {
    for end in [
        "---",
        "---\n",
        "--- # end\n",
        "---\n\n# nothing\n",
        "---\n---\n",
        "...\n",
    ] {
        let file = parse(&format!("---\nport: 1\n{end}")).unwrap();
        assert_eq!(
            file.get("port"),
            Some(&FileValue::Text("1".to_owned())),
            "{end}"
        );
    }
    for second in [
        "---\nhost: a\n",
        "---\n# more\nhost: a\n---\n",
        "--- host\n",
    ] {
        let error = parse(&format!("port: 1\n{second}")).unwrap_err();
        assert!(error.contains("there is more than one document"), "{error}");
    }
    assert!(parse("---\n---\n").unwrap().is_blank);
}

#[test]
fn unknown_keys_are_named_and_wrong_types_refused() {
    assert_eq!(parse("port: 1\nportt: 2\n").unwrap().unknown, ["portt"]);
    assert!(parse("").unwrap().unknown.is_empty());
    for (text, is_blank) in [
        ("", true),
        ("# nothing\n", true),
        ("---\n", true),
        ("null\n", true),
        ("~", true),
        ("{}", false),
        ("port:\n", false),
    ] {
        assert_eq!(parse(text).unwrap().is_blank, is_blank, "{text}");
    }
    assert!(parse("# nothing\n").unwrap().get("port").is_none());
    for text in [
        "resources: [pods]",
        "namespaces: a,b",
        "port: [1]",
        "port: {",
        "- a",
    ] {
        let error = parse(text).unwrap_err();
        assert!(
            error.starts_with("the options file o.yaml is not valid: "),
            "{text}: {error}"
        );
    }
}
