//! The runbook as it was understood.

use domain::facts::Actor;
use domain::runbook::StepKind;

use crate::Engine;
use crate::error::Error;
use crate::view::RunbookPage;

impl Engine {
    /// The runbook's page.
    pub async fn runbook(&self, actor: &Actor) -> Result<RunbookPage, Error> {
        let judged = self.judged();
        let progress = self.progress(&judged).await;
        let loose_steps = judged
            .stack
            .runbook
            .steps
            .iter()
            .filter(|s| s.gate.is_none() || s.kind == StepKind::Rollback)
            .map(|s| self.step_view(&judged, actor, s, &progress))
            .collect();
        Ok(RunbookPage {
            runbook: judged.stack.runbook.clone(),
            path: judged.stack.runbook_path.display().to_string(),
            problems: judged.stack.problems.clone(),
            loose_steps,
        })
    }
}
