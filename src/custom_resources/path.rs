//! Compiled paths. With a path, a configuration selects values in an object.

use serde_json::Value;

use super::number::to_number;
use crate::decode::ITEMS;
use crate::family::work;

/// A path, that is a sequence of steps. Each step selects a value inside the JSON value that the previous step found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Path(Vec<Step>);

/// Maximum number of field names in a path that is given to the decoder. The decoder reads everything below the last of
/// these fields.
const MAX_FIELDS: usize = 64;

/// An invalid element of a path: its brackets do not contain `=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadStep {
    /// The index of the invalid element in the path.
    pub(super) at: usize,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// An element of the form `[key=text]`. In a list, it selects the first item whose field `key` has the value
    /// `text`.
    Find(Box<Find>),
    /// Any other element. It selects an entry of a map by its key, or an item of a list by its index.
    Key(Box<Key>),
}

#[derive(Clone, Debug, PartialEq)]
struct Find {
    key: String,
    text: String,
    number: Option<f64>,
    flag: Option<bool>,
}

#[derive(Clone, Debug, PartialEq)]
struct Key {
    name: String,
    /// The name as an index of a list; `None` if the name is not a number. A negative index counts from the end.
    index: Option<i64>,
    /// The key and the text, if the name has the form `key=text`. If the entry `key` of a map has the value `text`, the
    /// step selects this value.
    equals: Option<(String, String)>,
}

/// The number of items of a list that a search compares in one unit of work.
const SEARCHED: u64 = 2;

// === impl Path ===

impl Path {
    pub(super) fn compile<'a>(
        elements: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, BadStep> {
        let steps = elements.into_iter().enumerate();
        let steps = steps.map(|(at, element)| Step::compile(element).ok_or(BadStep { at }));
        Ok(Self(steps.collect::<Result<_, _>>()?))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value that the path finds in `from`; `None` if the value is absent or `null`.
    pub(super) fn find<'v>(&self, from: &'v Value) -> Option<&'v Value> {
        let found = self
            .0
            .iter()
            .try_fold(from, |value, step| step.apply(value));
        found.filter(|value| !value.is_null())
    }

    /// Returns the first elements of the path as a dotted path, up to the first element that is not a plain field name.
    ///
    /// The empty string stands for the whole object. A list index, an element such as `[key=text]`, or a name with a
    /// dot ends the dotted path. The decoder then reads everything below.
    pub(super) fn fields(&self) -> String {
        self.fields_with(&Self::default())
    }

    /// Whether all elements of the path are plain field names.
    pub(super) fn is_of_names(&self) -> bool {
        self.0.iter().all(|step| step.name().is_some())
    }

    /// Whether an element of the path names a field that may have a secret, such as `password`.
    pub(super) fn may_be_secret(&self) -> bool {
        self.0.iter().any(|step| match step {
            Step::Find(find) => is_secret_name(&find.text),
            Step::Key(key) => is_secret_name(&key.name),
        })
    }

    /// Does the same as [`fields`](Self::fields) for a path that consists of the steps of `self` and then the steps of
    /// `behind`.
    pub(super) fn fields_with(&self, behind: &Self) -> String {
        let names = self.0.iter().chain(&behind.0).map_while(Step::name);
        // The code that reads trees of fields is recursive, so paths must be short.
        let names = names.take(MAX_FIELDS);
        names.collect::<Vec<_>>().join(".")
    }
}

// === impl Step ===

impl Step {
    /// Returns the name of the field that the step selects; `None` if the step is not a plain field name.
    fn name(&self) -> Option<&str> {
        let Self::Key(key) = self else { return None };
        let name = key.name.as_str();
        let is_name = key.index.is_none()
            && key.equals.is_none()
            && !name.is_empty()
            && !name.contains('.')
            && !name.ends_with(ITEMS);
        is_name.then_some(name)
    }

    fn compile(element: &str) -> Option<Self> {
        let inner = element.strip_prefix('[').and_then(|e| e.strip_suffix(']'));
        if let Some(inner) = inner {
            let (key, text) = inner.split_once('=')?;
            let value = Value::from(text);
            return Some(Self::Find(Box::new(Find {
                key: key.to_owned(),
                text: text.to_owned(),
                number: to_number(&value).filter(|number| !number.is_nan()),
                flag: flag(text),
            })));
        }
        let equals = element.split_once('=');
        let equals = equals.filter(|(_, text)| !text.contains('='));
        Some(Self::Key(Box::new(Key {
            name: element.to_owned(),
            index: index(element),
            equals: equals.map(|(key, text)| (key.to_owned(), text.to_owned())),
        })))
    }

    fn apply<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        match (self, value) {
            (Self::Find(find), Value::Array(items)) => {
                let is_found =
                    |item: &Value| item.get(&find.key).is_some_and(|own| find.matches(own));
                let at = items.iter().position(is_found);
                work::spend(at.unwrap_or(items.len()) as u64 / SEARCHED + 1);
                items.get(at?)
            }
            (Self::Key(key), Value::Object(map)) => {
                if let Some((name, text)) = &key.equals
                    && let Some(own) = map.get(name)
                    && own.as_str() == Some(text)
                {
                    return Some(own);
                }
                map.get(&key.name)
            }
            (Self::Key(key), Value::Array(items)) => {
                let index = key.index?;
                let from_start = if index < 0 {
                    i64::try_from(items.len()).ok()?.checked_add(index)?
                } else {
                    index
                };
                items.get(usize::try_from(from_start).ok()?)
            }
            _ => None,
        }
    }
}

