//! The runbook as Stagegate has parsed it.

use domain::facts::Actor;
use domain::runbook::StepKind;

use crate::Engine;
use crate::error::Error;
use crate::view::RunbookPage;

impl Engine {
    /// The runbook's page.
    pub async fn runbook(&self, actor: &Actor) -> Result<RunbookPage, Error> {
        let assessment = self.assessment();
        let progress = self.progress(&assessment).await;
        let loose_steps = assessment
            .stack
            .runbook
            .steps
            .iter()
            .filter(|s| s.gate.is_none() || s.kind == StepKind::Rollback)
            .map(|s| self.step_view(&assessment, actor, s, &progress))
            .collect();
        Ok(RunbookPage {
            runbook: assessment.stack.runbook.clone(),
            path: assessment.stack.runbook_path.display().to_string(),
            problems: assessment.stack.problems.clone(),
            loose_steps,
        })
    }
}
