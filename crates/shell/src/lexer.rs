//! Reads shell text line by line: finds out whether a command is complete, where a comment begins, which variables it
//! needs from outside, and its tokens.

mod keywords;

use std::collections::VecDeque;

use super::cursor::{Cursor, ends_word, is_blank, is_name};
use super::heredoc::Heredoc;
use super::tokens::{Output, Token};
use super::variables::Variables;

/// The construct that the lexer is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Single,
    Dollar,
    Double,
    Backtick,
    /// `(` of a subshell or function.
    Paren,
    /// `$(`, `<(`, `>(`.
    Substitution,
    Arithmetic,
    Parameter,
    Brace,
    Block(&'static str),
}

/// The state between two lines.
#[derive(Debug, Default)]
pub struct Lexer {
    stack: Vec<Within>,
    /// The depth of the stack outside of the outermost expansion. All of an expansion belongs to one word.
    expansion: Option<usize>,
    /// The depth of the stack outside of backticks.
    backticks: Option<usize>,
    heredocs: VecDeque<Heredoc>,
    continued: bool,
    operator_last: bool,
    started: bool,
    variables: Variables,
    output: Output,
}

/// What is expected at the current position of a line.
struct Expected {
    /// A command: a word may be a keyword or an assignment.
    command: bool,
    /// The start of a word: `#` begins a comment.
    word: bool,
}

impl Lexer {
    /// Whether nothing is open after the last line.
    pub fn is_complete(&self) -> bool {
        self.may_end() && !self.continued
    }

    /// Whether the text may end here: at most a trailing backslash requires another line.
    pub fn may_end(&self) -> bool {
        self.stack.is_empty() && self.heredocs.is_empty() && !self.operator_last
    }

    /// The variables that are needed from outside, in order of first use.
    pub fn into_variables(self) -> Vec<String> {
        self.variables.into_needed()
    }

    /// The tokens of all lines.
    pub fn into_tokens(self) -> Vec<Token> {
        self.output.into_tokens()
    }

    /// Reads one more line; returns where a comment begins on it.
    pub fn line(&mut self, line: &str) -> Option<usize> {
        // A here-document begins on the line after its operator; `started` distinguishes the two lines.
        let comment = if self.started && !self.heredocs.is_empty() && !self.continued {
            self.heredoc_line(line);
            None
        } else {
            let comment = self.code_line(line);
            self.end_line();
            comment
        };
        self.output.next_line();
        comment
    }

    fn code_line(&mut self, line: &str) -> Option<usize> {
        self.started = true;
        let was_continued = std::mem::take(&mut self.continued);
        if !was_continued && self.stack.is_empty() {
            self.variables.end_assignment();
        }
        let mut cursor = Cursor { line, at: 0 };
        let mut expected = Expected {
            command: !was_continued || self.operator_last,
            word: self.expansion.is_some() || !self.output.in_word(),
        };
        self.operator_last &= line.trim().is_empty() || line.trim_start().starts_with('#');
        while let Some(c) = cursor.peek() {
            let (from, was_within) = (cursor.at, self.expansion.is_some());
            match self.stack.last().copied() {
                _ if self.within_backticks(&mut cursor, c) => {}
                Some(Within::Single) => {
                    cursor.next();
                    if c == '\'' {
                        self.stack.pop();
                    } else {
                        self.put(&line[from..cursor.at], true);
                    }
                    expected = Expected { command: false, word: false };
                }
                Some(Within::Dollar) => {
                    cursor.next();
                    match c {
                        '\\' => {
                            cursor.next();
                        }
                        '\'' => {
                            self.stack.pop();
                        }
                        _ => {}
                    }
                    self.put(&line[from..cursor.at], false);
                }
                Some(Within::Double | Within::Parameter) => {
                    self.quoted(&mut cursor, c);
                    expected = Expected { command: false, word: false };
                }
                top => {
                    let may_comment = top != Some(Within::Arithmetic) && self.backticks.is_none();
                    if c == '#' && expected.word && may_comment {
                        return Some(cursor.at);
                    }
                    self.plain(&mut cursor, c, &mut expected);
                }
            }
            if was_within || self.expansion.is_some() {
                self.output.push(&line[from..cursor.at], false);
            }
            if self.expansion.take_if(|depth| self.stack.len() <= *depth).is_some() {
                // The word goes on after it, whatever the last token inside was.
                expected = Expected { command: false, word: false };
            }
        }
        None
    }

