//! A backup: it exists, is recent, and is complete as far as can be checked without restoring it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use domain::check::DatabaseSpec;
use domain::evidence::Finding;
use domain::time::{human_span, parse_span};

use super::super::file::newest;
use super::super::finding::{failed, passed, unknown, with_value};
use super::super::probe::Probe;
use runner::{Cmd, Exit};

/// The last line of an SQL dump of pg_dump and pg_dumpall.
const ENDS: [&str; 2] = ["PostgreSQL database dump complete", "PostgreSQL database cluster dump complete"];
const HEADER: &[u8] = b"PGDMP";
const GZIP: &[u8] = &[0x1f, 0x8b];
/// Bytes at the end of a dump that contain its last line.
const TAIL: usize = 4096;
const AGAIN: &str = "Make a new backup, and check the output of the backup command.";

/// The format of a backup, detected from its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) dump: Dump,
    pub(super) compression: Compression,
}

/// What pg_dump wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dump {
    Sql,
    /// The custom format, for pg_restore.
    Custom,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
}

/// The newest backup.
pub(super) struct Backup {
    pub(super) path: PathBuf,
    /// Its name, size and age.
    pub(super) shown: String,
    pub(super) bytes: u64,
    pub(super) form: Form,
}

pub(super) async fn probe(probe: &Probe<'_>, spec: &DatabaseSpec) -> Finding {
    let wanted = wanted(spec);
    match find(probe, spec, &wanted).await {
        Ok(found) => {
            let kind = match (found.form.dump, found.form.compression) {
                (Dump::Custom, Compression::None) => "pg_dump custom format",
                (Dump::Custom, Compression::Gzip) => "pg_dump custom format, compressed",
                (Dump::Sql, Compression::None) => "complete SQL",
                (Dump::Sql, Compression::Gzip) => "complete SQL, compressed",
            };
            with_value(passed(wanted, format!("{}, {kind}", found.shown)), found.bytes as f64)
        }
        Err(finding) => *finding,
    }
}

/// What is expected of the newest backup.
fn wanted(spec: &DatabaseSpec) -> String {
    let mut wanted = format!("a complete backup {}", spec.path.as_deref().unwrap_or_default());
    if let Some(least) = spec.min_bytes {
        wanted.push_str(&format!(" of at least {least} bytes"));
    }
    if let Some(age) = &spec.max_age {
        wanted.push_str(&format!(", at most {age} old"));
    }
    wanted
}

/// The newest backup, if it is good as far as can be checked without restoring it.
pub(super) async fn find(
    probe: &Probe<'_>,
    spec: &DatabaseSpec,
    wanted: &str,
) -> Result<Backup, Box<Finding>> {
    let unsure = |saw: String, next: &str| Box::new(unknown(wanted, saw, next));
    let Some(pattern) = &spec.path else {
        return Err(unsure("the check names no backup".to_owned(), "Set `path` in the check."));
    };
    let most_ms = match spec.max_age.as_deref().map(|text| (text, parse_span(text))) {
        Some((text, None)) => {
            return Err(unsure(format!("“{text}” is not a duration"), "Write `max_age` as 24h or 14d."));
        }
        Some((_, ms)) => ms,
        None => None,
    };
    probe.say(&format!("Searching for the newest {pattern}."));
    let found = match newest(probe.work.stack.dir(), pattern) {
        Ok(Some(found)) => found,
        Ok(None) => {
            return Err(Box::new(failed(wanted, format!("no file matches {pattern}"), "Make a backup.")));
        }
        Err(error) => {
            let saw = format!("{pattern} cannot be read ({})", error.kind());
            return Err(unsure(saw, "Correct the path or its permissions."));
        }
    };
    let (name, bytes) = (found.name, found.about.len());
    let age = found.about.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    let Some(age_ms) = age.and_then(|age| u64::try_from(age.as_millis()).ok()) else {
        return Err(unsure(
            format!("{name} has a modification time in the future"),
            "Correct the clock, then make a new backup.",
        ));
    };
    let shown = format!("{name}, {bytes} bytes, {} old", human_span(age_ms));
    if bytes < spec.min_bytes.unwrap_or(1) || most_ms.is_some_and(|most| age_ms > most) {
        return Err(Box::new(with_value(failed(wanted, shown, AGAIN), bytes as f64)));
    }
    let path = probe.work.stack.dir().join(&name);
    match whole(probe, &path).await {
        Ok(form) => Ok(Backup { path, shown, bytes, form }),
        Err(Bad::Broken(why)) => {
            Err(Box::new(with_value(failed(wanted, format!("{shown}: {why}"), AGAIN), bytes as f64)))
        }
        Err(Bad::Unseen(why)) => {
            Err(unsure(format!("{shown}: {why}"), "Make the file readable, and install gzip."))
        }
    }
}

enum Bad {
    Broken(&'static str),
    Unseen(String),
}

async fn whole(probe: &Probe<'_>, path: &Path) -> Result<Form, Bad> {
    let unread = |error: io::Error| Bad::Unseen(format!("the file cannot be read ({})", error.kind()));
    let (head, tail) = ends(path).map_err(unread)?;
    if !head.starts_with(GZIP) {
        return judge(&head, &tail, Compression::None);
    }
    let ask = async |script: &str| {
        let mut cmd = Cmd::new(["bash", "-c", script, "bash", &path.to_string_lossy()]);
        cmd.clear = true;
        cmd.timeout = Some(probe.left());
        probe.session.capture(cmd, 2 * TAIL).await
    };
    let (exit, tail) = ask("set -o pipefail; gzip -dc -- \"$1\" | tail -c 4096").await;
    match exit {
        Exit::Code(0) => {}
        Exit::Code(1) => return Err(Bad::Broken("the gzip data is damaged")),
        other => return Err(Bad::Unseen(format!("the file could not be decompressed ({other})"))),
    }
    let (_, head) = ask("gzip -dc -- \"$1\" 2>/dev/null | head -c 16").await;
    judge(&head, &tail, Compression::Gzip)
}

fn judge(head: &[u8], tail: &[u8], compression: Compression) -> Result<Form, Bad> {
    if head.is_empty() {
        return Err(Bad::Broken("the compressed file is empty"));
    }
    if head.starts_with(HEADER) {
        return Ok(Form { dump: Dump::Custom, compression });
    }
    let tail = String::from_utf8_lossy(tail);
    if ENDS.iter().any(|end| tail.contains(end)) {
        return Ok(Form { dump: Dump::Sql, compression });
    }
    let sql = head.starts_with(b"--") || String::from_utf8_lossy(head).trim_start().starts_with("--");
    Err(Bad::Broken(if sql {
        "the dump is incomplete: its last line is missing"
    } else {
        "the file is not a complete dump of pg_dump (custom format or SQL)"
    }))
}

/// The first and the last bytes of a file.
fn ends(path: &Path) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut file = File::open(path)?;
    let mut head = Vec::new();
    Read::by_ref(&mut file).take(16).read_to_end(&mut head)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL as u64)))?;
    let mut tail = Vec::new();
    file.take(TAIL as u64).read_to_end(&mut tail)?;
    Ok((head, tail))
}
