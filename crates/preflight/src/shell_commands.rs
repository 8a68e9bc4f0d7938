//! Splits shell text into simple commands, with the directory in which each runs, as far as that is certain.
//!
//! Parts that are not certain (an expansion, a glob, a compound command) are marked, and no finding is based on them.

use std::path::{Component, Path, PathBuf};

use shell::{Token, Word, tokens};

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

/// Keywords of compound commands.
const COMPOUND: [&str; 16] = [
    "if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "function",
    "select", "{", "}",
];

/// Splits `text` into commands. `None` when it holds a compound command or a here-document, which are not checked, or
/// is not complete.
pub(super) fn simple_commands(text: &str) -> Option<Vec<Simple>> {
    let tokens = tokens(text)?;
    let mut all = Vec::new();
    let mut places: Vec<Option<PathBuf>> = vec![Some(PathBuf::new())];
    let mut current: Vec<(Word, usize)> = Vec::new();
    let mut writes: Vec<String> = Vec::new();
    let mut redirect: Option<bool> = None;
    let end = std::iter::once(Token::Separator);
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
            Token::HereDocument => return None,
            Token::Separator | Token::Close => {
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
        assert_eq!(
            shown("echo `cat f | wc` \"$(echo \")\" | wc)\""),
            ["[] echo «`cat f | wc`» «$(echo \")\" | wc)»"]
        );
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
        for text in [
            "for i in a b; do npm run $i; done",
            "if x; then y; fi",
            "f() { npm run x; }",
            "cat <<E\nx\nE",
            "ls 'x",
        ] {
            assert_eq!(simple_commands(text), None, "{text}");
        }
    }

    #[test]
    fn lines_are_counted_over_continuations() {
        let all = simple_commands("curl \\\n  x |\nhead\nls").unwrap();
        assert_eq!(all.iter().map(|s| s.line).collect::<Vec<_>>(), [0, 2, 3]);
    }
}
