//! Tests the decoder: which fields it keeps, which notations it accepts, and what its errors contain.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret};

use super::*;

fn pod(json: &str, paths: &[&str]) -> Result<Pod, DecodeError> {
    let fields = Fields::union(vec![Some(paths.to_vec())]);
    decode("Pod", Encoding::Json.object(json.as_bytes()), &fields)
}

#[test]
fn an_object_of_another_kind_is_named_with_the_expected_kind() {
    for (head, text) in [
        (
            r#""apiVersion":"v1","kind":"Secret""#,
            "the kind is `Secret`, but the resource needs `Pod`",
        ),
        (
            r#""apiVersion":"apps/v1beta1","kind":"Pod""#,
            "the apiVersion is `apps/v1beta1`, but the resource needs `v1`",
        ),
        (r#""kind":5"#, "expected a string at kind"),
        // These values do not have the form of a kind or an API version, so they may be secrets.
        (r#""kind":"hunter2""#, "expected a map at kind"),
        (r#""kind":"Hunter 2""#, "expected a map at kind"),
        (
            r#""apiVersion":"v1","kind":"Pod","spec":{"containers":[{"kind":1}],"x":"Secret"}"#,
            "",
        ),
        (r#""apiVersion":"hunter2""#, "expected v1 at apiVersion"),
    ] {
        let decoded = pod(
            &format!("{{{head},\"metadata\":{{\"name\":\"a\"}}}}"),
            &["spec"],
        );
        let error = decoded.err().map(|error| error.to_string());
        let error = error.unwrap_or_default();
        assert!(
            error.contains(text) && error.is_empty() == text.is_empty(),
            "{head}: {error}"
        );
    }
}

#[test]
fn an_object_with_only_metadata_is_refused_wherever_its_kind_is() {
    let kind = r#""kind":"PartialObjectMetadata""#;
    let metadata = r#""metadata":{"name":"a"}"#;
    for json in [
        format!(r#"{{{kind},"apiVersion":"meta.k8s.io/v1",{metadata}}}"#),
        format!(r#"{{"apiVersion":"meta.k8s.io/v1",{kind},{metadata}}}"#),
        format!(r#"{{{metadata},"spec":{{}},{kind}}}"#),
        format!(r#"{{{metadata},"\u006bind":"P\u0061rtialObjectMetadata"}}"#),
    ] {
        let object = Encoding::Json.object(json.as_bytes());
        for fields in [
            Fields::All,
            Fields::whole_object(),
            Fields::union(vec![Some(vec!["metadata.labels", "spec"])]),
        ] {
            let typed = decode::<Pod>("Pod", object, &fields).map(drop);
            let value = decode::<serde_json::Value>("Widget", object, &fields).map(drop);
            let peeked = decode::<Metadata>("Widget", object, &fields).map(drop);
            for decoded in [typed, value, peeked] {
                let error = decoded.unwrap_err();
                assert!(error.is_only_metadata(), "{json}: {error}");
                assert_eq!(error.identity(), Some(("", "a")));
            }
        }
    }
    // If families read only the metadata, the object has all their fields.
    let json = format!(r#"{{{kind},{metadata}}}"#);
    let fields = Fields::union(vec![Some(vec!["metadata.name"])]);
    let metadata = decode::<Metadata>("Widget", Encoding::Json.object(json.as_bytes()), &fields);
    assert!(metadata.is_ok());
    // Other fields with this name are not the kind of the object.
    let owner = format!(
        r#"{{"metadata":{{"name":"a","ownerReferences":[{{{kind}}}]}},"spec":{{{kind}}}}}"#
    );
    let object = Encoding::Json.object(owner.as_bytes());
    assert!(decode::<serde_json::Value>("Widget", object, &Fields::All).is_ok());
}

/// A type without a kind.
#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "metadata")]
    _metadata: serde_json::Value,
}

#[cfg(feature = "protobuf")]
#[test]
fn an_envelope_with_only_metadata_is_refused() {
    use kube_protobuf::{encode, message_of};
    let message = message_of("v1", "Pod").unwrap();
    let named = serde_json::json!({ "metadata": { "name": "a" } });
    let raw = encode::message(message, &named).unwrap();
    let decode = |bytes: &[u8]| {
        let object = Encoding::Protobuf(message).object(bytes);
        decode::<Pod>("Pod", object, &Fields::All)
    };
    assert!(decode(&raw).is_ok());
    let envelope = encode::envelope("meta.k8s.io/v1", "PartialObjectMetadata", &raw);
    assert!(decode(&envelope).unwrap_err().is_only_metadata());
}

#[test]
fn only_wanted_fields_reach_the_object() {
    let json = r#"{"metadata":{"name":"a","labels":{"x":"1"},"managedFields":[{"f":{}}]},
        "spec":{"nodeName":"n","containers":[{"name":"c","image":"i","env":[{"name":"E"}]}]}}"#;
    let pod = pod(json, &["spec.containers.name"]).unwrap();
    assert_eq!(pod.metadata.name.as_deref(), Some("a"));
    assert_eq!(pod.metadata.labels, None);
    let spec = pod.spec.unwrap();
    assert_eq!(spec.node_name, None);
    assert_eq!(spec.containers[0].name, "c");
    assert_eq!(
        (
            spec.containers[0].image.clone(),
            spec.containers[0].env.clone()
        ),
        (None, None)
    );
}

#[test]
fn a_family_that_may_read_everything_gets_all_but_managed_fields() {
    let json = r#"{"metadata":{"name":"a","managedFields":[{"manager":"m"}]},
        "data":{"managedFields":"mine"}}"#;
    let map: ConfigMap = decode(
        "ConfigMap",
        Encoding::Json.object(json.as_bytes()),
        &Fields::union(vec![None]),
    )
    .unwrap();
    assert_eq!(map.metadata.managed_fields, None);
    assert_eq!(map.data.unwrap()["managedFields"], "mine");
}

#[test]
fn null_is_the_same_as_absent_wherever_it_stands() {
    let json = r#"{"metadata":{"name":null,"labels":{"a":null}},"spec":null,"status":
        {"containerStatuses":[null,{"name":null,"ready":null,"restartCount":null,"state":null}]}}"#;
    let pod = pod(json, &["metadata.labels", "spec", "status"]).unwrap();
    assert_eq!((pod.metadata.name, pod.spec), (None, None));
    assert_eq!(pod.metadata.labels.unwrap()["a"], "");
    let statuses = pod.status.unwrap().container_statuses.unwrap();
    assert_eq!(statuses.len(), 2);
    assert_eq!(
        (statuses[1].name.as_str(), statuses[1].restart_count),
        ("", 0)
    );
}

#[test]
fn times_and_quantities_are_read_in_every_accepted_spelling() {
    let json = r#"{"metadata":{"creationTimestamp":"2024-01-01T3:04:05,5+01:00"},
        "spec":{"overhead":{"cpu":2,"memory":1.5e3,"storage":null,"pods":"1k"}}}"#;
    let pod = pod(json, &["metadata.creationTimestamp", "spec.overhead"]).unwrap();
    let created = pod.metadata.creation_timestamp.unwrap().0;
    assert_eq!(created.to_string(), "2024-01-01T02:04:05.5Z");
    let overhead = pod.spec.unwrap().overhead.unwrap();
    let text = |name: &str| overhead[name].0.clone();
    assert_eq!(
        [text("cpu"), text("memory"), text("storage"), text("pods")],
        ["2", "1.5e3", "0", "1k"]
    );
}

#[test]
fn bytes_may_be_broken_into_lines_but_must_be_base64() {
    let secret = |text: &str| {
        let json = format!(r#"{{"metadata":null,"data":{{"a":"{text}","b":null}}}}"#);
        decode::<Secret>(
            "Secret",
            Encoding::Json.object(json.as_bytes()),
            &Fields::All,
        )
    };
    let data = secret(r"YWJj\r\nYQ==\n").unwrap().data.unwrap();
    assert_eq!((&*data["a"].0, &*data["b"].0), (&b"abca"[..], &b""[..]));
    for text in ["YQ", "YQ==YQ==", "Y Q=", "YQ-="] {
        assert_eq!(secret(text).unwrap_err().reason(), DecodeReason::Field);
    }
}

#[test]
fn an_error_names_the_object_and_the_field_but_no_value() {
    let json = r#"{"metadata":{"namespace":"n","name":"a"},
        "status":{"containerStatuses":[{"name":"x"},{"restartCount":"s3cret, expected nothing"}]}}"#;
    let error = pod(json, &["status"]).unwrap_err();
    assert_eq!(error.reason(), DecodeReason::Field);
    assert_eq!(error.identity(), Some(("n", "a")));
    assert_eq!(
        error.to_string(),
        "cannot decode Pod n/a: expected an integer at status.containerStatuses[1].restartCount; \
         the object yields no metrics until it is corrected"
    );
}

#[test]
fn a_missing_field_is_named_with_the_cures_in_the_type_and_in_the_object() {
    #[derive(Debug, serde::Deserialize)]
    struct Database {
        #[expect(dead_code, reason = "only decoded")]
        spec: Spec,
    }
    #[derive(Debug, serde::Deserialize)]
    struct Spec {
        #[expect(dead_code, reason = "only decoded")]
        size_gigabytes: i64,
    }
    let error = |json: &str| {
        decode::<Database>(
            "Database",
            Encoding::Json.object(json.as_bytes()),
            &Fields::All,
        )
        .unwrap_err()
        .to_string()
    };
    let metadata = r#""metadata":{"namespace":"shop","name":"orders"}"#;
    assert_eq!(
        error(&format!(r#"{{{metadata},"spec":{{"sizeGigabytes":3}}}}"#)),
        "cannot decode Database shop/orders: missing field `size_gigabytes` at spec; the object yields no metrics \
         until it has the field. If the field has another name in the type than in the API, rename the field \
         with serde (`rename_all = \"camelCase\"`). If objects may lack the field, make it an `Option`"
    );
    let absent = error(&format!("{{{metadata}}}"));
    assert!(
        absent.contains("orders: missing field `spec`; "),
        "{absent}"
    );
}

#[test]
fn messages_of_a_type_about_a_value_are_not_repeated() {
    #[derive(Debug)]
    struct Picky;
    impl<'de> serde::Deserialize<'de> for Picky {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = String::deserialize(deserializer)?;
            Err(serde::de::Error::custom(text))
        }
    }
    for text in [
        "s3cret",
        "missing field `s3cret value`",
        "missing field `a`: s3cret",
    ] {
        let json = serde_json::to_string(text).unwrap();
        let error = decode::<Picky>(
            "Picky",
            Encoding::Json.object(json.as_bytes()),
            &Fields::All,
        )
        .unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
        assert!(error.to_string().contains("invalid value"), "{error}");
    }
}

#[test]
fn what_is_expected_is_said_in_terms_of_json() {
    let fields = Fields::union(vec![None]);
    for (field, value, expected) in [
        ("spec", "1", "a map at spec"),
        ("metadata", "[]", "a map at metadata"),
        ("spec", r#"{"containers":1}"#, "a list at spec.containers"),
        (
            "spec",
            r#"{"containers":[1]}"#,
            "a map at spec.containers[0]",
        ),
        (
            "spec",
            r#"{"hostNetwork":"x"}"#,
            "true or false at spec.hostNetwork",
        ),
        ("spec", r#"{"priority":"x"}"#, "an integer at spec.priority"),
        (
            "spec",
            r#"{"terminationGracePeriodSeconds":"x"}"#,
            "an integer at spec.term",
        ),
        (
            "spec",
            r#"{"nodeSelector":1}"#,
            "a map at spec.nodeSelector",
        ),
        (
            "spec",
            r#"{"overhead":{"cpu":true}}"#,
            "a quantity at spec.overhead.cpu",
        ),
        (
            "spec",
            r#"{"containers":[{"name":"c","livenessProbe":{"httpGet":{"port":true}}}]}"#,
            "an integer or a string at spec.containers[0].livenessProbe.httpGet.port",
        ),
    ] {
        let json = format!(r#"{{"{field}":{value}}}"#);
        let error =
            decode::<Pod>("Pod", Encoding::Json.object(json.as_bytes()), &fields).unwrap_err();
        let expected = format!("cannot decode Pod <unnamed>: expected {expected}");
        assert!(
            error.to_string().starts_with(&expected),
            "{error}, not {expected}"
        );
    }
}

#[test]
fn errors_in_times_and_in_syntax_name_no_value_either() {
    let error = pod(
        r#"{"metadata":{"name":"a","creationTimestamp":"s3cret"}}"#,
        &["metadata"],
    );
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains("expected an RFC 3339 time at metadata.creationTimestamp"),
        "{text}"
    );
    let error = pod(r#"{"metadata":{"name":"s3cret"#, &["metadata"]).unwrap_err();
    assert_eq!(
        (error.reason(), error.object()),
        (DecodeReason::Syntax, "<unnamed>")
    );
    assert!(!error.to_string().contains("s3cret"));
}

#[test]
fn trailing_bytes_and_wrong_kinds_are_errors() {
    let fields = Fields::union(vec![None]);
    assert!(decode::<Namespace>("Namespace", Encoding::Json.object(br#"{} x"#), &fields).is_err());
    assert!(
        decode::<Namespace>(
            "Namespace",
            Encoding::Json.object(br#"{"kind":"Pod"}"#),
            &fields
        )
        .is_err()
    );
    assert!(decode::<Namespace>("Namespace", Encoding::Json.object(br#"[]"#), &fields).is_err());
}

#[test]
fn peeking_reads_who_an_object_is_and_nothing_else() {
    let json =
        br#"{"spec":[1,{"a":"}"}],"metadata":{"labels":5,"uid":"u","name":"n","namespace":"s",
        "resourceVersion":"7"}}"#;
    let peeked = Peeked {
        namespace: "s".into(),
        name: "n".into(),
        uid: "u".into(),
        resource_version: "7".into(),
    };
    assert_eq!(peek(Encoding::Json.object(json)), Some(peeked));
    assert_eq!(
        peek(Encoding::Json.object(br#"{"metadata":{}}"#)),
        Some(Peeked::default())
    );
    assert_eq!(peek(Encoding::Json.object(b"{}")), None);
    assert_eq!(
        peek(Encoding::Json.object(br#"{"metadata":{"uid":5}}"#)),
        None
    );
}

#[test]
fn fields_of_items_leave_whatever_is_no_list_whole() {
    let value = |json: &str, paths: &[&str]| -> serde_json::Value {
        let fields = Fields::union(vec![Some(paths.to_vec())]);
        decode("Widget", Encoding::Json.object(json.as_bytes()), &fields).unwrap()
    };
    let json = |value: &str| format!(r#"{{"spec":{{"l":{value},"other":1}}}}"#);
    let read = |own: &str, paths: &[&str]| value(&json(own), paths)["spec"]["l"].to_string();
    for (own, kept) in [
        (
            r#"[{"a":1,"b":2},{"b":3},null,4,[{"a":5,"b":6}]]"#,
            r#"[{"a":1},{},null,4,[{"a":5}]]"#,
        ),
        (r#"{"a":1,"b":{"b":2}}"#, r#"{"a":1,"b":{"b":2}}"#),
        (r#""text""#, r#""text""#),
        ("null", "null"),
    ] {
        assert_eq!(read(own, &["spec.l[].a"]), kept, "{own}");
    }
    // Another family reads a further field of the same items, so the decoder keeps the fields of both families.
    let list = r#"[{"a":1,"b":2,"c":3}]"#;
    assert_eq!(
        read(list, &["spec.l[].a", "spec.l.b"]),
        r#"[{"a":1,"b":2}]"#
    );
    assert_eq!(
        read(r#"{"a":1,"b":2}"#, &["spec.l.b", "spec.l[].a"]),
        r#"{"a":1,"b":2}"#
    );
    assert_eq!(read(list, &["spec.l[].a", "spec.l"]), list);
    assert!(
        value(&json("1"), &["spec.l[].a"])["spec"]
            .get("other")
            .is_none()
    );
}

#[test]
fn an_object_that_is_nested_too_deeply_is_told_from_broken_json() {
    let deep = format!(
        "{}{}",
        r#"{"a":"#.repeat(130),
        "1".to_owned() + &"}".repeat(130)
    );
    let json = format!(r#"{{"metadata":{{"name":"a"}},"data":{deep}}}"#);
    let fields = Fields::union(vec![Some(vec!["data"])]);
    let error =
        decode::<serde_json::Value>("Widget", Encoding::Json.object(json.as_bytes()), &fields)
            .unwrap_err();
    assert_eq!(error.reason(), DecodeReason::Field, "{error}");
    assert!(
        error
            .to_string()
            .contains("nested more than 127 levels deep"),
        "{error}"
    );
}

#[test]
fn a_long_name_is_cut_in_messages_only() {
    let name = "n".repeat(5_000);
    let json = format!(r#"{{"metadata":{{"name":"{name}","namespace":"a"}},"spec":1}}"#);
    let error = pod(&json, &["spec.nodeName"]).unwrap_err();
    assert!(error.object().ends_with("nnn... (5002 bytes)"), "{error}");
    assert!(error.to_string().len() < 1_500, "{error}");
    assert_eq!(error.identity(), Some(("a", &*name)));

    let json = format!(r#"{{"metadata":{{"name":"b","labels":{{"{name}":1}}}}}}"#);
    let error = pod(&json, &["metadata.labels"]).unwrap_err();
    assert_eq!(error.object(), "b");
    assert!(error.to_string().len() < 1_500, "{error}");
}

#[test]
fn lists_of_many_small_items_are_an_error_before_they_take_gigabytes() {
    let containers = |count: usize| {
        let items = vec!["{\"name\":\"c\"}"; count].join(",");
        format!(r#"{{"metadata":{{"name":"a"}},"spec":{{"containers":[{items}]}}}}"#)
    };
    let paths = ["spec.containers.name"];
    let read = pod(&containers(50_000), &paths).unwrap();
    assert_eq!(read.spec.unwrap().containers.len(), 50_000);
    let error = pod(&containers(1_000_000), &paths).unwrap_err();
    assert_eq!(error.reason(), DecodeReason::Field);
    assert!(
        error
            .to_string()
            .contains("at most 128 MiB of memory at spec.containers"),
        "{error}"
    );
    // Each object has its own limit.
    assert!(pod(&containers(50_000), &paths).is_ok());
}
