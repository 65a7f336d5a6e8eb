//! The limits on the size of an expression.
//!
//! The parser and the evaluation are recursive, so a large expression needs a large stack.

/// Maximum depth of nested brackets.
const MAX_NESTING: usize = 32;

/// Maximum number of operators, fields, indices and calls. Each operator, field, index or call can add a level of
/// recursion, for example in `a.b.c` or `1 + 2 + 3`.
const MAX_OPERATORS: usize = 200;

/// Checks the size of an expression. String literals count too. Otherwise, a quotation mark could hide brackets and
/// operators from this check.
///
/// # Errors
///
/// Returns an error if the expression is too large.
pub(super) fn check(source: &str) -> Result<(), String> {
    let (mut nesting, mut deepest): (usize, usize) = (0, 0);
    // The operator `in` is a word, so it is counted here, not in the loop below. A number can be directly before this
    // operator, as in `1in`.
    let is_in_word = |byte: char| byte.is_ascii_alphanumeric() || byte == '_';
    let words = source.split(|byte| !is_in_word(byte));
    let mut operators = words.filter(|word| word.ends_with("in")).count();
    let mut is_in_operator = false;
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => nesting += 1,
            b')' | b']' | b'}' => nesting = nesting.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(nesting);
        let is_operator =
            byte.is_ascii_punctuation() && !matches!(byte, b')' | b']' | b'}' | b',' | b'_');
        // In a sequence of `!` or `-`, each character is an operator. In any other sequence of operator characters,
        // such as `&&`, all characters together are one operator.
        let is_sign = matches!(byte, b'!' | b'-');
        operators += usize::from(is_operator && (is_sign || !is_in_operator));
        is_in_operator = is_operator;
    }
    if deepest > MAX_NESTING {
        return Err(format!(
            "brackets are nested deeper than {MAX_NESTING} levels; split the expression"
        ));
    }
    if operators > MAX_OPERATORS {
        return Err(format!(
            "the expression has more than {MAX_OPERATORS} operators, fields and calls; split it"
        ));
    }
    Ok(())
}
