//! Converts a YAML document to the same JSON as kubectl.

use std::borrow::Cow;
use std::io::Write as _;

use super::resolve::Resolved;
use super::{MapProblem, Merges, Node, SyntaxError, Value, entries};

/// The limit on the size of a document as JSON is this number of bytes, plus [`GROWTH`] times its size as YAML. Without
/// a limit, a small document with many aliases could take very much memory.
const FREE_BYTES: usize = 1 << 20;

/// The maximum number of JSON bytes for each byte of YAML, in addition to [`FREE_BYTES`]. A document without aliases
/// needs at most six bytes of JSON for each byte of YAML.
const GROWTH: usize = 8;

struct JsonWriter {
    out: Vec<u8>,
    max_bytes: usize,
    merges: Merges,
}

/// Writes a document as JSON. `yaml_bytes` is the size of the document as YAML.
///
/// # Errors
///
/// Returns an error if a key occurs twice in a map or cannot be a key in JSON. Also returns an error if a value has no
/// JSON form, or if aliases make the document much larger than its text.
pub(crate) fn to_json(root: &Node, yaml_bytes: usize) -> Result<String, SyntaxError> {
    let mut writer = JsonWriter {
        out: Vec::with_capacity(yaml_bytes),
        max_bytes: yaml_bytes.saturating_mul(GROWTH).saturating_add(FREE_BYTES),
        merges: Merges::default(),
    };
    writer.value(root)?;
    String::from_utf8(writer.out).map_err(|error| SyntaxError {
        line: root.line,
        problem: error.to_string(),
    })
}

// === impl JsonWriter ===

impl JsonWriter {
    /// Writes a node and all nodes below the node. This method is recursive. [`MAX_DEPTH`](super::MAX_DEPTH) limits the
    /// depth of the recursion.
    fn value(&mut self, node: &Node) -> Result<(), SyntaxError> {
        match &node.value {
            Value::Scalar(scalar) => {
                let value = scalar.resolve().map_err(|error| SyntaxError {
                    line: node.line,
                    problem: error.to_string(),
                })?;
                self.scalar(&value);
            }
            Value::List(items) => {
                self.out.push(b'[');
                for (at, item) in items.iter().enumerate() {
                    self.separate(at);
                    self.value(item)?;
                }
                self.out.push(b']');
            }
            Value::Map(pairs) => {
                let mut problem = None;
                let entries = entries(pairs, &key_text, &mut self.merges, &mut |node, own| {
                    if matches!(own, MapProblem::MergedTwice { .. }) {
                        return;
                    }
                    problem.get_or_insert(SyntaxError {
                        line: node.line,
                        problem: own.to_string(),
                    });
                });
                if let Some(problem) = problem {
                    return Err(problem);
                }
                self.out.push(b'{');
                for (at, entry) in entries.iter().enumerate() {
                    self.separate(at);
                    self.text(&entry.key);
                    self.out.push(b':');
                    self.value(entry.value)?;
                }
                self.out.push(b'}');
            }
        }
        if self.out.len() <= self.max_bytes {
            return Ok(());
        }
        let max = self.max_bytes;
        Err(SyntaxError {
            line: node.line,
            problem: format!(
                "aliases make the document larger than {max} bytes; replace aliases by their values"
            ),
        })
    }

    fn scalar(&mut self, value: &Resolved<'_>) {
        // The result is ignored, because writing to memory cannot fail.
        let _ = match value {
            Resolved::Null => write!(self.out, "null"),
            Resolved::Flag(flag) => write!(self.out, "{flag}"),
            Resolved::Integer(number) => write!(self.out, "{number}"),
            Resolved::Unsigned(number) => write!(self.out, "{number}"),
            Resolved::Float(number) if is_short(*number) => write!(self.out, "{number}"),
            Resolved::Float(number) => write!(self.out, "{number:e}"),
            Resolved::Text(text) => {
                self.text(text);
                Ok(())
            }
        };
    }

    fn text(&mut self, text: &str) {
        // The result is ignored, because writing a string to memory cannot fail.
        let _ = serde_json::to_writer(&mut self.out, text);
    }

    fn separate(&mut self, at: usize) {
        if at > 0 {
            self.out.push(b',');
        }
    }
}

/// Whether kubectl writes a number without an exponent. For example, kubectl writes `1e3` as `1000`, because integer
/// fields of objects accept only this form.
fn is_short(number: f64) -> bool {
    number == 0.0 || (1e-6..1e21).contains(&number.abs())
}

