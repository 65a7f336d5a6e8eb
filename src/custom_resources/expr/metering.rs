//! Adds calls of the functions in `cost.rs` to an expression. Each evaluation of the expression then counts its cost.
//!
//! The cost includes each iteration of a loop. The cost also includes each value that is copied into a list, a map or a
//! variable. It includes each value that an operator or function reads. For some functions, the cost is counted before
//! they run: their results can be larger than their arguments, or they need more than linear time. The parsed
//! expression is a tree of nodes, such as calls, fields and literals. The *weight* of a value is the number of nodes
//! that are evaluated to compute the value. The weight of a loop is the number of nodes that one iteration evaluates.

use cel::IdedExpr;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, ListExpr, LiteralValue,
    MapEntryExpr, MapExpr, StructExpr, StructFieldExpr, operators,
};

use super::cost::{COST, COUNT, FORMAT, MEMBERS, PARTS, PATTERN, PRODUCT, REPLACED, TEXT};

/// The state during the rewriting of one expression.
#[derive(Default)]
struct Metering {
    /// The number of variables that have been added to the expression.
    variables: usize,
}

/// Returns the expression with additional calls that count its cost.
pub(super) fn metered(expression: &IdedExpr) -> IdedExpr {
    let weight = nodes(expression);
    let mut metering = Metering::default();
    charged(metering.rewrite(expression.clone()), weight)
}

// === impl Metering ===

