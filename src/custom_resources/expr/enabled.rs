//! Expressions in CEL, with which a configuration computes values and labels of samples. The crate `cel` parses and
//! evaluates them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::thread;

use cel::common::ast::{EntryExpr, Expr as Expression, LiteralValue, MapExpr, StructExpr};
use cel::common::types::CelNull;
use cel::common::value::Val;
use cel::objects::{Key, Map};
use cel::{Context, Env, IdedExpr, Program};
use serde_json::{Number, Value};

use super::super::labels::text;
use super::super::number::to_number;
use super::cost::{charge, json_size};
use super::object_variable::ObjectVariable;
use super::variables::Variables;
use super::{cost, metering};
use crate::errors::shortened;

/// A compiled expression.
pub(in super::super) struct Expr {
    /// The expression after the addition of the functions that count its cost.
    expression: IdedExpr,
    source: Box<str>,
    /// The fields of `object` that the expression reads, as a tree. `None` if the expression does not use `object`. An
    /// empty tree stands for the whole object.
    object: Option<Fields>,
    names_item: bool,
}

/// The stack size of the thread that parses expressions, in bytes.
pub(super) const PARSER_STACK: usize = 16 << 20;

/// A tree of fields. The key is the name of a field, and the value is the tree of its fields. If a tree has no names,
/// the expression reads all fields.
#[derive(Debug, Default)]
struct Fields(BTreeMap<String, Fields>);

/// The error of an expression whose evaluation exceeds the limit on the cost.
const EXCEEDED: &str = "the expressions of the family cost too much for this object; simplify them, or raise the limit on their cost";

/// The language of expressions: CEL with its extensions for strings, lists and numbers.
pub(super) static LANGUAGE: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    // If an extension cannot be added, expressions that use the extension report an unknown function.
    let _ = cel::extensions::strings(&mut env);
    let _ = cel::extensions::lists(&mut env);
    let _ = cel::extensions::math(&mut env);
    // The error is ignored here: if these functions are missing, every expression reports an unknown function.
    let _ = cost::add_functions(&mut env);
    Arc::new(env)
});

thread_local! {
    /// The functions of expressions. All evaluations on this thread share them.
    static FUNCTIONS: Context<'static, 'static> = {
        let mut context = Context::with_env(Arc::clone(&LANGUAGE));
        // Ignore a failure to add a function: expressions that use this function then report an unknown function.
        let _ = context.add_function("number", |value: cel::Value| number(&value));
        let _ = context.add_function("condition", |conditions: cel::Value, kind: Arc<String>| {
            condition(&conditions, &kind)
        });
        let _ = context.add_function("countBy", |values: cel::Value| count_by(&values));
        context
    };
}

impl Expr {
    /// Compiles an expression whose size was checked. Other code calls [`Budget::compile`](super::Budget::compile).
    pub(super) fn compile_checked(source: &str) -> Result<Self, String> {
        let program = parse(source)?;
        let mut names = BTreeSet::new();
        let mut paths = Vec::new();
        free_names(
            program.expression(),
            &mut Vec::new(),
            &mut names,
            &mut paths,
        );
        if let Some(name) = names.iter().find(|name| !KNOWN.contains(name)) {
            return Err(format!(
                "`{name}` is not a known name; an expression can use `object`, `item` and `key`"
            ));
        }
        let names_item = names.contains("item");
        let object = names.contains("object").then(|| Fields::of(paths));
        Ok(Self {
            expression: metering::metered(program.expression()),
            source: source.into(),
            object,
            names_item,
        })
    }

    /// Evaluates the expression, and returns the result. An error must not contain values from the object.
    pub(in super::super) fn evaluate(&self, variables: &Variables<'_>) -> Result<Value, String> {
        let meter = variables.meter;
        if meter.is_exceeded() {
            return Err(EXCEEDED.to_owned());
        }
        let evaluated = cost::metered(meter, || self.evaluate_metered(variables));
        // An operator such as `||` can hide the error of its operand, so the limit is checked again.
        if meter.is_exceeded() {
            return Err(EXCEEDED.to_owned());
        }
        evaluated.map_err(|error| describe(&error).to_owned())
    }

