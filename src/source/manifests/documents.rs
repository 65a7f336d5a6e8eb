//! Splits the text of a manifest into YAML documents or JSON values, and splits lists into their items. A *sink* is a
//! closure that receives each resulting object, or an error.
//!
//! YAML has the same meaning as for kubectl (see `src/yaml/json.rs`).

mod duplicate_keys;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::decode::without_position;
use crate::yaml::{self, SyntaxError};

/// One object of a text, as JSON.
pub(crate) struct Document<'t> {
    pub(crate) api_version: Option<&'t str>,
    pub(crate) kind: Option<&'t str>,
    pub(crate) json: &'t str,
    /// The field `metadata` as JSON.
    metadata: Option<&'t str>,
    /// The number of the line where the document begins, counted from 1.
    pub(crate) line: usize,
    /// The index of the object in its list, if it is an item of a list.
    pub(crate) item: Option<usize>,
}

/// The keys of objects (see [`Document::key`]), for each API version and kind.
pub(super) type ObjectKeys = BTreeMap<(String, String), Vec<Box<str>>>;

/// The error for a document that cannot be parsed.
pub(crate) struct Syntax {
    pub(crate) line: usize,
    pub(crate) problem: String,
}

/// A closure that receives each object of a text, or an error.
pub(crate) type Sink<'s> = dyn FnMut(Result<Document<'_>, Syntax>) + 's;

/// Passes every object of a text to the sink. For an invalid document, passes an error to the sink.
pub(crate) fn each(text: &str, sink: &mut Sink<'_>) {
    let (mut start, mut first) = (0, 1);
    // Directives, such as `%TAG`, belong to the next document. They can only follow the start of the text or the line
    // `...`, which ends a document.
    let (mut is_outside, mut directives) = (true, None);
    // A line that begins with `---` separates two documents.
    for (at, line) in lines(text).chain([(text.len(), "---")]) {
        if is_separator(line) {
            let end = directives.take().unwrap_or(at);
            let part = text.get(start..end).unwrap_or_default();
            document(part, first, sink);
            first += line_breaks(part);
            start = end;
            is_outside = false;
        } else if line.trim_end() == "..." {
            (is_outside, directives) = (true, None);
        } else if is_outside && without_mark(line).starts_with('%') {
            directives = directives.or(Some(at));
        } else if is_outside && !(line.trim().is_empty() || line.starts_with('#')) {
            (is_outside, directives) = (false, None);
        }
    }
}

/// Removes a byte order mark. If files were joined to one file, each document may begin with a mark.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn is_space_or_mark(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

/// Passes the objects between two separators (`---`) to the sink. `line` is the number of the first line of `text`.
fn document(text: &str, line: usize, sink: &mut Sink<'_>) {
    let text = without_mark(text);
    let (body, first) = match text.split_once('\n') {
        Some((separator, rest)) if separator.trim_end() == "---" => (rest, line + 1),
        _ => (text, line),
    };
    let unmarked = without_mark(body);
    if is_json(unmarked) {
        values(unmarked, first, sink);
    } else if unmarked.len() < body.len() {
        // The YAML parser refuses a mark after the separator.
        yaml_document(unmarked, first, sink);
    } else {
        yaml_document(text, line, sink);
    }
}

/// Whether a document is probably JSON. A YAML document may also begin with a brace, but then its first key rarely has
/// quotation marks.
fn is_json(text: &str) -> bool {
    let begins = text.trim_start();
    match begins.strip_prefix('{') {
        Some(inner) => inner.trim_start().starts_with(['"', '}']) || text.contains("\n{\""),
        None => begins.starts_with('['),
    }
}

