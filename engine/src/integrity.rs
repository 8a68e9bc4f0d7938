//! Whether what is stored is what the program stored: the audit log's chain, and the rows it vouches for.
//!
//! Everything is verified once after the start, in the background. Later passes go on from the last verified event.
//! Rows that a judgement rests on are compared again whenever another connection has written to the file, before
//! what it wrote is judged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::time::Millis;

use crate::Engine;
use crate::audit::{self, Fault, Head, Scopes, VerifyError};
use crate::known::Known;
use crate::store::{Others, StoreError};
use crate::view::Verification;

/// How often the events since the last pass are verified.
const VERIFY_EVERY: Duration = Duration::from_secs(60);
/// After so many of those, a log that does not match is verified as a whole again: somebody may have corrected it.
const WHOLE_AGAIN: u32 = 5;

/// What the last verifications have shown.
#[derive(Debug, Default)]
pub(crate) struct Integrity {
    /// The chain was verified up to here.
    head: Option<Head>,
    at: Option<Millis>,
    /// A pass over everything was made since the start.
    whole: bool,
    /// Why the chain does not hold.
    broken: Option<String>,
    /// Rows that a pass over everything found.
    faults: Vec<Fault>,
    /// Rows that a judgement rests on, as last compared.
    recent: Vec<Fault>,
    /// Why that comparison stopped.
    recent_broken: Option<String>,
    /// The log's last event, written by this process, that is gone.
    lost: Option<i64>,
    /// What other connections had done when rows were last compared.
    seen: Others,
    problems: Arc<Vec<String>>,
}

impl Integrity {
    /// Says anew what does not match. `true`: it is something else than before.
    fn settle(&mut self) -> bool {
        let mut problems: Vec<String> = self.broken.iter().chain(&self.recent_broken).cloned().collect();
        problems.extend(
            self.lost
                .map(|seq| format!("the audit log was rewritten: event {seq} is not the one written here")),
        );
        problems.extend(self.faults.iter().chain(&self.recent).map(ToString::to_string));
        let mut seen = std::collections::BTreeSet::new();
        problems.retain(|p| seen.insert(p.clone()));
        let differs = *self.problems != problems;
        if differs {
            for problem in &problems {
                tracing::error!(%problem, "what is stored does not match the audit log");
            }
            self.problems = Arc::new(problems);
        }
        differs
    }
}

impl Engine {
    /// What the audit log does not vouch for, one sentence each.
    pub(crate) fn integrity_problems(&self) -> Arc<Vec<String>> {
        self.0.integrity.read().unwrap_or_else(|e| e.into_inner()).problems.clone()
    }

    /// What the last verification has shown.
    pub fn verification(&self) -> Verification {
        let state = self.0.integrity.read().unwrap_or_else(|e| e.into_inner());
        Verification {
            problems: state.problems.to_vec(),
            head: state.head.as_ref().map(ToString::to_string),
            at: state.at,
            whole: state.whole,
        }
    }

    /// Whether rows were compared since other connections did this.
    pub(crate) fn has_seen(&self, others: &Others) -> bool {
        self.0.integrity.read().unwrap_or_else(|e| e.into_inner()).seen == *others
    }

    fn note_integrity(&self, change: impl FnOnce(&mut Integrity)) {
        let differs = {
            let mut state = self.0.integrity.write().unwrap_or_else(|e| e.into_inner());
            change(&mut state);
            state.settle()
        };
        if differs {
            self.bump();
        }
    }

    /// Compares the rows that `known` is judged by with the audit log, if another connection has written since this
    /// was last done.
    pub(crate) async fn check_what_others_wrote(&self, known: &Known) {
        match self.store().others().await {
            Ok(others) if self.has_seen(&others) => {}
            Ok(others) => self.compare_recent(known, Some(others)).await,
            Err(error) => tracing::debug!(%error, "the store could not be looked at"),
        }
    }

    async fn compare_recent(&self, known: &Known, others: Option<Others>) {
        let found = self.differing(known).await;
        if let Err(VerifyError::Store(error)) = &found {
            tracing::warn!(%error, "rows could not be compared with the audit log");
            return;
        }
        self.note_integrity(|state| {
            (state.recent, state.recent_broken) = match found {
                Ok(faults) => (faults, None),
                Err(error) => (vec![], Some(error.to_string())),
            };
            if let Some(others) = others {
                state.lost = others.lost;
                state.seen = others;
            }
        });
    }

