//! Compound commands, and the lines of here-documents.

use super::{Lexer, Within};
use crate::cursor::{Cursor, is_blank, is_name};

impl Lexer {
    /// Handles a word at the position of a command; returns whether another command may follow it.
    pub(super) fn keyword(&mut self, word: &str, cursor: &mut Cursor<'_>) -> bool {
        let block = self.stack.last().copied();
        let closes = |opener: &str| matches!(block, Some(Within::Block(b)) if b == opener);
        match word {
            "if" => self.stack.push(Within::Block("if")),
            "while" | "until" => self.stack.push(Within::Block("do")),
            "for" | "select" => {
                self.stack.push(Within::Block("do"));
                let ahead = &mut Cursor { ..*cursor };
                ahead.take(is_blank);
                self.variables.declare(ahead.take(is_name));
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
    fn declare_rest(&mut self, cursor: &Cursor<'_>) {
        let rest: String = cursor.rest().chars().take_while(|c| !";&|<>)#".contains(*c)).collect();
        for name in rest.split_whitespace().filter(|w| w.chars().all(is_name)) {
            self.variables.declare(name);
        }
    }

    pub(super) fn heredoc_line(&mut self, line: &str) {
        let Some(doc) = self.heredocs.front() else { return };
        if doc.ends_at(line) {
            self.heredocs.pop_front();
            return;
        }
        if doc.quoted {
            return;
        }
        // Only names are relevant: no token comes of them, and constructs opened by an expansion end with the line.
        let (depth, outer) = (self.stack.len(), self.expansion);
        self.expansion.get_or_insert(depth);
        let mut cursor = Cursor { line, at: 0 };
        while let Some(c) = cursor.next() {
            match c {
                '\\' => {
                    cursor.next();
                }
                '$' => {
                    self.dollar(&mut cursor);
                    self.stack.truncate(depth);
                }
                _ => {}
            }
        }
        self.expansion = outer;
    }
}
