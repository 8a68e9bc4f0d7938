//! The audit log as a page, and the result of its verification.

use domain::action::Action;
use domain::facts::Actor;
use domain::paging::Cursor;
use domain::policy;

use crate::Engine;
use crate::error::Error;
use crate::view::{ActivityPage, ActivityRow};
use store::audit::{self, Filter};
use store::{StoreError, paging};

/// Rows on a page.
const ROWS: u32 = 100;

impl Engine {
    /// A page of the events.
    pub async fn activity(&self, actor: &Actor, cursor: Cursor) -> Result<ActivityPage, Error> {
        let mut db = self.store().readers().acquire().await.map_err(StoreError::from)?;
        let (seqs, pages) = paging::page(&mut db, paging::EVENTS, None, cursor, ROWS).await?;
        let before = seqs.first().map(|seq| seq + 1);
        let filter = Filter { before, ..Filter::default() };
        let rows = audit::list(&mut *db, filter, i64::try_from(seqs.len()).unwrap_or(0)).await?;
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
                outcome: row.event.outcome,
                detail: row.event.detail,
                hash: row.hash,
            })
            .collect();
        Ok(ActivityPage {
            rows,
            pages,
            chain: self.verification(),
            verify: policy::may(Action::VerifyEverything, &actor.roles).then(|| self.may_verify_now()),
            storage: self.storage(),
            retention: self.stack().retention.words(),
        })
    }
}