    fn evaluate_metered(&self, variables: &Variables<'_>) -> Result<Value, cel::ExecutionError> {
        let object = match &self.object {
            Some(fields) => Some(fields.variable(self, variables)?),
            None => None,
        };
        FUNCTIONS.with(|functions| {
            let functions: &Context<'_, '_> = functions;
            let mut context = functions.new_inner_scope();
            if let Some(object) = &object {
                context.set_variable_resolver(&**object);
            }
            if self.names_item {
                charge(json_size(variables.item))?;
                context.add_variable_from_value("item", to_cel(variables.item));
            }
            let key = variables.key.map_or(cel::Value::Null, cel::Value::from);
            context.add_variable_from_value("key", key);
            let value = cel::Value::resolve(&self.expression, &context)?;
            Ok(to_json(&value))
        })
    }
}

impl Expr {
    /// Returns the fields of the object that the expression reads, as dotted paths. An empty path stands for the whole
    /// object.
    pub(in super::super) fn reads(&self) -> Vec<String> {
        let mut reads = Vec::new();
        if let Some(fields) = &self.object {
            fields.list(String::new(), &mut reads);
        }
        reads
    }

    #[cfg(test)]
    pub(super) fn compile(source: &str) -> Result<Self, String> {
        super::Budget::default().compile(source)
    }

    #[cfg(test)]
    pub(super) fn expression(&self) -> &IdedExpr {
        &self.expression
    }

    pub(in super::super) fn names_item(&self) -> bool {
        self.names_item
    }
}

/// Parses an expression on a thread with a large stack. In a debug build, the parser needs 150 KiB of stack for each
/// bracket.
fn parse(source: &str) -> Result<Program, String> {
    let parse = || {
        let program = LANGUAGE.compile(source);
        program.map_err(|error| format!("not an expression: {}", first_error(error)))
    };
    thread::scope(|scope| {
        let builder = thread::Builder::new().stack_size(PARSER_STACK);
        let parser = builder.spawn_scoped(scope, parse);
        let parser = parser
            .map_err(|error| format!("cannot start a thread to parse the expression: {error}"))?;
        let parsed = parser.join();
        parsed.unwrap_or_else(|_| Err(String::from("not an expression: the parser panicked")))
    })
}

// === impl Fields ===

impl Fields {
    fn of(paths: Vec<Vec<&str>>) -> Self {
        let mut root = Self::default();
        // A path selects all fields below it. So the loop inserts longer paths first, and each shorter path then
        // replaces the longer paths that begin with it.
        let mut paths = paths;
        paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
        for path in paths {
            let mut fields = &mut root;
            for name in path {
                fields = fields.0.entry(name.to_owned()).or_default();
            }
            fields.0.clear();
        }
        root
    }

    fn list(&self, path: String, out: &mut Vec<String>) {
        if self.0.is_empty() {
            return out.push(path);
        }
        for (name, below) in &self.0 {
            let separator = if path.is_empty() { "" } else { "." };
            below.list(format!("{path}{separator}{name}"), out);
        }
    }

    /// Returns the variable `object`. The value is converted once, and all evaluations of the expression use it.
    fn variable(
        &self,
        expression: &Expr,
        variables: &Variables<'_>,
    ) -> Result<Rc<ObjectVariable>, cel::ExecutionError> {
        let address = std::ptr::from_ref(expression).addr();
        variables.meter.object(address, || {
            let value: Box<dyn Val> = match self.to_cel(variables.object).try_into() {
                Ok(value) => value,
                Err(_) => Box::new(CelNull),
            };
            charge(cost::size(&*value, u64::MAX))?;
            Ok(ObjectVariable(value))
        })
    }

