//! Splits the text of a shell fence into logical commands, with the comments that belong to them.

use shell::Lexer;

use super::text::{shorten, squeeze};

/// One logical command of a fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// Exact text, lines joined by newlines, without the comment after it.
    pub text: String,
    /// Line within the fence, from 0.
    pub line: usize,
    /// The comment directly above, else empty.
    pub comment: String,
    /// The comment after it, else empty.
    pub note: String,
    /// Whether a comment above this group of commands says that it is optional.
    pub optional: bool,
    /// Variables expected from outside, in order of first use.
    pub vars: Vec<String>,
    /// `false` when the fence ended within a quote, here-document or block.
    pub finished: bool,
}

/// The commands of a fence, and the comments (with their lines) without a command below them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fence {
    /// The commands in order.
    pub commands: Vec<Command>,
    /// Comments without a command below them.
    pub loose_comments: Vec<(usize, String)>,
}

/// What the lines of a fence are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FenceKind {
    /// Commands.
    Script,
    /// Commands with their output: only lines after a `$ ` prompt are commands, unless no line has a prompt.
    Session,
}

/// Reads the commands of a fence.
pub(super) fn read_fence(code: &str, kind: FenceKind) -> Fence {
    let prompted = code.lines().any(is_prompt);
    let mut fence = Fence::default();
    let mut above: Vec<(usize, String)> = Vec::new();
    let mut optional = false;
    let mut open: Option<Open> = None;
    for (number, raw) in code.lines().enumerate() {
        let starts = open.is_none();
        if starts && kind == FenceKind::Session && prompted && !is_prompt(raw) {
            continue;
        }
        let line = if prompted { without_prompt(raw, starts) } else { raw };
        if starts {
            let trimmed = line.trim();
            if trimmed.is_empty() {
                fence.loose_comments.append(&mut above);
                optional = false;
                continue;
            }
            if let Some(comment) = trimmed.strip_prefix('#') {
                let comment = clean_comment(comment);
                if above.is_empty() {
                    optional = comment.to_lowercase().starts_with("optional");
                }
                if !comment.is_empty() {
                    above.push((number, comment));
                }
                continue;
            }
        }
        let mut current = open.take().unwrap_or_else(|| Open::new(number));
        let comment_at = current.lexer.line(line);
        current.lines.push(line.to_owned());
        if current.lexer.is_complete() {
            fence.commands.push(current.close(&mut above, optional, comment_at, true));
        } else {
            open = Some(current);
        }
    }
    if let Some(current) = open {
        // For bash, a continuation with nothing after it is still a complete command.
        let finished = current.lexer.may_end();
        fence.commands.push(current.close(&mut above, optional, None, finished));
    }
    // A single backslash is not a command.
    fence.commands.retain(|c| c.text.contains(|c: char| c != '\\' && !c.is_whitespace()));
    fence.loose_comments.append(&mut above);
    fence
}

/// A command whose end has not been reached yet.
struct Open {
    first: usize,
    lines: Vec<String>,
    lexer: Lexer,
}

impl Open {
    fn new(first: usize) -> Open {
        Open { first, lines: Vec::new(), lexer: Lexer::default() }
    }

    /// `comment_at` is the start of a comment on the last line.
    fn close(
        mut self,
        above: &mut Vec<(usize, String)>,
        optional: bool,
        comment_at: Option<usize>,
        finished: bool,
    ) -> Command {
        let mut note = String::new();
        if let (Some(at), Some(last)) = (comment_at, self.lines.last_mut()) {
            note = clean_comment(last[at..].trim_start_matches('#'));
            last.truncate(at);
        }
        let text = self.lines.join("\n");
        let comments: Vec<String> = above.drain(..).map(|(_, c)| c).collect();
        Command {
            text: text.trim_end_matches([' ', '\t', '\n']).trim_start_matches([' ', '\t']).to_owned(),
            line: self.first,
            comment: comments.join(" "),
            note,
            optional,
            vars: self.lexer.into_variables(),
            finished,
        }
    }
}

fn is_prompt(line: &str) -> bool {
    line.trim_start().strip_prefix('$').is_some_and(|rest| rest.starts_with(' '))
}

fn without_prompt(line: &str, starts: bool) -> &str {
    let bare = line.trim_start();
    if starts { bare.strip_prefix("$ ").unwrap_or(line) } else { bare.strip_prefix("> ").unwrap_or(line) }
}

fn clean_comment(comment: &str) -> String {
    squeeze(comment.trim_start_matches('#'))
}

/// The title of a command: its comment without numbering and colon, else its own first line.
pub(super) fn title_of(command: &Command) -> String {
    let comment = command.comment.trim();
    let digits = comment.chars().take_while(char::is_ascii_digit).count();
    let rest = &comment[digits..];
    let numbered = digits > 0 && rest.starts_with(['.', ')', ':']);
    let plain = if numbered { rest[1..].trim() } else { comment };
    let plain = plain.trim_end_matches(':').trim_end();
    if !plain.is_empty() {
        return shorten(plain, 120);
    }
    let mut lines = command.text.lines().map(|line| squeeze(line.trim_end_matches('\\')));
    shorten(&lines.find(|line| !line.is_empty()).unwrap_or_default(), 80)
}

