//! Fenced code blocks: which of them are commands, and their steps.

use domain::digest::sha256_hex;
use domain::runbook::{Severity, Step, StepKind};

use super::{MOST_OF_A_KIND, Reader};
use crate::section::speaks_of_rollback;
use crate::shell::{Command, Fence, is_manual, read_fence, title_of};
use crate::text::{fold, shorten};

/// `None` if the language of a fence is not a shell; else whether it shows a session with prompts.
fn language(info: &str) -> Option<bool> {
    let word = info.split(|c: char| c.is_whitespace() || c == ',').next().unwrap_or_default();
    let word = word.trim_matches(['{', '}', '.']).to_ascii_lowercase();
    match word.as_str() {
        "bash" | "sh" | "shell" | "zsh" => Some(false),
        "console" | "shell-session" | "shellsession" | "terminal" => Some(true),
        _ => None,
    }
}

impl Reader<'_> {
    /// A fenced block; `inside` is the text of the list item around it.
    pub(super) fn fence(&mut self, info: &str, code: &str, at: usize, inside: &str, closed: bool) {
        let Some(console) = language(info) else {
            if info.trim().is_empty() && !code.trim().is_empty() {
                self.problem(
                    Severity::Note,
                    at,
                    "a code block without a language is not read as commands",
                    "start it with ```bash if its lines are commands",
                );
            }
            if !closed {
                self.not_closed(at);
            }
            return;
        };
        if !closed {
            // The block may include prose, and prose must not be run as a command.
            self.not_closed(at);
            return;
        }
        let Fence { commands, loose_comments } = read_fence(code, console);
        let first_line = self.lines.line(at) + 1;
        let rollback = self.sections.traits().rollback
            || speaks_of_rollback(&self.sections.lead)
            || speaks_of_rollback(&fold(&inside.chars().take(300).collect::<String>()));
        let gate = self.sections.gate().map(str::to_owned);
        let section = self.sections.heading().to_owned();
        let prefix = match &gate {
            Some(gate) => format!("{gate}.s"),
            None => format!("{}.s", self.sections.slug()),
        };
        for command in commands {
            if !self.has_room("steps", self.out.steps.len(), MOST_OF_A_KIND, at) {
                break;
            }
            let number = self.count(&prefix);
            let id = format!("{prefix}{number}");
            let line = first_line + command.line;
            if !command.finished {
                self.unfinished(&id, line);
            }
            let title = title_of(&command);
            let manual = is_manual(&command);
            let Command { text, note, vars, optional, .. } = command;
            let kind = match (rollback, optional) {
                (true, _) => StepKind::Rollback,
                (false, true) => StepKind::Optional,
                (false, false) => StepKind::Normal,
            };
            self.out.steps.push(Step {
                id,
                gate: gate.clone(),
                section: section.clone(),
                title,
                digest: sha256_hex(text.as_bytes()),
                command: text,
                note,
                vars,
                kind,
                manual,
                line,
            });
        }
        for (line, comment) in loose_comments {
            let message = format!("there is no command below the comment “{}”", shorten(&comment, 60));
            let hint = "a comment is the title of the command directly below it";
            self.at_line(Severity::Note, first_line + line, message, hint);
        }
    }

    fn not_closed(&mut self, at: usize) {
        self.problem(
            Severity::Error,
            at,
            "this code block is not closed, so the text after it is part of it and none of it is used",
            "close it with ``` on a line of its own",
        );
    }

    fn unfinished(&mut self, id: &str, line: usize) {
        self.at_line(
            Severity::Warning,
            line,
            format!("the command of step {id} does not end within its code block"),
            "close its quote, bracket, here-document or block; the lines below it were read as part of it",
        );
    }

    fn at_line(&mut self, severity: Severity, line: usize, message: impl Into<String>, hint: &str) {
        let at = self.lines.start_of(line);
        self.problem(severity, at, message, hint);
    }
}