    /// Converts a value to CEL. Fields that the expression does not read are not converted.
    fn to_cel(&self, value: &Value) -> cel::Value {
        match value {
            Value::Object(map) if !self.0.is_empty() => {
                let entries = self.0.iter().filter_map(|(name, below)| {
                    Some((Key::from(name.as_str()), below.to_cel(map.get(name)?)))
                });
                cel::Value::Map(Map {
                    map: Arc::new(entries.collect()),
                })
            }
            _ => to_cel(value),
        }
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expr").field(&self.source).finish()
    }
}

/// The names that every expression can use: variables, namespaces of functions, and types.
const KNOWN: [&str; 19] = [
    "object",
    "item",
    "key",
    "math",
    "lists",
    "strings",
    "cel",
    "optional",
    "int",
    "uint",
    "double",
    "bool",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
    "google",
];

/// Collects the fields that an expression selects, for example `b` and `c` of `a.b.c`. Returns the name before the
/// fields, for example `a`.
fn selection<'e>(expression: &'e IdedExpr, path: &mut Vec<&'e str>) -> Option<&'e str> {
    match &expression.expr {
        Expression::Ident(name) => Some(name.trim_start_matches('.')),
        Expression::Select(select) => {
            let root = selection(&select.operand, path)?;
            path.push(&select.field);
            Some(root)
        }
        // The optional field `b` of `a`: `a.?b`
        Expression::Call(call) if call.func_name == "_?._" && call.target.is_none() => {
            let [operand, field] = call.args.as_slice() else {
                return None;
            };
            let Expression::Literal(LiteralValue::String(field)) = &field.expr else {
                return None;
            };
            let root = selection(operand, path)?;
            path.push(field.inner());
            Some(root)
        }
        _ => None,
    }
}

/// Collects the names that an expression uses but does not define. Also collects the paths that it selects from
/// `object`.
fn free_names<'e>(
    expression: &'e IdedExpr,
    bound: &mut Vec<&'e str>,
    free: &mut BTreeSet<&'e str>,
    paths: &mut Vec<Vec<&'e str>>,
) {
    let mut path = Vec::new();
    if selection(expression, &mut path) == Some("object") && !bound.contains(&"object") {
        free.insert("object");
        paths.push(path);
        return;
    }
    match &expression.expr {
        Expression::Unspecified | Expression::Literal(_) => {}
        Expression::Ident(name) => {
            let name = name.trim_start_matches('.');
            if !bound.contains(&name) {
                free.insert(name);
            }
        }
        Expression::Call(call) => {
            for part in call.target.as_deref().into_iter().chain(&call.args) {
                free_names(part, bound, free, paths);
            }
        }
        Expression::Select(select) => free_names(&select.operand, bound, free, paths),
        Expression::List(list) => {
            for element in &list.elements {
                free_names(element, bound, free, paths);
            }
        }
        Expression::Map(MapExpr { entries }) | Expression::Struct(StructExpr { entries, .. }) => {
            for entry in entries {
                match &entry.expr {
                    EntryExpr::StructField(field) => free_names(&field.value, bound, free, paths),
                    EntryExpr::MapEntry(entry) => {
                        free_names(&entry.key, bound, free, paths);
                        free_names(&entry.value, bound, free, paths);
                    }
                }
            }
        }
        Expression::Comprehension(own) => {
            free_names(&own.iter_range, bound, free, paths);
            free_names(&own.accu_init, bound, free, paths);
            let outer = bound.len();
            bound.push(&own.accu_var);
            free_names(&own.result, bound, free, paths);
            bound.push(&own.iter_var);
            bound.extend(own.iter_var2.as_deref());
            free_names(&own.loop_cond, bound, free, paths);
            free_names(&own.loop_step, bound, free, paths);
            bound.truncate(outer);
        }
    }
}

/// Describes an error. The message of the crate `cel` is not used, because it can contain values of the object.
fn describe(error: &cel::ExecutionError) -> &'static str {
    use cel::ExecutionError as E;
    match error {
        E::NoSuchKey(_) => "a field is missing; test it with has(), or use `.?field.orValue()`",
        E::NoSuchOverload(_) | E::UnexpectedType { .. } | E::UnsupportedBinaryOperator(..) => {
            "an operator or a function does not accept values of these types"
        }
        E::UndeclaredReference(_) => "a function or a name is not known",
        E::DivisionByZero(_) | E::RemainderByZero(_) => "division by zero",
        E::IndexOutOfBounds(_) => "an index is out of bounds",
        E::ValuesNotComparable(..) => "two values cannot be compared",
        E::InvalidArgumentCount { .. } => "a function has too many or too few arguments",
        _ => "the evaluation failed",
    }
}

