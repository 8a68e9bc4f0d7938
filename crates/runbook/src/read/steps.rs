//! Fenced code blocks: which of them are commands, and their steps.

use domain::digest::sha256_hex;
use domain::runbook::{Severity, Step, StepKind};

use super::{MOST_OF_A_KIND, Reader};
use crate::section::speaks_of_rollback;
use crate::shell::{Command, Fence, FenceKind, is_manual, read_fence, title_of};
use crate::text::{fold, shorten};

/// What a fence holds according to its language; `None` if that is not a shell.
fn kind_of(info: &str) -> Option<FenceKind> {
    let word = info.split(|c: char| c.is_whitespace() || c == ',').next().unwrap_or_default();
    let word = word.trim_matches(['{', '}', '.']).to_ascii_lowercase();
    match word.as_str() {
        "bash" | "sh" | "shell" | "zsh" => Some(FenceKind::Script),
        "console" | "shell-session" | "shellsession" | "terminal" => Some(FenceKind::Session),
        _ => None,
    }
}

impl Reader<'_> {
    /// A fenced block; `inside` is the text of the list item around it.
    pub(super) fn fence(&mut self, info: &str, code: &str, at: usize, inside: &str, closed: bool) {
        let kind = kind_of(info);
        if kind.is_none() && info.trim().is_empty() && !code.trim().is_empty() {
            self.problem(
                Severity::Note,
                at,
                "a code block without a language is not read as commands",
                "start it with ```bash if its lines are commands",
            );
        }
        if !closed {
            // The block may include prose, and prose must not be run as a command.
            self.not_closed(at);
            return;
        }
        let Some(kind) = kind else { return };
        let Fence { commands, loose_comments } = read_fence(code, kind);
        let first_line = self.lines.line(at) + 1;
        let rollback = self.sections.traits().rollback
            || speaks_of_rollback(&self.sections.lead)
            || speaks_of_rollback(&fold(&inside.chars().take(300).collect::<String>()));
        for command in commands {
            if !self.has_room("steps", self.out.steps.len(), MOST_OF_A_KIND, at) {
                break;
            }
            let kind = match (rollback, command.optional) {
                (true, _) => StepKind::Rollback,
                (false, true) => StepKind::Optional,
                (false, false) => StepKind::Normal,
            };
            self.step(command, kind, first_line);
        }
        for (line, comment) in loose_comments {
            let message = format!("there is no command below the comment “{}”", shorten(&comment, 60));
            let hint = "a comment is the title of the command directly below it";
            self.at_line(Severity::Note, first_line + line, message, hint);
        }
    }

    /// Adds a command of a block that begins in `first_line` as a step of the current section.
    fn step(&mut self, command: Command, kind: StepKind, first_line: usize) {
        let gate = self.sections.gate().map(str::to_owned);
        let prefix = match &gate {
            Some(gate) => format!("{gate}.s"),
            None => format!("{}.s", self.sections.slug()),
        };
        let number = self.count(&prefix);
        let id = format!("{prefix}{number}");
        let line = first_line + command.line;
        if !command.finished {
            self.unfinished(&id, line);
        }
        let title = title_of(&command);
        let manual = is_manual(&command);
        let Command { text, note, vars, .. } = command;
        self.out.steps.push(Step {
            id,
            gate,
            section: self.sections.heading().to_owned(),
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