fn key_text(key: &Node) -> Option<Cow<'_, str>> {
    match &key.value {
        Value::Scalar(scalar) => scalar.key(),
        Value::List(_) | Value::Map(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::first_document;
    use super::*;

    fn json(text: &str) -> Result<String, (usize, String)> {
        let root = first_document(text).unwrap().root.unwrap();
        to_json(&root, text.len()).map_err(|error| (error.line, error.problem))
    }

    #[test]
    fn a_document_has_the_json_of_kubectl() {
        for (yaml, expected) in [
            (
                "a: yes\nb: 'yes'\nc: 0644",
                r#"{"a":true,"b":"yes","c":420}"#,
            ),
            (
                "[1e3, 1e21, 1.50, 0.0000001, -0.0]",
                "[1000,1e21,1.5,1e-7,-0]",
            ),
            (
                "y: 1\n1: 2\n1.5: 3\n0x10: 4",
                r#"{"true":1,"1":2,"1.5":3,"16":4}"#,
            ),
            ("[null, ~, '', ]", r#"[null,null,""]"#),
            ("a: |-\n  \"b\"\n  c", r#"{"a":"\"b\"\nc"}"#),
            (
                "a: &a {x: 1, y: z}\nb: *a",
                r#"{"a":{"x":1,"true":"z"},"b":{"x":1,"true":"z"}}"#,
            ),
            (
                "a: &a {x: 1, z: 2}\nb: {<<: *a, z: 3}\nc: {<<: [{x: 5}, *a]}",
                r#"{"a":{"x":1,"z":2},"b":{"z":3,"x":1},"c":{"x":5,"z":2}}"#,
            ),
            ("{'<<': 1}", r#"{"<<":1}"#),
            (
                "{<<: {a: 1, c: 1}, b: 2, <<: {a: 2, b: 1, d: 1}}",
                r#"{"b":2,"a":1,"c":1,"d":1}"#,
            ),
            ("{b: 2, <<: {b: 1}}", r#"{"b":2}"#),
            ("{<<: [], a: 1}", r#"{"a":1}"#),
            (
                "{0.1: a, 1e-7: b, 1e20: c, 123456789.5: d, 1.0: e, 1e3: f, -0.0: g}",
                r#"{"0.1":"a","1e-07":"b","1e+20":"c","1.2345679e+08":"d","1":"e","1000":"f","-0":"g"}"#,
            ),
            (
                "{.inf: a, -.INF: b, .NaN: c}",
                r#"{".inf":"a","-.inf":"b",".nan":"c"}"#,
            ),
            (
                "{1e300: a, 1000000.0: b, 0.0001: c, 0.00001: d}",
                r#"{".inf":"a","1e+06":"b","0.0001":"c","1e-05":"d"}"#,
            ),
            ("[]", "[]"),
        ] {
            assert_eq!(json(yaml).as_deref(), Ok(expected), "{yaml}");
        }
    }

    #[test]
    fn problems_are_named_with_their_lines() {
        for (yaml, line, problem) in [
            (
                "a: 1\nb:\n  c: 1\n  d: 2\n  c: 3",
                5,
                "the key `c` is given twice, in lines 3 and 5; remove one",
            ),
            (
                "1: a\n'1': b",
                2,
                "the key `1` is given twice, in lines 1 and 2; remove one",
            ),
            (
                "a:\n  <<: ~",
                2,
                "`<<` needs a map, or a list of maps, to merge",
            ),
            (
                "a:\n  <<: [{b: 1}, [{c: 1}]]",
                2,
                "`<<` needs a map, or a list of maps, to merge",
            ),
            (
                "a:\n  ~: b",
                2,
                "a key must be a string, a number, true or false",
            ),
            (
                "[a]: b",
                1,
                "a key must be a string, a number, true or false",
            ),
            (
                "a: 1\n<<: 1",
                2,
                "`<<` needs a map, or a list of maps, to merge",
            ),
            (
                "- 1\n- .nan",
                2,
                "`.nan` is not a JSON number; put it in quotes if it is a string",
            ),
            (
                "- !!binary '?'",
                1,
                "the value is not base64, which the tag `!!binary` needs",
            ),
            (
                "- !!int x",
                1,
                "the value does not have the type of its tag `!!int`; remove the tag",
            ),
        ] {
            assert_eq!(json(yaml), Err((line, problem.to_owned())), "{yaml}");
        }
    }

    #[test]
    fn aliases_do_not_multiply_a_document() {
        let mut yaml = String::from("- &a0 [x, x, x, x, x, x, x, x]\n");
        for level in 1..30 {
            let alias = format!("*a{}", level - 1);
            yaml += &format!("- &a{level} [{}]\n", [&*alias; 8].join(", "));
        }
        let (_, problem) = json(&yaml).unwrap_err();
        assert!(
            problem.starts_with("aliases make the document larger"),
            "{problem}"
        );
        let mut yaml = String::from("a0: &a0 {x: 1}\n");
        for level in 1..30 {
            let alias = format!("*a{}", level - 1);
            yaml += &format!(
                "a{level}: &a{level} {{<<: [{}]}}\n",
                [&*alias; 8].join(", ")
            );
        }
        let (_, problem) = json(&yaml).unwrap_err();
        assert!(problem.contains("entries of maps are merged"), "{problem}");
    }
}
