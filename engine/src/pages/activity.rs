//! The audit log as a page, and whether its chain is sound.

use std::time::Duration;

use domain::facts::Actor;

use crate::Engine;
use crate::audit::{self, Filter};
use crate::error::Error;
use crate::view::{ActivityPage, ActivityRow};

/// Rows on a page.
const ROWS: i64 = 100;
/// How often the whole chain is verified.
const VERIFY_EVERY: Duration = Duration::from_secs(300);

impl Engine {
    /// The newest events, or those before `before`.
    pub async fn activity(&self, _actor: &Actor, before: Option<i64>) -> Result<ActivityPage, Error> {
        let filter = Filter { before, ..Filter::default() };
        let rows = audit::list(self.store().readers(), filter, ROWS).await?;
        let more_before = rows.last().map(|r| r.seq).filter(|seq| *seq > 1 && rows.len() as i64 == ROWS);
        let rows = rows
            .into_iter()
            .map(|row| ActivityRow {
                seq: row.seq,
                at: row.event.at,
                actor: row.event.actor_name,
                act: row.event.act,
                subject: row.event.subject,
                release: row.event.release,
                run: row.event.run,
                outcome: row.event.outcome.slug().to_owned(),
                detail: row.event.detail,
                hash: row.hash,
            })
            .collect();
        Ok(ActivityPage { rows, more_before, chain: self.chain() })
    }

    /// Verifies the chain now and then; the page says what came out.
    pub(crate) fn keep_chain_verified(&self) {
        let engine = self.clone();
        tokio::spawn(async move {
            loop {
                let said = match audit::verify(engine.store().readers()).await {
                    Ok(report) => Ok(format!("The chain of {} events is whole.", report.events)),
                    Err(error) => {
                        tracing::error!(%error, "the audit log does not verify");
                        Err(error.to_string())
                    }
                };
                *engine.0.chain.write().unwrap_or_else(|e| e.into_inner()) = said;
                engine.bump();
                tokio::time::sleep(VERIFY_EVERY).await;
            }
        });
    }
}
