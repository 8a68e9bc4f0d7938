//! A line-by-line scanner of shell text: finds out whether the command is complete, where a comment begins,
//! and which variables it needs from outside. It only approximates the POSIX grammar, on purpose:
//! in case of doubt it joins lines that bash would split.

/// The construct that the scanner is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Single,
    Dollar,
    Double,
    Backtick,
    Paren,
    Arithmetic,
    Parameter,
    Brace,
    Block(&'static str),
}

/// A here-document that was announced or is being read.
#[derive(Debug)]
struct Heredoc {
    delimiter: String,
    strip_tabs: bool,
    quoted: bool,
}

/// The state between two lines of one command.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    stack: Vec<Within>,
    heredocs: std::collections::VecDeque<Heredoc>,
    continued: bool,
    operator_last: bool,
    started: bool,
    /// The name whose value is being read; it is declared only after the value.
    assigning: Option<String>,
    vars: Vec<String>,
    declared: std::collections::HashSet<String>,
    listed: std::collections::HashSet<String>,
}

/// A position within the characters of one line.
struct Cursor<'a> {
    line: &'a str,
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<char> {
        self.line[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn rest_starts(&self, with: &str) -> bool {
        self.line[self.at..].starts_with(with)
    }

    /// Takes the characters that match `wanted`.
    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &str {
        let start = self.at;
        while self.peek().is_some_and(&wanted) {
            self.next();
        }
        &self.line[start..self.at]
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, ';' | '&' | '|' | '(' | ')' | '<' | '>')
}

impl Scanner {
    /// Whether nothing is open after the last line.
    pub fn is_complete(&self) -> bool {
        self.stack.is_empty() && self.heredocs.is_empty() && !self.continued && !self.operator_last
    }

    /// Whether only a trailing backslash requires another line.
    pub fn only_continued(&self) -> bool {
        self.stack.is_empty() && self.heredocs.is_empty() && !self.operator_last
    }

    /// The variables that are needed from outside.
    pub fn into_vars(self) -> Vec<String> {
        self.vars
    }

    /// Reads one more line; returns where a comment begins on it.
    pub fn line(&mut self, line: &str) -> Option<usize> {
        // A here-document begins on the line after its operator; `started` distinguishes the two lines.
        if self.started && !self.heredocs.is_empty() && !self.continued {
            self.heredoc_line(line);
            return None;
        }
        self.started = true;
        let was_continued = std::mem::take(&mut self.continued);
        if !was_continued && self.stack.is_empty() {
            self.end_assignment();
        }
        let mut cursor = Cursor { line, at: 0 };
        // At the position of a command, a word may be a keyword or an assignment.
        let mut command = !was_continued || self.operator_last;
        self.operator_last &= line.trim().is_empty() || line.trim_start().starts_with('#');
        let mut word_start = true;
        while let Some(c) = cursor.peek() {
            match self.stack.last().copied() {
                Some(Within::Single) => {
                    cursor.next();
                    if c == '\'' {
                        self.stack.pop();
                    }
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
                }
                Some(Within::Double | Within::Parameter) => {
                    self.quoted(&mut cursor, c);
                    (command, word_start) = (false, false);
                }
                top => {
                    if c == '#' && word_start && top != Some(Within::Arithmetic) {
                        return Some(cursor.at);
                    }
                    self.plain(&mut cursor, c, &mut command, &mut word_start);
                }
            }
        }
        None
    }

    /// One character within double quotes or `${…}`.
    fn quoted(&mut self, cursor: &mut Cursor<'_>, c: char) {
        let parameter = self.stack.last() == Some(&Within::Parameter);
        cursor.next();
        match c {
            '\\' if cursor.next().is_none() => self.continued = true,
            '$' => self.dollar(cursor),
            '`' => self.toggle_backtick(),
            '"' if !parameter => {
                self.stack.pop();
            }
            '"' => self.stack.push(Within::Double),
            '}' if parameter => {
                self.stack.pop();
            }
            _ => {}
        }
    }

    /// One token outside quotes.
    fn plain(&mut self, cursor: &mut Cursor<'_>, c: char, command: &mut bool, word_start: &mut bool) {
        if ends_word(c) && self.end_assignment() {
            *command = true;
        }
        if c.is_whitespace() {
            cursor.next();
            *word_start = true;
            return;
        }
        self.operator_last = false;
        if *word_start && (c.is_ascii_alphabetic() || matches!(c, '_' | '{' | '}' | '!')) {
            let start = cursor.at;
            let word = if matches!(c, '{' | '}' | '!') {
                cursor.next();
                &cursor.line[start..cursor.at]
            } else {
                cursor.take(is_name);
                &cursor.line[start..cursor.at]
            };
            let whole = cursor.peek().is_none_or(ends_word);
            *word_start = false;
            if *command && cursor.peek() == Some('=') {
                // The value is read first, as in bash: `A=$A` needs A from outside.
                self.assigning = Some(word.to_owned());
                cursor.next();
                *command = false;
                return;
            }
            *command = *command && whole && self.keyword(word, cursor);
            return;
        }
        cursor.next();
        *word_start = ends_word(c);
        let was_command = std::mem::replace(command, matches!(c, ';' | '&' | '|' | '(' | ')'));
        match c {
            '\\' if cursor.next().is_none() => {
                self.continued = true;
                *command = was_command;
            }
            '\'' => self.stack.push(Within::Single),
            '"' => self.stack.push(Within::Double),
            '`' => {
                self.toggle_backtick();
                (*command, *word_start) = (true, true);
            }
            '$' => {
                self.dollar(cursor);
                if matches!(self.stack.last(), Some(Within::Paren | Within::Arithmetic)) {
                    (*command, *word_start) = (true, true);
                }
            }
            '(' => {
                let arithmetic = cursor.rest_starts("(") && was_command;
                self.stack.push(if arithmetic { Within::Arithmetic } else { Within::Paren });
                if arithmetic {
                    cursor.next();
                }
            }
            ')' => self.close_paren(cursor),
            '&' | '|' => {
                self.operator_last = c == '|' || cursor.peek() == Some('&') || {
                    // The second `&` of `&&`.
                    cursor.at >= 2 && cursor.line.as_bytes()[cursor.at - 2] == b'&'
                }
            }
            '<' if cursor.rest_starts("<<") => cursor.at += 2,
            '<' if cursor.rest_starts("<") && self.stack.last() != Some(&Within::Arithmetic) => {
                cursor.next();
                self.announce_heredoc(cursor);
            }
            _ => {}
        }
    }

    fn close_paren(&mut self, cursor: &mut Cursor<'_>) {
        match self.stack.last() {
            Some(Within::Paren) => {
                self.stack.pop();
            }
            Some(Within::Arithmetic) if cursor.rest_starts(")") => {
                cursor.next();
                self.stack.pop();
            }
            // A lone `)` ends a pattern of `case`.
            _ => {}
        }
    }

    fn toggle_backtick(&mut self) {
        if self.stack.last() == Some(&Within::Backtick) {
            self.stack.pop();
        } else {
            self.stack.push(Within::Backtick);
        }
    }

    /// The text after a `$`.
    fn dollar(&mut self, cursor: &mut Cursor<'_>) {
        let quoted = matches!(self.stack.last(), Some(Within::Double | Within::Parameter));
        if cursor.rest_starts("((") {
            cursor.at += 2;
            self.stack.push(Within::Arithmetic);
        } else if cursor.rest_starts("(") {
            cursor.next();
            self.stack.push(Within::Paren);
        } else if cursor.rest_starts("{") {
            cursor.next();
            cursor.take(|c| matches!(c, '#' | '!'));
            let name = cursor.take(is_name).to_owned();
            self.wants(&name);
            self.stack.push(Within::Parameter);
        } else if cursor.rest_starts("'") && !quoted {
            cursor.next();
            self.stack.push(Within::Dollar);
        } else if cursor.peek().is_some_and(|c| "$?#!@*-0123456789".contains(c)) {
            cursor.next();
        } else {
            let name = cursor.take(is_name).to_owned();
            self.wants(&name);
        }
    }

    fn wants(&mut self, name: &str) {
        let usable = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if !usable || name == "_" || self.declared.contains(name) || self.listed.contains(name) {
            return;
        }
        self.listed.insert(name.to_owned());
        self.vars.push(name.to_owned());
    }

    /// Declares the name whose value has ended; returns whether there was one.
    fn end_assignment(&mut self) -> bool {
        let Some(name) = self.assigning.take() else { return false };
        self.declared.insert(name);
        true
    }

    /// Handles a word at the position of a command; returns whether another command may follow it.
    fn keyword(&mut self, word: &str, cursor: &mut Cursor<'_>) -> bool {
        let block = self.stack.last().copied();
        let closes = |opener: &str| matches!(block, Some(Within::Block(b)) if b == opener);
        match word {
            "if" => self.stack.push(Within::Block("if")),
            "while" | "until" => self.stack.push(Within::Block("do")),
            "for" | "select" => {
                self.stack.push(Within::Block("do"));
                cursor.take(char::is_whitespace);
                let name = cursor.take(is_name).to_owned();
                self.declared.insert(name);
                return false;
            }
            "case" => {
                self.stack.push(Within::Block("case"));
                return false;
            }
            "read" => {
                self.declare_rest(cursor);
                return false;
            }
            "fi" if closes("if") => {
                self.stack.pop();
            }
            "done" if closes("do") => {
                self.stack.pop();
            }
            "esac" if closes("case") => {
                self.stack.pop();
            }
            "{" => self.stack.push(Within::Brace),
            "}" if block == Some(Within::Brace) => {
                self.stack.pop();
            }
            "then" | "else" | "elif" | "do" | "!" | "time" | "export" | "local" | "declare" => {}
            _ => return false,
        }
        true
    }

    /// `read -r a b`: its words are names.
    fn declare_rest(&mut self, cursor: &mut Cursor<'_>) {
        let rest: String = cursor.line[cursor.at..].chars().take_while(|c| !";&|<>)#".contains(*c)).collect();
        for name in rest.split_whitespace().filter(|w| w.chars().all(is_name)) {
            self.declared.insert(name.to_owned());
        }
    }

    /// The text after `<<`.
    fn announce_heredoc(&mut self, cursor: &mut Cursor<'_>) {
        let strip_tabs = cursor.rest_starts("-");
        if strip_tabs {
            cursor.next();
        }
        cursor.take(|c| c == ' ' || c == '\t');
        let (delimiter, quoted) = match cursor.peek() {
            Some(q @ ('\'' | '"')) => {
                cursor.next();
                let word = cursor.take(|c| c != q).to_owned();
                cursor.next();
                (word, true)
            }
            Some('\\') => {
                cursor.next();
                (cursor.take(|c| !ends_word(c)).to_owned(), true)
            }
            _ => (cursor.take(|c| !ends_word(c)).to_owned(), false),
        };
        if !delimiter.is_empty() {
            self.heredocs.push_back(Heredoc { delimiter, strip_tabs, quoted });
        }
    }

    fn heredoc_line(&mut self, line: &str) {
        let Some(doc) = self.heredocs.front() else { return };
        let body = if doc.strip_tabs { line.trim_start_matches('\t') } else { line };
        if body == doc.delimiter {
            self.heredocs.pop_front();
            return;
        }
        if doc.quoted {
            return;
        }
        let mut cursor = Cursor { line, at: 0 };
        while let Some(c) = cursor.next() {
            match c {
                '\\' => {
                    cursor.next();
                }
                '$' => {
                    let depth = self.stack.len();
                    self.dollar(&mut cursor);
                    // Only names are relevant; constructs opened by a substitution end with the document.
                    self.stack.truncate(depth);
                }
                _ => {}
            }
        }
    }
}
