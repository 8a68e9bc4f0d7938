//! A gate: its criteria, its steps, its checks.

use domain::check::Check;
use domain::evidence::{expires_at, expires_soon};
use domain::facts::Actor;
use domain::flaky::{flaky, trend};
use domain::item::{CheckState, Standing};
use domain::preflight::Weight;
use domain::release::Part;
use domain::runbook::{Step, StepKind};

use crate::Engine;
use crate::error::Error;
use crate::judging::{Judged, when};
use crate::pages::runs::Progress;
use crate::store::runs::RunKind;
use crate::view::{CheckView, Expiry, GatePage, Offer, StepView};

impl Engine {
    /// The page of the gate `id`.
    pub async fn gate(&self, actor: &Actor, id: &str) -> Result<GatePage, Error> {
        let judged = self.judged();
        let progress = self.progress(&judged).await;
        let gates = &judged.judgement.gates;
        let at = gates
            .iter()
            .position(|g| g.id.eq_ignore_ascii_case(id))
            .ok_or_else(|| Error::not_found(format!("Gate {id}")))?;
        let gate = gates[at].clone();
        let steps: Vec<StepView> = judged
            .stack
            .runbook
            .steps
            .iter()
            .filter(|s| s.gate.as_ref() == Some(&gate.id) && s.kind != StepKind::Rollback)
            .map(|s| self.step_view(&judged, actor, s, &progress))
            .collect();
        let checks: Vec<CheckView> = judged
            .stack
            .checks
            .iter()
            .filter(|c| gate.items.iter().any(|i| c.proves.contains(&i.item.id)))
            .map(|c| self.check_view(&judged, actor, c, &progress))
            .collect();
        let run_all = run_all_offer(&judged, actor, checks.len());
        Ok(GatePage {
            now: judged.now,
            release: judged.release().cloned(),
            accept: judged.offer_accept(actor, &gate.id),
            attest: judged.offer_attest(actor, &gate.id),
            waive: judged.offer_waive(actor),
            not_waivable: gate
                .items
                .iter()
                .filter_map(|i| {
                    let offer = judged.did_not_run(actor, i);
                    offer.reason().map(|why| (i.item.id.clone(), why.to_owned()))
                })
                .collect(),
            waive_until: judged.now.plus(judged.stack.rules.waiver_longest()).date(),
            attested_for: gate
                .items
                .iter()
                .filter_map(|i| Some((i.item.id.clone(), judged.stack.rules.attested_for(&i.item.id)?)))
                .collect(),
            run_all,
            run_all_digest: judged.together_digest(&gate.id),
            notes: judged
                .stack
                .preflight
                .findings
                .iter()
                .filter(|f| f.weight == Weight::Note && f.gate.as_ref() == Some(&gate.id))
                .cloned()
                .collect(),
            neighbours: (
                at.checked_sub(1).map(|i| gates[i].id.clone()),
                gates.get(at + 1).map(|g| g.id.clone()),
            ),
            gate,
            steps,
            checks,
        })
    }

    pub(crate) fn step_view(
        &self,
        judged: &Judged,
        actor: &Actor,
        step: &Step,
        progress: &Progress,
    ) -> StepView {
        let last = judged.known.last_step(&step.id);
        let last_is_old = last.is_some_and(|run| {
            let then = run.release.and_then(|id| judged.known.release(id));
            let now = judged.release();
            let commit = |r: Option<&domain::release::Release>| r.and_then(|r| r.parts.get(Part::Commit));
            run.release != now.map(|r| r.id) && commit(then) != commit(now)
        });
        StepView {
            step: step.clone(),
            last: last.map(|r| self.run_view(judged, r, progress)),
            last_is_old,
            run: judged.offer_step(actor, step),
            judged_by: judged
                .stack
                .checks
                .iter()
                .filter(|c| c.spec.step() == Some(&step.id))
                .map(|c| c.id.clone())
                .collect(),
        }
    }

    pub(crate) fn check_view(
        &self,
        judged: &Judged,
        actor: &Actor,
        check: &Check,
        progress: &Progress,
    ) -> CheckView {
        let state = judged
            .judgement
            .gates
            .iter()
            .flat_map(|g| &g.items)
            .chain(&judged.judgement.loose_items)
            .flat_map(|i| &i.checks)
            .find(|s| s.check == check.id)
            .cloned()
            .unwrap_or_else(|| self.lone_check_state(judged, check));
        let running = judged
            .known
            .running()
            .into_iter()
            .find(|r| {
                (r.kind == RunKind::Check && r.subject == check.id)
                    || (r.kind == RunKind::Step && Some(r.subject.as_str()) == check.spec.step())
            })
            .map(|r| self.run_view(judged, r, progress));
        CheckView {
            history: judged
                .known
                .evidence
                .iter()
                .rev()
                .filter(|e| e.check == check.id)
                .take(10)
                .cloned()
                .collect(),
            flaky: flaky(check, judged.known.evidence.iter()),
            trend: trend(&check.id, judged.known.measured.iter()),
            expires: expiry(judged, check, &state),
            state,
            running,
            run: judged.offer_check(actor, &check.id),
            digest: judged.check_digest(check),
            check: check.clone(),
        }
    }
}

/// When the evidence that a check stands on goes stale by age.
pub(crate) fn expiry(judged: &Judged, check: &Check, state: &CheckState) -> Option<Expiry> {
    let counts = matches!(state.standing, Standing::Pass | Standing::Fail | Standing::Inconclusive);
    let last = state.last.as_ref().filter(|_| counts)?;
    Some(Expiry { at: expires_at(last, check)?, soon: expires_soon(last, check, judged.now) })
}

/// The button that runs several checks.
pub(crate) fn run_all_offer(judged: &Judged, actor: &Actor, checks: usize) -> Offer {
    crate::judging::all([
        judged.may(actor, "run_gate"),
        when(checks > 0, || "No check is bound here; these are attested.".to_owned()),
    ])
}
