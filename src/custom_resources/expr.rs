//! Expressions beyond paths: [CEL](https://cel.dev), with the feature `cel`.

#[cfg(not(feature = "cel"))]
mod disabled;
#[cfg(feature = "cel")]
mod enabled;

use std::borrow::Cow;

use serde_json::Value;

#[cfg(not(feature = "cel"))]
pub(super) use disabled::Expr;
#[cfg(feature = "cel")]
pub(super) use enabled::Expr;

use super::labels::{LabelSet, text};

/// What an expression may name.
#[cfg_attr(
    not(feature = "cel"),
    expect(dead_code, reason = "only expressions read it")
)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    /// `object`: the whole object.
    pub(super) object: &'a Value,
    /// `item`: the element.
    pub(super) item: &'a Value,
    /// `key`: the element's key, where it is an entry of a map.
    pub(super) key: Option<&'a str>,
}

/// Labels whose values are expressions.
#[derive(Debug, Default)]
pub(super) struct ExprLabels(Vec<(String, Expr)>);

impl<'a> Scope<'a> {
    /// The object as its only element.
    pub(super) fn of(object: &'a Value) -> Self {
        Self {
            object,
            item: object,
            key: None,
        }
    }
}

impl ExprLabels {
    pub(super) fn push(&mut self, name: String, expr: Expr) {
        self.0.push((name, expr));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Expr> {
        self.0.iter().map(|(_, expr)| expr)
    }

    /// Sets the labels; one whose expression yields `null` is left out.
    ///
    /// An expression that fails costs its label only; the first such problem is returned.
    pub(super) fn fill<'v>(
        &'v self,
        scope: &Scope<'_>,
        labels: &mut LabelSet<'v>,
    ) -> Result<(), String> {
        let mut outcome = Ok(());
        for (name, expr) in &self.0 {
            match expr.evaluate(scope) {
                Ok(Value::Null) => {}
                Ok(value) => {
                    let value = text(&value).into_owned();
                    labels.set(Cow::Borrowed(name), Cow::Owned(value));
                }
                Err(problem) if outcome.is_ok() => outcome = Err(format!("{name}: {problem}")),
                Err(_) => {}
            }
        }
        outcome
    }
}
