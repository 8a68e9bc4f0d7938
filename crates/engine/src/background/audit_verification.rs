//! Verifies that stored data is what Stagegate stored: the chain of the audit log, and the rows that it covers.
//!
//! Everything is verified once after the start, in the background, and again soon after another connection has written
//! to the file. Other passes continue from the last verified event. Rows that a judgement depends on are compared
//! whenever another connection has written, before its changes are judged. A decision is recorded only after a full
//! verification since then. An admin can start a full verification at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use domain::action::Action;
use domain::time::Millis;
use tokio::sync::OwnedMutexGuard;

use crate::Engine;
use crate::actions::Ctx;
use crate::assessment::snapshot::StoreSnapshot;
use crate::assessment::{all, when};
use crate::error::Error;
use crate::view::{Done, Permission, Verification};
use store::audit::AuditAction;
use store::audit::{self, Fault, Head, Scopes, VerifyError};
use store::{Others, StoreError};

/// How often the events since the last pass are verified.
const VERIFY_EVERY: Duration = Duration::from_secs(60);
/// After so many passes, a log that does not match is fully verified again: it may have been corrected.
const WHOLE_AGAIN: u32 = 5;
/// Pause before the full verification after another connection has written: it may not have finished.
const WRITER_PAUSE: Duration = Duration::from_secs(2);
/// That pause is at least this many times the duration of the last full verification: continuous writes must not keep
/// the host busy.
const PAUSE_TIMES: u32 = 5;

/// The results of the last verifications.
#[derive(Debug, Default)]
struct Integrity {
    /// The chain was verified up to here.
    head: Option<Head>,
    at: Option<Millis>,
    /// When the last full verification since the start ended.
    whole_at: Option<Millis>,
    /// When the running full verification began.
    running_since: Option<Millis>,
    /// Why the last full verification could not be completed.
    failed: Option<String>,
    /// Why the chain is broken.
    broken: Option<String>,
    /// Faults that a full verification found.
    faults: Vec<Fault>,
    /// Faults in rows that a judgement depends on, from the last comparison.
    recent: Vec<Fault>,
    /// Why that comparison stopped.
    recent_broken: Option<String>,
    /// The last event that this process wrote, if it is missing from the log.
    lost: Option<i64>,
    /// Writes of other connections at the last comparison.
    seen: Others,
    /// Writes of other connections at the start of the last full verification.
    whole_seen: Option<Others>,
    problems: Arc<Vec<String>>,
}

impl Integrity {
    /// Updates the list of problems. Returns whether it has changed.
    fn settle(&mut self) -> bool {
        let mut problems: Vec<String> = self.broken.iter().chain(&self.recent_broken).cloned().collect();
        problems.extend(self.lost.map(|seq| {
            format!("the audit log was rewritten: event {seq} is not the one that this server wrote")
        }));
        problems.extend(self.faults.iter().chain(&self.recent).map(ToString::to_string));
        let mut seen = std::collections::BTreeSet::new();
        problems.retain(|p| seen.insert(p.clone()));
        let differs = *self.problems != problems;
        if differs {
            for problem in &problems {
                tracing::error!(%problem, "stored data does not match the audit log");
            }
            self.problems = Arc::new(problems);
        }
        differs
    }
}

/// The state of the verification of the audit log and of the rows it covers.
#[derive(Debug, Default)]
pub(crate) struct AuditState {
    shown: RwLock<Integrity>,
    /// Held during a full verification.
    verifying: Arc<tokio::sync::Mutex<()>>,
    /// Wakes the background verification.
    soon: tokio::sync::Notify,
}

/// Verifies until the engine stops: first the rows that are judged, then everything, then new events regularly.
pub(super) struct AuditVerifier {
    engine: Engine,
    passes: u32,
    /// Pause before the full verification after another connection has written.
    pause: Duration,
}

impl AuditVerifier {
    pub(super) fn new(engine: Engine) -> AuditVerifier {
        AuditVerifier { engine, passes: 0, pause: WRITER_PAUSE }
    }

    pub(super) async fn run(mut self) {
        self.engine.compare_recent(&self.engine.snapshot(), None).await;
        let mut written = false;
        loop {
            self.verify(written).await;
            written = tokio::select! {
                () = tokio::time::sleep(VERIFY_EVERY) => false,
                () = self.engine.0.audit.soon.notified() => true,
            };
            if written {
                tokio::time::sleep(self.pause).await;
            }
        }
    }

