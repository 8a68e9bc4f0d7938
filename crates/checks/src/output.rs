//! The output of a command as stored in the run's log: masked, in lines, without Stagegate's own lines.

use std::io;
use std::path::Path;
use std::time::Duration;

use domain::log::Stream;

use runner::Reader;

/// Lines read at a time.
const PAGE: usize = 5_000;
/// Most bytes of one line: JSON reports are often on a single line.
const LINE: usize = 16 << 20;
/// Most bytes kept of the whole output. Of longer outputs the end is kept, because totals are there.
const KEPT: usize = 32 << 20;

/// One line of a command's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLine {
    /// Number in the log as shown to users, from 1.
    pub number: u64,
    /// Whether it was written to standard error.
    pub is_err: bool,
    /// Its text without colour codes.
    pub text: String,
}

/// What a command wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Its lines in order.
    pub lines: Vec<OutputLine>,
    /// Whether more was written than is kept here.
    pub cut: bool,
}

impl Output {
    /// Reads the output that the run in `dir` has logged from line `from` on (0: all of it).
    ///
    /// # Errors
    ///
    /// When there is no such run or its log cannot be read.
    pub fn of_run(dir: &Path, from: u64) -> io::Result<Output> {
        let reader = Reader::open(dir).map_err(io::Error::other)?;
        let mut output = Output::default();
        let mut kept = 0;
        let mut at = from;
        loop {
            let lines = reader.lines(at, PAGE, LINE).map_err(io::Error::other)?;
            let Some(last) = lines.last() else { break };
            at = last.n + 1;
            for line in lines.iter().filter(|line| line.stream != Stream::Notice) {
                let text = line.text();
                kept += text.len() + 1;
                output.cut |= line.truncated;
                output.lines.push(OutputLine {
                    number: line.n + 1,
                    is_err: line.stream == Stream::Err,
                    text,
                });
            }
            if kept > KEPT {
                kept -= output.forget(kept - KEPT);
            }
        }
        Ok(output)
    }

    /// Drops lines at the beginning that hold at least `bytes`; returns how many bytes were dropped.
    fn forget(&mut self, bytes: usize) -> usize {
        let mut gone = 0;
        let many = self
            .lines
            .iter()
            .take_while(|line| {
                let more = gone < bytes;
                if more {
                    gone += line.text.len() + 1;
                }
                more
            })
            .count();
        self.lines.drain(..many);
        self.cut = true;
        gone
    }

    /// All output, both streams in the order in which they were written.
    pub(super) fn all(&self) -> String {
        self.join(|_| true)
    }

    /// Standard output only: where documents are written.
    pub(super) fn out(&self) -> String {
        self.join(|line| !line.is_err)
    }

    /// Standard output with every line joined again that other lines interrupted;
    /// `None` when there are none.
    ///
    /// A line longer than 64 KiB, or one that pauses, is logged in parts, and lines of the other stream split
    /// it there. Real line breaks cannot be distinguished from these, so this is for texts that have a grammar.
    pub(super) fn out_rejoined(&self) -> Option<String> {
        let mut text = String::new();
        let mut last = None;
        let mut broken = false;
        for line in self.lines.iter().filter(|line| !line.is_err) {
            match last {
                Some(before) if before + 1 == line.number => text.push('\n'),
                Some(_) => broken = true,
                None => {}
            }
            text.push_str(&line.text);
            last = Some(line.number);
        }
        broken.then_some(text)
    }

    fn join(&self, keep: impl Fn(&OutputLine) -> bool) -> String {
        let mut text = String::new();
        for line in self.lines.iter().filter(|line| keep(line)) {
            text.push_str(&line.text);
            text.push('\n');
        }
        text
    }

    /// The last line that is not empty.
    pub(super) fn last(&self) -> Option<&OutputLine> {
        self.lines.iter().rev().find(|line| !line.text.trim().is_empty())
    }
}

/// Waits until the log on disk ends with a line of Stagegate that contains `mark`; the log is
/// written in batches.
///
/// # Errors
///
/// When the line is not in the log after two seconds, or the log cannot be read.
pub async fn settled(dir: &Path, mark: &str) -> io::Result<()> {
    for _ in 0..100 {
        let reader = Reader::open(dir).map_err(io::Error::other)?;
        let count = reader.count().map_err(io::Error::other)?;
        let tail = reader.lines(count.saturating_sub(3), 3, 4_096).map_err(io::Error::other)?;
        if tail.iter().any(|line| line.stream == Stream::Notice && line.text().contains(mark)) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(io::Error::other("the log was not written in time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(lines: &[(bool, &str)]) -> Output {
        let lines = lines.iter().zip(1..).map(|((is_err, text), number)| OutputLine {
            number,
            is_err: *is_err,
            text: (*text).to_owned(),
        });
        Output { lines: lines.collect(), cut: false }
    }

    #[test]
    fn streams_are_separated_and_the_last_line_is_found() {
        let output = output(&[(false, "{"), (true, "warn"), (false, "}"), (true, " ")]);
        assert_eq!(output.out(), "{\n}\n");
        assert_eq!(output.all(), "{\nwarn\n}\n \n");
        assert_eq!(output.last().map(|l| l.number), Some(3));
    }

    #[test]
    fn a_line_that_others_interrupted_is_joined_again() {
        let broken = output(&[(false, "> run"), (false, "{\"a\":\"x"), (true, "warn"), (false, "y\"}")]);
        assert_eq!(broken.out_rejoined().as_deref(), Some("> run\n{\"a\":\"xy\"}"));
        assert_eq!(output(&[(false, "a"), (false, "b"), (true, "c")]).out_rejoined(), None);
    }

    #[test]
    fn the_end_of_a_long_output_is_kept() {
        let mut output = output(&[(false, "aaaa"), (false, "bbbb"), (false, "cc")]);
        assert_eq!(output.forget(6), 10);
        assert!(output.cut);
        assert_eq!(output.all(), "cc\n");
    }
}
