//! A Dockerfile, as far as it can be read without a build: stages, copied files, declarations.

use std::path::{Path, PathBuf};

use super::shell_commands::joined;

/// A parsed Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Dockerfile {
    /// Its stages in order.
    pub(super) stages: Vec<Stage>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Stage {
    /// The name after `AS`, in lower case.
    pub(super) name: Option<String>,
    /// Its base: an image, or an earlier stage.
    pub(super) from: String,
    /// Copies from the build context, in order.
    pub(super) copies: Vec<Copy>,
    /// The working directory at its end; `None` when it is not certain, or set by the base image.
    pub(super) workdir: Option<PathBuf>,
    /// Files may exist anywhere: copied from another stage, or with a target that is not certain.
    pub(super) unknown_files: bool,
    /// Ports of `EXPOSE`; `None` when one is not certain.
    pub(super) exposes: Option<Vec<u16>>,
    /// Whether it declares a health check: `Some(false)` for `HEALTHCHECK NONE`.
    pub(super) healthcheck: Option<bool>,
}

/// A `COPY` or `ADD` from the build context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Copy {
    /// Sources, relative to the context.
    pub(super) sources: Vec<String>,
    /// The target, absolute; `None` when it is not certain.
    pub(super) to: Option<PathBuf>,
    /// The target ends in `/`, so it is a directory.
    pub(super) into_dir: bool,
    /// All its arguments are certain.
    pub(super) certain: bool,
    /// Line in the file, from 1.
    pub(super) line: usize,
}

impl Dockerfile {
    /// Parses a text. Instructions that are not understood are ignored, and their results count as not certain.
    pub(super) fn read(text: &str) -> Dockerfile {
        let mut file = Dockerfile::default();
        for (line, instruction) in instructions(text) {
            file.take(line, &instruction);
        }
        file
    }

    /// The final stage of a build with this target (`None`: the last stage).
    pub(super) fn stage(&self, target: Option<&str>) -> Option<&Stage> {
        match target {
            None => self.stages.last(),
            Some(target) => {
                let wanted = target.to_lowercase();
                let by_number = target.parse::<usize>().ok().and_then(|n| self.stages.get(n));
                self.stages.iter().find(|s| s.name.as_deref() == Some(wanted.as_str())).or(by_number)
            }
        }
    }

    /// A stage and the stages it is based on, itself first.
    pub(super) fn chain<'a>(&'a self, stage: &'a Stage) -> Vec<&'a Stage> {
        let mut chain = vec![stage];
        let mut base = self.base(stage);
        while let Some(next) = base.filter(|_| chain.len() <= self.stages.len()) {
            chain.push(next);
            base = self.base(next);
        }
        chain
    }

    fn base(&self, stage: &Stage) -> Option<&Stage> {
        let wanted = stage.from.to_lowercase();
        self.stages.iter().find(|s| s.name.as_deref() == Some(wanted.as_str()) && !std::ptr::eq(*s, stage))
    }

    fn take(&mut self, line: usize, instruction: &str) {
        let (word, rest) = instruction.split_once(char::is_whitespace).unwrap_or((instruction, ""));
        let rest = rest.trim();
        let word = word.to_uppercase();
        if word == "FROM" {
            self.stages.push(from(rest));
            let inherited = self.stages.last().and_then(|s| self.base(s)).and_then(|b| b.workdir.clone());
            if let Some(stage) = self.stages.last_mut() {
                stage.workdir = inherited;
                stage.exposes = Some(vec![]);
            }
            return;
        }
        let Some(stage) = self.stages.last_mut() else { return };
        match word.as_str() {
            "WORKDIR" => {
                let place = rest.trim_matches(['"', '\'']);
                stage.workdir = match (certain(place), place.starts_with('/'), &stage.workdir) {
                    (true, true, _) => joined(Path::new("/"), place),
                    (true, false, Some(from)) => joined(from, place),
                    _ => None,
                };
            }
            "COPY" | "ADD" => copy(stage, line, rest, word == "ADD"),
            "EXPOSE" => {
                for port in rest.split_whitespace() {
                    let number = port.split_once('/').map_or(port, |(n, _)| n).parse();
                    match (&mut stage.exposes, number) {
                        (Some(all), Ok(number)) => all.push(number),
                        (exposes, _) => *exposes = None,
                    }
                }
            }
            "HEALTHCHECK" => stage.healthcheck = Some(!rest.eq_ignore_ascii_case("none")),
            _ => {}
        }
    }
}

fn from(rest: &str) -> Stage {
    let words: Vec<&str> = rest.split_whitespace().filter(|w| !w.starts_with("--")).collect();
    let name = match words.as_slice() {
        [_, keyword, name, ..] if keyword.eq_ignore_ascii_case("as") => Some(name.to_lowercase()),
        _ => None,
    };
    Stage { name, from: words.first().map(|w| (*w).to_owned()).unwrap_or_default(), ..Stage::default() }
}