/// Passes the objects of a sequence of JSON values, such as JSON lines, to the sink. The text may also be YAML that
/// begins like JSON. `first` is the number of the first line of the text.
fn values(text: &str, first: usize, sink: &mut Sink<'_>) {
    let (mut from, mut line, mut counted) = (0, first, 0);
    let mut is_first = true;
    while let Some(rest) = text.get(from..) {
        let trimmed = rest.trim_start_matches(is_space_or_mark);
        if trimmed.is_empty() {
            return;
        }
        from += rest.len() - trimmed.len();
        let rest = trimmed;
        line += line_breaks(text.get(counted..from).unwrap_or_default());
        counted = from;
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        match values.next() {
            Some(Ok(value)) => {
                from += values.byte_offset();
                match duplicate_keys::find(value.get()) {
                    None => objects(value.get(), line, sink),
                    Some(duplicate) => sink(Err(Syntax {
                        line: line + duplicate.second.line.saturating_sub(1),
                        problem: duplicate.problem(line),
                    })),
                }
            }
            Some(Err(error)) => {
                // As in kubectl, if the text is not JSON, try YAML. For example, YAML allows a comma after the last
                // entry of a map.
                if is_first && error.is_syntax() && flow_documents(text, first, sink) {
                    return;
                }
                let problem = format!("not valid JSON at column {}", error.column());
                sink(Err(Syntax {
                    line: line + error.line().saturating_sub(1),
                    problem,
                }));
                // The text ends before the value ends, so there are no further values.
                if error.is_eof() {
                    return;
                }
                // Continue with the next line that begins with an object. The search starts at the error, so that no
                // text is parsed twice.
                let wrong = position(rest, &error);
                from += next_object(rest, wrong).unwrap_or(rest.len());
            }
            None => return,
        }
        is_first = false;
    }
}

/// Parses a text that begins like JSON as YAML. If the text is YAML, passes its objects to the sink and returns true.
fn flow_documents(text: &str, line: usize, sink: &mut Sink<'_>) -> bool {
    let roots: Result<Vec<_>, _> = yaml::Documents::new(text, line).collect();
    let Ok(roots) = roots else {
        return false;
    };
    for root in roots {
        yaml_root(Ok(root), text.len(), sink);
    }
    true
}

/// Returns the offset in the text at which the JSON decoder found an error.
fn position(text: &str, error: &serde_json::Error) -> usize {
    let mut breaks = memchr::memchr_iter(b'\n', text.as_bytes());
    let line = match error.line() {
        0 | 1 => Some(0),
        line => breaks.nth(line - 2).map(|at| at + 1),
    };
    line.map_or(text.len(), |line| line + error.column())
}

/// Returns the offset of the next line that begins with `{`. `error` is the position of the error. The error may be at
/// the brace of the next line, so the search begins a little before the error.
fn next_object(text: &str, error: usize) -> Option<usize> {
    let from = error.saturating_sub(2);
    let found = memchr::memmem::find(text.as_bytes().get(from..)?, b"\n{");
    found.map(|at| from + at + 1)
}

/// Whether a line is a separator between documents.
fn is_separator(line: &str) -> bool {
    without_mark(line)
        .strip_prefix("---")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn yaml_document(text: &str, line: usize, sink: &mut Sink<'_>) {
    let is_empty = lines(text).all(|(_, line)| {
        let line = line.strip_prefix("---").unwrap_or(line).trim();
        line.is_empty() || line.starts_with(['#', '%'])
    });
    if is_empty {
        return;
    }
    for root in yaml::Documents::new(text, line) {
        yaml_root(root, text.len(), sink);
    }
}

/// Passes the objects of a YAML document to the sink.
fn yaml_root(root: Result<Arc<yaml::Node>, SyntaxError>, bytes: usize, sink: &mut Sink<'_>) {
    let json = match root {
        // `root.line` is the line where the object begins. Separators and comments before the object do not count.
        Ok(root) if !root.is_null() => yaml::to_json(&root, bytes).map(|json| (root.line, json)),
        Ok(_) => return,
        Err(error) => Err(error),
    };
    match json {
        Ok((line, json)) => objects(&json, line, sink),
        Err(SyntaxError { line, problem }) => sink(Err(Syntax { line, problem })),
    }
}

/// The fields that identify an object, and the items if the object is a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head<'j> {
    #[serde(borrow, default)]
    api_version: Option<Cow<'j, str>>,
    #[serde(borrow, default)]
    kind: Option<Cow<'j, str>>,
    #[serde(borrow, default)]
    metadata: Option<&'j RawValue>,
    /// If the value is `null`, the list is empty, because Go writes empty lists as `null`.
    #[serde(borrow, default, deserialize_with = "items")]
    items: Option<Vec<&'j RawValue>>,
}

