//! Refused sign-ins are counted in memory so that they cannot fill the audit log. This task records the counts.

use std::time::Duration;

use crate::Engine;

/// How often the counts of past hours are recorded.
const RECORD_EVERY: Duration = Duration::from_secs(60);

/// Records the counts of refused sign-ins until the engine stops.
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
