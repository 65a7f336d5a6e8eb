//! Tests which fingerprints a scan changes: compares the scans of two objects that have one difference.

use serde_json::{Value, json};

use super::super::fingerprint::{GroupSet, MAX_GROUPS};
use super::super::groups::Dependency;
use super::*;

const READS: [&str; 5] = [
    "metadata.labels",
    "spec.nodeName",
    "spec.volumes.persistentVolumeClaim",
    "status.conditions.type",
    "status.phase",
];

fn scanner() -> Scanner {
    let groups = FieldGroups::new(vec![Some(READS.to_vec())]);
    let header = [String::from("v1"), String::from("Pod")];
    let message = kube_protobuf::message_of("v1", "Pod");
    Scanner::new(groups, header, message)
}

fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "labels": { "k": "v" } },
        "spec": { "nodeName": "node-1", "priority": 1 },
        "status": { "phase": "Running", "podIP": "10.0.0.1", "conditions": [{ "type": "Ready", "status": "True" }] },
    })
}

/// Returns the groups of fields that a change of a pod affects, in JSON and in protobuf.
fn changed(change: impl Fn(&mut Value)) -> [Option<GroupSet>; 2] {
    let scanner = scanner();
    let (before, mut after) = (pod(), pod());
    change(&mut after);
    let json = |pod: &Value| pod.to_string().into_bytes();
    let message = kube_protobuf::message_of("v1", "Pod").unwrap();
    let protobuf = |pod: &Value| kube_protobuf::encode::message(message, pod).unwrap();
    let compare = |before: &[u8], after: &[u8], encoding: Encoding| {
        let before = scanner.scan(encoding.object(before)).unwrap();
        let after = scanner.scan(encoding.object(after))?;
        let stored = before.fingerprints.first(MAX_GROUPS);
        after.fingerprints.changed_since(stored)
    };
    [
        compare(&json(&before), &json(&after), Encoding::Json),
        compare(
            &protobuf(&before),
            &protobuf(&after),
            Encoding::Protobuf(message),
        ),
    ]
}

fn group(path: &'static str) -> GroupSet {
    let Dependency { groups, .. } = scanner().groups().dependency(Some([path]));
    groups
}

#[test]
fn a_change_affects_the_group_of_its_field() {
    let both = |groups| [Some(groups); 2];
    assert_eq!(changed(|_| {}), both(GroupSet::EMPTY));
    let unread = changed(|pod| {
        pod["metadata"]["resourceVersion"] = "8".into();
        pod["metadata"]["annotations"] = json!({ "a": "b" });
        pod["spec"]["priority"] = 2.into();
        pod["status"]["podIP"] = "10.0.0.2".into();
    });
    assert_eq!(unread, both(GroupSet::EMPTY));
    let label = changed(|pod| pod["metadata"]["labels"]["k"] = "w".into());
    assert_eq!(label, both(group("metadata.labels")));
    let node = changed(|pod| pod["spec"]["nodeName"] = "node-2".into());
    assert_eq!(node, both(group("spec.nodeName")));
    let claim = json!([{ "name": "a", "persistentVolumeClaim": { "claimName": "c" } }]);
    let volumes = changed(|pod| pod["spec"]["volumes"] = claim.clone());
    assert_eq!(volumes, both(group("spec.nodeName")));
    let phase = changed(|pod| pod["status"]["phase"] = "Failed".into());
    assert_eq!(phase, both(group("status.phase")));
    let condition = changed(|pod| pod["status"]["conditions"][0]["status"] = "False".into());
    assert_eq!(condition, both(group("status.conditions.type")));
    let removed = changed(|pod| pod["status"] = json!({ "phase": "Running" }));
    assert_eq!(removed, both(group("status.conditions.type")));
    let all = group("status.phase").with(group("status.conditions.type"));
    let no_status = changed(|pod| drop(pod.as_object_mut().unwrap().remove("status")));
    assert_eq!(no_status, both(all));
}

#[test]
fn the_identity_is_read_and_unusual_objects_are_not_scanned() {
    let scanner = scanner();
    let scan = |json: &str| {
        scanner
            .scan(Encoding::Json.object(json.as_bytes()))
            .is_some()
    };
    let pod = pod().to_string();
    let scanned = scanner.scan(Encoding::Json.object(pod.as_bytes())).unwrap();
    let identity = [
        &scanned.namespace,
        &scanned.name,
        &scanned.uid,
        &scanned.resource_version,
    ];
    assert_eq!(identity.map(|text| &**text), ["n", "a", "u", "7"]);
    assert!(scan(
        r#"{"metadata":{"name":"a"},"status":null,"spec":[{"nodeName":"b"}]}"#
    ));
    for unusual in [
        r#"{"kind":"Node","metadata":{"name":"a"}}"#,
        r#"{"metadata":{"name":"a"},"metadata":{"name":"a"}}"#,
        r#"{"metadata":{"name":"a","name":"b"}}"#,
        r#"{"metadata":{"name":null}}"#,
        r#"{"metadata":{}}"#,
        r#"{"metadata":null}"#,
        r#"{"metadata":[{"name":"a"}]}"#,
        r#"{"metadata":{"name":"a"},"spec":7}"#,
        r#"{"metadata":{"name":"a"}}x"#,
        r#"{"metadata":{"name":"a"}"#,
    ] {
        assert!(!scan(unusual), "{unusual}");
    }
}

#[test]
fn the_encodings_have_different_fingerprints() {
    let scanner = scanner();
    let message = kube_protobuf::message_of("v1", "Pod").unwrap();
    let protobuf = kube_protobuf::encode::object(&pod()).unwrap().unwrap();
    let protobuf = scanner
        .scan(Encoding::Protobuf(message).object(&protobuf))
        .unwrap();
    let pod = pod().to_string();
    let json = scanner.scan(Encoding::Json.object(pod.as_bytes())).unwrap();
    assert_eq!((&protobuf.uid, &protobuf.name), (&json.uid, &json.name));
    assert_ne!(protobuf.fingerprints, json.fingerprints);
}

#[test]
fn null_differs_from_an_absent_value_and_replaces_an_earlier_one() {
    let scanner = scanner();
    let scan = |fields: &str| {
        let json = format!(r#"{{"metadata":{{"name":"a","namespace":"n","uid":"u"}}{fields}}}"#);
        let scanned = scanner.scan(Encoding::Json.object(json.as_bytes()));
        scanned.unwrap().fingerprints.first(MAX_GROUPS).to_vec()
    };
    let (absent, null) = (scan(""), scan(r#","status":null"#));
    assert_ne!(absent, null);
    let running = r#","status":{"phase":"Running"}"#;
    let repeated = format!("{running},\"status\":null");
    assert_ne!(scan(running), scan(&repeated));
}
