//! Writes a run's log and its line index. Bytes are redacted before they are written to a file.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::time::{Duration, Instant};

use domain::log::Stream;

use super::dir::RunDir;
use super::error::{Result, RunnerError};
use super::index::Record;
use secrets::redact::{Redactor, Secrets};

/// Bytes gathered before they are written without waiting for the tick.
const BATCH: usize = 256 * 1024;
/// An unfinished line is written when nothing has followed it for this time.
const QUIET: Duration = Duration::from_millis(30);
/// The same, when writing it would split a line of another stream.
const QUIET_OTHER: Duration = Duration::from_millis(250);
/// An unfinished line is written when it has this many bytes.
const PARTIAL_MAX: usize = 64 * 1024;

/// One stream of one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lane(u64);

struct LaneState {
    stream: Stream,
    redactor: Redactor,
    /// Redacted bytes of the line that has not ended.
    partial: Vec<u8>,
    /// When the lane last received bytes.
    last: Instant,
    /// When the first byte of `partial` arrived.
    first: Instant,
}

pub(super) struct LogWriter {
    log: File,
    index: File,
    start: Instant,
    secrets: Secrets,
    lanes: BTreeMap<Lane, LaneState>,
    next: u64,
    /// The lane whose line is the last in the log and has not ended.
    open: Option<Lane>,
    bytes: Vec<u8>,
    records: Vec<u8>,
    /// Length of the log including everything that is buffered.
    length: u64,
    failed: bool,
}

impl LogWriter {
    pub(super) fn open(dir: &RunDir, secrets: Secrets, start: Instant) -> Result<Self> {
        let append = |path: &std::path::Path| {
            OpenOptions::new().append(true).open(path).map_err(RunnerError::io("open the log", path))
        };
        Ok(Self {
            log: append(&dir.log())?,
            index: append(&dir.index())?,
            start,
            secrets,
            lanes: BTreeMap::new(),
            next: 0,
            open: None,
            bytes: Vec::with_capacity(BATCH * 2),
            records: Vec::new(),
            length: 0,
            failed: false,
        })
    }

    /// Sets what is masked from now on. Open lanes keep the secrets that were known when they began.
    pub(super) fn mask(&mut self, secrets: Secrets) {
        self.secrets = secrets;
    }

    /// Opens a lane for one stream of a command.
    pub(super) fn lane(&mut self, stream: Stream) -> Lane {
        let lane = Lane(self.next);
        self.next += 1;
        let now = Instant::now();
        let redactor = self.secrets.stream();
        self.lanes.insert(lane, LaneState { stream, redactor, partial: Vec::new(), last: now, first: now });
        lane
    }

    /// Adds output. Fails when a batch could not be stored; then nothing more is stored.
    pub(super) fn push(&mut self, lane: Lane, bytes: &[u8]) -> io::Result<()> {
        self.feed(lane, |redactor, out| redactor.push(bytes, out), true);
        if self.bytes.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    /// Drops what a lane holds back: its stream was cut, perhaps within a secret, whose first part must not be
    /// written.
    pub(super) fn forget_held(&mut self, lane: Lane) {
        if let Some(state) = self.lanes.get_mut(&lane) {
            state.redactor = self.secrets.stream();
        }
    }

    /// Ends a lane: everything it holds is written.
    pub(super) fn close(&mut self, lane: Lane) -> io::Result<()> {
        self.feed(lane, Redactor::finish, true);
        self.put_partial(lane);
        self.lanes.remove(&lane);
        self.flush()
    }

    /// Writes lines of Stagegate itself.
    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        let now = Instant::now();
        for line in self.secrets.redact(text).lines() {
            self.start_line(Stream::Notice, now);
            self.append(line.as_bytes());
            self.append(b"\n");
        }
        self.flush()
    }

    /// Writes unfinished lines that have waited long enough, and everything that is buffered.
    pub(super) fn tick(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let waiting: Vec<_> = self.lanes.iter().map(|(lane, state)| (*lane, now - state.last)).collect();
        for (lane, quiet) in waiting {
            if quiet < QUIET {
                continue;
            }
            self.feed(lane, Redactor::quiet, false);
            let cuts_other = self.open.is_some_and(|open| open != lane && self.lanes.contains_key(&open));
            if !cuts_other || quiet >= QUIET_OTHER {
                self.put_partial(lane);
            }
        }
        self.flush()
    }

    /// Makes sure that the log is on disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.log.sync_data()?;
        self.index.sync_data()
    }

    fn feed(&mut self, lane: Lane, with: impl FnOnce(&mut Redactor, &mut Vec<u8>), fresh: bool) {
        let Some(mut state) = self.lanes.remove(&lane) else {
            return;
        };
        let now = Instant::now();
        if fresh {
            state.last = now;
        }
        if state.partial.is_empty() {
            state.first = now;
        }
        with(&mut state.redactor, &mut state.partial);
        if let Some(end) = state.partial.iter().rposition(|byte| *byte == b'\n') {
            let first = std::mem::replace(&mut state.first, now);
            for (at, line) in state.partial[..=end].split_inclusive(|byte| *byte == b'\n').enumerate() {
                // The beginning of the line may already be in the file.
                if at > 0 || self.open != Some(lane) {
                    self.start_line(state.stream, if at == 0 { first } else { now });
                }
                self.append(line);
                self.open = None;
            }
            state.partial.drain(..=end);
        }
        let long = state.partial.len() >= PARTIAL_MAX;
        self.lanes.insert(lane, state);
        if long {
            self.put_partial(lane);
        }
    }

    fn put_partial(&mut self, lane: Lane) {
        let Some(state) = self.lanes.get_mut(&lane).filter(|state| !state.partial.is_empty()) else {
            return;
        };
        let (partial, stream, first) = (std::mem::take(&mut state.partial), state.stream, state.first);
        if self.open != Some(lane) {
            self.start_line(stream, first);
        }
        self.append(&partial);
        self.open = Some(lane);
    }

    fn start_line(&mut self, stream: Stream, at: Instant) {
        if self.open.take().is_some() {
            self.append(b"\n");
        }
        let at_ms = u64::try_from(at.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX);
        self.records.extend_from_slice(&Record { offset: self.length, at_ms, stream }.to_bytes());
    }

    fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.length += bytes.len() as u64;
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.failed {
            // The error was reported once. Later bytes would follow a gap, so they are dropped.
            self.bytes.clear();
            self.records.clear();
            return Ok(());
        }
        let wrote = self.log.write_all(&self.bytes).and_then(|()| self.index.write_all(&self.records));
        self.bytes.clear();
        self.records.clear();
        self.failed = wrote.is_err();
        wrote
    }
}
