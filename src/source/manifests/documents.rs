//! The documents of a text: YAML documents or JSON values, with lists split into items.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// One object, as JSON.
pub(crate) struct Document<'t> {
    pub(crate) api_version: Option<&'t str>,
    pub(crate) kind: Option<&'t str>,
    pub(crate) json: &'t str,
    /// The line where the document begins, counted from 1.
    pub(crate) line: usize,
    /// The index in a list.
    pub(crate) item: Option<usize>,
}

/// A document that cannot be parsed.
pub(crate) struct Syntax {
    pub(crate) line: usize,
    pub(crate) problem: String,
}

/// Receives the documents of a text.
pub(crate) type Sink<'s> = dyn FnMut(Result<Document<'_>, Syntax>) + 's;

/// Passes every object of a text, or the error of a document, to the sink.
pub(crate) fn each(text: &str, sink: &mut Sink<'_>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut start, mut first) = (0, 1);
    // Documents begin with lines of `---`.
    for (at, line) in lines(text).chain([(text.len(), "---")]) {
        if is_separator(line) {
            let part = text.get(start..at).unwrap_or_default();
            document(part, first, sink);
            first += line_breaks(part);
            start = at;
        }
    }
}

/// Passes the objects between two separators to the sink. `line` is the first line.
fn document(text: &str, line: usize, sink: &mut Sink<'_>) {
    let (body, first) = match text.split_once('\n') {
        Some((separator, rest)) if separator.trim_end() == "---" => (rest, line + 1),
        _ => (text, line),
    };
    if is_json(body) {
        json_values(body, first, sink);
    } else {
        yaml_document(text, line, sink);
    }
}

/// Whether a document is JSON. A YAML document may begin with a brace as well, but its keys are
/// rarely quoted.
fn is_json(text: &str) -> bool {
    let begins = text.trim_start();
    match begins.strip_prefix('{') {
        Some(inner) => inner.trim_start().starts_with(['"', '}']) || text.contains("\n{\""),
        None => begins.starts_with('['),
    }
}

/// A sequence of values, such as JSON lines. `first` is the line of the text.
fn json_values(text: &str, first: usize, sink: &mut Sink<'_>) {
    let (mut from, mut line, mut counted) = (0, first, 0);
    while let Some(rest) = text
        .get(from..)
        .filter(|rest| !rest.trim_start().is_empty())
    {
        from += rest.len() - rest.trim_start().len();
        let rest = rest.trim_start();
        line += line_breaks(text.get(counted..from).unwrap_or_default());
        counted = from;
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        match values.next() {
            Some(Ok(value)) => {
                from += values.byte_offset();
                objects(value.get(), line, sink);
            }
            Some(Err(error)) => {
                let line = line + error.line().saturating_sub(1);
                let problem = format!("not valid JSON at column {}", error.column());
                sink(Err(Syntax { line, problem }));
                // JSON lines continue with the next object that begins a line.
                from += next_object(rest).unwrap_or(rest.len());
            }
            None => return,
        }
    }
}

/// Where the next line begins that starts with an object.
fn next_object(text: &str) -> Option<usize> {
    text.find("\n{").map(|at| at + 1)
}

/// Whether a line begins a document.
fn is_separator(line: &str) -> bool {
    line.strip_prefix("---")
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
    // The line of the object, not of the separator or of a comment.
    let begins = lines(text).take_while(|(_, line)| {
        let line = line.trim();
        line.is_empty() || line.starts_with(['#', '%']) || line == "---"
    });
    let first = line + begins.count();
    match serde_saphyr::from_str_with_options::<serde_json::Value>(text, options()) {
        Ok(serde_json::Value::Null) => {}
        Ok(value) => objects(&value.to_string(), first, sink),
        Err(error) => {
            let location = error.location().map(|at| at.line()).unwrap_or(1);
            let within = usize::try_from(location).unwrap_or(1).saturating_sub(1);
            // Without the snippet, since the surrounding lines may contain a secret.
            let problem = format!("not valid YAML: {}", error.without_snippet());
            sink(Err(Syntax {
                line: line + within,
                problem,
            }));
        }
    }
}

/// No limits on the size, since dumps of whole clusters are large. Aliases stay limited.
fn options() -> serde_saphyr::Options {
    let mut options = serde_saphyr::Options::default();
    // YAML 1.2: a namespace may be called `n` or `on`.
    options.strict_booleans = true;
    if let Some(budget) = &mut options.budget {
        budget.max_events = usize::MAX;
        budget.max_nodes = usize::MAX;
        budget.max_total_scalar_bytes = usize::MAX;
    }
    options
}

/// Passes an object, or the items of a list, to the sink.
fn objects(json: &str, line: usize, sink: &mut Sink<'_>) {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Head<'j> {
        #[serde(borrow, default)]
        api_version: Option<Cow<'j, str>>,
        #[serde(borrow, default)]
        kind: Option<Cow<'j, str>>,
        #[serde(borrow, default)]
        items: Option<Vec<&'j RawValue>>,
    }
    if json.starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
        for (at, item) in items.into_iter().enumerate() {
            item_of(item.get(), line, at, None, None, sink);
        }
        return;
    }
    let head: Head<'_> = match serde_json::from_str(json) {
        Ok(head) => head,
        Err(_) => {
            let problem = String::from("not a Kubernetes object");
            return sink(Err(Syntax { line, problem }));
        }
    };
    let (api_version, kind) = (head.api_version.as_deref(), head.kind.as_deref());
    let Some(items) = head
        .items
        .filter(|_| kind.is_some_and(|kind| kind.ends_with("List")))
    else {
        return sink(Ok(Document {
            api_version,
            kind,
            json,
            line,
            item: None,
        }));
    };
    // Items of a typed list, such as a PodList, need not repeat their kind.
    let item_kind = kind
        .and_then(|kind| kind.strip_suffix("List"))
        .filter(|kind| !kind.is_empty());
    for (at, item) in items.into_iter().enumerate() {
        item_of(
            item.get(),
            line,
            at,
            api_version.filter(|_| item_kind.is_some()),
            item_kind,
            sink,
        );
    }
}

fn item_of(
    json: &str,
    line: usize,
    item: usize,
    api_version: Option<&str>,
    kind: Option<&str>,
    sink: &mut Sink<'_>,
) {
    objects(json, line, &mut |document| match document {
        Ok(document) => sink(Ok(Document {
            api_version: document.api_version.or(api_version),
            kind: document.kind.or(kind),
            json: document.json,
            line: document.line,
            item: Some(item),
        })),
        Err(error) => sink(Err(error)),
    });
}

/// A document as a value. Items of typed lists get their API version and kind.
#[cfg(any(feature = "custom-resources", feature = "testing"))]
pub(crate) fn whole(document: &Document<'_>) -> Result<serde_json::Value, Syntax> {
    let unreadable = |error: serde_json::Error| {
        // The position in the object depends on how the object was written.
        let error = error.to_string();
        let (error, _) = error.rsplit_once(" at line ").unwrap_or((&error, ""));
        Syntax {
            line: document.line,
            problem: format!("not an object that can be read: {error}"),
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

/// Lines, each with its offset.
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
