//! The cost of the evaluation of an expression, and the functions that add to this cost.
//!
//! The cost counts operations, and an evaluation stops with an error when its cost exceeds the limit.
//!
//! The crate `cel` has no limit on the time of an evaluation. So `metering.rs` adds calls of these functions to each
//! expression. The names of the functions begin with `@`. An expression in a configuration cannot use such a name.

use std::cell::Cell;

use cel::common::types::{
    CelBytes, CelInt, CelList, CelMap, CelOptional, CelString, DYN_TYPE, INT_TYPE,
};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};
use serde_json::Value;

use super::pattern_cost;
use super::variables::Meter;

/// `@cost(value, n)`: adds `n` and the size of the value to the cost. Returns the value.
pub(super) const COST: &str = "@cost";
/// `@text(value)`: if the value is a text, adds 1 to the cost for each 10 bytes. Returns the value.
pub(super) const TEXT: &str = "@text";
/// `@members(value)`: adds the cost of a search for a member in the value. Returns the value.
pub(super) const MEMBERS: &str = "@members";
/// `@count(number)`: adds the number to the cost. Returns the number.
pub(super) const COUNT: &str = "@count";
/// `@product(a, b)`: multiplies the lengths of both values, and adds a tenth of the product to the cost. Returns `a`.
pub(super) const PRODUCT: &str = "@product";
/// `@parts(separator, text)`: adds the number of parts into which the separator splits the text. Returns the separator.
pub(super) const PARTS: &str = "@parts";
/// `@replaced(new, text, old)`: for each `old` in the text, adds the length of `new` to the cost. Returns `new`.
pub(super) const REPLACED: &str = "@replaced";
/// `@pattern(text)`: adds the cost of the compilation of the text as a regular expression. Returns the text.
pub(super) const PATTERN: &str = "@pattern";
/// `@format(text)`: adds the cost of a format string, which depends on the length of the text. Returns the text.
pub(super) const FORMAT: &str = "@format";

/// The number of bytes that cost as much as one operation.
const BYTES: u64 = 10;

thread_local! {
    /// How much the evaluation on this thread may still cost; 0 if the limit is exceeded.
    static LEFT: Cell<u64> = const { Cell::new(0) };
}

/// Runs `evaluate` with the remaining cost of `meter` as its limit. Then subtracts the actual cost from `meter`.
pub(super) fn metered<T>(meter: &Meter, evaluate: impl FnOnce() -> T) -> T {
    LEFT.set(meter.left());
    let value = evaluate();
    meter.set_left(LEFT.get());
    value
}

/// Subtracts `cost` from the remaining cost of the evaluation.
///
/// # Errors
///
/// Returns an error if the evaluation exceeds its limit.
pub(super) fn charge(cost: u64) -> Result<(), ExecutionError> {
    let left = LEFT.get().saturating_sub(cost);
    LEFT.set(left);
    match left {
        0 => Err(ExecutionError::function_error(
            COST,
            "the limit is exceeded",
        )),
        _ => Ok(()),
    }
}

/// The size of a JSON value: 1 for each value in it and for the value itself, and 1 for each 10 bytes of text.
pub(super) fn json_size(value: &Value) -> u64 {
    1 + match value {
        Value::String(text) => of_text(text.len()),
        Value::Array(items) => items.iter().map(json_size).sum(),
        Value::Object(map) => {
            let entries = map.iter();
            entries
                .map(|(key, value)| of_text(key.len()) + json_size(value))
                .sum()
        }
        _ => 0,
    }
}

/// Declares the functions that add to the cost.
pub(super) fn add_functions(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_overload(COST, "@cost(dyn,int)", vec![DYN_TYPE, INT_TYPE], cost)?;
    env.add_overload(
        PRODUCT,
        "@product(dyn,dyn)",
        vec![DYN_TYPE, DYN_TYPE],
        product,
    )?;
    env.add_overload(PARTS, "@parts(dyn,dyn)", vec![DYN_TYPE, DYN_TYPE], parts)?;
    env.add_overload(
        REPLACED,
        "@replaced(dyn,dyn,dyn)",
        vec![DYN_TYPE, DYN_TYPE, DYN_TYPE],
        replaced,
    )?;
    for (name, id, function) in [
        (TEXT, "@text(dyn)", text as cel::common::functions::Function),
        (MEMBERS, "@members(dyn)", members),
        (COUNT, "@count(dyn)", count),
        (PATTERN, "@pattern(dyn)", pattern),
        (FORMAT, "@format(dyn)", format),
    ] {
        env.add_overload(name, id, vec![DYN_TYPE], function)?;
    }
    Ok(())
}

// === functions ===

