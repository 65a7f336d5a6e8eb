//! Parsers of the names of Kubernetes objects. Some of these names become a part of the path of a request, so a name
//! with `/` or `..` would lead to another object.

const MAX_LABEL: usize = 63;
const MAX_SUBDOMAIN: usize = 253;
const NO_NAMESPACE: &str = "is not the name of a namespace; give at most 63 lower-case letters, digits and `-`, with a \
                            letter or a digit at both ends";

/// Parses the name of a namespace. An empty text is `None`.
pub(crate) fn optional_namespace(text: &str) -> Result<Option<String>, String> {
    optional(text, is_namespace, NO_NAMESPACE)
}

/// Checks the name of a namespace in a list.
pub(super) fn check_namespace(name: &str) -> Result<(), &'static str> {
    match is_namespace(&without_variables(name)) {
        true => Ok(()),
        false => Err(NO_NAMESPACE),
    }
}

/// Parses the name of an object such as a pod, a node or a Lease. An empty text is `None`.
pub(crate) fn optional_object(text: &str) -> Result<Option<String>, String> {
    optional(
        text,
        is_object,
        "is not the name of a Kubernetes object; give at most 253 lower-case letters, digits, `-` and `.`, with a letter \
         or a digit at both ends",
    )
}

fn optional(
    text: &str,
    is_valid: fn(&str) -> bool,
    problem: &str,
) -> Result<Option<String>, String> {
    match text.is_empty() {
        true => Ok(None),
        false if is_valid(&without_variables(text)) => Ok(Some(text.to_owned())),
        false => Err(problem.to_owned()),
    }
}

/// Whether an API server accepts this name of a namespace.
pub(crate) fn is_namespace(name: &str) -> bool {
    name.len() <= MAX_LABEL && is_label(name)
}

fn is_object(name: &str) -> bool {
    name.len() <= MAX_SUBDOMAIN && name.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let is_end = |byte: Option<u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let mut bytes = label.bytes();
    is_end(bytes.clone().next())
        && is_end(bytes.clone().next_back())
        && bytes.all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// Replaces each variable of a pod template, such as `$(POD_NAME)`, by `x`. The subcommand `rbac` accepts the arguments
/// of a template. The kubelet replaces the variables before the exporter starts.
fn without_variables(text: &str) -> String {
    let mut parts = text.split("$(");
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_name = |name: &str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        match part.split_once(')').filter(|(name, _)| is_name(name)) {
            Some((_, rest)) => replaced.extend(["x", rest]),
            None => replaced.extend(["$(", part]),
        }
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_kubernetes_refuses_are_errors() {
        for valid in ["a", "kube-system", "0", "$(POD_NAMESPACE)", "a-$(X)-b"] {
            let parsed = Ok(Some(valid.to_owned()));
            assert_eq!(optional_namespace(valid), parsed);
            assert_eq!(optional_object(valid), parsed);
        }
        assert_eq!(optional_namespace(""), Ok(None));
        assert!(optional_object("ip-10-0-0-1.eu.example.com").is_ok());
        assert!(optional_namespace("a.b").is_err());
        let long = |length| "a".repeat(length);
        assert!(optional_namespace(&long(63)).is_ok() && optional_namespace(&long(64)).is_err());
        assert!(optional_object(&long(253)).is_ok() && optional_object(&long(254)).is_err());
        for invalid in [
            "..", ".", "a/b", "../x", "a..b", "A", "a b", "-a", "a-", "ä", "a%2fb", "$(", "$()",
            "$(a/b)", "a\n",
        ] {
            assert!(optional_namespace(invalid).is_err(), "{invalid}");
            assert!(optional_object(invalid).is_err(), "{invalid}");
        }
    }
}
