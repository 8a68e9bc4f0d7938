//! The board: can we go?

use domain::action::Action;
use domain::facts::{Actor, Choice};
use domain::gate::GateState;
use domain::item::Standing;
use domain::observed::Observed;
use domain::pages::Page;
use domain::release::{Release, ReleaseState};
use domain::role::Role;
use domain::runbook::StepKind;

use crate::Engine;
use crate::assessment::Assessment;
use crate::background::follow_ups::open_follow_ups;
use crate::error::Error;
use crate::pages::gates::expiry;
use crate::pages::incidents::incident_row;
use crate::pages::runs::Progress;
use crate::view::{BoardView, Expiring, IncidentRow, RunView, StepView, Waiting};
use store::runs::{RunKind, RunOutcome, RunState};

impl Engine {
    /// The board, as this person sees it.
    pub async fn board(&self, actor: &Actor) -> Result<BoardView, Error> {
        let assessment = self.assessment();
        let progress = self.progress(&assessment).await;
        let waiting = waiting(&assessment, actor);
        let running = assessment.snapshot.running();
        let running: Vec<RunView> =
            running.into_iter().map(|r| self.run_view(&assessment, r, &progress)).collect();
        let recent =
            assessment.snapshot.runs.over.iter().map(|r| self.run_view(&assessment, r, &progress)).collect();
        let next_step = assessment
            .stack
            .runbook
            .steps
            .iter()
            .filter(|s| s.kind == StepKind::Normal && !s.manual && !s.deploys())
            .filter(|s| {
                let gate = s.gate.as_deref().and_then(|id| assessment.judgement.gate(id));
                gate.is_some_and(|g| g.state != GateState::Accepted)
            })
            .map(|s| self.step_view(&assessment, actor, s, &progress))
            .find(still_to_do);
        let release = assessment.release().cloned();
        Ok(BoardView {
            now: assessment.now,
            stack: assessment.stack.name.clone(),
            deployed_by: release.as_ref().and_then(|r| r.deployed_by).map(|id| assessment.snapshot.name(id)),
            release,
            running,
            recent,
            todos: assessment.todos(actor),
            blockers: assessment.blockers(actor, &assessment.judgement.verdict.blockers),
            waivers: assessment.waivers(),
            end_waiver: assessment.may(actor, Action::EndWaiver),
            waiting,
            moved_on: assessment.moved_on(),
            problems: assessment.stack.problems.clone(),
            next_step,
            deploy: assessment.offer_deploy(actor),
            backup: assessment.backup_before_deploy().is_some(),
            shown: assessment.shown_directory(),
            open: assessment.offer_open(actor),
            expiring: expiring(&assessment),
            rollback: assessment.rollbacks(actor).into_iter().next(),
            failed_deploy: self.failed_deploy(&assessment, &progress),
            follow_ups: open_follow_ups(&assessment.snapshot),
            unexplained: unexplained(&assessment),
            audit_head: self.verification().head,
            observed: Observed::clone(&assessment.observed),
            judgement: assessment.judgement.clone(),
        })
    }

    /// The last deploy or rollback, if it did not succeed and nothing has been done since.
    pub(crate) fn failed_deploy(&self, assessment: &Assessment, progress: &Progress) -> Option<RunView> {
        let last = assessment.snapshot.runs.on_stack.as_ref()?;
        let bad = match last.state {
            RunState::Running | RunState::Ended(RunOutcome::Passed) => false,
            RunState::Ended(_) | RunState::Interrupted => true,
        };
        let concerns = last.kind != RunKind::Deploy
            || assessment
                .release()
                .is_some_and(|r| Some(r.id) == last.release && r.state != ReleaseState::Deployed);
        (bad && concerns).then(|| self.run_view(assessment, last, progress))
    }
}

/// Passed checks whose evidence expires soon, the next to expire first.
fn expiring(assessment: &Assessment) -> Vec<Expiring> {
    let mut out: Vec<Expiring> = Vec::new();
    for gate in &assessment.judgement.gates {
        for state in gate.items.iter().flat_map(|i| &i.checks).filter(|s| s.standing == Standing::Pass) {
            let Some(check) = assessment.stack.check(&state.check) else { continue };
            let Some(expiry) = expiry(assessment, check, state).filter(|e| e.soon) else { continue };
            if !out.iter().any(|e| e.title == check.title) {
                let href = Page::Gate.href_of(&gate.id);
                out.push(Expiring { title: check.title.clone(), at: expiry.at, href });
            }
        }
    }
    out.sort_by_key(|e| e.at);
    out
}

/// A step that has not run for this release, or whose last run did not pass.
fn still_to_do(step: &StepView) -> bool {
    use crate::view::RunState::{Passed, Running};
    step.last_is_old || step.last.as_ref().is_none_or(|run| !matches!(run.state, Passed | Running))
}

/// Who has to act next: the owners of the first gate that is not accepted, then the signers, then the PO.
fn waiting(assessment: &Assessment, actor: &Actor) -> Vec<Waiting> {
    let mut out: Vec<Waiting> = Vec::new();
    let mut ask = |role: Role, what: String, href: String| {
        if let Some(entry) = out.iter_mut().find(|w| w.role == role.label()) {
            entry.you |= actor.roles.contains(&role);
            return;
        }
        out.push(Waiting {
            role: role.label().to_owned(),
            people: assessment.snapshot.holders(role).iter().map(|p| p.name.clone()).collect(),
            what,
            href,
            you: actor.roles.contains(&role),
        });
    };
    if assessment.release().is_none() {
        let first = assessment.judgement.gates.iter().find(|g| !g.is_decision);
        let owners = first.map(|g| g.owners.clone()).unwrap_or_default();
        for role in owners {
            let id = first.map(|g| g.id.clone()).unwrap_or_default();
            ask(role, format!("start with gate {id}"), Page::Gate.href_of(&id));
        }
        return out;
    }
    let next_gate =
        assessment.judgement.gates.iter().find(|g| !g.is_decision && g.state != GateState::Accepted);
    if let Some(gate) = next_gate {
        let open = gate.items.len() - gate.satisfied();
        let what = match open {
            0 => format!("accept gate {}", gate.id),
            1 => format!("gate {}: 1 criterion open", gate.id),
            n => format!("gate {}: {n} criteria open", gate.id),
        };
        for role in &gate.owners {
            ask(*role, what.clone(), Page::Gate.href_of(&gate.id));
        }
        return out;
    }
    for view in assessment.judgement.sign_offs.iter().filter(|v| v.counts() != Some(Choice::Go)) {
        if let Some(role) = view.role {
            let what = match (view.counts(), view.stale.is_empty()) {
                (Some(Choice::NoGo), _) => "signed No-Go",
                (_, false) => "re-confirm the sign-off",
                _ => "sign off",
            };
            ask(role, what.to_owned(), Page::SignOffs.href().to_owned());
        }
    }
    // The verdict is Go only when every role has signed Go: only the decision is missing now.
    if assessment.judgement.decision.is_none() && assessment.judgement.verdict.is_go() {
        ask(Role::Po, "record the decision".to_owned(), Page::SignOffs.href().to_owned());
    }
    out
}

/// The newest incident, as long as it has no cause recorded.
fn unexplained(assessment: &Assessment) -> Option<IncidentRow> {
    let (newest, notes) = assessment.snapshot.incident.as_ref().as_ref()?;
    let name = |id| assessment.snapshot.release(id).map_or_else(|| format!("#{id}"), Release::name);
    Some(incident_row(newest, notes, name)).filter(|row| row.cause.is_none())
}