type Arguments<'b, 'v> = Vec<CowVal<'b, 'v>>;
type Outcome<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

fn cost<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let [value, weight] = two(arguments)?;
    let weight = weight
        .downcast_ref::<CelInt>()
        .map_or(1, |own| *own.inner());
    charge(weight.unsigned_abs())?;
    charge(size(value.as_ref(), LEFT.get()))?;
    Ok(value)
}

fn text<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let value = one(arguments)?;
    charge(
        1 + value
            .downcast_ref::<CelString<'_>>()
            .map_or(0, |own| of_text(own.inner().len())),
    )?;
    Ok(value)
}

fn members<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let value = one(arguments)?;
    // The search in a map uses a hash table, so it costs 1.
    let is_map = value.downcast_ref::<CelMap<'_>>().is_some();
    charge(if is_map {
        1
    } else {
        size(value.as_ref(), LEFT.get())
    })?;
    Ok(value)
}

fn count<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let value = one(arguments)?;
    let number = value.downcast_ref::<CelInt>().map_or(0, |own| *own.inner());
    charge(1 + u64::try_from(number).unwrap_or(0))?;
    Ok(value)
}

fn product<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let [value, other] = two(arguments)?;
    let steps = length(value.as_ref()).saturating_mul(length(other.as_ref()));
    charge(1 + steps / BYTES)?;
    Ok(value)
}

fn parts<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let [separator, text] = two(arguments)?;
    charge(1 + occurrences(text.as_ref(), separator.as_ref()))?;
    Ok(separator)
}

fn replaced<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let arguments = <[CowVal<'b, 'v>; 3]>::try_from(arguments);
    let [new, text, old] = arguments.map_err(|_| ExecutionError::missing_argument_or_target())?;
    let count = occurrences(text.as_ref(), old.as_ref());
    charge(1 + count.saturating_mul(length(new.as_ref())) / BYTES)?;
    Ok(new)
}

fn pattern<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let value = one(arguments)?;
    if let Some(pattern) = value.downcast_ref::<CelString<'_>>() {
        charge(200 + 10 * length(value.as_ref()))?;
        charge(pattern_cost::of(pattern.inner()))?;
    }
    Ok(value)
}

fn format<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let value = one(arguments)?;
    // A few bytes of a format string, such as `%.100f`, can write a hundred digits. Therefore, each byte of a format
    // string costs 10.
    charge(1 + length(value.as_ref()).saturating_mul(10))?;
    Ok(value)
}

fn one<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let first = arguments.into_iter().next();
    first.ok_or_else(ExecutionError::missing_argument_or_target)
}

fn two<'b, 'v>(arguments: Arguments<'b, 'v>) -> Result<[CowVal<'b, 'v>; 2], ExecutionError> {
    let arguments = <[CowVal<'b, 'v>; 2]>::try_from(arguments);
    arguments.map_err(|_| ExecutionError::missing_argument_or_target())
}

/// Returns the number of bytes in a text, or the number of elements in a list. Any other value has the length 1.
fn length(value: &dyn Val) -> u64 {
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        return text.inner().len() as u64;
    }
    let list = value.downcast_ref::<CelList<'_>>();
    list.map_or(1, |list| list.inner().len() as u64)
}

/// Returns how often a text contains another text; 0 if one of the values is not a text.
fn occurrences(text: &dyn Val, part: &dyn Val) -> u64 {
    let texts = (
        text.downcast_ref::<CelString<'_>>(),
        part.downcast_ref::<CelString<'_>>(),
    );
    match texts {
        (Some(text), Some(part)) => text.inner().matches(part.inner()).count() as u64,
        _ => 0,
    }
}

/// Returns the size of a value, with the same rules as [`json_size`]. If the size exceeds `max`, the function may
/// return any number above `max`.
pub(super) fn size(value: &dyn Val, max: u64) -> u64 {
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        return 1 + of_text(text.inner().len());
    }
    if let Some(bytes) = value.downcast_ref::<CelBytes<'_>>() {
        return 1 + of_text(bytes.inner().len());
    }
    let mut size_of_all: u64 = 1;
    let mut add = |part: &dyn Val| {
        if size_of_all <= max {
            size_of_all += size(part, max - size_of_all);
        }
        size_of_all <= max
    };
    if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        let _ = list.inner().iter().all(|item| add(&**item));
    } else if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        let mut entries = map.inner().iter();
        let _ = entries.all(|(key, value)| add(key.inner()) && add(&**value));
    } else if let Some(optional) = value.downcast_ref::<CelOptional<'_>>() {
        let _ = optional.option().is_some_and(add);
    }
    size_of_all
}

fn of_text(bytes: usize) -> u64 {
    bytes as u64 / BYTES
}