/// Whether a person must do it: it opens a window, or a comment says “(manual”.
pub(super) fn is_manual(command: &Command) -> bool {
    let word = command.text.split_whitespace().next().unwrap_or_default();
    let opens = ["open", "xdg-open", "start", "vi", "vim", "nano", "emacs", "code", "$EDITOR"];
    opens.contains(&word)
        || [&command.comment, &command.note].iter().any(|s| s.to_lowercase().contains("(manual"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(code: &str) -> Vec<String> {
        read_fence(code, FenceKind::Script).commands.into_iter().map(|c| c.text).collect()
    }

    #[test]
    fn every_line_is_a_command_and_comments_title_them() {
        let fence = read_fence(
            "npm ci\n# 2) Types:\nnpm run types  # quick\nnpm run lint\n\n# Optional extras\nfoo\nbar\n\nbaz\n",
            FenceKind::Script,
        );
        let seen: Vec<(String, &str, bool, usize)> =
            fence.commands.iter().map(|c| (title_of(c), c.note.as_str(), c.optional, c.line)).collect();
        let row = |t: &str, n, o, l| (t.to_owned(), n, o, l);
        assert_eq!(
            seen,
            [
                row("npm ci", "", false, 0),
                row("Types", "quick", false, 2),
                row("npm run lint", "", false, 3),
                row("Optional extras", "", true, 6),
                row("bar", "", true, 7),
                row("baz", "", false, 9),
            ]
        );
        assert_eq!(fence.commands[1].text, "npm run types");
    }

    #[test]
    fn commands_over_several_lines_stay_whole() {
        for code in [
            "curl -s \\\n  http://x | head",
            "a &&\nb ||\nc |\nd",
            "cat <<EOF\n# no comment\nif\nEOF",
            "cat <<-'E X'\n\tdo\n\tE X",
            "echo 'one\ntwo'",
            "echo \"one\n# two $(date\n)\"",
            "if true; then\n  echo fi\nfi",
            "for f in a b; do\n  case $f in\n    a) echo;;\n  esac\ndone",
            "(cd x &&\n  make\n)",
            "while read -r l\ndo\n echo \"$l\"\ndone < f",
            "f() {\n  echo ${A:-}}\n}",
            "x=$(\n  date\n)",
            "a=$((1 << 2))",
            "cat <<A <<B\n1\nA\n2\nB",
        ] {
            assert_eq!(texts(code), [code], "must be one command");
            assert!(read_fence(code, FenceKind::Script).commands[0].finished, "{code}");
        }
    }

    #[test]
    fn a_command_that_only_looks_unfinished_ends_with_its_line() {
        for line in [
            "echo done",
            "echo if",
            "echo it\\'s",
            "echo a#b",
            "grep '<<' f",
            "echo ${#A}",
            "git log --format=%s # it's a note",
            "tr -d '\"'",
            "cat <<< word",
            "echo \\\\",
            "x=1; echo for",
            "echo {",
            "echo \"a\\\"b\"",
            "echo $'it\\'s'",
        ] {
            assert_eq!(texts(&format!("{line}\nnext")).len(), 2, "{line}");
        }
    }

    #[test]
    fn an_unfinished_command_is_marked() {
        let fence = read_fence("echo 'open\nls\n", FenceKind::Script);
        assert_eq!(fence.commands.len(), 1);
        assert!(!fence.commands[0].finished);
        assert!(read_fence("ls \\\n", FenceKind::Script).commands[0].finished);
        assert!(read_fence("\\\n", FenceKind::Script).commands.is_empty());
    }

    #[test]
    fn variables_are_listed_once_and_only_those_from_outside() {
        let vars = |code: &str| read_fence(code, FenceKind::Script).commands[0].vars.clone();
        assert_eq!(
            vars("curl -H \"A: ${TOKEN}\" $HOST:${PORT:-3000}/$HOST ${#LIST} '$NO' \\$NO $1 $? $$ $(id)"),
            ["TOKEN", "HOST", "PORT", "LIST"]
        );
        assert_eq!(vars("for f in $DIRS; do echo $f; done"), ["DIRS"]);
        assert_eq!(vars("A=1 B=$C; echo $A $B"), ["C"]);
        assert_eq!(vars("echo \"$(cat $FILE '$NOT')\""), ["FILE"]);
        assert_eq!(vars("cat <<EOF\n$IN\nEOF"), ["IN"]);
        assert!(vars("cat <<'EOF'\n$OUT\nEOF").is_empty());
    }

    #[test]
    fn console_output_is_no_command() {
        let fence = read_fence(
            "$ npm ci\nadded 3 packages\n$ curl \\\n> http://x\n{\"ok\":true}\n",
            FenceKind::Session,
        );
        let seen: Vec<&str> = fence.commands.iter().map(|c| c.text.as_str()).collect();
        assert_eq!(seen, ["npm ci", "curl \\\nhttp://x"]);
        assert_eq!(texts("$ ls\n$ pwd"), ["ls", "pwd"]);
    }

    #[test]
    fn comments_without_a_command_are_kept_apart() {
        let fence = read_fence("ls\n# left over\n\n# last\n", FenceKind::Script);
        assert_eq!(fence.loose_comments, [(1, "left over".to_owned()), (3, "last".to_owned())]);
    }

    #[test]
    fn manual_steps_are_recognised() {
        let manual = |code: &str| is_manual(&read_fence(code, FenceKind::Script).commands[0]);
        assert!(manual("open http://x"));
        assert!(manual("# UI (manual)\nls"));
        assert!(!manual("npm start"));
    }
}
