//! Expressions in [CEL](https://cel.dev), with the feature `cel`. They can compute values that a path cannot find.

#[cfg(feature = "cel")]
mod cost;
#[cfg(not(feature = "cel"))]
mod disabled;
#[cfg(feature = "cel")]
mod enabled;
#[cfg(feature = "cel")]
mod metering;
#[cfg(feature = "cel")]
mod object_variable;
#[cfg(feature = "cel")]
mod pattern_cost;
#[cfg(feature = "cel")]
mod size;
#[cfg(feature = "cel")]
mod tokens;
mod variables;

use std::borrow::Cow;

use serde_json::Value;

#[cfg(not(feature = "cel"))]
pub(super) use disabled::{Budget, Expr};
#[cfg(feature = "cel")]
pub(super) use enabled::Expr;
#[cfg(feature = "cel")]
pub(super) use size::Budget;
pub(super) use variables::{Meter, Variables};

use super::labels::{LabelSet, text};

/// Labels whose values come from expressions.
#[derive(Debug, Default)]
pub(super) struct ExprLabels(Vec<(String, Expr)>);

// === impl ExprLabels ===

impl ExprLabels {
    pub(super) fn push(&mut self, name: String, expr: Expr) {
        self.0.push((name, expr));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|(name, _)| name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Expr> {
        self.0.iter().map(|(_, expr)| expr)
    }

    /// Evaluates the expressions and sets the labels. If an expression returns `null`, its label is not set.
    ///
    /// # Errors
    ///
    /// Returns the error of the first expression that fails. The labels of expressions without an error are set
    /// nevertheless.
    pub(super) fn fill<'v>(
        &'v self,
        variables: &Variables<'_>,
        labels: &mut LabelSet<'v>,
    ) -> Result<(), String> {
        let mut outcome = Ok(());
        for (name, expr) in &self.0 {
            match expr.evaluate(variables) {
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

#[cfg(all(test, feature = "cel"))]
mod tests;
