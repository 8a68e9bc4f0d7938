//! The checklist, the sign-offs, the decision.

use domain::facts::{Actor, Choice};
use domain::item::{ItemState, PieceState};
use domain::role::Role;
use domain::rules::Piece;

use crate::Engine;
use crate::error::Error;
use crate::judging::Judged;
use crate::view::{Offer, PartView, SignOffPage};

impl Engine {
    /// The sign-off page, as this person sees it.
    pub async fn sign_offs(&self, actor: &Actor) -> Result<SignOffPage, Error> {
        let judged = self.judged();
        let gates = judged.judgement.gates.iter().filter(|g| g.is_decision);
        let checklist = gates.flat_map(|g| &g.items).chain(&judged.judgement.loose_items);
        let checklist: Vec<ItemState> = checklist.cloned().collect();
        let parts = checklist
            .iter()
            .filter(|i| !i.pieces.is_empty())
            .map(|i| (i.item.id.clone(), i.pieces.iter().map(|p| part_view(&judged, p)).collect()))
            .collect();
        let decision_gate = domain::item::decision_gate(&judged.stack.runbook).unwrap_or_default();
        let earlier = judged
            .known
            .words
            .sign_offs
            .iter()
            .filter(|s| judged.release().is_some_and(|r| r.id == s.release))
            .filter(|s| {
                judged.judgement.sign_offs.iter().all(|v| v.last.as_ref().is_none_or(|l| l.id != s.id))
            })
            .cloned()
            .collect();
        Ok(SignOffPage {
            now: judged.now,
            release: judged.release().cloned(),
            parts,
            before: judged.blockers(actor, &judged.judgement.before_signing),
            checklist,
            go: signable(&judged, actor, Choice::Go),
            no_go: signable(&judged, actor, Choice::NoGo),
            decide_go: judged.offer_decide(actor, Choice::Go),
            decide_no_go: judged.offer_decide(actor, Choice::NoGo),
            attest: judged.offer_attest(actor, &decision_gate),
            earlier,
            judgement: judged.judgement.clone(),
        })
    }
}

fn signable(judged: &Judged, actor: &Actor, choice: Choice) -> Vec<(Role, Offer)> {
    let roles = judged.judgement.sign_offs.iter().filter_map(|s| s.role);
    roles.map(|role| (role, judged.offer_sign(actor, role, choice))).collect()
}

/// A part with its words: the criterion's text and gate, or the check's title and where it can be run.
fn part_view(judged: &Judged, state: &PieceState) -> PartView {
    let (title, href) = match &state.piece {
        Piece::Criterion(id) => {
            let item = judged.judgement.item(id).map(|i| &i.item);
            let gate = item.and_then(|i| i.gate.clone());
            (item.map(|i| i.text.clone()), gate.map(|g| format!("/gates/{g}#{id}")))
        }
        Piece::Check(id) => {
            let check = judged.stack.check(id);
            let gates = judged.judgement.gates.iter();
            let proved = check.and_then(|c| {
                gates.flat_map(|g| &g.items).find(|i| c.proves.contains(&i.item.id)).map(|i| &i.item)
            });
            let href = match proved.and_then(|i| Some((i.gate.as_ref()?, &i.id))) {
                Some((gate, item)) => Some(format!("/gates/{gate}#{item}")),
                None => check.map(|_| "/matrix".to_owned()),
            };
            (check.map(|c| c.title.clone()), href)
        }
    };
    PartView { state: state.clone(), title: title.unwrap_or_default(), href: href.unwrap_or_default() }
}
