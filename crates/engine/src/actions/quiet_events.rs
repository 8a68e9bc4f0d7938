//! Events of the audit log that change nothing on pages except the list of events itself.

use std::sync::atomic::Ordering;

use crate::Engine;
use store::StoreError;
use store::audit::{self, Event};

impl Engine {
    /// Appends an event that changes nothing on pages except the list of events itself: open pages are not
    /// refreshed.
    pub(super) async fn append_quietly(&self, event: Event) -> Result<(), StoreError> {
        let seq = self
            .store()
            .write(move |tx| {
                Box::pin(async move { Ok::<_, StoreError>(audit::append(tx, &event).await?.seq) })
            })
            .await?;
        self.note_quiet(seq);
        Ok(())
    }

    /// Only if no other event came in between: another process may have changed something.
    pub(super) fn note_quiet(&self, seq: i64) {
        if self.snapshot().revisions.head().max(self.quiet_head()) == seq - 1 {
            self.0.quiet_head.store(seq, Ordering::Release);
        }
    }

    /// Newest event that does not require reading the store again.
    pub(crate) fn quiet_head(&self) -> i64 {
        self.0.quiet_head.load(Ordering::Acquire)
    }
}
