//! Tests the cost of expressions.

use cel::IdedExpr;
use cel::common::ast::Expr as Expression;
use serde_json::{Value, json};

use super::{Expr, Meter, Variables};

const LIMIT: u64 = 1_000_000;

/// Returns the result of an expression, and the cost of its evaluation.
fn evaluate(source: &str, object: &Value, limit: u64) -> (Result<Value, String>, u64) {
    let expression = Expr::compile(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    let meter = Meter::new(limit, u64::MAX);
    let outcome = expression.evaluate(&Variables::of(object, &meter));
    (outcome, limit - meter.left())
}

fn object() -> Value {
    let conditions = (0..1000).map(|number| {
        let status = ["True", "False"][number % 2];
        json!({ "type": format!("T{number}"), "status": status })
    });
    json!({
        "text": "x".repeat(100_000), "same": "x".repeat(100_000), "numbers": Vec::from_iter(0..5000),
        "quotes": "\"\"", "short": "{host}".repeat(1000), "commas": ",".repeat(100_000),
        "conditions": conditions.collect::<Vec<_>>(), "pattern": "(a{50}){50}", "class": r"\w{500}",
    })
}

#[test]
fn what_explodes_ends_with_an_error() {
    let object = object();
    let replaced = format!("'aaaaaaaaaa'{}", ".replace('a', 'aaaaaaaaaa')".repeat(8));
    let quoted = format!(
        "{}object.quotes{}",
        "strings.quote(".repeat(24),
        ")".repeat(24)
    );
    let formatted = format!(
        "{}object.same{}",
        "'%x'.format([".repeat(10),
        "])".repeat(10)
    );
    for source in [
        "lists.range(1000).map(a, lists.range(1000).map(b, a * b)).size()",
        "lists.range(1000).all(a, lists.range(1000).all(b, a + b >= 0))",
        "lists.range(1000).exists(a, lists.range(1000).exists_one(b, a + b < 0))",
        "lists.range(1000000).map(number, string(number)).join(',').size()",
        "lists.range(1000).map(a, object).size()",
        "lists.range(1000).map(a, [object.text, a]).size()",
        "lists.range(1000).map(a, {'text': object.text}).size()",
        "lists.range(1000).map(a, object.text + object.same).size()",
        "lists.range(1000).filter(a, object.text == object.same).size()",
        "lists.range(1000).filter(a, a in object.numbers).size()",
        "lists.range(1000).filter(a, object.text.contains('y')).size()",
        "lists.range(1000).map(a, object.?conditions).size()",
        "lists.range(1000).map(a, object.conditions.map(c, c.type)).size()",
        "object.text.replace('x', object.same).size()",
        "object.text.replace('x', object.same) == 'y'",
        "object.short.replace('{host}', object.same) == 'y'",
        "object.text.split('').size()",
        "object.commas.split(',').size()",
        "object.text.indexOf(object.same + 'x')",
        "object.numbers.map(n, string(n)).join(object.text).size()",
        "object.numbers.distinct().size()",
        "lists.range(1000).filter(a, 'a'.matches(object.pattern)).size()",
        "lists.range(1000).filter(a, matches('a', object.pattern)).size()",
        "matches('a', object.class)",
        "lists.range(5000).map(a, '%.100f'.format([1.0])).map(b, [b, b, b]).flatten().map(c, [c, c, c]).size()",
        // The operator `||` must not hide the error of its left operand.
        "lists.range(1000).all(a, lists.range(1000).all(b, true)) || true",
        &replaced,
        &quoted,
        &formatted,
    ] {
        // The limit is a tenth of the default limit, because a debug build is slow.
        let (outcome, _) = evaluate(source, &object, LIMIT / 10);
        let error = outcome.expect_err(source);
        assert!(error.contains("cost too much"), "{source}: {error}");
    }
}

#[test]
fn values_are_the_same_as_without_the_count() {
    let object = object();
    for (source, expected) in [
        (
            "object.conditions.filter(c, c.status == 'True').size()",
            json!(500),
        ),
        (
            "object.conditions.exists(c, c.type == 'T999' && c.status == 'False')",
            json!(true),
        ),
        (
            "object.conditions.exists_one(c, c.type == 'T7')",
            json!(true),
        ),
        ("object.conditions.all(c, has(c.status))", json!(true)),
        ("condition(object.conditions, 'T4')", json!("True")),
        (
            "object.numbers.map(n, n * 2).filter(n, n % 1000 == 0).size()",
            json!(10),
        ),
        ("object.?missing.?deeper.orValue(3)", json!(3)),
        ("object.?conditions[?0].?type.orValue('')", json!("T0")),
        ("'a-b-c'.replace('-', '_')", json!("a_b_c")),
        ("'a-b-c'.replace('-', '_', 1)", json!("a_b-c")),
        ("'abcabc'.indexOf('c', 3)", json!(5)),
        ("'abcabc'.lastIndexOf('a')", json!(3)),
        ("['a', 'b'].join()", json!("ab")),
        ("['a', 'b'].join('-')", json!("a-b")),
        ("[1, 2, 1].distinct()", json!([1, 2])),
        ("[3, 1, 2].sortBy(n, -n)", json!([3, 2, 1])),
        ("'abc'.matches('^a.c$') && matches('abc', 'b')", json!(true)),
        ("'%s has %d'.format(['a', 2])", json!("a has 2")),
        ("math.greatest(1, 2)", json!(2)),
        ("'k' in {'k': 1} && 2 in [1, 2]", json!(true)),
        (
            "countBy(object.conditions.map(c, c.status)).True",
            json!(500),
        ),
        ("'a' + 'b' + 'c'", json!("abc")),
        ("duration('1m').getSeconds()", json!(60)),
    ] {
        let (outcome, cost) = evaluate(source, &object, LIMIT);
        assert_eq!(outcome, Ok(expected), "{source}");
        assert!(cost < LIMIT / 4, "{source} costs {cost}");
    }
}

#[test]
fn the_object_is_converted_once() {
    let (object, meter) = (object(), Meter::new(LIMIT, u64::MAX));
    let expression = Expr::compile("object.conditions[1].type").unwrap();
    let variables = Variables::of(&object, &meter);
    assert_eq!(expression.evaluate(&variables), Ok(json!("T1")));
    let first = LIMIT - meter.left();
    for _ in 0..100 {
        assert_eq!(expression.evaluate(&variables), Ok(json!("T1")));
    }
    assert!(LIMIT - meter.left() < 2 * first);
}

/// Returns the depth of the recursion in the evaluation of an expression.
fn depth(expression: &IdedExpr) -> usize {
    let deepest = |parts: &[&IdedExpr]| parts.iter().map(|part| depth(part)).max();
    let below = match &expression.expr {
        Expression::Call(call) => {
            let parts: Vec<_> = call
                .target
                .as_deref()
                .into_iter()
                .chain(&call.args)
                .collect();
            deepest(&parts)
        }
        Expression::Comprehension(own) => deepest(&[
            &own.iter_range,
            &own.accu_init,
            &own.loop_cond,
            &own.loop_step,
            &own.result,
        ]),
        Expression::Select(select) => deepest(&[&select.operand]),
        _ => None,
    };
    1 + below.unwrap_or_default()
}

/// The depth determines how much stack an evaluation needs.
#[test]
fn counting_makes_no_chain_deeper() {
    for (part, times) in [
        (" + object.a", 60),
        (".replace('a', 'b')", 30),
        (".trim()", 80),
        (".map(a, a)", 40),
        (".distinct()", 60),
    ] {
        let [half, whole] = [times / 2, times].map(|times| {
            let source = format!("object.a{}", part.repeat(times));
            depth(Expr::compile(&source).unwrap().expression())
        });
        assert!(whole - half <= times / 2, "{part}: {half}, {whole}");
    }
}