    /// The newline after a line.
    fn end_line(&mut self) {
        if self.continued {
            return;
        }
        match self.stack.last() {
            _ if self.expansion.is_some() => self.output.push("\n", false),
            Some(Within::Single | Within::Double) => self.output.push("\n", true),
            Some(Within::Dollar) => self.output.push("\n", false),
            _ => self.output.add(Token::Separator),
        }
    }

    /// Adds text to the word, unless it is within an expansion, which is added as a whole.
    fn put(&mut self, text: &str, certain: bool) {
        if self.expansion.is_none() {
            self.output.push(text, certain);
        }
    }

    fn token(&mut self, token: Token) {
        if self.expansion.is_none() {
            self.output.add(token);
        }
    }

    fn open_quote(&mut self, within: Within) {
        self.stack.push(within);
        self.put("", true);
    }

    fn open_expansion(&mut self, within: Within) {
        self.expansion.get_or_insert(self.stack.len());
        self.stack.push(within);
    }

    /// One character within double quotes or `${…}`.
    fn quoted(&mut self, cursor: &mut Cursor<'_>, c: char) {
        let parameter = self.stack.last() == Some(&Within::Parameter);
        let from = cursor.at;
        cursor.next();
        match c {
            '\\' => match cursor.next() {
                None => self.continued = true,
                Some(escaped @ ('"' | '\\' | '$' | '`')) => self.put(escaped.encode_utf8(&mut [0; 4]), true),
                Some(_) => self.put(&cursor.line[from..cursor.at], true),
            },
            '$' => self.dollar(cursor),
            '`' => self.open_backticks(),
            '"' if !parameter => {
                self.stack.pop();
            }
            '"' => self.stack.push(Within::Double),
            '}' if parameter => {
                self.stack.pop();
            }
            _ => self.put(&cursor.line[from..cursor.at], true),
        }
    }

    /// One token outside quotes.
    fn plain(&mut self, cursor: &mut Cursor<'_>, c: char, expected: &mut Expected) {
        if ends_word(c) && self.variables.end_assignment() {
            expected.command = true;
        }
        if is_blank(c) {
            cursor.next();
            expected.word = true;
            if self.expansion.is_none() {
                self.output.end_word();
            }
            return;
        }
        self.operator_last = false;
        if expected.word && (c.is_ascii_alphabetic() || matches!(c, '_' | '{' | '}' | '!')) {
            self.first_of_word(cursor, c, expected);
            return;
        }
        cursor.next();
        expected.word = ends_word(c);
        let was_command = std::mem::replace(&mut expected.command, matches!(c, ';' | '&' | '|' | '(' | ')'));
        match c {
            '\\' => match cursor.next() {
                Some(escaped) => self.put(escaped.encode_utf8(&mut [0; 4]), true),
                None => {
                    self.continued = true;
                    expected.command = was_command;
                }
            },
            '\'' => self.open_quote(Within::Single),
            '"' => self.open_quote(Within::Double),
            '`' => {
                self.open_backticks();
                *expected = Expected { command: true, word: true };
            }
            '$' => {
                self.dollar(cursor);
                if matches!(self.stack.last(), Some(Within::Substitution | Within::Arithmetic)) {
                    *expected = Expected { command: true, word: true };
                }
            }
            '(' if cursor.rest_starts("(") && was_command => {
                cursor.next();
                self.open_expansion(Within::Arithmetic);
            }
            '(' => {
                self.stack.push(Within::Paren);
                self.token(Token::Open);
            }
            ')' => self.close_paren(cursor),
            '&' if cursor.rest_starts(">") => {
                cursor.next();
                self.redirect(cursor, '>', expected);
            }
            '&' | '|' => {
                let before = cursor.line[..cursor.at - 1].chars().next_back();
                self.operator_last = c == '|' || cursor.rest_starts("&") || matches!(before, Some('&' | '|'));
                self.token(Token::Separator);
            }
            ';' => self.token(Token::Separator),
            '<' | '>' => self.redirect(cursor, c, expected),
            '*' | '?' | '~' => self.put(c.encode_utf8(&mut [0; 4]), false),
            '[' => {
                let is_test = !self.output.in_word() && cursor.peek().is_none_or(is_blank);
                self.put("[", is_test);
            }
            _ => self.put(c.encode_utf8(&mut [0; 4]), true),
        }
    }