    /// Verifies everything if that was not done yet, if another connection has written, or if something did not match;
    /// otherwise only the new events.
    async fn verify(&mut self, written: bool) {
        let (whole, sound) = {
            let state = self.engine.integrity();
            (state.whole_at.is_some(), state.problems.is_empty())
        };
        let everything = !whole || written || (!sound && self.passes.is_multiple_of(WHOLE_AGAIN));
        let began = Instant::now();
        let done = if everything {
            self.engine.verify_everything().await.map(|found| {
                let head = found.head.unwrap_or_default();
                tracing::info!(%head, problems = found.problems.len(), "the audit log was verified");
            })
        } else {
            self.engine.verify_on().await
        };
        if let Err(error) = done {
            tracing::warn!(%error, "the audit log could not be verified; trying again");
        }
        if everything {
            self.pause = WRITER_PAUSE.max(began.elapsed() * PAUSE_TIMES);
        }
        self.passes = self.passes.wrapping_add(1);
    }
}

impl Engine {
    fn integrity(&self) -> RwLockReadGuard<'_, Integrity> {
        self.0.audit.shown.read().unwrap_or_else(|e| e.into_inner())
    }

    /// Records that do not match the audit log, one sentence each.
    pub(crate) fn integrity_problems(&self) -> Arc<Vec<String>> {
        self.integrity().problems.clone()
    }

    /// The result of the last verification.
    pub fn verification(&self) -> Verification {
        let state = self.integrity();
        Verification {
            problems: state.problems.to_vec(),
            head: state.head.as_ref().map(ToString::to_string),
            at: state.at,
            whole_at: state.whole_at,
            running_since: state.running_since,
            failed: state.failed.clone(),
        }
    }

    /// Whether rows were compared after these writes of other connections.
    pub(crate) fn has_seen(&self, others: &Others) -> bool {
        self.integrity().seen == *others
    }

    fn note_integrity(&self, change: impl FnOnce(&mut Integrity)) {
        let differs = {
            let mut state = self.0.audit.shown.write().unwrap_or_else(|e| e.into_inner());
            change(&mut state);
            state.settle()
        };
        if differs {
            self.bump();
        }
    }

    /// Compares the rows that `snapshot` is judged by with the audit log, if another connection has written since the
    /// last comparison.
    pub(crate) async fn check_what_others_wrote(&self, snapshot: &StoreSnapshot) {
        match self.store().others().await {
            Ok(others) if self.has_seen(&others) => {}
            Ok(others) => {
                self.compare_recent(snapshot, Some(others)).await;
                // It may have changed older rows, or corrected rows that did not match.
                self.0.audit.soon.notify_one();
            }
            Err(error) => tracing::debug!(%error, "the store could not be read; trying again"),
        }
    }

    async fn compare_recent(&self, snapshot: &StoreSnapshot, others: Option<Others>) {
        let found = self.differing(snapshot).await;
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
                state.lost = others.lost.as_ref().map(|head| head.seq);
                state.seen = others;
            }
        });
    }

    /// Rows that a judgement of `snapshot` depends on and that do not match.
    async fn differing(&self, snapshot: &StoreSnapshot) -> Result<Vec<Fault>, VerifyError> {
        let db = self.store().readers();
        let mut faults = audit::recent(db, &self.rests_on(snapshot)).await?;
        // Judged evidence that is not among the newest of its check.
        let mut newer: BTreeMap<&str, i64> = BTreeMap::new();
        let mut older = Vec::new();
        for evidence in snapshot.evidence.iter().rev() {
            let count = newer.entry(&evidence.check).or_default();
            *count += 1;
            if *count > audit::OF_A_SCOPE {
                older.push(evidence.id);
            }
        }
        faults.extend(audit::these(db, "evidence", &older).await?);
        faults.extend(audit::these(db, "run", &snapshot.runs.ended()).await?);
        let releases: BTreeSet<i64> = snapshot.releases.iter().map(|release| release.id).collect();
        faults.extend(audit::these(db, "release", &releases.iter().copied().collect::<Vec<_>>()).await?);
        faults.extend(audit::recent_derived(db, snapshot.current, &releases).await?);
        Ok(faults)
    }

    /// What a judgement reads, in addition to the newest rows of every table.
    fn rests_on(&self, snapshot: &StoreSnapshot) -> Scopes {
        let mut scopes = Scopes::new();
        if let Some(release) = snapshot.current {
            for table in ["release_event", "acceptance", "sign_off", "decision", "migration_list"] {
                scopes.insert((table, release.to_string()));
            }
        }
        scopes.extend(self.stack().checks.iter().map(|c| ("evidence", c.id.clone())));
        scopes.extend(snapshot.words.attestations.iter().map(|a| ("attestation", a.item.clone())));
        scopes.extend(snapshot.words.waivers.iter().map(|w| ("waiver", w.item.clone())));
        let stack = self.stack();
        let fields = stack.runbook.ownership.iter().flat_map(|line| &line.fields);
        scopes.extend(fields.map(|field| ("ownership_entry", field.id.clone())));
        scopes.extend(snapshot.changes.iter().map(|c| ("change", c.key.clone())));
        scopes
    }

    /// Verifies everything: the whole chain, every row, and every table that is computed from others. Returns the
    /// result.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn verify_everything(&self) -> Result<Verification, Error> {
        let pass = Pass::begin(self, self.0.audit.verifying.clone().lock_owned().await);
        let done = self.verify_whole().await;
        pass.end(done.as_ref().err());
        done.map(|()| self.verification())
    }

    /// Verifies everything unless that was done since the start and since the last write of another connection. The
    /// result is part of the judgement.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn verify_before_deciding(&self) -> Result<(), Error> {
        let others = self.store().others().await?;
        let is_verified = {
            let state = self.integrity();
            state.whole_seen.as_ref() == Some(&others)
        };
        if !is_verified {
            self.verify_everything().await?;
        }
        Ok(())
    }

    /// Starts a full verification in the background, on request of an admin.
    ///
    /// # Errors
    /// The rules refuse it, or the store cannot be written.
    pub async fn verify_now(&self, ctx: &Ctx) -> Result<Done, Error> {
        let allowed =
            all([self.assessment().may(&ctx.actor, Action::VerifyEverything), self.may_verify_now()]);
        self.execute(ctx, AuditAction::AuditVerify, "everything", &[], allowed, async |begun| {
            let done = Done {
                to: "/activity".to_owned(),
                said: "The verification has started. Its result appears on this page.".to_owned(),
            };
            let done =
                self.store_done(begun, done, String::new(), |_| Box::pin(async { Ok(()) })).await?;
            // If another one has begun in the meantime, that one is sufficient.
            if let Ok(turn) = self.0.audit.verifying.clone().try_lock_owned() {
                let engine = self.clone();
                let pass = Pass::begin(self, turn);
                tokio::spawn(async move {
                    let done = engine.verify_whole().await;
                    if let Err(error) = &done {
                        tracing::error!(%error, "the verification that an admin requested could not be completed");
                    }
                    pass.end(done.as_ref().err());
                });
            }
            Ok(done)
        })
        .await
    }

    /// Whether a full verification could begin now.
    pub(crate) fn may_verify_now(&self) -> Permission {
        let running = self.integrity().running_since;
        when(running.is_none(), || "A full verification is already running.".to_owned())
    }

    async fn verify_whole(&self) -> Result<(), Error> {
        let before = self.store().others().await?;
        // Also the rows that a judgement depends on: a fault found there earlier may have been corrected.
        self.compare_recent(&self.snapshot(), None).await;
        let chain = audit::verify(self.store().readers()).await;
        if let Err(VerifyError::Store(error)) = chain {
            return Err(error.into());
        }
        let (_, mut faults) = audit::all_rows(self.store().readers()).await?;
        faults.extend(audit::all_derived(self.store().readers()).await?);
        let others = self.store().others_settled().await?;
        let now = self.now();
        self.note_integrity(|state| {
            state.faults = faults;
            state.whole_seen = Some(before);
            state.lost = others.lost.as_ref().map(|head| head.seq);
            (state.at, state.whole_at) = (Some(now), Some(now));
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
        Ok(())
    }

    /// Verifies the events since the last pass.
    async fn verify_on(&self) -> Result<(), Error> {
        let head = self.integrity().head.clone();
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

    async fn keep_checkpoint(&self, head: Head, at: Millis) -> Result<(), Error> {
        if head.seq == 0 {
            return Ok(());
        }
        self.store()
            .write(move |tx| Box::pin(async move { audit::set_checkpoint(tx, &head, at).await }))
            .await
            .map_err(|e: StoreError| Error::from(e))
    }
}

/// A running full verification; one at a time. If it is dropped before its end, it does not count.
struct Pass {
    engine: Engine,
    _turn: OwnedMutexGuard<()>,
}

impl Pass {
    fn begin(engine: &Engine, turn: OwnedMutexGuard<()>) -> Pass {
        let now = engine.now();
        engine.note_integrity(|state| state.running_since = Some(now));
        Pass { engine: engine.clone(), _turn: turn }
    }

    fn end(self, error: Option<&Error>) {
        self.engine.note_integrity(|state| state.failed = error.map(Error::public));
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.engine.note_integrity(|state| state.running_since = None);
        // The page that shows it as running is refreshed.
        self.engine.bump();
    }
}
