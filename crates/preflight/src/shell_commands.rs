//! Splits shell text into simple commands, with the directory in which each runs, as far as that is certain.
//!
//! Parts that are not certain (an expansion, a glob, a compound command) are marked, and no finding is based on them.

use std::path::{Component, Path, PathBuf};

/// One word of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// Its text, quotes removed.
    pub(super) text: String,
    /// It is exactly this text: it holds no expansion and no glob.
    pub(super) certain: bool,
}

/// A simple command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Simple {
    /// Program and arguments, without assignments, wrappers and redirections.
    pub(super) words: Vec<Word>,
    /// Its directory, relative to the directory in which the text starts; `None` when that is not certain.
    pub(super) cwd: Option<PathBuf>,
    /// Line within the text, from 0.
    pub(super) line: usize,
    /// Files that it writes by redirection.
    pub(super) writes: Vec<String>,
}

impl Simple {
    /// The program, when it is certain.
    pub(super) fn program(&self) -> Option<&str> {
        self.words.first().filter(|w| w.certain).map(|w| w.text.as_str())
    }

    /// The arguments.
    pub(super) fn args(&self) -> &[Word] {
        self.words.get(1..).unwrap_or_default()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(Word, usize),
    /// `;`, `&`, `|`, `&&`, `||`, a newline.
    Between(usize),
    Open,
    Close,
    /// A redirection; the next word is a file.
    Redirect {
        writes: bool,
    },
}

/// Keywords of compound commands.
const COMPOUND: [&str; 16] = [
    "if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "function",
    "select", "{", "}",
];

/// Splits `text` into commands. `None` when it holds a compound command or a here-document, which are not checked.
pub(super) fn simple_commands(text: &str) -> Option<Vec<Simple>> {
    let tokens = tokens(text)?;
    let mut all = Vec::new();
    let mut places: Vec<Option<PathBuf>> = vec![Some(PathBuf::new())];
    let mut current: Vec<(Word, usize)> = Vec::new();
    let mut writes: Vec<String> = Vec::new();
    let mut redirect: Option<bool> = None;
    let end = std::iter::once(Token::Between(0));
    for token in tokens.into_iter().chain(end) {
        match token {
            Token::Word(word, line) => match redirect.take() {
                Some(true) if word.certain => writes.push(word.text),
                Some(_) => {}
                None => current.push((word, line)),
            },
            Token::Redirect { writes } => redirect = Some(writes),
            Token::Open if current.is_empty() => places.push(places.last().cloned().flatten()),
            // `name() …` or a list in parentheses.
            Token::Open => return None,
            Token::Between(_) | Token::Close => {
                redirect = None;
                let words = std::mem::take(&mut current);
                finish(words, std::mem::take(&mut writes), &mut places, &mut all)?;
                if token == Token::Close {
                    places.pop();
                    if places.is_empty() {
                        return None;
                    }
                }
            }
        }
    }
    Some(all)
}

fn finish(
    words: Vec<(Word, usize)>,
    writes: Vec<String>,
    places: &mut [Option<PathBuf>],
    all: &mut Vec<Simple>,
) -> Option<()> {
    let line = words.first().map_or(0, |(_, line)| *line);
    let words: Vec<Word> = words.into_iter().map(|(word, _)| word).collect();
    if words.first().is_some_and(|w| w.certain && COMPOUND.contains(&w.text.as_str())) {
        return None;
    }
    let words = without_wrappers(words);
    let place = places.last_mut()?;
    if words.first().is_some_and(|w| w.text == "cd" || w.text == "pushd") {
        let target = words.get(1).filter(|w| w.certain && w.text != "-" && !w.text.starts_with('~'));
        let moved = match (&*place, target) {
            (Some(from), Some(to)) => joined(from, &to.text),
            _ => None,
        };
        all.push(Simple { words, cwd: place.clone(), line, writes });
        *place = moved;
        return Some(());
    }
    if !words.is_empty() || !writes.is_empty() {
        all.push(Simple { words, cwd: place.clone(), line, writes });
    }
    Some(())
}

/// `path` relative to `from`, without `.` and `..`; an absolute path replaces `from`.
pub(super) fn joined(from: &Path, path: &str) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in from.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => match out.components().next_back() {
                Some(Component::Normal(_)) => {
                    out.pop();
                }
                Some(Component::RootDir | Component::Prefix(_)) => {}
                _ => out.push(".."),
            },
            other => out.push(other),
        }
    }
    Some(out)
}