/// Returns the message of the first error of the parser. The complete text of the errors is not created, because it
/// repeats a line of the expression for each error.
fn first_error(errors: cel::ParseErrors) -> String {
    let first = errors.errors.into_iter().min_by_key(|error| error.pos);
    first.map_or_else(String::new, |error| {
        let (line, column) = error.pos;
        shortened(format!("ERROR: <input>:{line}:{column}: {}", error.msg))
    })
}

// === functions ===

/// `number(value)` converts the value as `valueFrom` does, and returns the number; `null` if the value is not a number.
fn number(value: &cel::Value) -> cel::Value {
    to_number(&to_json(value)).map_or(cel::Value::Null, cel::Value::Float)
}

/// `condition(list, type)` returns the status of the condition with this type; `Unknown` if the list has no such
/// condition.
fn condition(conditions: &cel::Value, kind: &str) -> cel::Value {
    let conditions = to_json(conditions);
    let conditions = conditions.as_array().into_iter().flatten();
    let mut own = conditions.filter(|own| own.get("type").and_then(Value::as_str) == Some(kind));
    let status = own.next().and_then(|own| own.get("status"));
    let status = status.and_then(Value::as_str).unwrap_or("Unknown");
    cel::Value::from(status)
}

/// `countBy(list)` returns a map. The keys of the map are the distinct elements of the list, as text. Each value is how
/// often the list contains the element.
fn count_by(values: &cel::Value) -> cel::Value {
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    if let cel::Value::List(values) = values {
        for value in values.iter() {
            let value = to_json(value);
            *counts.entry(text(&value).into_owned()).or_default() += 1;
        }
    }
    let map: HashMap<Key, cel::Value> = (counts.into_iter())
        .map(|(value, count)| (Key::from(value), cel::Value::Int(count)))
        .collect();
    cel::Value::Map(Map { map: Arc::new(map) })
}

// === conversions ===

fn to_cel(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(flag) => cel::Value::Bool(*flag),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => cel::Value::Int(integer),
            (None, Some(float)) => cel::Value::Float(float),
            (None, None) => cel::Value::Null,
        },
        Value::String(text) => cel::Value::String(Arc::new(text.clone())),
        Value::Array(items) => cel::Value::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Object(map) => {
            let entries = map.iter();
            let map = entries.map(|(key, value)| (Key::from(key.as_str()), to_cel(value)));
            cel::Value::Map(Map {
                map: Arc::new(map.collect()),
            })
        }
    }
}

