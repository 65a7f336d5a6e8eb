//! The limits on the size of an expression, and on the size of all expressions of a configuration.
//!
//! The parser and the evaluation are recursive, so a large expression needs a large stack. The parser also needs some
//! kilobytes of memory for each token.

use super::enabled::Expr;
use super::tokens;

/// Maximum depth of nested brackets.
const MAX_NESTING: usize = 32;

/// Maximum number of operators, fields, indices and calls. Each operator, field, index or call can add a level of
/// recursion, for example in `a.b.c` or `1 + 2 + 3`.
const MAX_OPERATORS: usize = 200;

/// Maximum length of an expression, in bytes.
const MAX_LENGTH: usize = 128 << 10;

/// Maximum number of tokens of an expression. A token is a name, a literal, an operator, a bracket or a comma.
const MAX_TOKENS: usize = 10_000;

/// Maximum length of all expressions of a configuration together, in bytes.
const MAX_TOTAL_LENGTH: usize = 16 << 20;

/// Maximum number of tokens of all expressions of a configuration together. The compiled expressions need about 250
/// bytes of memory for each token.
const MAX_TOTAL_TOKENS: usize = 250_000;

/// The size that the remaining expressions of a configuration may have.
#[derive(Debug)]
pub(in super::super) struct Budget {
    length: usize,
    tokens: usize,
}

// === impl Budget ===

impl Default for Budget {
    fn default() -> Self {
        Self {
            length: MAX_TOTAL_LENGTH,
            tokens: MAX_TOTAL_TOKENS,
        }
    }
}

impl Budget {
    /// Compiles an expression, and subtracts its size from the budget.
    ///
    /// # Errors
    ///
    /// Returns an error if the expression is too large or invalid, or if it exceeds the budget.
    pub(in super::super) fn compile(&mut self, source: &str) -> Result<Expr, String> {
        let tokens = check(source)?;
        let left = self.length.checked_sub(source.len());
        let left = left.zip(self.tokens.checked_sub(tokens));
        let Some((length, tokens)) = left else {
            // The next expressions also exceed the budget, so that no more of them are compiled.
            (self.length, self.tokens) = (0, 0);
            return Err(format!(
                "the expressions up to this one have together more than {MAX_TOTAL_TOKENS} tokens or \
                 {MAX_TOTAL_LENGTH} bytes; remove expressions"
            ));
        };
        (self.length, self.tokens) = (length, tokens);
        Expr::compile_checked(source)
    }
}

/// Checks the size of an expression, and returns the number of its tokens. String literals count too. Otherwise, a
/// quotation mark could hide brackets and operators from this check.
///
/// # Errors
///
/// Returns an error if the expression is too large, or if it contains a text that is not a token.
fn check(source: &str) -> Result<usize, String> {
    if source.len() > MAX_LENGTH {
        return Err(format!(
            "the expression is longer than {MAX_LENGTH} bytes; split it"
        ));
    }
    let tokens = tokens::count(source, MAX_TOKENS)?;
    if tokens > MAX_TOKENS {
        return Err(format!(
            "the expression has more than {MAX_TOKENS} tokens; split it"
        ));
    }
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
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_all_expressions_have_a_limit() {
        let mut budget = Budget {
            length: 1_000,
            tokens: 6,
        };
        budget.compile("1 + 1").unwrap();
        budget.compile("1 @").unwrap_err();
        budget.compile("2 + 2").unwrap();
        for source in ["3", "[3]"] {
            let error = budget.compile(source).unwrap_err();
            assert!(error.contains("more than 250000 tokens"), "{error}");
        }
    }
}
