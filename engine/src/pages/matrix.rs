//! The verification matrix.

use domain::check::Check;
use domain::facts::Actor;
use domain::item::{CheckState, check_state};

use super::gates::run_all_offer;
use crate::Engine;
use crate::error::Error;
use crate::judging::Judged;
use crate::view::{MatrixPage, MatrixRowView};

impl Engine {
    /// The matrix, every row with its checks.
    pub async fn matrix(&self, actor: &Actor) -> Result<MatrixPage, Error> {
        let judged = self.judged();
        let progress = self.progress(&judged).await;
        let rows: Vec<MatrixRowView> = judged
            .stack
            .runbook
            .matrix
            .iter()
            .map(|row| MatrixRowView {
                row: row.clone(),
                checks: judged
                    .stack
                    .checks
                    .iter()
                    .filter(|c| c.proves.contains(&row.id))
                    .map(|c| self.check_view(&judged, actor, c, &progress))
                    .collect(),
            })
            .collect();
        let checks = rows.iter().map(|r| r.checks.len()).sum();
        Ok(MatrixPage {
            run_all: run_all_offer(&judged, actor, checks),
            run_all_digest: judged.together_digest("matrix"),
            release: judged.release().cloned(),
            rows,
        })
    }

    /// The standing of a check that is bound to matrix rows alone.
    pub(crate) fn lone_check_state(&self, judged: &Judged, check: &Check) -> CheckState {
        check_state(check, &judged.facts())
    }
}
