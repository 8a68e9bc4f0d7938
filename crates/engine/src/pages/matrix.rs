//! The verification matrix.

use domain::check::Check;
use domain::facts::Actor;
use domain::item::{CheckState, check_state};

use super::gates::run_all_offer;
use crate::Engine;
use crate::assessment::Assessment;
use crate::error::Error;
use crate::view::{MatrixPage, MatrixRowView};

impl Engine {
    /// The matrix, every row with its checks.
    pub async fn matrix(&self, actor: &Actor) -> Result<MatrixPage, Error> {
        let assessment = self.assessment();
        let progress = self.progress(&assessment).await;
        let rows: Vec<MatrixRowView> = assessment
            .stack
            .runbook
            .matrix
            .iter()
            .map(|row| MatrixRowView {
                row: row.clone(),
                checks: assessment
                    .stack
                    .checks
                    .iter()
                    .filter(|c| c.proves.contains(&row.id))
                    .map(|c| self.check_view(&assessment, actor, c, &progress))
                    .collect(),
            })
            .collect();
        let checks = rows.iter().map(|r| r.checks.len()).sum();
        Ok(MatrixPage {
            run_all: run_all_offer(&assessment, actor, checks),
            run_all_digest: assessment.together_digest("matrix"),
            release: assessment.release().cloned(),
            rows,
        })
    }

    /// The state of a check that is bound only to matrix rows.
    pub(crate) fn lone_check_state(&self, assessment: &Assessment, check: &Check) -> CheckState {
        check_state(check, &assessment.facts())
    }
}
