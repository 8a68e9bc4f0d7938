//! Blockers with the people who can resolve them, and waivers with their last day.

use domain::facts::{Actor, Choice};
use domain::item::Item;
use domain::judge::{Blocker, BlockerKind};
use domain::pages::Page;
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
                    return Some((format!("Accept gate {id}"), acceptance_href(id)));
                }
                let gate = self.judgement.gate(id)?;
                let word = gate
                    .items
                    .iter()
                    .find(|i| i.takes_word() && i.attestation.is_none() && !i.is_satisfied());
                let may = self.offer_attest(actor, id).reason().is_none();
                word.filter(|_| may).map(|i| (format!("Attest {}", i.item.id), self.item_href(&i.item)))
            }
            BlockerKind::SignOffs => self.judgement.sign_offs.iter().find_map(|view| {
                let role = view.role.filter(|_| view.counts() != Some(Choice::Go))?;
                let may = self.offer_sign(actor, role, Choice::Go).reason().is_none();
                may.then(|| (format!("Sign as {}", view.name), sign_href(&view.name)))
            }),
            BlockerKind::Release => (self.offer_deploy(actor).reason().is_none())
                .then(|| ("Deploy".to_owned(), Page::Releases.href().to_owned())),
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
                    href: self.item_href(&item.item),
                    waiver,
                })
            })
            .collect();
        out.sort_by_key(|w| (w.waiver.until, w.waiver.id));
        out
    }

    /// The address of an item on the page of its gate; items outside of gates are on the page of the sign-offs.
    pub(crate) fn item_href(&self, item: &Item) -> String {
        let gate = item.gate.as_ref().filter(|gate| self.judgement.gate(gate).is_some());
        let page = gate.map_or_else(|| Page::SignOffs.href().to_owned(), |gate| Page::Gate.href_of(gate));
        format!("{page}#{}", item.id)
    }
}

/// The page where a blocker can be resolved.
fn place(blocker: &Blocker) -> String {
    match &blocker.kind {
        BlockerKind::Runbook => Page::Runbook.href().to_owned(),
        BlockerKind::Release => Page::Releases.href().to_owned(),
        BlockerKind::Stack => format!("{}#services", Page::Board.href()),
        BlockerKind::Gate(id) => Page::Gate.href_of(id),
        BlockerKind::SignOffs => Page::SignOffs.href().to_owned(),
        BlockerKind::Audit => Page::Activity.href().to_owned(),
    }
}

/// The address of the form that accepts a gate.
pub(crate) fn acceptance_href(gate: &str) -> String {
    format!("{}#acceptance", Page::Gate.href_of(gate))
}

/// The address of the form for a role's sign-off.
pub(crate) fn sign_href(role: &str) -> String {
    format!("{}#{}", Page::SignOffs.href(), sign_anchor(role))
}
