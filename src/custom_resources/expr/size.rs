//! The limits on the size of an expression.
//!
//! An expression is parsed and evaluated by recursion, so its size determines the stack usage.

/// Maximum depth of nested brackets.
const MAX_NESTING: usize = 32;

/// Maximum number of operators, fields, indices and calls. Each of these parts can add a level of recursion, as in
/// `a.b.c` or `1 + 2 + 3`.
const MAX_OPERATORS: usize = 200;

/// Checks the size of an expression. The size includes string literals, so that quotes cannot hide a part of the
/// expression.
///
/// # Errors
///
/// Returns an error if the expression is too large.
pub(super) fn check(source: &str) -> Result<(), String> {
    let (mut nesting, mut deepest): (usize, usize) = (0, 0);
    // The operator `in` is a word, so the loop below does not count it. A number can precede it without a space.
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
        // In a sequence of `!` or `-`, each character is an operator. All other adjacent operator characters, such as
        // `&&`, are one operator.
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