/// Removes leading assignments, and programs that only run another program.
fn without_wrappers(mut words: Vec<Word>) -> Vec<Word> {
    loop {
        let Some(first) = words.first() else { return words };
        let is_assignment = first.text.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && !name.as_bytes()[0].is_ascii_digit()
        });
        let wraps =
            matches!(first.text.as_str(), "!" | "time" | "exec" | "command" | "nohup" | "sudo" | "env");
        // The effect of a wrapper with options is not certain.
        let plain = !words.get(1).is_some_and(|w| w.text.starts_with('-'));
        if is_assignment || (wraps && first.certain && plain) {
            words.remove(0);
        } else {
            return words;
        }
    }
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let chars: Vec<char> = text.chars().collect();
    let mut out = Vec::new();
    let (mut at, mut line) = (0, 0);
    let mut word: Option<(Word, usize)> = None;
    let flush = |word: &mut Option<(Word, usize)>, out: &mut Vec<Token>| {
        if let Some((word, line)) = word.take() {
            out.push(Token::Word(word, line));
        }
    };
    while let Some(&c) = chars.get(at) {
        let next = chars.get(at + 1).copied();
        match c {
            '\\' if next == Some('\n') => {
                line += 1;
                at += 2;
                continue;
            }
            '\\' => {
                push(&mut word, line, next.unwrap_or('\\'), true);
                at += 2;
                continue;
            }
            '\n' => {
                flush(&mut word, &mut out);
                out.push(Token::Between(line));
                line += 1;
            }
            ' ' | '\t' | '\r' => flush(&mut word, &mut out),
            '#' if word.is_none() => {
                while chars.get(at).is_some_and(|c| *c != '\n') {
                    at += 1;
                }
                continue;
            }
            '\'' => {
                word.get_or_insert_with(|| (empty(), line));
                at += 1;
                while let Some(&c) = chars.get(at).filter(|c| **c != '\'') {
                    line += usize::from(c == '\n');
                    push(&mut word, line, c, true);
                    at += 1;
                }
            }
            '"' => {
                word.get_or_insert_with(|| (empty(), line));
                at += 1;
                while let Some(&c) = chars.get(at).filter(|c| **c != '"') {
                    match c {
                        '\\' if chars
                            .get(at + 1)
                            .is_some_and(|n| matches!(n, '"' | '\\' | '$' | '`' | '\n')) =>
                        {
                            at += 1;
                            if let Some(&escaped) = chars.get(at).filter(|n| **n != '\n') {
                                push(&mut word, line, escaped, true);
                            }
                        }
                        '$' if expands(chars.get(at + 1)) => push(&mut word, line, c, false),
                        '`' => push(&mut word, line, c, false),
                        _ => push(&mut word, line, c, true),
                    }
                    line += usize::from(c == '\n');
                    at += 1;
                }
            }
            '$' if next == Some('(') || next == Some('{') => {
                // Skipped as a whole: its contents are not evaluated.
                let (open, close) = if next == Some('(') { ('(', ')') } else { ('{', '}') };
                push(&mut word, line, c, false);
                let mut depth = 0_usize;
                at += 1;
                while let Some(&c) = chars.get(at) {
                    line += usize::from(c == '\n');
                    push(&mut word, line, c, false);
                    depth += usize::from(c == open);
                    if c == close {
                        depth -= 1;
                        if depth == 0 {
                            break;
                        }
                    }
                    at += 1;
                }
            }
            '$' if expands(next.as_ref()) => push(&mut word, line, c, false),
            '`' | '*' | '?' | '~' => push(&mut word, line, c, false),
            '[' => {
                let is_test = word.is_none() && next == Some(' ');
                push(&mut word, line, c, is_test);
            }
            ';' | '|' => {
                flush(&mut word, &mut out);
                out.push(Token::Between(line));
            }
            '&' if next == Some('>') => {
                flush(&mut word, &mut out);
                out.push(Token::Redirect { writes: true });
                at += 1;
            }
            '&' => {
                flush(&mut word, &mut out);
                out.push(Token::Between(line));
            }
            '<' if next == Some('<') => return None,
            '<' | '>' => {
                // A number before it belongs to the redirection.
                if word.as_ref().is_some_and(|(w, _)| w.text.bytes().all(|b| b.is_ascii_digit())) {
                    word = None;
                }
                flush(&mut word, &mut out);
                let mut skip = 1;
                if next == Some('>') {
                    skip = 2;
                }
                if chars.get(at + skip) == Some(&'&') {
                    // `2>&1`: another descriptor, not a file.
                    skip += 1;
                    while chars.get(at + skip).is_some_and(|c| c.is_ascii_digit() || *c == '-') {
                        skip += 1;
                    }
                } else {
                    out.push(Token::Redirect { writes: c == '>' });
                }
                at += skip;
                continue;
            }
            '(' => {
                flush(&mut word, &mut out);
                out.push(Token::Open);
            }
            ')' => {
                flush(&mut word, &mut out);
                out.push(Token::Close);
            }
            _ => push(&mut word, line, c, true),
        }
        at += 1;
    }
    flush(&mut word, &mut out);
    Some(out)
}