impl Metering {
    fn rewrite(&mut self, expression: IdedExpr) -> IdedExpr {
        let IdedExpr { id, expr } = expression;
        let expr = match expr {
            Expr::Call(call) => self.call(call),
            Expr::Select(mut select) => {
                select.operand = Box::new(self.rewrite(*select.operand));
                Expr::Select(select)
            }
            Expr::List(list) => Expr::List(self.list(list, 1)),
            Expr::Map(map) => Expr::Map(MapExpr {
                entries: self.entries(map.entries),
            }),
            Expr::Struct(own) => Expr::Struct(StructExpr {
                entries: self.entries(own.entries),
                ..own
            }),
            Expr::Comprehension(own) => Expr::Comprehension(Box::new(self.comprehension(*own))),
            other @ (Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_)) => other,
        };
        IdedExpr { id, expr }
    }

    /// Rewrites a subexpression, and counts its value, because the value is copied or read.
    fn charged(&mut self, expression: IdedExpr) -> IdedExpr {
        charged(self.rewrite(expression), 1)
    }

    fn list(&mut self, list: ListExpr, weight: u64) -> ListExpr {
        let elements = list.elements.into_iter();
        ListExpr {
            elements: elements
                .map(|element| charged(self.rewrite(element), weight))
                .collect(),
            ..list
        }
    }

    fn entries(&mut self, entries: Vec<IdedEntryExpr>) -> Vec<IdedEntryExpr> {
        let entries = entries.into_iter().map(|entry| {
            let expr = match entry.expr {
                EntryExpr::StructField(field) => EntryExpr::StructField(StructFieldExpr {
                    value: self.charged(field.value),
                    ..field
                }),
                EntryExpr::MapEntry(own) => EntryExpr::MapEntry(MapEntryExpr {
                    key: self.charged(own.key),
                    value: self.charged(own.value),
                    ..own
                }),
            };
            IdedEntryExpr { expr, ..entry }
        });
        entries.collect()
    }

    fn call(&mut self, call: CallExpr) -> Expr {
        let CallExpr {
            func_name: name,
            target,
            args,
        } = call;
        match (&*name, args.len(), target.is_some()) {
            ("replace" | "split" | "join" | "indexOf" | "lastIndexOf" | "matches", 1.., true)
            | ("distinct", 0, true)
            | ("matches", 2, false) => return self.product(name, target, args),
            _ => {}
        }
        let target = target.map(|own| Box::new(self.operand(&name, *own, true)));
        let args = (args.into_iter())
            .map(|own| self.operand(&name, own, false))
            .collect();
        let is_copied = matches!(&*name, operators::OPT_SELECT | operators::OPT_INDEX);
        let call = Expr::Call(CallExpr {
            func_name: name,
            target,
            args,
        });
        if is_copied {
            return charged(node(call), 1).expr;
        }
        call
    }

    /// Rewrites one operand of an operator or a function. Most operators and functions read the complete value of an
    /// operand, so this value is counted.
    fn operand(&mut self, name: &str, operand: IdedExpr, is_target: bool) -> IdedExpr {
        use operators as op;
        match name {
            // These operators and functions read only a small part of the operand, or return the operand unchanged.
            op::CONDITIONAL
            | op::LOGICAL_AND
            | op::LOGICAL_OR
            | op::LOGICAL_NOT
            | op::NEGATE
            | op::NOT_STRICTLY_FALSE
            | op::INDEX
            | op::OPT_INDEX
            | op::OPT_SELECT => self.rewrite(operand),
            "size" => call(TEXT, vec![self.rewrite(operand)]),
            "range" if !is_namespace(&operand) => call(COUNT, vec![self.rewrite(operand)]),
            "format" if is_target => call(FORMAT, vec![self.rewrite(operand)]),
            op::IN => call(MEMBERS, vec![self.rewrite(operand)]),
            // In `a + b + c`, the first operand is the sum `a + b`. This sum is not counted, because its operands are
            // already counted.
            op::ADD if is_call(&operand, op::ADD) => self.rewrite(operand),
            _ if is_namespace(&operand) => operand,
            _ => self.charged(operand),
        }
    }

    /// Rewrites the call of an expensive function, so that its cost is counted before it runs. The cost grows with the
    /// product of the lengths of two arguments, or the result can be much larger than the arguments. Two variables get
    /// the first two arguments, because the functions that count the cost must read these arguments, too.
    fn product(
        &mut self,
        name: String,
        target: Option<Box<IdedExpr>>,
        args: Vec<IdedExpr>,
    ) -> Expr {
        let is_method = target.is_some();
        let mut args: Vec<_> = (target.map(|own| *own).into_iter().chain(args))
            .map(|own| self.charged(own))
            .collect();
        let mut rest = args.split_off(args.len().min(2));
        let names = ["@a", "@b"].map(|name| format!("{name}{}", self.variables));
        self.variables += 1;
        let variable = |at: usize| node(Expr::Ident(names[at].clone()));
        let mut read = match args.len() {
            // `distinct` has one argument, and compares each element with all other elements.
            1 => vec![call(PRODUCT, vec![variable(0), variable(0)])],
            _ if name == "split" => vec![variable(0), call(PARTS, vec![variable(1), variable(0)])],
            _ => vec![variable(0), call(PRODUCT, vec![variable(1), variable(0)])],
        };
        if name == "replace"
            && let Some(replacement) = rest.first_mut()
        {
            let text = std::mem::replace(replacement, node(Expr::Unspecified));
            *replacement = call(REPLACED, vec![text, variable(0), variable(1)]);
        }
        if name == "matches"
            && let Some(pattern) = read.pop()
        {
            read.push(call(PATTERN, vec![pattern]));
        }
        read.extend(rest);
        let target = is_method.then(|| Box::new(read.remove(0)));
        let mut result = node(Expr::Call(CallExpr {
            func_name: name,
            target,
            args: read,
        }));
        for (name, value) in names.into_iter().zip(args).rev() {
            result = bound(name, value, result);
        }
        result.expr
    }

    fn comprehension(&mut self, own: ComprehensionExpr) -> ComprehensionExpr {
        let weight = nodes(&own.loop_cond).saturating_add(nodes(&own.loop_step));
        let is_accumulator =
            |own: &IdedExpr, name: &str| matches!(&own.expr, Expr::Ident(own) if own == name);
        let accumulator = own.accu_var.clone();
        // The macros `map` and `filter` create loops with a constant condition. `cel` runs these loops without copies,
        // but only if their form does not change. So a constant condition stays unchanged, and the step of the loop
        // counts the cost.
        let counts_in_step = matches!(own.loop_cond.expr, Expr::Literal(_));
        let loop_cond = match counts_in_step {
            true => own.loop_cond,
            false => charged(self.rewrite(own.loop_cond), weight),
        };
        let step_id = own.loop_step.id;
        let loop_step = match own.loop_step.expr {
            Expr::Call(mut step)
                if step.target.is_none()
                    && matches!(
                        &*step.func_name,
                        operators::LOGICAL_AND | operators::LOGICAL_OR
                    )
                    && (step.args.first()).is_some_and(|own| is_accumulator(own, &accumulator)) =>
            {
                let args = step.args.into_iter();
                step.args = args.map(|own| self.rewrite(own)).collect();
                Expr::Call(step)
            }
            Expr::Call(step) if counts_in_step && is_append(&step, &accumulator) => {
                Expr::Call(self.append(step, weight))
            }
            Expr::Call(step)
                if counts_in_step
                    && step.func_name == operators::CONDITIONAL
                    && matches!(&step.args[..], [_, append, otherwise]
                        if matches!(&append.expr, Expr::Call(append) if is_append(append, &accumulator))
                            && is_accumulator(otherwise, &accumulator)) =>
            {
                let mut args = step.args.into_iter();
                let guard = args.next().map(|own| charged(self.rewrite(own), weight));
                let append = args.next().map(|own| match own.expr {
                    Expr::Call(append) => node(Expr::Call(self.append(append, 1))),
                    other => node(other),
                });
                Expr::Call(CallExpr {
                    args: guard.into_iter().chain(append).chain(args).collect(),
                    ..step
                })
            }
            other => charged(self.rewrite(node(other)), weight).expr,
        };
        ComprehensionExpr {
            iter_range: self.charged(own.iter_range),
            accu_init: self.charged(own.accu_init),
            loop_cond,
            loop_step: IdedExpr {
                id: step_id,
                expr: loop_step,
            },
            result: match is_accumulator(&own.result, &accumulator) {
                true => own.result,
                false => self.charged(own.result),
            },
            ..own
        }
    }

    /// Rewrites a loop step of the form `accumulator + [...]`, and counts each value in the list. The accumulator is
    /// the variable that contains the result of the loop.
    fn append(&mut self, step: CallExpr, weight: u64) -> CallExpr {
        let args = step.args.into_iter().map(|own| match own.expr {
            Expr::List(list) => IdedExpr {
                id: own.id,
                expr: Expr::List(self.list(list, weight)),
            },
            expr => IdedExpr { id: own.id, expr },
        });
        CallExpr {
            args: args.collect(),
            ..step
        }
    }
}

