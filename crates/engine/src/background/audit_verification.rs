//! Whether what is stored is what the program stored: the audit log's chain, and the rows it vouches for.
//!
//! Everything is verified once after the start, in the background, and again soon after another connection has written
//! to the file. Other passes go on from the last verified event. Rows that a judgement rests on are compared whenever
//! another connection has written, before what it wrote is judged. A decision is recorded only when everything was
//! verified since. An admin can have everything verified at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use domain::time::Millis;
use tokio::sync::OwnedMutexGuard;

use crate::Engine;
use crate::actions::Ctx;
use crate::assessment::snapshot::StoreSnapshot;
use crate::assessment::{all, when};
use crate::error::Error;
use crate::view::{Done, Permission, Verification};
use store::audit::{self, Fault, Head, Scopes, VerifyError};
use store::{Others, StoreError};

/// How often the events since the last pass are verified.
const VERIFY_EVERY: Duration = Duration::from_secs(60);
/// After so many of those, a log that does not match is verified as a whole again: somebody may have corrected it.
const WHOLE_AGAIN: u32 = 5;
/// Pause before everything is verified because another connection has written: it may not have finished.
const WRITER_PAUSE: Duration = Duration::from_secs(2);
/// That pause is at least so many times as long as the last such pass took: somebody who writes all the time must not
/// keep the machine busy.
const PAUSE_TIMES: u32 = 5;

/// What the last verifications have shown.
#[derive(Debug, Default)]
struct Integrity {
    /// The chain was verified up to here.
    head: Option<Head>,
    at: Option<Millis>,
    /// When the last pass over everything since the start ended.
    whole_at: Option<Millis>,
    /// Since when a pass over everything goes on.
    running_since: Option<Millis>,
    /// Why the last pass over everything could not be made to its end.
    failed: Option<String>,
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
    /// What they had done when the last pass over everything began.
    whole_seen: Option<Others>,
    problems: Arc<Vec<String>>,
}

impl Integrity {
    /// Makes the list of what does not match. `true`: it differs from the one before.
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

/// What is known of the audit log and of the rows it vouches for, and who verifies.
#[derive(Debug, Default)]
pub(crate) struct AuditState {
    shown: RwLock<Integrity>,
    /// Held while everything is verified.
    verifying: Arc<tokio::sync::Mutex<()>>,
    /// Wakes the background verification.
    soon: tokio::sync::Notify,
}

/// Verifies for as long as the engine lives: the rows that are judged and then everything now, what is new from time to
/// time.
pub(super) struct AuditVerifier {
    engine: Engine,
    passes: u32,
    /// Pause before everything is verified because another connection has written.
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

    /// Everything, when that was not done yet, somebody else has written, or something did not match; else what is new.
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
            tracing::warn!(%error, "the audit log could not be verified");
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

    /// What the audit log does not vouch for, one sentence each.
    pub(crate) fn integrity_problems(&self) -> Arc<Vec<String>> {
        self.integrity().problems.clone()
    }

    /// What the last verification has shown.
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

    /// Whether rows were compared since other connections did this.
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

    /// Compares the rows that `snapshot` is judged by with the audit log, if another connection has written since this
    /// was last done.
    pub(crate) async fn check_what_others_wrote(&self, snapshot: &StoreSnapshot) {
        match self.store().others().await {
            Ok(others) if self.has_seen(&others) => {}
            Ok(others) => {
                self.compare_recent(snapshot, Some(others)).await;
                // It may have changed what lies further back, or corrected what does not match.
                self.0.audit.soon.notify_one();
            }
            Err(error) => tracing::debug!(%error, "the store could not be looked at"),
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

    /// Rows that a judgement of `snapshot` rests on and that do not match.
    async fn differing(&self, snapshot: &StoreSnapshot) -> Result<Vec<Fault>, VerifyError> {
        let db = self.store().readers();
        let mut faults = audit::recent(db, &self.rests_on(snapshot)).await?;
        // Evidence that is judged and is not among the newest of its check.
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

    /// What a judgement reads, beside the newest rows of every table.
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

    /// Verifies everything: the whole chain, every row, and every table that is computed from others. Returns what
    /// came out.
    ///
    /// # Errors
    /// Fails when the store cannot be read.
    pub async fn verify_everything(&self) -> Result<Verification, Error> {
        let pass = Pass::begin(self, self.0.audit.verifying.clone().lock_owned().await);
        let done = self.verify_whole().await;
        pass.end(done.as_ref().err());
        done.map(|()| self.verification())
    }

    /// Verifies everything unless that was done since the start and since another connection last wrote. What comes
    /// out is judged.
    ///
    /// # Errors
    /// Fails when the store cannot be read.
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

    /// Verifies everything in the background, as an admin asks for it.
    ///
    /// # Errors
    /// Refused by the rules; or the store cannot be written.
    pub async fn verify_now(&self, ctx: &Ctx) -> Result<Done, Error> {
        let allowed = all([self.assessment().may(&ctx.actor, "verify_everything"), self.may_verify_now()]);
        self.execute(ctx, "audit.verify", "everything", &[], allowed, async |begun| {
            let done = Done {
                to: "/activity".to_owned(),
                said: "The verification has started. Its result appears on this page.".to_owned(),
            };
            let done =
                self.store_done(begun, done, String::new(), |_| Box::pin(async { Ok(()) })).await?;
            // Where another one began in the meantime, that one does.
            if let Ok(turn) = self.0.audit.verifying.clone().try_lock_owned() {
                let engine = self.clone();
                let pass = Pass::begin(self, turn);
                tokio::spawn(async move {
                    let done = engine.verify_whole().await;
                    if let Err(error) = &done {
                        tracing::error!(%error, "the verification that an admin asked for could not be completed");
                    }
                    pass.end(done.as_ref().err());
                });
            }
            Ok(done)
        })
        .await
    }

    /// Whether a pass over everything could begin now.
    pub(crate) fn may_verify_now(&self) -> Permission {
        let running = self.integrity().running_since;
        when(running.is_none(), || "A full verification is already running.".to_owned())
    }

    async fn verify_whole(&self) -> Result<(), Error> {
        let before = self.store().others().await?;
        // What a judgement rests on, too: a fault found there earlier may have been corrected.
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

/// A pass over everything that goes on. One at a time; one that is dropped before its end has not been made.
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
        // The page that says so is shown again.
        self.engine.bump();
    }
}
