//! Tests of the YAML reader: source texts of scalars, documents, aliases, booleans and integers.

use super::*;

fn root(text: &str) -> Arc<Node> {
    first_document(text).unwrap().root.unwrap()
}

fn texts(text: &str) -> Vec<String> {
    match &root(text).value {
        Value::List(items) => items
            .iter()
            .map(|item| item.text().unwrap().into_owned())
            .collect(),
        _ => panic!("not a list"),
    }
}

#[test]
fn texts_are_what_was_written() {
    let list =
        "[1.50, 010, 0x10, yes, 2024-01-01, True, -1, 'a', \"b\\n\", !!str null, !!binary aGk=]";
    let expected = [
        "1.50",
        "010",
        "0x10",
        "yes",
        "2024-01-01",
        "True",
        "-1",
        "a",
        "b\n",
        "null",
        "hi",
    ];
    assert_eq!(texts(list), expected);
}

#[test]
fn later_documents_are_found_and_an_empty_stream_has_none() {
    assert_eq!(texts("[a]\n---\n# nothing\n"), ["a"]);
    let later = |text: &str| first_document(text).unwrap().later;
    assert_eq!(later("[a]\n---\n[b]"), Some(3));
    assert_eq!(later("[a]\n---\n---\n\n[b"), Some(5));
    assert_eq!(later("[a]\n---\n# nothing\n"), None);
    for empty in ["", " \n\n", "# nothing\n"] {
        assert!(first_document(empty).unwrap().root.is_none(), "{empty:?}");
    }
    assert!(root("---\n").is_null());
    assert!(root("null").is_null());
}

#[test]
fn aliases_share_and_unknown_or_circular_ones_are_errors() {
    assert_eq!(texts("[&a x, *a]"), ["x", "x"]);
    assert_eq!(first_document("\n[*a]").unwrap_err().line, 2);
    assert!(first_document("&a [*a]").is_err());
    assert!(first_document("a: [").is_err());
}

#[test]
fn flags_and_integers_follow_yaml_with_its_old_words() {
    let scalar = |text: &str| match Arc::into_inner(root(text)).unwrap().value {
        Value::Scalar(scalar) => scalar,
        _ => panic!("not a scalar"),
    };
    for (text, flag) in [
        ("true", Some(true)),
        ("FALSE", Some(false)),
        ("'true'", None),
        ("'yes'", Some(true)),
        ("off", Some(false)),
        ("yEs", None),
        ("1", None),
    ] {
        assert_eq!(scalar(text).flag(), flag, "{text}");
    }
    for (text, integer) in [
        ("4", Some(4)),
        ("-4", Some(-4)),
        ("0x10", Some(16)),
        ("010", Some(8)),
        ("1.7", Some(1)),
        ("-1.7", Some(-1)),
        ("1e3", Some(1000)),
        ("2147483648", None),
        ("x", None),
        ("'4'", None),
        (".inf", None),
        ("inf", None),
    ] {
        assert_eq!(scalar(text).integer(), integer, "{text}");
    }
}
