//! Following runs as their logs grow: one watcher per run, however many readers there are.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use super::dir::RunDir;
use super::error::Result;
use super::reader::Reader;
use super::status::State;

const POLL: Duration = Duration::from_millis(40);
/// Polls between two checks of whether the supervisor is alive.
const POLLS_PER_PULSE: u32 = 12;

/// The current length of a run's log, and the state of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// Lines so far, one that has not ended included.
    pub lines: u64,
    /// Bytes so far. They grow without `lines` when the last line does.
    pub bytes: u64,
    /// The state of the run.
    pub state: State,
}

/// Follows the run in `dir`. The receiver sees each change within 50 ms; it is closed after the run is over and
/// its last lines were seen, and the watching ends with the last receiver.
///
/// Must be called inside a Tokio runtime. Fails when there is no such run.
pub fn follow(dir: &Path) -> Result<watch::Receiver<Tip>> {
    let reader = Reader::open(dir)?;
    let dir = RunDir::open(dir)?;
    let (send, receive) = watch::channel(look(&reader, None)?);
    tokio::spawn(watch_run(reader, dir, send));
    Ok(receive)
}

async fn watch_run(reader: Reader, dir: RunDir, send: watch::Sender<Tip>) {
    let mut seen: Option<SystemTime> = None;
    let mut polls = 0_u32;
    loop {
        let over = send.borrow().state.is_over();
        if over || send.is_closed() {
            return;
        }
        tokio::time::sleep(POLL).await;
        polls = polls.wrapping_add(1);
        let state = (!polls.is_multiple_of(POLLS_PER_PULSE)).then(|| send.borrow().state.clone());
        let (reader, dir) = (reader.clone(), dir.clone());
        // A disk that does not respond must delay only this run.
        let looked = tokio::task::spawn_blocking(move || {
            let changed = fs::metadata(dir.status()).and_then(|found| found.modified()).ok();
            let known = state.filter(|_| changed == seen);
            (changed, look(&reader, known), dir.path().exists())
        });
        let Ok((changed, looked, exists)) = looked.await else { return };
        seen = changed;
        // A run whose files cannot be read at the moment is read again; one without a directory is over.
        match looked {
            Ok(tip) => {
                send.send_if_modified(|old| {
                    let differs = *old != tip;
                    *old = tip;
                    differs
                });
            }
            Err(_) if !exists => return,
            Err(_) => {}
        }
    }
}

fn look(reader: &Reader, known: Option<State>) -> Result<Tip> {
    // The state is read first: if it is over, the lengths read after it are final.
    let state = match known {
        Some(state) => state,
        None => reader.status()?.state,
    };
    Ok(Tip { lines: reader.count()?, bytes: reader.bytes()?, state })
}

/// All followed runs of a server: readers of the same run share one watcher.
#[derive(Debug, Default)]
pub struct Tails(Mutex<HashMap<PathBuf, watch::Receiver<Tip>>>);

impl Tails {
    /// Follows the run in `dir`, as [`follow`] does.
    pub fn follow(&self, dir: &Path) -> Result<watch::Receiver<Tip>> {
        let mut tails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Watchers of runs that are over have closed their channels.
        tails.retain(|_, tail| tail.has_changed().is_ok());
        if let Some(tail) = tails.get(dir) {
            return Ok(tail.clone());
        }
        let tail = follow(dir)?;
        tails.insert(dir.to_owned(), tail.clone());
        Ok(tail)
    }
}