    /// The first characters of a word that may be a keyword or the name of an assignment.
    fn first_of_word(&mut self, cursor: &mut Cursor<'_>, c: char, expected: &mut Expected) {
        let from = cursor.at;
        cursor.next();
        if !matches!(c, '{' | '}' | '!') {
            cursor.take(is_name);
        }
        let word = &cursor.line[from..cursor.at];
        self.put(word, true);
        expected.word = false;
        if expected.command && cursor.peek() == Some('=') {
            self.variables.begin_assignment(word);
            cursor.next();
            self.put("=", true);
            expected.command = false;
            return;
        }
        let whole = cursor.peek().is_none_or(ends_word);
        expected.command = expected.command && whole && self.keyword(word, cursor);
    }

    /// The text after `<` or `>`.
    fn redirect(&mut self, cursor: &mut Cursor<'_>, c: char, expected: &mut Expected) {
        if self.stack.last() == Some(&Within::Arithmetic) {
            return;
        }
        *expected = Expected { command: false, word: true };
        if cursor.rest_starts("(") {
            cursor.next();
            self.open_expansion(Within::Substitution);
            expected.command = true;
            return;
        }
        if self.expansion.is_none() {
            self.output.drop_descriptor();
        }
        let rest = cursor.rest();
        if c == '<' && rest.starts_with("<<") {
            cursor.at += 2;
            self.token(Token::Redirect { writes: false });
        } else if c == '<' && rest.starts_with('<') {
            cursor.next();
            self.heredocs.extend(Heredoc::announced(cursor));
            self.token(Token::HereDocument);
        } else if rest.starts_with('&') {
            cursor.next();
            // `2>&1`: another descriptor, not a file.
            if cursor.take(|c| c.is_ascii_digit() || c == '-').is_empty() {
                self.token(Token::Redirect { writes: c == '>' });
            } else if self.expansion.is_none() {
                self.output.end_word();
            }
        } else {
            if rest.starts_with('>') || (c == '>' && rest.starts_with('|')) {
                cursor.next();
            }
            self.token(Token::Redirect { writes: c == '>' || rest.starts_with('>') });
        }
    }

    fn close_paren(&mut self, cursor: &mut Cursor<'_>) {
        match self.stack.last() {
            Some(Within::Paren | Within::Substitution) => {
                self.stack.pop();
            }
            Some(Within::Arithmetic) if cursor.rest_starts(")") => {
                cursor.next();
                self.stack.pop();
            }
            // A lone `)` ends a pattern of `case`.
            _ => {}
        }
        self.token(Token::Close);
    }

    fn open_backticks(&mut self) {
        self.backticks = Some(self.stack.len());
        self.open_expansion(Within::Backtick);
    }

    /// Within backticks the next one ends all that is open, quotes included, unless it has a backslash. Returns whether
    /// it took characters.
    fn within_backticks(&mut self, cursor: &mut Cursor<'_>, c: char) -> bool {
        let Some(depth) = self.backticks else { return false };
        if c == '`' {
            cursor.next();
            self.stack.truncate(depth);
            self.backticks = None;
            return true;
        }
        let escaped = cursor.rest_starts("\\`") || cursor.rest_starts(r"\\");
        cursor.at += if escaped { 2 } else { 0 };
        escaped
    }

    /// The text after a `$`.
    fn dollar(&mut self, cursor: &mut Cursor<'_>) {
        let from = cursor.at - 1;
        let quoted = matches!(self.stack.last(), Some(Within::Double | Within::Parameter));
        let mut expands = true;
        if cursor.rest_starts("((") {
            cursor.at += 2;
            self.open_expansion(Within::Arithmetic);
        } else if cursor.rest_starts("(") {
            cursor.next();
            self.open_expansion(Within::Substitution);
        } else if cursor.rest_starts("{") {
            cursor.next();
            cursor.take(|c| matches!(c, '#' | '!'));
            self.variables.used(cursor.take(is_name));
            self.open_expansion(Within::Parameter);
        } else if cursor.rest_starts("'") && !quoted {
            cursor.next();
            self.stack.push(Within::Dollar);
        } else if cursor.peek().is_some_and(|c| "$?#!@*-0123456789".contains(c)) {
            cursor.next();
        } else {
            let name = cursor.take(is_name);
            self.variables.used(name);
            // Also a text to be translated: `$"…"`.
            expands = !name.is_empty() || (cursor.rest_starts("\"") && !quoted);
        }
        self.put(&cursor.line[from..cursor.at], !expands);
    }
}