fn copy(stage: &mut Stage, line: usize, rest: &str, is_add: bool) {
    let mut words: Vec<String> = Vec::new();
    let mut options = rest.split_whitespace();
    let mut text = rest;
    for option in options.by_ref() {
        if !option.starts_with("--") {
            break;
        }
        if option.starts_with("--from") {
            stage.unknown_files = true;
            return;
        }
        // `--parents` and `--exclude` change which files are copied, and where.
        if option.starts_with("--parents") || option.starts_with("--exclude") {
            stage.unknown_files = true;
        }
        text = text[option.len()..].trim_start();
    }
    if text.starts_with('[') {
        match serde_json::from_str::<Vec<String>>(text) {
            Ok(list) => words = list,
            Err(_) => stage.unknown_files = true,
        }
    } else {
        words.extend(text.split_whitespace().map(|w| w.trim_matches(['"', '\'']).to_owned()));
    }
    let Some(to) = words.pop() else { return };
    let is_url = |w: &String| is_add && (w.contains("://") || w.starts_with("git@"));
    let certain = words.iter().all(|w| certain(w) && !w.starts_with("<<") && !is_url(w));
    let place = match (to.contains(['$', '*', '?', '[']), to.starts_with('/'), &stage.workdir) {
        (false, true, _) => joined(Path::new("/"), &to),
        (false, false, Some(from)) => joined(from, &to),
        _ => None,
    };
    if place.is_none() {
        stage.unknown_files = true;
    }
    stage.copies.push(Copy { into_dir: to.ends_with('/'), sources: words, to: place, certain, line });
}

/// It holds no variable and no pattern.
fn certain(word: &str) -> bool {
    !word.contains(['$', '*', '?', '['])
}

/// The instructions with their first line: continuations joined, without comments and here-documents.
fn instructions(text: &str) -> Vec<(usize, String)> {
    let text = text.replace("\r\n", "\n");
    let mut out: Vec<(usize, String)> = Vec::new();
    let mut open: Option<(usize, String)> = None;
    let mut until: Option<String> = None;
    // `# escape=` may set another character; then a backslash does not continue a line.
    let escape = text.lines().take(3).find_map(|l| {
        let directive = l.trim().strip_prefix('#')?.trim().to_lowercase();
        directive.strip_prefix("escape")?.trim().strip_prefix('=').and_then(|v| v.trim().chars().next())
    });
    let escape = escape.unwrap_or('\\');
    for (number, raw) in text.lines().enumerate() {
        if let Some(end) = &until {
            if raw.trim_start_matches('\t') == end {
                until = None;
            }
            continue;
        }
        let line = raw.trim();
        if line.starts_with('#') || (line.is_empty() && open.is_none()) {
            continue;
        }
        let (begins, mut joined) = open.take().unwrap_or((number + 1, String::new()));
        match line.strip_suffix(escape) {
            Some(part) => {
                joined.push_str(part);
                joined.push(' ');
                open = Some((begins, joined));
            }
            None => {
                joined.push_str(line);
                until = heredoc(&joined);
                out.push((begins, joined));
            }
        }
    }
    out.extend(open);
    out
}

fn heredoc(instruction: &str) -> Option<String> {
    let word = instruction.split_whitespace().next()?.to_uppercase();
    if !matches!(word.as_str(), "RUN" | "COPY" | "ADD") {
        return None;
    }
    let (_, rest) = instruction.split_once("<<")?;
    let name = rest.trim_start_matches('-').split_whitespace().next()?.trim_matches(['"', '\'']);
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    plain.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_copies_and_declarations_are_read() {
        let file = Dockerfile::read(
            "# syntax=docker/dockerfile:1\nARG V=20\nFROM node:${V} AS deps\nWORKDIR /app\nCOPY package*.json ./\n\
             RUN npm ci\n\nFROM deps as Build\nCOPY . .\nHEALTHCHECK CMD true\n\nFROM scratch\nCOPY --from=build /app/dist /srv\nEXPOSE 3000/tcp \\\n  3001\n",
        );
        assert_eq!(file.stages.len(), 3);
        let build = file.stage(Some("build")).unwrap();
        assert_eq!(build.workdir.as_deref(), Some(Path::new("/app")));
        assert_eq!(build.copies[0].to.as_deref(), Some(Path::new("/app")));
        assert_eq!(build.healthcheck, Some(true));
        assert_eq!(file.chain(build).len(), 2);
        assert!(!file.stage(Some("deps")).unwrap().copies[0].certain);
        let last = file.stage(None).unwrap();
        assert!(last.unknown_files && last.exposes == Some(vec![3000, 3001]));
        assert_eq!(file.stage(Some("nowhere")), None);
    }

    #[test]
    fn here_documents_and_comments_are_not_instructions() {
        let file =
            Dockerfile::read("FROM a\nRUN <<EOF\nFROM b\nCOPY x y\nEOF\n# FROM c\nCOPY [\"a b\", \"/d/\"]\n");
        assert_eq!(file.stages.len(), 1);
        let copy = &file.stages[0].copies[0];
        assert_eq!((copy.sources.as_slice(), copy.line, copy.into_dir), (&["a b".to_owned()][..], 7, true));
    }
}
