//! Accepting records that differ from the audit log, for operators with access to the console of the host: otherwise
//! an intended change would block Go for ever.

use crate::Engine;
use store::StoreError;
use store::audit::{self, Broken, Fault, LONGEST_REASON, Noted, VerifyError};

/// Why records were not accepted. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The log itself is broken, so it cannot confirm any record.
    #[error(
        "{0}. Records cannot be accepted while the log itself is broken. Stop the server, restore the data directory from the last good backup and start it again; without a backup, keep the directory as evidence and start with a new one"
    )]
    Broken(Broken),
    /// The reason is missing or too long.
    #[error("the reason must have 1 to {LONGEST_REASON} characters")]
    Reason,
    /// The records that differ are not those that were shown.
    #[error(
        "the records that differ have changed since they were shown; nothing was accepted. Run the command again"
    )]
    Changed,
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<VerifyError> for AcceptError {
    fn from(error: VerifyError) -> AcceptError {
        match error {
            VerifyError::Broken(broken) => AcceptError::Broken(broken),
            VerifyError::Store(error) => AcceptError::Store(error),
        }
    }
}

impl Engine {
    /// Every record that differs from the audit log, or from the records it is computed from.
    ///
    /// # Errors
    /// Fails when the log itself is broken or does not contain `noted`, and when the store cannot be read.
    pub async fn differing_records(&self, noted: Option<&Noted>) -> Result<Vec<Fault>, AcceptError> {
        let db = self.store().readers();
        match noted {
            Some(noted) => audit::verify_against(db, noted).await?,
            None => audit::verify(db).await?,
        };
        let mut faults = audit::every_fault(db).await?;
        faults.extend(audit::all_derived(db).await?);
        Ok(faults)
    }

    /// Accepts records as they are now and adds them to the audit log. `shown` are all records that
    /// [`Engine::differing_records`] returned. Returns the numbers of the new events.
    ///
    /// # Errors
    /// As [`Engine::differing_records`]; the records that differ are not those that were shown; the reason is missing
    /// or too long.
    pub async fn accept_records(
        &self,
        shown: &[Fault],
        reason: &str,
        noted: Option<&Noted>,
    ) -> Result<Vec<i64>, AcceptError> {
        let reason = reason.trim().to_owned();
        if reason.is_empty() || reason.chars().count() > LONGEST_REASON {
            return Err(AcceptError::Reason);
        }
        let faults = self.differing_records(noted).await?;
        if faults != shown {
            return Err(AcceptError::Changed);
        }
        let now = self.now();
        let events: Result<_, StoreError> = self
            .store()
            .write(move |tx| Box::pin(async move { audit::accept(tx, &faults, &reason, now).await }))
            .await;
        Ok(events?.into_iter().map(|event| event.seq).collect())
    }
}