/// Whether a step of a loop has the form `accumulator + [...]`.
fn is_append(step: &CallExpr, accumulator: &str) -> bool {
    step.func_name == operators::ADD
        && step.target.is_none()
        && matches!(&step.args[..], [own, list]
            if matches!(&own.expr, Expr::Ident(name) if name == accumulator)
                && matches!(list.expr, Expr::List(_)))
}

/// Adds a call that counts the size of `value`, and `weight`. Adds no call if the cost already includes the value and
/// `weight` is at most 1.
fn charged(value: IdedExpr, weight: u64) -> IdedExpr {
    if weight <= 1 && is_counted(&value) {
        return value;
    }
    let weight = i64::try_from(weight).unwrap_or(i64::MAX);
    let weight = node(Expr::Literal(LiteralValue::Int(weight.into())));
    call(COST, vec![value, weight])
}

/// Whether the cost already includes a value. This is true for a literal. It is also true for a value that is computed
/// from counted values and is not larger than these values. No call is added to such a value. So chains of operators
/// and functions do not become deeper, and need no more stack.
fn is_counted(value: &IdedExpr) -> bool {
    use operators as op;
    match &value.expr {
        Expr::Ident(_) => false,
        Expr::Select(select) => select.test,
        // The result of each call below must be counted. For example, an operator returns an operand, or a part of an
        // operand, and this result is not counted yet. The text that `quote` or `format` returns can be twice as long
        // as the arguments, so a chain of these functions can create a very long text.
        Expr::Call(call) => !matches!(
            &*call.func_name,
            op::CONDITIONAL | op::INDEX | op::OPT_INDEX | op::OPT_SELECT | "quote" | "format"
        ),
        _ => true,
    }
}

/// Whether an operand is the first part of a function's name, such as `math` in `math.greatest`.
fn is_namespace(operand: &IdedExpr) -> bool {
    let namespaces = ["math", "lists", "strings", "optional", "cel"];
    matches!(&operand.expr, Expr::Ident(name) if namespaces.contains(&&**name))
}

fn is_call(expression: &IdedExpr, name: &str) -> bool {
    matches!(&expression.expr, Expr::Call(call) if call.func_name == name)
}

/// Binds the variable `name` to `value`, so that `result` can read the variable. The new expression has the form that
/// the macro `cel.bind` creates.
fn bound(name: String, value: IdedExpr, result: IdedExpr) -> IdedExpr {
    node(Expr::Comprehension(Box::new(ComprehensionExpr {
        iter_range: node(Expr::List(ListExpr::new(Vec::new()))),
        iter_var: "#unused".to_owned(),
        iter_var2: None,
        loop_cond: node(Expr::Literal(LiteralValue::Boolean(false.into()))),
        loop_step: node(Expr::Ident(name.clone())),
        accu_var: name,
        accu_init: value,
        result,
    })))
}

fn call(name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    node(Expr::Call(CallExpr {
        func_name: name.to_owned(),
        target: None,
        args,
    }))
}

fn node(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}

/// Returns the number of nodes in an expression. Nodes of inner loops are not included.
fn nodes(expression: &IdedExpr) -> u64 {
    let all = |parts: &[IdedExpr]| parts.iter().map(nodes).sum::<u64>();
    1 + match &expression.expr {
        Expr::Call(call) => call.target.as_deref().map_or(0, nodes) + all(&call.args),
        Expr::Select(select) => nodes(&select.operand),
        Expr::List(list) => all(&list.elements),
        Expr::Map(MapExpr { entries }) | Expr::Struct(StructExpr { entries, .. }) => {
            let entries = entries.iter().map(|entry| match &entry.expr {
                EntryExpr::StructField(field) => nodes(&field.value),
                EntryExpr::MapEntry(own) => nodes(&own.key) + nodes(&own.value),
            });
            entries.sum()
        }
        Expr::Comprehension(own) => nodes(&own.iter_range) + nodes(&own.accu_init),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => 0,
    }
}
