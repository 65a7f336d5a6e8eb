//! YAML as a tree of nodes that remember their line and how they were written.
//!
//! A configuration's texts are the source text of its scalars (`1.50` stays `1.50`), which a
//! data model of numbers and flags would lose; so the tree is built from the parser's events.
//! Source: [YAML 1.2](https://yaml.org/spec/1.2.2/), and the merge key of
//! [YAML 1.1](https://yaml.org/type/merge.html).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle};

use crate::k8s::decode_base64;

/// A value and where it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    /// Counted from 1.
    pub(super) line: usize,
}

#[derive(Debug)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Arc<Node>>),
    Map(Vec<(Arc<Node>, Arc<Node>)>),
}

#[derive(Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// Neither quoted nor a block.
    pub(super) plain: bool,
    /// The name of a core type, such as `binary`, where a tag gives one.
    tag: Option<Box<str>>,
}

/// The text is not YAML.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) line: usize,
    pub(super) problem: String,
}

/// A list or a map that is not complete yet.
struct Open {
    items: Vec<Arc<Node>>,
    is_map: bool,
    line: usize,
    anchor: usize,
}

/// Reads the first document of a text; `None` where there is none. What follows is not looked at.
pub(super) fn first_document(text: &str) -> Result<Option<Arc<Node>>, SyntaxError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let options = granit_parser::options! { emit_comments: false };
    let mut anchors: HashMap<usize, Arc<Node>> = HashMap::new();
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| SyntaxError {
            line: error.marker().line(),
            problem: format!("not valid YAML: {}", error.info()),
        })?;
        let line = span.start.line();
        let (node, anchor) = match event {
            Event::DocumentEnd | Event::StreamEnd => break,
            Event::Scalar(value, style, anchor, tag) => {
                let tag = tag.and_then(|tag| core_type(tag.handle(), tag.suffix()));
                let scalar = Scalar {
                    text: value.into_owned(),
                    plain: style == ScalarStyle::Plain,
                    tag,
                };
                (Node::new(Value::Scalar(scalar), line), anchor)
            }
            Event::SequenceStart(_, anchor, _) | Event::MappingStart(_, anchor, _) => {
                open.push(Open {
                    items: Vec::new(),
                    is_map: matches!(event, Event::MappingStart(..)),
                    line,
                    anchor,
                });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(done) => (done.close(), done.anchor),
                None => continue,
            },
            Event::Alias(anchor) => match anchors.get(&anchor) {
                Some(node) => (Arc::clone(node), 0),
                None => {
                    let problem = String::from("an alias stands inside of what it refers to");
                    return Err(SyntaxError { line, problem });
                }
            },
            _ => continue,
        };
        if anchor > 0 {
            anchors.insert(anchor, Arc::clone(&node));
        }
        match open.last_mut() {
            Some(parent) => parent.items.push(node),
            None => root = Some(node),
        }
    }
    Ok(root)
}

/// The name of a type of YAML itself, `!!binary` or what it is short for.
fn core_type(handle: &str, suffix: &str) -> Option<Box<str>> {
    let tag = format!("{handle}{suffix}");
    tag.strip_prefix("tag:yaml.org,2002:").map(Box::from)
}

impl Open {
    fn close(&self) -> Arc<Node> {
        let value = if self.is_map {
            let pairs = self.items.chunks_exact(2).filter_map(|pair| match pair {
                [key, value] => Some((Arc::clone(key), Arc::clone(value))),
                _ => None,
            });
            Value::Map(pairs.collect())
        } else {
            Value::List(self.items.clone())
        };
        Node::new(value, self.line)
    }
}

impl Node {
    fn new(value: Value, line: usize) -> Arc<Self> {
        Arc::new(Self { value, line })
    }

    /// Whether the node stands for nothing: `null`, `~`, or no text at all.
    pub(super) fn is_null(&self) -> bool {
        let Value::Scalar(scalar) = &self.value else {
            return false;
        };
        match scalar.tag.as_deref() {
            Some(tag) => tag == "null",
            None => {
                let text = scalar.text.as_str();
                scalar.plain && matches!(text, "" | "~" | "null" | "Null" | "NULL")
            }
        }
    }

    /// The source text of a scalar; bytes where it is `!!binary`. `None` for lists and maps.
    pub(super) fn text(&self) -> Option<Cow<'_, str>> {
        let Value::Scalar(scalar) = &self.value else {
            return None;
        };
        if self.is_null() {
            return Some(Cow::Borrowed(""));
        }
        if scalar.tag.as_deref() == Some("binary") {
            let bytes = decode_base64(&scalar.text)?;
            return Some(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()));
        }
        Some(Cow::Borrowed(&scalar.text))
    }

    /// What the node is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar(_) if self.is_null() => "nothing",
            Value::Scalar(scalar) if scalar.tag.as_deref() == Some("binary") => {
                "`!!binary` that is not base64"
            }
            Value::Scalar(scalar) if scalar.plain => "a text or a number",
            Value::Scalar(_) => "a text in quotes",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// The entry of a map with this key, without a look at merged maps.
    pub(super) fn get(&self, key: &str) -> Option<&Arc<Node>> {
        let Value::Map(entries) = &self.value else {
            return None;
        };
        let found = entries
            .iter()
            .find(|(own, _)| own.text().is_some_and(|own| own == key));
        found.map(|(_, value)| value)
    }
}

impl Scalar {
    /// A flag as YAML 1.1 reads it: the words of 1.2 plain only, the others quoted too.
    pub(super) fn flag(&self) -> Option<bool> {
        Some(match self.text.as_str() {
            "true" | "True" | "TRUE" if self.plain => true,
            "false" | "False" | "FALSE" if self.plain => false,
            "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => true,
            "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => false,
            _ => return None,
        })
    }

    /// An integer of 32 bits: decimal, hexadecimal, octal, binary, or a float cut to an integer.
    pub(super) fn integer(&self) -> Option<i32> {
        if !self.plain {
            return None;
        }
        let text = self.text.replace('_', "");
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(&text)),
        };
        let radix = |prefix, radix| {
            let digits = digits.strip_prefix(prefix)?;
            i64::from_str_radix(digits, radix).ok()
        };
        let integer = radix("0x", 16)
            .or_else(|| radix("0o", 8))
            .or_else(|| radix("0b", 2))
            .or_else(|| radix("0", 8))
            .or_else(|| digits.parse().ok());
        let integer = match integer {
            Some(integer) if negative => -integer,
            Some(integer) => integer,
            None => {
                let starts = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
                let float: f64 = text.parse().ok().filter(|_| starts)?;
                let cut = float.trunc();
                let in_range = (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&cut);
                #[allow(clippy::cast_possible_truncation, reason = "in range")]
                in_range.then_some(cut as i64)?
            }
        };
        i32::try_from(integer).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(text: &str) -> Arc<Node> {
        first_document(text).unwrap().unwrap()
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
        let list = "[1.50, 010, 0x10, yes, 2024-01-01, True, -1, 'a', \"b\\n\", !!str null, !!binary aGk=]";
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
    fn only_the_first_document_is_read_and_an_empty_stream_has_none() {
        assert_eq!(texts("[a]\n---\n[b"), ["a"]);
        for empty in ["", " \n\n", "# nothing\n"] {
            assert!(first_document(empty).unwrap().is_none(), "{empty:?}");
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
}
