//! Refused sign-ins are counted in memory, so that strangers cannot fill the audit log; the counts are recorded here.

use std::time::Duration;

use crate::Engine;

/// How often counted refusals are looked through for hours that are over.
const RECORD_EVERY: Duration = Duration::from_secs(60);

/// Records the counts of refused sign-ins for as long as the engine lives.
pub(super) struct RefusalRecorder {
    engine: Engine,
}

impl RefusalRecorder {
    pub(super) fn new(engine: Engine) -> RefusalRecorder {
        RefusalRecorder { engine }
    }

    pub(super) async fn run(self) {
        let mut tick = tokio::time::interval(RECORD_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.engine.record_refusals(false).await;
        }
    }
}
