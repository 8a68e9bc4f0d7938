//! A gate: its criteria, its steps, its checks.

use domain::action::Action;
use domain::check::Check;
use domain::evidence::{expires_at, expires_soon};
use domain::facts::Actor;
use domain::flaky::{flaky, trend};
use domain::item::{CheckState, Standing};
use domain::preflight::Weight;
use domain::release::ReleaseComponent;
use domain::runbook::{Step, StepKind};

use crate::Engine;
use crate::assessment::{Assessment, when};
use crate::error::Error;
use crate::pages::runs::Progress;
use crate::view::{CheckView, Expiry, GatePage, Permission, StepView};
use store::runs::RunKind;

impl Engine {
    /// The page of the gate `id`.
    pub async fn gate(&self, actor: &Actor, id: &str) -> Result<GatePage, Error> {
        let assessment = self.assessment();
        let progress = self.progress(&assessment).await;
        let gates = &assessment.judgement.gates;
        let at = gates
            .iter()
            .position(|g| g.id.eq_ignore_ascii_case(id))
            .ok_or_else(|| Error::not_found(format!("Gate {id}")))?;
        let gate = gates[at].clone();
        let steps: Vec<StepView> = assessment
            .stack
            .runbook
            .steps
            .iter()
            .filter(|s| s.gate.as_ref() == Some(&gate.id) && s.kind != StepKind::Rollback)
            .map(|s| self.step_view(&assessment, actor, s, &progress))
            .collect();
        let checks: Vec<CheckView> = assessment
            .stack
            .checks
            .iter()
            .filter(|c| gate.items.iter().any(|i| c.proves.contains(&i.item.id)))
            .map(|c| self.check_view(&assessment, actor, c, &progress))
            .collect();
        let run_all = run_all_offer(&assessment, actor, checks.len());
        Ok(GatePage {
            now: assessment.now,
            release: assessment.release().cloned(),
            accept: assessment.offer_accept(actor, &gate.id),
            attest: assessment.offer_attest(actor, &gate.id),
            waive: assessment.offer_waive(actor),
            not_waivable: gate
                .items
                .iter()
                .filter_map(|i| {
                    let offer = assessment.did_not_run(actor, i);
                    offer.reason().map(|why| (i.item.id.clone(), why.to_owned()))
                })
                .collect(),
            waive_until: assessment.now.plus(assessment.stack.rules.waiver_longest()).date(),
            attested_for: gate
                .items
                .iter()
                .filter_map(|i| Some((i.item.id.clone(), assessment.stack.rules.attested_for(&i.item.id)?)))
                .collect(),
            run_all,
            run_all_digest: assessment.together_digest(&gate.id),
            notes: assessment
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
        assessment: &Assessment,
        actor: &Actor,
        step: &Step,
        progress: &Progress,
    ) -> StepView {
        let last = assessment.snapshot.last_step(&step.id);
        let last_is_old = last.is_some_and(|run| {
            let then = run.release.and_then(|id| assessment.snapshot.release(id));
            let now = assessment.release();
            let commit =
                |r: Option<&domain::release::Release>| r.and_then(|r| r.parts.get(ReleaseComponent::Commit));
            run.release != now.map(|r| r.id) && commit(then) != commit(now)
        });
        StepView {
            step: step.clone(),
            last: last.map(|r| self.run_view(assessment, r, progress)),
            last_is_old,
            run: assessment.offer_step(actor, step),
            judged_by: assessment
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
        assessment: &Assessment,
        actor: &Actor,
        check: &Check,
        progress: &Progress,
    ) -> CheckView {
        let state = assessment
            .judgement
            .gates
            .iter()
            .flat_map(|g| &g.items)
            .chain(&assessment.judgement.loose_items)
            .flat_map(|i| &i.checks)
            .find(|s| s.check == check.id)
            .cloned()
            .unwrap_or_else(|| self.lone_check_state(assessment, check));
        let running = assessment
            .snapshot
            .running()
            .into_iter()
            .find(|r| {
                (r.kind == RunKind::Check && r.subject == check.id)
                    || (r.kind == RunKind::Step && Some(r.subject.as_str()) == check.spec.step())
            })
            .map(|r| self.run_view(assessment, r, progress));
        CheckView {
            history: assessment
                .snapshot
                .evidence
                .iter()
                .rev()
                .filter(|e| e.check == check.id)
                .take(10)
                .cloned()
                .collect(),
            flaky: flaky(check, assessment.snapshot.evidence.iter()),
            trend: trend(&check.id, assessment.snapshot.measured.iter()),
            expires: expiry(assessment, check, &state),
            state,
            running,
            run: assessment.offer_check(actor, &check.id),
            digest: assessment.check_digest(check),
            check: check.clone(),
        }
    }
}

/// When the current evidence of a check becomes stale by age.
pub(crate) fn expiry(assessment: &Assessment, check: &Check, state: &CheckState) -> Option<Expiry> {
    let counts = matches!(state.standing, Standing::Pass | Standing::Fail | Standing::Inconclusive);
    let last = state.last.as_ref().filter(|_| counts)?;
    Some(Expiry { at: expires_at(last, check)?, soon: expires_soon(last, check, assessment.now) })
}

/// The button that runs several checks.
pub(crate) fn run_all_offer(assessment: &Assessment, actor: &Actor, checks: usize) -> Permission {
    crate::assessment::all([
        assessment.may(actor, Action::RunGate),
        when(checks > 0, || "There are no checks to run.".to_owned()),
    ])
}