/// The fields in the metadata of an object that must be strings.
#[derive(Deserialize)]
struct Names<'j> {
    #[serde(borrow, default)]
    name: Option<&'j RawValue>,
    #[serde(borrow, default)]
    namespace: Option<&'j RawValue>,
}

/// The names in the metadata of an object.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'j> {
    #[serde(borrow, default)]
    name: Option<Cow<'j, str>>,
    #[serde(borrow, default)]
    namespace: Option<Cow<'j, str>>,
    #[serde(borrow, default)]
    generate_name: Option<&'j RawValue>,
}

/// The name of an object.
pub(super) enum Name {
    /// The object has a name, or its metadata cannot be decoded.
    Present,
    Missing,
    /// Only an API server creates the name, from the field `generateName`.
    Generated,
}

fn items<'j, D: Deserializer<'j>>(items: D) -> Result<Option<Vec<&'j RawValue>>, D::Error> {
    let items: Option<Vec<&RawValue>> = Option::deserialize(items)?;
    Ok(Some(items.unwrap_or_default()))
}

/// Passes an object to the sink. If the object is a list, passes its items to the sink.
fn objects(json: &str, line: usize, sink: &mut Sink<'_>) {
    if json.starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
        for (at, item) in items.into_iter().enumerate() {
            item_of_list(item.get(), line, at, (None, None), sink);
        }
        return;
    }
    let head = match Head::of(json) {
        Ok(head) => head,
        Err(problem) => return sink(Err(Syntax { line, problem })),
    };
    let (api_version, kind) = (head.api_version.as_deref(), head.kind.as_deref());
    if !head.is_list() {
        if let Err(problem) = head.check_names() {
            return sink(Err(Syntax { line, problem }));
        }
        return sink(Ok(Document {
            api_version,
            kind,
            json,
            metadata: head.metadata.map(RawValue::get),
            line,
            item: None,
        }));
    }
    // In a typed list, such as a PodList, the items may have no kind. The name of the list contains the kind of the
    // items.
    let item_kind = kind
        .and_then(|kind| kind.strip_suffix("List"))
        .filter(|kind| !kind.is_empty());
    let of_list = (api_version.filter(|_| item_kind.is_some()), item_kind);
    for (at, item) in head.items.iter().flatten().enumerate() {
        item_of_list(item.get(), line, at, of_list, sink);
    }
}

/// Passes an item of a list to the sink. If the item has no API version and kind, they come from the list. An item must
/// not be a list itself, so that an input cannot cause an endless recursion.
fn item_of_list(
    json: &str,
    line: usize,
    item: usize,
    (api_version, kind): (Option<&str>, Option<&str>),
    sink: &mut Sink<'_>,
) {
    let head = Head::of(json).and_then(|head| head.check_names().map(|()| head));
    match head {
        Ok(head) if !head.is_list() => sink(Ok(Document {
            api_version: head.api_version.as_deref().or(api_version),
            kind: head.kind.as_deref().or(kind),
            json,
            metadata: head.metadata.map(RawValue::get),
            line,
            item: Some(item),
        })),
        Ok(_) => sink(Err(Syntax {
            line,
            problem: format!("item {item} of the list is a list; move its items to the outer list"),
        })),
        Err(problem) => sink(Err(Syntax {
            line,
            problem: format!("item {item} of the list: {problem}"),
        })),
    }
}

// === impl Document ===

