//! Reads the runbook (Markdown) into a typed [`domain::runbook::Runbook`], and `stagegate.toml` into checks;
//! compares the two, and reports which parts were recognised and which were not.
//!
//! This crate reads files and makes no decisions about releases. It does not know Docker, the store or
//! processes. No input makes it fail: a part that cannot be used becomes a problem with line and column.

mod blocks;
pub mod config;
mod matrix;
mod phrase;
mod read;
mod report;
mod section;
mod shell;
mod text;

pub use config::{Config, Deploy, Loaded, OnFailedDeploy, Retention, Stack};
pub use report::{Finding, Report};

use domain::digest::sha256_hex;
use domain::runbook::{Problem, Runbook, Severity};

/// Largest file that is read, bytes. A runbook is written by people.
pub const LARGEST: usize = 32 * 1024 * 1024;

/// Reads a runbook. Accepts any bytes; parts that cannot be used become problems.
pub fn parse(bytes: &[u8]) -> Runbook {
    let digest = sha256_hex(bytes);
    if bytes.len() > LARGEST {
        return Runbook { digest, problems: vec![too_large()], ..Runbook::default() };
    }
    let decoded = text::decode(bytes);
    let mut runbook = read::read(&decoded);
    runbook.digest = digest;
    runbook
}

/// Reads the runbook in a file. A file that is too large is not read and gives a runbook with one problem.
///
/// # Errors
/// When the file cannot be read.
pub fn read_file(path: &std::path::Path) -> std::io::Result<Runbook> {
    match system::files::read_bounded(path, LARGEST) {
        Ok(bytes) => Ok(parse(&bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
            Ok(Runbook { problems: vec![too_large()], ..Runbook::default() })
        }
        Err(error) => Err(error),
    }
}

fn too_large() -> Problem {
    let hint = "use a Markdown file of at most 32 MiB";
    problem(Severity::Error, "the file is larger than 32 MiB and was not read", hint)
}

/// A problem at the beginning of the file.
fn problem(severity: Severity, message: impl Into<String>, hint: impl Into<String>) -> Problem {
    let (message, hint) = (message.into(), hint.into());
    Problem { file: None, line: 1, column: 1, severity, message, hint }
}
