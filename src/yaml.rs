//! Reads YAML as a tree of nodes. Each node has its line number, and each scalar has its source text.
//!
//! The scalars in the tree have no types such as number or string. For a configuration of custom resources, the crate
//! uses the source text of a scalar (`1.50` stays `1.50`). For a manifest, the crate reads a scalar like kubectl
//! (`1.50` is the number 1.5). The syntax is [YAML 1.2](https://yaml.org/spec/1.2.2/), with the merge key `<<` of [YAML
//! 1.1](https://yaml.org/type/merge.html).

mod entries;
#[cfg(feature = "manifests")]
mod json;
#[cfg(feature = "manifests")]
mod resolve;
#[cfg(feature = "custom-resources")]
mod source_text;

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, StrInput, Tag as ParserTag};

pub(crate) use entries::{MapProblem, Merges, entries};
#[cfg(feature = "manifests")]
pub(crate) use json::to_json;

/// Maximum number of nested levels of a document, including the values of aliases. This limit bounds the depth of
/// recursive functions. The JSON decoder accepts one level less, so it refuses a manifest with exactly this many
/// levels.
const MAX_DEPTH: usize = 128;

/// A value, and the line where the value begins.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    /// The line number, counted from 1.
    pub(crate) line: usize,
    /// The number of nested levels of lists and maps, including the node itself; 0 for a scalar.
    depth: usize,
}

#[derive(Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Arc<Node>>),
    Map(Vec<(Arc<Node>, Arc<Node>)>),
}

#[derive(Debug)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Whether the scalar is plain, that is without quotes and not a block scalar.
    pub(crate) plain: bool,
    tag: Tag,
}

/// The tag of a scalar.
#[derive(Debug, PartialEq, Eq)]
enum Tag {
    None,
    /// The name of a type that YAML defines, such as `binary`.
    Core(Box<str>),
    /// Any other tag, which an application defines.
    Other,
}

/// A document that cannot be read.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    /// The line number, counted from 1.
    pub(crate) line: usize,
    pub(crate) problem: String,
}

/// An iterator over the documents of a text. After an error, the iterator returns no further documents.
pub(crate) struct Documents<'t> {
    events: Parser<'t, StrInput<'t>>,
    /// The line where the text begins, counted from 1.
    first_line: usize,
    has_failed: bool,
}

/// A list or a map whose end has not been read yet.
struct Open {
    items: Vec<Arc<Node>>,
    is_map: bool,
    line: usize,
    anchor: usize,
}

/// The first document of a text.
#[cfg(any(feature = "custom-resources", test))]
#[derive(Debug)]
pub(crate) struct FirstDocument {
    /// The root of the document; `None` if the text has no document.
    pub(crate) root: Option<Arc<Node>>,
    /// The line of the first later document that is not empty.
    pub(crate) later: Option<usize>,
}

/// Reads the first document of a text. Later documents may be empty: for example, a text may end with `---`.
#[cfg(any(feature = "custom-resources", test))]
pub(crate) fn first_document(text: &str) -> Result<FirstDocument, SyntaxError> {
    let mut documents = Documents::new(text, 1);
    let root = documents.next().transpose()?;
    let later = documents.find_map(|later| match later {
        Ok(later) if later.is_null() => None,
        Ok(later) => Some(later.line),
        Err(error) => Some(error.line),
    });
    Ok(FirstDocument { root, later })
}

// === impl Documents ===

impl<'t> Documents<'t> {
    /// Creates a reader of the documents of a text. `first_line` is the line where the text begins in its file, counted
    /// from 1.
    pub(crate) fn new(text: &'t str, first_line: usize) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let options = granit_parser::options! { emit_comments: false };
        Self {
            events: Parser::new_from_str_with_options(text, options),
            first_line,
            has_failed: false,
        }
    }

    /// Returns the next document, or `None` after the last document.
    fn document(&mut self) -> Result<Option<Arc<Node>>, SyntaxError> {
        let mut anchors: HashMap<usize, Arc<Node>> = HashMap::new();
        let mut open: Vec<Open> = Vec::new();
        let mut root = None;
        let before = self.first_line.saturating_sub(1);
        for event in &mut self.events {
            let (event, span) = event.map_err(|error| SyntaxError {
                line: before + error.marker().line(),
                problem: format!("not valid YAML: {}", error.info()),
            })?;
            let line = before + span.start.line();
            let (node, anchor) = match event {
                Event::DocumentEnd => return Ok(root),
                Event::Scalar(value, style, anchor, tag) => {
                    let scalar = Scalar {
                        text: value.into_owned(),
                        plain: style == ScalarStyle::Plain,
                        tag: tag.map_or(Tag::None, |tag| Tag::of(&tag)),
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
                        let problem =
                            String::from("an alias refers to a value that contains the alias");
                        return Err(SyntaxError { line, problem });
                    }
                },
                _ => continue,
            };
            if node.depth > MAX_DEPTH {
                let problem = format!("lists and maps are nested deeper than {MAX_DEPTH} levels");
                return Err(SyntaxError { line, problem });
            }
            if anchor > 0 {
                anchors.insert(anchor, Arc::clone(&node));
            }
            match open.last_mut() {
                Some(parent) => parent.items.push(node),
                None => root = Some(node),
            }
        }
        Ok(None)
    }
}

impl Iterator for Documents<'_> {
    type Item = Result<Arc<Node>, SyntaxError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let document = self.document().transpose();
        self.has_failed = matches!(document, Some(Err(_)));
        document
    }
}

// === impl Tag ===

impl Tag {
    fn of(tag: &ParserTag) -> Self {
        let name = format!("{}{}", tag.handle(), tag.suffix());
        match name.strip_prefix("tag:yaml.org,2002:") {
            Some(core) => Self::Core(core.into()),
            None => Self::Other,
        }
    }

    fn core(&self) -> Option<&str> {
        match self {
            Self::Core(name) => Some(name),
            Self::None | Self::Other => None,
        }
    }
}

// === impl Open ===

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
        let below = self.items.iter().map(|item| item.depth).max();
        Arc::new(Node {
            value,
            line: self.line,
            depth: 1 + below.unwrap_or_default(),
        })
    }
}

// === impl Node ===

impl Node {
    fn new(value: Value, line: usize) -> Arc<Self> {
        let depth = 0;
        Arc::new(Self { value, line, depth })
    }

    /// Whether the node is null: `null`, `~`, or no text.
    pub(crate) fn is_null(&self) -> bool {
        let Value::Scalar(scalar) = &self.value else {
            return false;
        };
        match scalar.tag.core() {
            Some(tag) => tag == "null",
            None => {
                let text = scalar.text.as_str();
                scalar.plain && matches!(text, "" | "~" | "null" | "Null" | "NULL")
            }
        }
    }
}

#[cfg(all(test, feature = "custom-resources"))]
mod tests;