impl Document<'_> {
    /// Returns `namespace/name`, or `/name` if the object has no namespace. Returns `None` if the document has no API
    /// version, no kind or no name.
    pub(super) fn key(&self) -> Option<Box<str>> {
        self.api_version.and(self.kind)?;
        let Identity {
            name, namespace, ..
        } = self.identity()?;
        let name = name.filter(|name| !name.is_empty())?;
        Some(format!("{}/{name}", namespace.unwrap_or_default()).into_boxed_str())
    }

    /// Whether the object has a name.
    pub(super) fn name(&self) -> Name {
        match self.identity() {
            Some(own) if own.name.as_ref().is_none_or(|name| name.is_empty()) => {
                match own.generate_name {
                    Some(generate) if generate.get() != "null" => Name::Generated,
                    _ => Name::Missing,
                }
            }
            _ => Name::Present,
        }
    }

    /// The names in the metadata; `None` if they are not strings.
    fn identity(&self) -> Option<Identity<'_>> {
        let metadata = self.metadata.filter(|metadata| *metadata != "null");
        metadata.map_or(Some(Identity::default()), |metadata| {
            serde_json::from_str(metadata).ok()
        })
    }
}

// === impl Head ===

impl<'j> Head<'j> {
    /// Reads the fields that identify an object. If this fails, the error describes the problem.
    fn of(json: &'j str) -> Result<Self, String> {
        serde_json::from_str(json).map_err(|error| {
            let error = error.to_string();
            let what = match without_position(&error) {
                _ if json.starts_with('[') => "it is a list",
                // The module `duplicate_keys` usually reports duplicate keys. If it cannot, because an object is nested
                // too deeply, use the error of the decoder.
                reason if reason.starts_with("duplicate field") => reason,
                _ => "it must be a map in which apiVersion and kind are strings",
            };
            format!("not a Kubernetes object: {what}")
        })
    }

    /// Checks that the name and the namespace are strings. If YAML reads a name as a boolean or a number, this is
    /// probably a mistake in the manifest. The decoder of custom resources does not detect such a mistake.
    fn check_names(&self) -> Result<(), String> {
        let names = self.metadata.map(|json| serde_json::from_str(json.get()));
        let Some(Ok(Names { name, namespace })) = names else {
            return Ok(());
        };
        for (field, value) in [("name", name), ("namespace", namespace)] {
            let value = value.map_or("null", RawValue::get);
            if value != "null" && !value.starts_with(['"', '{', '[']) {
                return Err(format!(
                    "metadata.{field} must be a string; put it in quotes"
                ));
            }
        }
        Ok(())
    }

    fn is_list(&self) -> bool {
        let kind = self.kind.as_deref().unwrap_or_default();
        self.items.is_some() && kind.ends_with("List")
    }
}

/// Converts an object to a JSON value. If the object is an item of a typed list, the value gets its API version and
/// kind from the list.
#[cfg(any(feature = "custom-resources", feature = "testing"))]
pub(crate) fn whole(document: &Document<'_>) -> Result<serde_json::Value, Syntax> {
    let unreadable = |error: serde_json::Error| {
        // Remove the position from the error message, because it may be the position in the converted JSON and not in
        // the file.
        let error = error.to_string();
        let error = without_position(&error);
        Syntax {
            line: document.line,
            problem: format!("cannot read the object: {error}"),
        }
    };
    let mut object: serde_json::Value = serde_json::from_str(document.json).map_err(unreadable)?;
    for (name, text) in [
        ("apiVersion", document.api_version),
        ("kind", document.kind),
    ] {
        if let (Some(fields), Some(text)) = (object.as_object_mut(), text) {
            fields.entry(name).or_insert_with(|| text.into());
        }
    }
    Ok(object)
}

/// Returns each line with its offset in the text.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |offset, line| {
        let start = *offset;
        *offset += line.len();
        Some((start, line))
    })
}

fn line_breaks(text: &str) -> usize {
    memchr::memchr_iter(b'\n', text.as_bytes()).count()
}
