//! Reading a run: its status, its lines, its result. Everything is read from disk, so any number of servers, one after
//! the other, see the same.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::log::LogLine;
use serde_json::Value;

use super::ansi;
use super::dir::RunDir;
use super::error::{Result, RunnerError};
use super::index::{RECORD, Record};
use super::lock::is_held;
use super::status::{State, Status, read_json};
use system::clock::now_ms;

/// A supervisor that has not started after this time counts as dead.
pub(super) const START_GAP: Duration = Duration::from_secs(10);

/// Longer lines are folded when shown: 4 KiB.
pub const FOLD_BYTES: usize = 4 * 1024;

/// How many bytes of a line are searched for the end of its last overwritten part.
const TAIL: u64 = 64 * 1024;

/// Reads one run.
#[derive(Debug, Clone)]
pub struct Reader {
    dir: RunDir,
}

impl Reader {
    /// Opens the run in `dir`. Fails with [`RunnerError::NotFound`].
    pub fn open(dir: &Path) -> Result<Self> {
        RunDir::open(dir).map(|dir| Self { dir })
    }

    /// The status of the run. A run whose supervisor died without recording an outcome is [`State::Interrupted`].
    pub fn status(&self) -> Result<Status> {
        let mut status = self.dir.read_status()?;
        if status.state.is_over() {
            return Ok(status);
        }
        let held = is_held(&self.dir.alive()).map_err(RunnerError::io("read the run", &self.dir.alive()))?;
        if held {
            return Ok(status);
        }
        // The supervisor may have written the outcome between the two reads.
        status = self.dir.read_status()?;
        let waited = Duration::from_millis(now_ms().saturating_sub(status.created_at_ms));
        match status.state {
            State::Running => status.state = State::Interrupted,
            State::Starting if waited > START_GAP => status.state = State::Interrupted,
            _ => {}
        }
        Ok(status)
    }

    /// Number of lines so far, one that has not ended included.
    pub fn count(&self) -> Result<u64> {
        Ok(self.length(&self.dir.index())? / RECORD as u64)
    }

    /// Length of the log in bytes.
    pub fn bytes(&self) -> Result<u64> {
        self.length(&self.dir.log())
    }

    fn length(&self, path: &Path) -> Result<u64> {
        fs::metadata(path).map(|found| found.len()).map_err(RunnerError::io("read the log", path))
    }

    /// The file for downloads: plain bytes, redacted, with the original colour codes.
    pub fn log_path(&self) -> PathBuf {
        self.dir.log()
    }

    /// The result of the work; `None` before its end, or without a result.
    pub fn result(&self) -> Result<Option<Value>> {
        read_json(&self.dir.result(), "result")
    }

    /// The progress of the work; `None` if it has not reported any.
    pub fn progress(&self) -> Result<Option<Value>> {
        read_json(&self.dir.progress(), "progress")
    }

    /// Up to `n` lines from number `from` on, each shown with at most `max_bytes` bytes of text
    /// ([`FOLD_BYTES`] is usual). Fewer when the log has no more.
    pub fn lines(&self, from: u64, n: usize, max_bytes: usize) -> Result<Vec<LogLine>> {
        let (log_path, index_path) = (self.dir.log(), self.dir.index());
        let read = || -> io::Result<Vec<LogLine>> {
            let index = File::open(&index_path)?;
            let log = File::open(&log_path)?;
            let count = index.metadata()?.len() / RECORD as u64;
            // The log is measured after the index, so every record points into it.
            let length = log.metadata()?.len();
            let take = usize::try_from(count.saturating_sub(from)).unwrap_or(usize::MAX).min(n);
            let with_next =
                usize::try_from(count.saturating_sub(from)).unwrap_or(usize::MAX).min(take.saturating_add(1));
            let mut raw = vec![0; with_next * RECORD];
            index.read_exact_at(&mut raw, from * RECORD as u64)?;
            let records: Vec<_> =
                raw.as_chunks::<RECORD>().0.iter().map(|bytes| Record::from_bytes(*bytes)).collect();
            let ends = records.iter().skip(1).map(|next| Some(next.offset)).chain([None]);
            let mut lines = Vec::with_capacity(take);
            for ((n, record), end) in (from..).zip(&records).zip(ends).take(take) {
                lines.push(line(&log, n, *record, end, length, max_bytes)?);
            }
            Ok(lines)
        };
        read().map_err(RunnerError::io("read the log", &log_path))
    }
}

