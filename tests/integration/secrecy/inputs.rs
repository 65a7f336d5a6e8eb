//! Secrets and config maps that contain the marker, for which the tests search the memory. Some of these objects are
//! valid. The other objects are invalid in many ways.

use super::memory::{base64, plain};

/// The start of the metadata of an object.
const META: &str = r#""name":"odd","namespace":"shop","uid":"u","resourceVersion":"7""#;

/// Replaces the word `META` with the start of the metadata. Replaces the words `PLAIN` and `BASE64` with the marker as
/// plain text and as base64.
fn filled(text: &str) -> Vec<u8> {
    let text = text.replace("META", META).replace("PLAIN", &plain());
    text.replace("BASE64", &base64()).into()
}

/// Returns objects as JSON. The first object is a valid secret.
pub(crate) fn documents() -> Vec<Vec<u8>> {
    let texts = [
        // Valid objects.
        r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"good","namespace":"shop",
            "annotations":{"team":"a","kubectl.kubernetes.io/last-applied-configuration":
                "{\"data\":{\"k\":\"BASE64\"},\"stringData\":{\"k\":\"PLAIN\"}}"}},
            "type":"Opaque","data":{"k":"BASE64","l":null},"stringData":{"k":"PLAIN"}}"#,
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"good","namespace":"shop",
            "annotations":{"team":"a","x":"PLAIN"}},
            "data":{"k":"x PLAIN y\nPLAIN"},"binaryData":{"k":"BASE64"},"immutable":true}"#,
        r#"{"metadata":{META},"stringData":{"k":"\u0020PLAIN\u0020"},"data":{"k":"BASE64\n"}}"#,
        // The marker is in fields with a value of an unexpected type.
        r#"{"metadata":{META},"data":"PLAIN","stringData":["PLAIN"],"binaryData":"BASE64"}"#,
        r#"{"metadata":{META},"data":{"k":"PLAIN!"},"binaryData":{"k":"!PLAIN"}}"#,
        r#"{"metadata":{META},"data":{"k":["PLAIN"]},"binaryData":{"k":{"l":"PLAIN"}}}"#,
        r#"{"metadata":{META},"data":["BASE64"],"stringData":"PLAIN","binaryData":[["PLAIN"]]}"#,
        // The marker is in unexpected fields.
        r#"{"metadata":{META},"type":["PLAIN"],"immutable":"PLAIN"}"#,
        r#"{"metadata":{META},"type":{"k":"PLAIN"},"immutable":{"k":"PLAIN"}}"#,
        r#"{"metadata":{META,"creationTimestamp":"PLAIN"}}"#,
        r#"{"metadata":{META,"creationTimestamp":"PLAIN, expected PLAIN at line 3"}}"#,
        r#"{"metadata":{META,"annotations":"PLAIN","labels":"PLAIN"}}"#,
        r#"{"metadata":{META,"annotations":{"team":["PLAIN"]},"labels":{"a":["PLAIN"]}}}"#,
        r#"{"metadata":{META,"ownerReferences":["PLAIN"],"generation":"PLAIN"}}"#,
        r#"{"metadata":"PLAIN"}"#,
        r#"["PLAIN"]"#,
        r#""PLAIN""#,
        // The text is not valid JSON.
        r#"{"metadata":{META},"data":{"k":"BASE64"},"stringData":{"k":"PLAIN"#,
        r#"{"metadata":{META},"stringData":{"k":"PLAIN"}} PLAIN"#,
        r#"{"metadata":{META},"stringData":{"k":"PLAIN\q"}}"#,
        r#"{"metadata":{META},"stringData":{"k":PLAIN}}"#,
        r#"{"metadata":{META},"type":"\u0020PLAIN\ud800"}"#,
        r#"{"metadata":{META},"stringData":{"k" "PLAIN"}}"#,
        "PLAIN",
        "{\"metadata\":{META},\"stringData\":{\"k\":\"PLAIN\x01\"}}",
    ];
    // A text with deep nesting that is not closed, and a text with bytes that are not UTF-8.
    let endless = format!(
        "{{\"metadata\":{{META}},\"stringData\":{{\"k\":\"PLAIN\",\"l\":{}",
        "[".repeat(999)
    );
    let mut inputs = Vec::new();
    for text in texts.into_iter().chain([endless.as_str()]) {
        // If a text has no `kind`, the test feeds it twice: as a Secret and as a ConfigMap.
        for kind in ["Secret", "ConfigMap"] {
            let head = format!("{{\"apiVersion\":\"v1\",\"kind\":\"{kind}\",\"metadata\":");
            inputs.push(filled(&text.replacen("{\"metadata\":", &head, 1)));
        }
    }
    let mut torn = inputs[0].clone();
    torn.extend(b"\xff");
    inputs.push(torn);
    inputs
}

