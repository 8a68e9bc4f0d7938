//! Blockers with the people who can resolve them, and waivers with their last day.

use domain::facts::{Actor, Choice};
use domain::judge::{Blocker, BlockerKind};
use domain::role::Role;

use crate::assessment::Assessment;
use crate::pages::todos::{days_left, ending};
use crate::view::{BlockerView, WaiverView, sign_anchor};

impl Assessment {
    /// The blockers as this person sees them.
    pub(crate) fn blockers(&self, actor: &Actor, blockers: &[Blocker]) -> Vec<BlockerView> {
        blockers
            .iter()
            .map(|b| BlockerView {
                owners: b.owners.iter().map(|o| (o.clone(), self.people_of(o))).collect(),
                href: place(b),
                act: self.act_on(actor, b),
                blocker: b.clone(),
            })
            .collect()
    }

    /// The people who hold the role that the runbook names as owner.
    fn people_of(&self, owner: &str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for person in Role::from_owner_word(owner).into_iter().flat_map(|r| self.snapshot.holders(r)) {
            if !names.contains(&person.name) {
                names.push(person.name.clone());
            }
        }
        names
    }

    /// The action that this person can take on a blocker now. Never one that would be refused.
    fn act_on(&self, actor: &Actor, blocker: &Blocker) -> Option<(String, String)> {
        match &blocker.kind {
            BlockerKind::Gate(id) => {
                if self.offer_accept(actor, id).reason().is_none() {
                    return Some((format!("Accept gate {id}"), format!("/gates/{id}#acceptance")));
                }
                let gate = self.judgement.gate(id)?;
                let word = gate
                    .items
                    .iter()
                    .find(|i| i.takes_word() && i.attestation.is_none() && !i.is_satisfied());
                let may = self.offer_attest(actor, id).reason().is_none();
                word.filter(|_| may)
                    .map(|i| (format!("Attest {}", i.item.id), format!("/gates/{id}#{}", i.item.id)))
            }
            BlockerKind::SignOffs => self.judgement.sign_offs.iter().find_map(|view| {
                let role = view.role.filter(|_| view.counts() != Some(Choice::Go))?;
                let may = self.offer_sign(actor, role, Choice::Go).reason().is_none();
                let at = format!("/sign-offs#{}", sign_anchor(&view.name));
                may.then(|| (format!("Sign as {}", view.name), at))
            }),
            BlockerKind::Release => (self.offer_deploy(actor).reason().is_none())
                .then(|| ("Deploy".to_owned(), "/releases".to_owned())),
            BlockerKind::Runbook | BlockerKind::Stack | BlockerKind::Audit => None,
        }
    }

    /// The active waivers, the first to expire first.
    pub(crate) fn waivers(&self) -> Vec<WaiverView> {
        let items = self.judgement.gates.iter().flat_map(|g| &g.items).chain(&self.judgement.loose_items);
        let mut out: Vec<WaiverView> = items
            .filter_map(|item| {
                let waiver = item.waiver.clone()?;
                Some(WaiverView {
                    ends: ending(&waiver, self.now),
                    days_left: days_left(&waiver, self.now),
                    needed: self.judgement.verdict.waived.iter().any(|w| w.id == waiver.id),
                    href: match &item.item.gate {
                        Some(gate) => format!("/gates/{gate}#{}", item.item.id),
                        None => format!("/sign-offs#{}", item.item.id),
                    },
                    waiver,
                })
            })
            .collect();
        out.sort_by_key(|w| (w.waiver.until, w.waiver.id));
        out
    }
}

/// The page where a blocker can be resolved.
fn place(blocker: &Blocker) -> String {
    match &blocker.kind {
        BlockerKind::Runbook => "/runbook".to_owned(),
        BlockerKind::Release => "/releases".to_owned(),
        BlockerKind::Stack => "/#services".to_owned(),
        BlockerKind::Gate(id) => format!("/gates/{id}"),
        BlockerKind::SignOffs => "/sign-offs".to_owned(),
        BlockerKind::Audit => "/activity".to_owned(),
    }
}