    /// Rows that a judgement of `known` rests on and that do not match.
    async fn differing(&self, known: &Known) -> Result<Vec<Fault>, VerifyError> {
        let db = self.store().readers();
        let mut faults = audit::recent(db, &self.rests_on(known)).await?;
        // Evidence that is judged and is not among the newest of its check.
        let mut newer: BTreeMap<&str, i64> = BTreeMap::new();
        let mut older = Vec::new();
        for evidence in known.evidence.iter().rev() {
            let count = newer.entry(&evidence.check).or_default();
            *count += 1;
            if *count > audit::OF_A_SCOPE {
                older.push(evidence.id);
            }
        }
        faults.extend(audit::these(db, "evidence", &older).await?);
        let releases = known.releases.iter().map(|release| release.id).collect();
        faults.extend(audit::recent_derived(db, known.current, &releases).await?);
        Ok(faults)
    }

    /// What a judgement reads, beside the newest rows of every table.
    fn rests_on(&self, known: &Known) -> Scopes {
        let mut scopes = Scopes::new();
        if let Some(release) = known.current {
            for table in ["release_event", "acceptance", "sign_off", "decision", "migration_list"] {
                scopes.insert((table, release.to_string()));
            }
        }
        scopes.extend(self.stack().checks.iter().map(|c| ("evidence", c.id.clone())));
        scopes.extend(known.words.attestations.iter().map(|a| ("attestation", a.item.clone())));
        scopes.extend(known.words.waivers.iter().map(|w| ("waiver", w.item.clone())));
        let stack = self.stack();
        let fields = stack.runbook.ownership.iter().flat_map(|line| &line.fields);
        scopes.extend(fields.map(|field| ("ownership_entry", field.id.clone())));
        scopes.extend(known.changes.iter().map(|c| ("change", c.key.clone())));
        scopes
    }

    /// Verifies everything: the whole chain, every row, and every table that is computed from others. Returns what
    /// came out.
    ///
    /// # Errors
    /// Fails when the store cannot be read.
    pub async fn verify_everything(&self) -> Result<Verification, crate::Error> {
        let chain = audit::verify(self.store().readers()).await;
        if let Err(VerifyError::Store(error)) = chain {
            return Err(error.into());
        }
        let (_, mut faults) = audit::all_rows(self.store().readers()).await?;
        faults.extend(audit::all_derived(self.store().readers()).await?);
        let now = self.now();
        self.note_integrity(|state| {
            state.whole = true;
            state.faults = faults;
            state.at = Some(now);
            match &chain {
                Ok(report) => {
                    state.head = Some(report.head.clone());
                    state.broken = None;
                }
                Err(error) => state.broken = Some(error.to_string()),
            }
        });
        if let Ok(report) = chain {
            self.keep_checkpoint(report.head, now).await?;
        }
        Ok(self.verification())
    }

    /// Verifies the events since the last pass.
    async fn verify_on(&self) -> Result<(), crate::Error> {
        let head = self.0.integrity.read().unwrap_or_else(|e| e.into_inner()).head.clone();
        let Some(head) = head else { return Ok(()) };
        let now = self.now();
        match audit::verify_since(self.store().readers(), &head).await {
            Ok(report) => {
                self.note_integrity(|state| {
                    state.head = Some(report.head.clone());
                    state.at = Some(now);
                });
                if report.head != head {
                    self.keep_checkpoint(report.head, now).await?;
                }
            }
            Err(VerifyError::Store(error)) => return Err(error.into()),
            Err(VerifyError::Broken(broken)) => {
                self.note_integrity(|state| state.broken = Some(broken.to_string()));
            }
        }
        Ok(())
    }

    async fn keep_checkpoint(&self, head: Head, at: Millis) -> Result<(), crate::Error> {
        if head.seq == 0 {
            return Ok(());
        }
        self.store()
            .write(move |tx| Box::pin(async move { audit::set_checkpoint(tx, &head, at).await }))
            .await
            .map_err(|e: StoreError| crate::Error::from(e))
    }

    /// Verifies in the background: the rows that are judged and then everything now, what is new from time to time.
    pub(crate) fn keep_verified(&self) {
        let engine = self.clone();
        tokio::spawn(async move {
            engine.compare_recent(&engine.known(), None).await;
            let mut passes = 0_u32;
            loop {
                let (whole, sound) = {
                    let state = engine.0.integrity.read().unwrap_or_else(|e| e.into_inner());
                    (state.whole, state.problems.is_empty())
                };
                let everything = !whole || (!sound && passes.is_multiple_of(WHOLE_AGAIN));
                let done = if everything {
                    engine.verify_everything().await.map(|found| {
                        let head = found.head.unwrap_or_default();
                        tracing::info!(%head, problems = found.problems.len(), "the audit log was verified");
                    })
                } else {
                    engine.verify_on().await
                };
                if let Err(error) = done {
                    tracing::warn!(%error, "the audit log could not be verified");
                }
                passes = passes.wrapping_add(1);
                tokio::time::sleep(VERIFY_EVERY).await;
            }
        });
    }
}