/// Returns the objects of [`documents`] as named files, and also files with valid and invalid YAML.
pub(crate) fn manifests() -> Vec<(String, Vec<u8>)> {
    let good = "apiVersion: v1\nkind: Secret\nmetadata: {name: good, namespace: shop}\n";
    let odd = good.replace("good", "odd");
    let contents = [
        "data: {k: BASE64}\nstringData:\n  k: |\n    x PLAIN\n    y\n",
        "stringData:\n  k: \"PLAIN\\x20\"\n  l: 'PLAIN'\n  m: >\n    PLAIN\n    PLAIN\n",
        "stringData: &a\n  k: PLAIN\ndata: *a\n",
        // The following texts are not valid.
        "stringData:\n  k: \"PLAIN\n",
        "stringData:\n  k: 'PLAIN\n",
        "stringData:\n  k: PLAIN\n\tl: PLAIN\n",
        "stringData:\n  k: PLAIN\n l: PLAIN\n",
        "stringData:\n  k: PLAIN: PLAIN\n",
        "stringData:\n  k: *PLAIN\n",
        "stringData:\n  k: &PLAIN\n",
        "stringData:\n  k: &PLAIN *PLAIN\n",
        "stringData:\n  k: @PLAIN\n",
        "stringData:\n  k: `PLAIN`\n",
        "stringData:\n  k: %PLAIN\n",
        "stringData:\n  k: !PLAIN x\n",
        "stringData:\n  k: !!PLAIN x\n",
        "stringData:\n  k: !!int PLAIN\n",
        "stringData:\n  k: !!float PLAIN\n",
        "stringData:\n  k: !!bool PLAIN\n",
        "stringData:\n  k: !!null PLAIN\n",
        "stringData:\n  k: !!binary PLAIN=\n",
        "stringData:\n  k: !<tag:PLAIN> PLAIN\n",
        "stringData:\n  k: !e!PLAIN PLAIN\n",
        "stringData:\n  k: {PLAIN\n",
        "stringData:\n  k: [PLAIN, PLAIN\n",
        "stringData:\n  k: PLAIN]\n",
        "stringData:\n  k: \"PLAIN\\q\"\n",
        "stringData:\n  k: \"PLAIN\\xZZ\"\n",
        "stringData:\n  k: |PLAIN\n",
        "stringData:\n  k: ? PLAIN\n",
        "stringData:\n  k: - PLAIN\n",
        "stringData:\n  k: PLAIN\n  k: PLAIN\n",
        "stringData:\n  <<: PLAIN\n",
        "stringData:\n  k: PLAIN\n  PLAIN\n",
        "stringData: PLAIN\ntype: [PLAIN]\n",
        "type: {k: PLAIN}\nimmutable: PLAIN\n",
        "stringData:\n  k: PLAIN\x01\n",
        "...\nPLAIN\n",
        "%PLAIN\n",
    ];
    let mut files = Vec::new();
    for (at, text) in contents.iter().enumerate() {
        let object = if at < 3 { good } else { &odd };
        let text = filled(&format!("{object}{text}"));
        files.push((format!("{at:03}.yaml"), text));
    }
    let wholes = [
        "PLAIN",
        "- PLAIN",
        "? PLAIN",
        "\"PLAIN\"",
        "'PLAIN",
        "PLAIN: PLAIN: x",
    ];
    for text in wholes {
        files.push((format!("{:03}.yml", files.len()), filled(text)));
    }
    let mut lines = Vec::new();
    for text in documents() {
        if std::str::from_utf8(&text).is_ok() {
            let flat = text.iter().map(|byte| match byte {
                b'\n' => b' ',
                byte => *byte,
            });
            lines.extend(flat.chain([b'\n']));
        }
        files.push((format!("{:03}.json", files.len()), text));
    }
    files.push(("lines.jsonl".into(), lines));
    files
}
