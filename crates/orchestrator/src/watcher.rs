//! Watching the stack: background tasks that always hold its current state, or since when it is unknown.

use std::sync::Arc;
use std::time::Duration;

use domain::observed::Observed;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::file_times::FileTimes;
use crate::orchestrator::Orchestrator;
use crate::parts::{PartsReader, PartsSeen};
use secrets::Key;

/// The files are read again after this time, even without a change.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How often the times of the files are checked.
const FILES_EVERY: Duration = Duration::from_millis(250);

/// Watches one stack until dropped.
pub struct Watcher {
    seen: watch::Receiver<Observed>,
    poke: Arc<Notify>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Watcher {
    /// Begins to watch. Must be called inside a Tokio runtime. The value is empty until the first read.
    pub(crate) fn start(stack: Orchestrator, key: Key) -> Self {
        let (publish, seen) = watch::channel(Observed::default());
        let (parts_out, parts) = watch::channel(None);
        let poke = Arc::new(Notify::new());
        let looking = tokio::spawn(stack.clone().follow(parts, publish));
        let reading = tokio::spawn(read_parts(PartsReader::new(stack, key), parts_out, Arc::clone(&poke)));
        Self { seen, poke, tasks: [reading, looking] }
    }

    /// The latest observed state. The runbook is not part of it.
    pub fn observed(&self) -> watch::Receiver<Observed> {
        self.seen.clone()
    }

    /// Requests that everything is read now, for example because the files were just changed.
    pub fn refresh(&self) {
        self.poke.notify_one();
    }
}

/// Reading files and running the tool takes a while and must not delay the state of the engine.
async fn read_parts(reader: PartsReader, out: watch::Sender<Option<PartsSeen>>, poke: Arc<Notify>) {
    loop {
        // Taken before the files are read: a file that is written during this is then read once more.
        let file_times = reader.stack().file_times().await;
        let _ = out.send(Some(reader.read().await));
        tokio::select! {
            () = sleep(LOOK_AGAIN) => {}
            () = poke.notified() => {}
            () = changed(&reader, &file_times) => {}
        }
    }
}

/// Returns when a file that the release is read from has changed.
async fn changed(reader: &PartsReader, file_times: &FileTimes) {
    loop {
        sleep(FILES_EVERY).await;
        if reader.stack().file_times().await != *file_times {
            return;
        }
    }
}