/// Converts a result to JSON: times become Unix seconds, durations become seconds, and infinite numbers become strings.
fn to_json(value: &cel::Value) -> Value {
    let float = |float: f64| match Number::from_f64(float) {
        Some(number) => Value::Number(number),
        // JSON has no infinite numbers and no NaN, so they become strings. The conversion to sample values accepts
        // these strings as numbers.
        None => Value::from(float.to_string()),
    };
    match value {
        cel::Value::Bool(flag) => Value::Bool(*flag),
        cel::Value::Int(integer) => Value::from(*integer),
        cel::Value::UInt(integer) => Value::from(*integer),
        cel::Value::Float(own) => float(*own),
        cel::Value::String(text) => Value::from(text.as_str()),
        cel::Value::Bytes(bytes) => Value::from(String::from_utf8_lossy(bytes).into_owned()),
        cel::Value::List(items) => Value::Array(items.iter().map(to_json).collect()),
        cel::Value::Map(map) => {
            let entries = map.map.iter();
            Value::Object(
                entries
                    .map(|(key, value)| (key.to_string(), to_json(value)))
                    .collect(),
            )
        }
        cel::Value::Timestamp(time) => Value::from(time.timestamp()),
        cel::Value::Duration(duration) => float(duration.as_seconds_f64()),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn eval(source: &str) -> Result<Value, String> {
        let object = json!({
            "spec": { "replicas": 4, "interval": "1h30m", "cpu": "250m" },
            "status": {
                "ready": 3,
                "since": "2024-03-05T08:15:30Z",
                "conditions": [{ "type": "Ready", "status": "True" }],
                "groups": [[{ "s": "a" }, { "s": "b" }], [{ "s": "a" }]],
            },
        });
        Expr::compile(source)?.evaluate(&Variables {
            object: &object,
            item: &object["status"],
            key: Some("k"),
            meter: &super::super::variables::Meter::new(1_000_000, u64::MAX),
        })
    }

    #[test]
    fn one_line_says_what_paths_cannot() {
        for (source, expected) in [
            ("item.ready * 100 / object.spec.replicas", json!(75)),
            ("duration(object.spec.interval)", json!(5400.0)),
            ("timestamp(item.since)", json!(1_709_626_530)),
            ("condition(item.conditions, 'Ready')", json!("True")),
            ("condition(item.conditions, 'Other')", json!("Unknown")),
            (
                "countBy(item.groups.flatten().map(m, m.s))",
                json!({ "a": 2, "b": 1 }),
            ),
            ("number(object.spec.cpu)", json!(0.25)),
            ("number(object.status)", json!(null)),
            ("has(item.nope) ? item.nope : null", json!(null)),
            ("object.?spec.?nope.orValue(7)", json!(7)),
            ("key + '!'", json!("k!")),
            (
                "item.conditions.exists(c, c.type == 'Ready' && c.status == 'True')",
                json!(true),
            ),
            ("1.0 / 0.0", json!("inf")),
        ] {
            assert_eq!(eval(source), Ok(expected), "{source}");
        }
    }

    #[test]
    fn only_fields_that_are_selected_are_read() {
        for (source, reads) in [
            ("object.a.b + object.a.c", &["a.b", "a.c"][..]),
            ("object.a.b == object.a", &["a"]),
            ("object.?a.?b.orValue(0)", &["a.b"]),
            ("has(object.a.b) && size(object.c) > 0", &["a.b", "c"]),
            ("object.l.map(object, object.x)", &["l"]),
            ("object['a']", &[""]),
            ("size(object)", &[""]),
            ("item.a + key", &[]),
        ] {
            assert_eq!(Expr::compile(source).unwrap().reads(), reads, "{source}");
        }
    }

    #[test]
    fn large_expressions_are_refused_before_they_are_parsed() {
        for (open, close, levels) in [
            ("(", ")", 32),
            ("[", "]", 32),
            ("{1:", "}", 32),
            ("!", "", 199),
            ("-", "", 199),
            ("1+", "", 199),
            ("1 in ", "", 199),
            ("object.", "", 199),
            ("true||", "", 199),
            ("true?1:", "", 99),
        ] {
            let inner = if open == "object." { "a" } else { "1" };
            let nested =
                |levels: usize| [&*open.repeat(levels), inner, &close.repeat(levels)].concat();
            // The result is ignored, because not all of these strings are valid expressions.
            let _ = Expr::compile(&nested(levels));
            let error = Expr::compile(&nested(1_000_000)).unwrap_err();
            assert!(
                error.contains("split") || error.contains("not an expression"),
                "{error}"
            );
        }
    }

    #[test]
    fn failures_are_told_without_values() {
        for (source, part) in [
            ("item.nope", "a field is missing"),
            ("item.since + 1", "does not accept values of these types"),
            ("1 / 0", "division by zero"),
            ("nope(1)", "not known"),
            ("pod.x", "`pod` is not a known name"),
            ("1 +", "not an expression"),
        ] {
            let error = eval(source).unwrap_err();
            assert!(error.contains(part), "{source}: {error}");
            assert!(!error.contains("2024"), "{error}");
        }
    }
}
