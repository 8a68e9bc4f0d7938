//! Tokens, and how they are put together from characters.

/// One word of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its text, quotes removed.
    pub text: String,
    /// It is exactly this text: it holds no expansion and no glob.
    pub certain: bool,
}

/// What shell text consists of. An expansion, and `((…))`, is part of a word that is not certain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A word, and the line in which it begins, from 0.
    Word(Word, usize),
    /// `;`, `&`, `|`, `&&`, `||`, a newline.
    Separator,
    /// `(` of a subshell or function, or of a pattern of `case`.
    Open,
    /// `)` of the same.
    Close,
    /// A redirection; the next word is a file or, with `<<<`, a text.
    Redirect {
        /// The file is written.
        writes: bool,
    },
    /// A here-document; its text is not a token.
    HereDocument,
}

/// The tokens so far, and the word that is being read.
#[derive(Debug, Default)]
pub(crate) struct Output {
    tokens: Vec<Token>,
    word: Option<(Word, usize)>,
    line: usize,
}

impl Output {
    pub(crate) fn into_tokens(mut self) -> Vec<Token> {
        self.end_word();
        self.tokens
    }

    pub(crate) fn next_line(&mut self) {
        self.line += 1;
    }

    pub(crate) fn in_word(&self) -> bool {
        self.word.is_some()
    }

    /// Begins a word, which may stay empty: `''`.
    pub(crate) fn begin_word(&mut self) -> &mut Word {
        let empty = || Word { text: String::new(), certain: true };
        &mut self.word.get_or_insert_with(|| (empty(), self.line)).0
    }

    pub(crate) fn push(&mut self, text: &str, certain: bool) {
        let word = self.begin_word();
        word.text.push_str(text);
        word.certain &= certain;
    }

    pub(crate) fn end_word(&mut self) {
        if let Some((word, line)) = self.word.take() {
            self.tokens.push(Token::Word(word, line));
        }
    }

    /// Ends the word, if there is one, and adds a token.
    pub(crate) fn add(&mut self, token: Token) {
        self.end_word();
        self.tokens.push(token);
    }

    /// A number directly before a redirection is not a word: `2>log`.
    pub(crate) fn drop_descriptor(&mut self) {
        let is_number = |(word, _): &(Word, usize)| {
            !word.text.is_empty() && word.text.bytes().all(|b| b.is_ascii_digit())
        };
        self.word.take_if(|word| is_number(word));
    }
}
