//! The checklist, the sign-offs, the decision.

use domain::facts::{Actor, Choice};
use domain::item::{ChecklistPartState, ItemState};
use domain::pages::Page;
use domain::role::Role;
use domain::rules::ChecklistPart;

use crate::Engine;
use crate::assessment::Assessment;
use crate::error::Error;
use crate::view::{PartView, Permission, SignOffPage};

impl Engine {
    /// The sign-off page, as this person sees it.
    pub async fn sign_offs(&self, actor: &Actor) -> Result<SignOffPage, Error> {
        let assessment = self.assessment();
        let gates = assessment.judgement.gates.iter().filter(|g| g.is_decision);
        let checklist = gates.flat_map(|g| &g.items).chain(&assessment.judgement.loose_items);
        let checklist: Vec<ItemState> = checklist.cloned().collect();
        let parts = checklist
            .iter()
            .filter(|i| !i.pieces.is_empty())
            .map(|i| (i.item.id.clone(), i.pieces.iter().map(|p| part_view(&assessment, p)).collect()))
            .collect();
        let decision_gate = domain::item::decision_gate(&assessment.stack.runbook).unwrap_or_default();
        let earlier = assessment
            .snapshot
            .words
            .sign_offs
            .iter()
            .filter(|s| assessment.release().is_some_and(|r| r.id == s.release))
            .filter(|s| {
                assessment.judgement.sign_offs.iter().all(|v| v.last.as_ref().is_none_or(|l| l.id != s.id))
            })
            .cloned()
            .collect();
        Ok(SignOffPage {
            now: assessment.now,
            release: assessment.release().cloned(),
            parts,
            before: assessment.blockers(actor, &assessment.judgement.before_signing),
            checklist,
            go: signable(&assessment, actor, Choice::Go),
            no_go: signable(&assessment, actor, Choice::NoGo),
            decide_go: assessment.offer_decide(actor, Choice::Go),
            decide_no_go: assessment.offer_decide(actor, Choice::NoGo),
            attest: assessment.offer_attest(actor, &decision_gate),
            earlier,
            judgement: assessment.judgement.clone(),
        })
    }
}

fn signable(assessment: &Assessment, actor: &Actor, choice: Choice) -> Vec<(Role, Permission)> {
    let roles = assessment.judgement.sign_offs.iter().filter_map(|s| s.role);
    roles.map(|role| (role, assessment.offer_sign(actor, role, choice))).collect()
}

/// A part with its title and link: the criterion's text and gate, or the check's title and where it can be run.
fn part_view(assessment: &Assessment, state: &ChecklistPartState) -> PartView {
    let (title, href) = match &state.piece {
        ChecklistPart::Criterion(id) => {
            let item = assessment.judgement.item(id).map(|i| &i.item);
            let gate = item.and_then(|i| i.gate.clone());
            (item.map(|i| i.text.clone()), gate.map(|g| format!("{}#{id}", Page::Gate.href_of(g))))
        }
        ChecklistPart::Check(id) => {
            let check = assessment.stack.check(id);
            let gates = assessment.judgement.gates.iter();
            let proved = check.and_then(|c| {
                gates.flat_map(|g| &g.items).find(|i| c.proves.contains(&i.item.id)).map(|i| &i.item)
            });
            let href = match proved.and_then(|i| Some((i.gate.as_ref()?, &i.id))) {
                Some((gate, item)) => Some(format!("{}#{item}", Page::Gate.href_of(gate))),
                None => check.map(|_| Page::Matrix.href().to_owned()),
            };
            (check.map(|c| c.title.clone()), href)
        }
    };
    PartView { state: state.clone(), title: title.unwrap_or_default(), href: href.unwrap_or_default() }
}
