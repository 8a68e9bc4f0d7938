//! The checklist, the sign-offs, the decision.

use domain::facts::{Actor, Choice};
use domain::role::Role;

use crate::Engine;
use crate::error::Error;
use crate::judging::Judged;
use crate::view::{Offer, SignOffPage};

impl Engine {
    /// The sign-off page, as this person sees it.
    pub async fn sign_offs(&self, actor: &Actor) -> Result<SignOffPage, Error> {
        let judged = self.judged();
        let gates = judged.judgement.gates.iter().filter(|g| g.is_decision);
        let checklist = gates.flat_map(|g| &g.items).chain(&judged.judgement.loose_items);
        let checklist = checklist.cloned().collect();
        let decision_gate = domain::item::decision_gate(&judged.stack.runbook).unwrap_or_default();
        let earlier = judged
            .known
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
            checklist,
            go: signable(&judged, actor, Choice::Go),
            no_go: signable(&judged, actor, Choice::NoGo),
            decide_go: judged.offer_decide(actor, Choice::Go),
            decide_no_go: judged.offer_decide(actor, Choice::NoGo),
            attest: judged.offer_attest(actor, &decision_gate),
            earlier,
            judgement: judged.judgement,
        })
    }
}

fn signable(judged: &Judged, actor: &Actor, choice: Choice) -> Vec<(Role, Offer)> {
    let roles = judged.judgement.sign_offs.iter().filter_map(|s| s.role);
    roles.map(|role| (role, judged.offer_sign(actor, role, choice))).collect()
}