fn line(
    log: &File,
    n: u64,
    record: Record,
    end: Option<u64>,
    length: u64,
    max: usize,
) -> io::Result<LogLine> {
    let end = match end {
        Some(end) => end,
        // More lines may have been written after the last known one.
        None => break_after(log, record.offset, length)?.unwrap_or(length),
    };
    let whole = end.saturating_sub(record.offset);
    let head_len = whole.min(TAIL.max(max as u64));
    let mut bytes = read_range(log, record.offset, head_len)?;
    if whole > head_len {
        // Of a longer line, only its beginning and the last overwriting part matter.
        let tail = read_range(log, end - TAIL, TAIL)?;
        if let Some(at) = shown(&tail).1 {
            bytes = tail.get(at..).unwrap_or_default().to_vec();
        } else if let (text, Some(_)) = shown(&bytes) {
            // The overwriting part began before the tail; its beginning is shown instead.
            bytes = text.to_vec();
        }
    }
    let text = shown(&bytes).0;
    let cut = text.get(..max).map_or(text, whole_chars);
    let truncated = cut.len() < text.len() || (whole > head_len && text.len() >= head_len as usize);
    Ok(LogLine { n, at_ms: record.at_ms, stream: record.stream, spans: ansi::spans(cut), truncated })
}

/// The part of a line that a terminal would show after all overwriting, and where it begins if overwritten.
fn shown(line: &[u8]) -> (&[u8], Option<usize>) {
    let end = line.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
    let text = line.get(..end).unwrap_or_default();
    let after = text.iter().rposition(|byte| *byte == b'\r').map(|at| at + 1);
    (text.get(after.unwrap_or(0)..).unwrap_or_default(), after)
}

/// Drops a character that was cut in two at the end.
fn whole_chars(bytes: &[u8]) -> &[u8] {
    let lead = bytes.iter().rev().take(3).position(|byte| !matches!(byte, 0x80..=0xbf));
    let Some(at) = lead.map(|back| bytes.len() - back - 1) else {
        return bytes;
    };
    let needs = match bytes.get(at) {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => 1,
    };
    if bytes.len() - at < needs { bytes.get(..at).unwrap_or(bytes) } else { bytes }
}

fn break_after(log: &File, from: u64, length: u64) -> io::Result<Option<u64>> {
    let mut at = from;
    while at < length {
        let bytes = read_range(log, at, TAIL.min(length - at))?;
        if let Some(found) = bytes.iter().position(|byte| *byte == b'\n') {
            return Ok(Some(at + found as u64));
        }
        if bytes.is_empty() {
            break;
        }
        at += bytes.len() as u64;
    }
    Ok(None)
}

fn read_range(log: &File, from: u64, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    let mut got = 0;
    while let Some(rest) = bytes.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match log.read_at(rest, from + got as u64) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(got);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_final_text_of_an_overwritten_line_is_shown() {
        assert_eq!(shown(b"10%\r50%\r100%\r\n").0, b"100%");
        assert_eq!(shown(b"plain\n").0, b"plain");
        assert_eq!(shown(b"50%\r").0, b"50%");
        assert_eq!(shown(b"\r\n").0, b"");
    }

    #[test]
    fn a_character_cut_in_two_is_left_out() {
        assert_eq!(whole_chars(&"ab\u{20ac}".as_bytes()[..4]), b"ab");
        assert_eq!(whole_chars(b"a\xffb\xe2\x82"), b"a\xffb");
        assert_eq!(whole_chars(b"a\xffb"), b"a\xffb");
    }
}