/// Whether the name of a field, or a dotted path, shows that the value may be secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['-', '_'], "");
    let words = [
        "password",
        "passwd",
        "secret",
        "token",
        "credential",
        "privatekey",
        "apikey",
    ];
    words.iter().any(|word| name.contains(word))
}

impl Find {
    fn matches(&self, candidate: &Value) -> bool {
        if candidate.as_str() == Some(&self.text) {
            return true;
        }
        if self.number.is_some() && to_number(candidate) == self.number {
            return true;
        }
        self.flag.is_some() && candidate.as_bool() == self.flag
    }
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

fn index(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| decimal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn find(path: &[&str], value: &Value) -> Option<Value> {
        let path = Path::compile(path.iter().copied()).unwrap();
        path.find(value).cloned()
    }

    #[test]
    fn steps_lead_through_maps_lists_and_searches() {
        let value = json!({
            "a": { "b.c/d": 1, "": 2, "k": "v", "k=w": 3, "x=y=z": 4, "0": 5, "[q": 6 },
            "l": [{ "n": "x", "v": 1 }, 7, { "n": "y", "v": 1.0, "q": null }, [8, 9]],
            "n": null,
            "s": "text",
        });
        for (path, expected) in [
            (&["a", "b.c/d"][..], json!(1)),
            (&["a", ""], json!(2)),
            (&["a", "k=v"], json!("v")),
            (&["a", "k=w"], json!(3)),
            (&["a", "x=y=z"], json!(4)),
            (&["a", "0"], json!(5)),
            (&["a", "[q"], json!(6)),
            (&["l", "01"], json!(7)),
            (&["l", "+1"], json!(7)),
            (&["l", "-1", "0"], json!(8)),
            (&["l", "[n=y]", "v"], json!(1.0)),
            (&["l", "[v=1]", "n"], json!("x")),
            (&["s"], json!("text")),
        ] {
            assert_eq!(find(path, &value), Some(expected), "{path:?}");
        }
        for nothing in [
            &["n"][..],
            &["n", "x"],
            &["s", "0"],
            &["l", "4"],
            &["l", "-5"],
            &["l", "1.0"],
            &["l", " 1"],
            &["l", "0x1"],
            &["l", ""],
            &["l", "[n=z]"],
            &["l", "[q=0]"],
            &["a", "[k=v]"],
            &["a", "k=other"],
        ] {
            assert_eq!(find(nothing, &value), None, "{nothing:?}");
        }
        assert_eq!(find(&[], &value), Some(value));
    }

    #[test]
    fn a_search_compares_texts_numbers_and_flags_and_takes_the_earliest() {
        let first = |search: &str, values: Value| {
            let items: Vec<_> = values
                .as_array()
                .unwrap()
                .iter()
                .enumerate()
                .map(|(at, v)| json!({ "k": v, "at": at }))
                .collect();
            find(&[search, "at"], &Value::from(items)).and_then(|at| at.as_u64())
        };
        for (search, values, at) in [
            ("[k=False]", json!(["Unknown", "False"]), Some(0)),
            ("[k=False]", json!(["x", "no", false]), Some(1)),
            ("[k=True]", json!([0, true]), Some(1)),
            ("[k=True]", json!(["yes"]), Some(0)),
            ("[k=t]", json!([true]), Some(0)),
            ("[k=t]", json!([1]), None),
            ("[k=1Ki]", json!([1024]), Some(0)),
            ("[k=50%]", json!(["0.5"]), Some(0)),
            ("[k=1970-01-01T00:00:07Z]", json!([7]), Some(0)),
            ("[k=nan]", json!(["NaN", "nan"]), Some(1)),
            ("[k=]", json!(["x", ""]), Some(1)),
            ("[k=a=b]", json!(["a=b"]), Some(0)),
            ("[k=x]", json!([{}, null, ["x"]]), None),
        ] {
            assert_eq!(first(search, values.clone()), at, "{search} in {values}");
        }
    }

    #[test]
    fn brackets_without_an_equals_sign_mean_nothing() {
        for (path, at) in [(&["a", "[]"][..], 1), (&["[0]"], 0), (&["[a]", "[]"], 0)] {
            assert_eq!(Path::compile(path.iter().copied()), Err(BadStep { at }));
        }
        for fine in ["[", "]", "[a=]", "[=]", "a[0]", "[a"] {
            assert!(Path::compile([fine]).is_ok(), "{fine}");
        }
    }

    #[test]
    fn fields_end_where_more_than_names_follow() {
        for (path, fields) in [
            (&["a", "b"][..], "a.b"),
            (&["a", "b.c"], "a"),
            (&["a", "0", "b"], "a"),
            (&["a", "[k=v]", "b"], "a"),
            (&["k=v"], ""),
            (&[], ""),
            (&["a", ""], "a"),
            (&["a", "b[]", "c"], "a"),
        ] {
            assert_eq!(
                Path::compile(path.iter().copied()).unwrap().fields(),
                fields
            );
        }
    }
}
