//! The board: can we go?

use domain::facts::{Actor, Choice, Observed};
use domain::item::Standing;
use domain::judge::GateState;
use domain::release::{Release, ReleaseState};
use domain::role::Role;
use domain::runbook::StepKind;

use crate::Engine;
use crate::error::Error;
use crate::follow_ups::open_follow_ups;
use crate::judging::Judged;
use crate::pages::gates::expiry;
use crate::pages::incidents::incident_row;
use crate::pages::runs::Progress;
use crate::store::runs::{RunKind, RunOutcome, RunState};
use crate::view::{BoardView, Expiring, IncidentRow, RunView, StepView, Waiting};

impl Engine {
    /// The board, as this person sees it.
    pub async fn board(&self, actor: &Actor) -> Result<BoardView, Error> {
        let judged = self.judged();
        let progress = self.progress(&judged).await;
        let waiting = waiting(&judged, actor);
        let running = judged.known.running();
        let running: Vec<RunView> =
            running.into_iter().map(|r| self.run_view(&judged, r, &progress)).collect();
        let recent = judged.known.runs.over.iter().map(|r| self.run_view(&judged, r, &progress)).collect();
        let next_step = judged
            .stack
            .runbook
            .steps
            .iter()
            .filter(|s| s.kind == StepKind::Normal && !s.manual && !s.deploys())
            .filter(|s| {
                let gate = s.gate.as_deref().and_then(|id| judged.judgement.gate(id));
                gate.is_some_and(|g| g.state != GateState::Accepted)
            })
            .map(|s| self.step_view(&judged, actor, s, &progress))
            .find(still_to_do);
        let release = judged.release().cloned();
        Ok(BoardView {
            now: judged.now,
            stack: judged.stack.name.clone(),
            deployed_by: release.as_ref().and_then(|r| r.deployed_by).map(|id| judged.known.name(id)),
            release,
            running,
            recent,
            inbox: judged.inbox(actor),
            blockers: judged.blockers(actor, &judged.judgement.verdict.blockers),
            waivers: judged.waivers(),
            end_waiver: judged.may(actor, "end_waiver"),
            waiting,
            moved_on: judged.moved_on(),
            problems: judged.stack.problems.clone(),
            next_step,
            deploy: judged.offer_deploy(actor),
            backup: judged.backup_before_deploy().is_some(),
            shown: judged.shown_directory(),
            open: judged.offer_open(actor),
            expiring: expiring(&judged),
            rollback: judged.rollbacks(actor).into_iter().next(),
            failed_deploy: self.failed_deploy(&judged, &progress),
            follow_ups: open_follow_ups(&judged.known),
            unexplained: unexplained(&judged),
            audit_head: self.verification().head,
            observed: Observed::clone(&judged.observed),
            judgement: judged.judgement.clone(),
        })
    }

    /// The last deploy or rollback, when it did not end well and nothing was done since.
    pub(crate) fn failed_deploy(&self, judged: &Judged, progress: &Progress) -> Option<RunView> {
        let last = judged.known.runs.on_stack.as_ref()?;
        let bad = match last.state {
            RunState::Running | RunState::Ended(RunOutcome::Passed) => false,
            RunState::Ended(_) | RunState::Interrupted => true,
        };
        let concerns = last.kind != RunKind::Deploy
            || judged
                .release()
                .is_some_and(|r| Some(r.id) == last.release && r.state != ReleaseState::Deployed);
        (bad && concerns).then(|| self.run_view(judged, last, progress))
    }
}

/// Checks that pass and whose evidence expires before long, the next first.
fn expiring(judged: &Judged) -> Vec<Expiring> {
    let mut out: Vec<Expiring> = Vec::new();
    for gate in &judged.judgement.gates {
        for state in gate.items.iter().flat_map(|i| &i.checks).filter(|s| s.standing == Standing::Pass) {
            let Some(check) = judged.stack.check(&state.check) else { continue };
            let Some(expiry) = expiry(judged, check, state).filter(|e| e.soon) else { continue };
            if !out.iter().any(|e| e.title == check.title) {
                let href = format!("/gates/{}", gate.id);
                out.push(Expiring { title: check.title.clone(), at: expiry.at, href });
            }
        }
    }
    out.sort_by_key(|e| e.at);
    out
}

/// A step that has not run for this release, or did not go well.
fn still_to_do(step: &StepView) -> bool {
    use crate::view::RunState::{Passed, Running};
    step.last_is_old || step.last.as_ref().is_none_or(|run| !matches!(run.state, Passed | Running))
}

/// Who is waited for: owners of the first gate that is not accepted, then the signers, then the PO.
fn waiting(judged: &Judged, actor: &Actor) -> Vec<Waiting> {
    let mut out: Vec<Waiting> = Vec::new();
    let mut ask = |role: Role, what: String, href: String| {
        if let Some(known) = out.iter_mut().find(|w| w.role == role.label()) {
            known.you |= actor.roles.contains(&role);
            return;
        }
        out.push(Waiting {
            role: role.label().to_owned(),
            people: judged.known.holders(role).iter().map(|p| p.name.clone()).collect(),
            what,
            href,
            you: actor.roles.contains(&role),
        });
    };
    if judged.release().is_none() {
        let first = judged.judgement.gates.iter().find(|g| !g.is_decision);
        let owners = first.map(|g| g.owners.clone()).unwrap_or_default();
        for role in owners {
            let id = first.map(|g| g.id.clone()).unwrap_or_default();
            ask(role, format!("begin with gate {id}"), format!("/gates/{id}"));
        }
        return out;
    }
    let next_gate = judged.judgement.gates.iter().find(|g| !g.is_decision && g.state != GateState::Accepted);
    if let Some(gate) = next_gate {
        let open = gate.items.len() - gate.satisfied();
        let what = match open {
            0 => format!("accept gate {}", gate.id),
            1 => format!("gate {}: 1 criterion open", gate.id),
            n => format!("gate {}: {n} criteria open", gate.id),
        };
        for role in &gate.owners {
            ask(*role, what.clone(), format!("/gates/{}", gate.id));
        }
        return out;
    }
    for view in judged.judgement.sign_offs.iter().filter(|v| v.counts() != Some(Choice::Go)) {
        if let Some(role) = view.role {
            let what = match (view.counts(), view.stale.is_empty()) {
                (Some(Choice::NoGo), _) => "said No-Go",
                (_, false) => "re-confirm the sign-off",
                _ => "sign off",
            };
            ask(role, what.to_owned(), "/sign-offs".to_owned());
        }
    }
    // Go needs every role's Go, so nobody else is waited for by now.
    if judged.judgement.decision.is_none() && judged.judgement.verdict.is_go() {
        ask(Role::Po, "record the decision".to_owned(), "/sign-offs".to_owned());
    }
    out
}

/// The newest incident, as long as nobody has said why it happened.
fn unexplained(judged: &Judged) -> Option<IncidentRow> {
    let (newest, notes) = judged.known.incident.as_ref().as_ref()?;
    let name = |id| judged.known.release(id).map_or_else(|| format!("#{id}"), Release::name);
    Some(incident_row(newest, notes, name)).filter(|row| row.cause.is_none())
}
