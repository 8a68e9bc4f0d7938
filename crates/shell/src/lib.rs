//! Splits shell text into tokens. It knows quoting, expansions, here-documents and compound commands well enough to
//! find the end of a command and of each word. It never runs or rewrites anything.
//!
//! It only approximates the grammar of bash, on purpose: in case of doubt it joins lines that bash would split, and
//! marks words as not certain.

mod cursor;
mod heredoc;
mod lexer;
mod tokens;
mod variables;

pub use lexer::Lexer;
pub use tokens::{Token, Word};

/// The tokens of a text. `None` if it ends within a quote, an expansion, a here-document or a compound command: a shell
/// refuses it.
pub fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut lexer = Lexer::default();
    for line in text.split('\n') {
        lexer.line(line);
    }
    lexer.may_end().then(|| lexer.into_tokens())
}

#[cfg(test)]
mod tests;