fn expands(next: Option<&char>) -> bool {
    next.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '{' | '(' | '@' | '*' | '#' | '?'))
}

fn empty() -> Word {
    Word { text: String::new(), certain: true }
}

fn push(word: &mut Option<(Word, usize)>, line: usize, c: char, certain: bool) {
    let (word, _) = word.get_or_insert_with(|| (empty(), line));
    word.text.push(c);
    word.certain &= certain;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        simple_commands(text)
            .map(|all| {
                all.iter()
                    .map(|s| {
                        let place = s.cwd.as_ref().map_or("?".to_owned(), |p| p.display().to_string());
                        let words: Vec<String> = s
                            .words
                            .iter()
                            .map(|w| if w.certain { w.text.clone() } else { format!("«{}»", w.text) })
                            .collect();
                        format!("[{place}] {}", words.join(" "))
                    })
                    .collect()
            })
            .unwrap_or_default()
    }

    #[test]
    fn commands_know_their_directory() {
        assert_eq!(
            shown("(cd backend && BASE_URL=http://x npm run e2e) && npm run \"lint\""),
            ["[] cd backend", "[backend] npm run e2e", "[] npm run lint"]
        );
        assert_eq!(shown("cd a/b; cd ..\nmake"), ["[] cd a/b", "[a/b] cd ..", "[a] make"]);
        assert_eq!(shown("cd $DIR && ls"), ["[] cd «$DIR»", "[?] ls"]);
        assert_eq!(shown("cd ../x && ls"), ["[] cd ../x", "[../x] ls"]);
    }

    #[test]
    fn uncertain_words_are_marked() {
        assert_eq!(shown("node scripts/$X.mjs *.js"), ["[] node «scripts/$X.mjs» «*.js»"]);
        assert_eq!(shown("echo '$X' \"a$\" \"${Y:-z}\""), ["[] echo $X a$ «${Y:-z}»"]);
        assert_eq!(shown("echo $(cat f | wc) b"), ["[] echo «$(cat f | wc)» b"]);
    }

    #[test]
    fn redirections_and_wrappers_are_removed() {
        let all = simple_commands("sudo env A=1 sh x.sh > out.txt 2>&1 < in.txt # note").unwrap();
        assert_eq!(all[0].words.iter().map(|w| w.text.as_str()).collect::<Vec<_>>(), ["sh", "x.sh"]);
        assert_eq!(all[0].writes, ["out.txt"]);
        assert_eq!(shown("sudo -u me sh x"), ["[] sudo -u me sh x"]);
    }

    #[test]
    fn compound_commands_are_not_checked() {
        for text in
            ["for i in a b; do npm run $i; done", "if x; then y; fi", "f() { npm run x; }", "cat <<E\nx\nE"]
        {
            assert_eq!(simple_commands(text), None, "{text}");
        }
    }

    #[test]
    fn lines_are_counted_over_continuations() {
        let all = simple_commands("curl \\\n  x |\nhead\nls").unwrap();
        assert_eq!(all.iter().map(|s| s.line).collect::<Vec<_>>(), [0, 2, 3]);
    }
}
