//! [`ObjectVariable`]: the variable `object` of an expression.

use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;

/// The variable `object`. Fields that the expression does not read are not included.
pub(super) struct ObjectVariable(pub(super) Box<dyn Val>);

// === impl ObjectVariable ===

impl VariableResolver for ObjectVariable {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        (variable == "object").then(|| CowVal::Borrowed(&*self.0))
    }
}
