//! The to-dos of one person: the actions that they can take now, the most urgent first. They are computed from
//! the same permissions as the buttons, so nothing is listed that would be refused.

use domain::action::Action;
use domain::facts::{Actor, Choice, Waiver};
use domain::item::ItemState;
use domain::pages::Page;
use domain::policy;
use domain::time::{DAY_MS, Millis, human_span};

use crate::Engine;
use crate::assessment::Assessment;
use crate::error::Error;
use crate::pages::blockers::{acceptance_href, sign_href};
use crate::view::{Todo, TopView};

/// A to-do reminds of a waiver or an attestation this long before it expires.
const SOON_MS: u64 = 2 * DAY_MS;
/// A to-do still reminds of a waiver this long after it has expired.
const LATE_MS: u64 = 7 * DAY_MS;

impl Engine {
    /// The content of the page header for this person.
    pub async fn top(&self, actor: &Actor) -> Result<TopView, Error> {
        let assessment = self.assessment();
        let waiting = assessment.todos(actor).len();
        Ok(TopView { verdict: assessment.judgement.verdict.clone(), waiting })
    }
}

impl Assessment {
    /// The to-dos of this person.
    pub(crate) fn todos(&self, actor: &Actor) -> Vec<Todo> {
        let mut todos = Vec::new();
        todos.extend(self.decision_todo(actor));
        todos.extend(self.signature_todos(actor));
        todos.extend(self.gate_todos(actor));
        todos.extend(self.waiver_todos(actor));
        todos
    }

    fn decision_todo(&self, actor: &Actor) -> Option<Todo> {
        let href = format!("{}#decision", Page::SignOffs.href());
        let decided = self.judgement.decision.as_ref().map(|d| d.choice);
        let fallen = self.judgement.fallen.as_ref().filter(|f| f.decision.choice == Choice::Go);
        if self.offer_decide(actor, Choice::Go).reason().is_none() && decided.is_none() {
            let why = fallen.map(|f| format!("the last decision is no longer valid: {}", f.why.join("; ")));
            let why = why.unwrap_or_else(|| "every gate is accepted and every role has signed Go".to_owned());
            return Some(Todo { what: "Record the decision".to_owned(), why, href });
        }
        let fallen = fallen.filter(|_| policy::may(Action::Decide, &actor.roles) && decided.is_none())?;
        let what = "The Go decision is no longer valid".to_owned();
        Some(Todo { what, why: fallen.why.join("; "), href })
    }

    fn signature_todos(&self, actor: &Actor) -> Vec<Todo> {
        let mut todos = Vec::new();
        for view in &self.judgement.sign_offs {
            let Some(role) = view.role else { continue };
            if view.counts().is_some() || self.offer_sign(actor, role, Choice::Go).reason().is_some() {
                continue;
            }
            let href = sign_href(&view.name);
            let (what, why) = match view.stale.first() {
                Some(first) => (format!("Re-confirm as {}", view.name), first.clone()),
                None => (
                    format!("Sign as {}", view.name),
                    "everything required before the sign-offs is done".to_owned(),
                ),
            };
            todos.push(Todo { what, why, href });
        }
        todos
    }

    /// Gates to accept, and criteria that need an attestation.
    fn gate_todos(&self, actor: &Actor) -> Vec<Todo> {
        let mut todos = Vec::new();
        for gate in &self.judgement.gates {
            if self.offer_accept(actor, &gate.id).reason().is_none() {
                let why = if gate.fell_back {
                    "acceptance withdrawn: the evidence has changed since it was accepted"
                } else {
                    "every criterion is met"
                };
                todos.push(Todo {
                    what: format!("Accept gate {}", gate.id),
                    why: why.to_owned(),
                    href: acceptance_href(&gate.id),
                });
            }
        }
        let mut turn = true;
        for gate in &self.judgement.gates {
            // Gates are accepted in order: a later gate is listed only when the configuration names its owners.
            if !turn && !self.stack.gate_owners.contains_key(&gate.id) {
                continue;
            }
            let items: Vec<&ItemState> = gate.items.iter().collect();
            todos.extend(self.attestation_todos(actor, &gate.id, &items));
            turn &= gate.is_decision || gate.items.iter().all(ItemState::is_satisfied);
        }
        if !turn {
            return todos;
        }
        let loose: Vec<&ItemState> = self.judgement.loose_items.iter().collect();
        todos.extend(self.attestation_todos(actor, "", &loose));
        todos
    }

    /// One to-do for all attestations that a gate needs, and one for each attestation that expires soon.
    fn attestation_todos(&self, actor: &Actor, gate: &str, items: &[&ItemState]) -> Vec<Todo> {
        if self.offer_attest(actor, gate).reason().is_some() {
            return vec![];
        }
        let missing = |i: &&&ItemState| i.takes_word() && i.attestation.is_none() && !i.is_satisfied();
        let mut todos = Vec::new();
        let open: Vec<&&ItemState> = items.iter().filter(missing).collect();
        if let Some(first) = open.first() {
            let ids: Vec<&str> = open.iter().map(|i| i.item.id.as_str()).collect();
            let why = match &first.status {
                domain::item::Status::Open(why) if open.len() == 1 => why.last().cloned().unwrap_or_default(),
                _ => "these criteria require an attestation".to_owned(),
            };
            let what = format!("Attest {}", ids.join(", "));
            todos.push(Todo { what, why, href: self.item_href(&first.item) });
        }
        for item in items.iter().filter(|i| i.takes_word()) {
            let Some(word) = &item.attestation else { continue };
            let Some(valid) = self.stack.rules.attested_for(&item.item.id) else { continue };
            let left = word.at.plus(valid).since(self.now);
            if left <= SOON_MS && valid > SOON_MS {
                let why = format!("the attestation expires in {}", human_span(left));
                let what = format!("Attest {} again", item.item.id);
                todos.push(Todo { what, why, href: self.item_href(&item.item) });
            }
        }
        todos
    }

    /// Waivers that expire soon or expired recently, for people who may waive.
    fn waiver_todos(&self, actor: &Actor) -> Vec<Todo> {
        if !policy::may(Action::Waive, &actor.roles) {
            return vec![];
        }
        let mut todos = Vec::new();
        for item in self.judgement.gates.iter().flat_map(|g| &g.items).chain(&self.judgement.loose_items) {
            let Some(waiver) =
                self.snapshot.words.waivers.iter().rfind(|w| w.item == item.item.id && w.holds)
            else {
                continue;
            };
            let withdrawn = self
                .snapshot
                .words
                .waivers
                .iter()
                .rfind(|w| w.item == item.item.id)
                .is_some_and(|w| !w.holds);
            if withdrawn || !item.item.says(&waiver.text_digest) {
                continue;
            }
            let href = self.item_href(&item.item);
            let needed = item.waiver.is_some() && item.word() == "waived";
            if needed && waiver.until.since(self.now) <= SOON_MS {
                let what = format!("The waiver of {} expires {}", waiver.item, ending(waiver, self.now));
                todos.push(Todo { what, why: waiver.reason.clone(), href });
            } else if !item.is_satisfied()
                && waiver.until <= self.now
                && self.now.since(waiver.until) <= LATE_MS
            {
                let what = format!("The waiver of {} expired on {}", waiver.item, waiver.last_day());
                todos.push(Todo { what, why: "the criterion is open again".to_owned(), href });
            }
        }
        todos
    }
}

/// `today`, `tomorrow`, `on 30 Nov`: the last day of a waiver, in UTC.
pub(crate) fn ending(waiver: &Waiver, now: Millis) -> String {
    match days_left(waiver, now) {
        0 => "today".to_owned(),
        1 => "tomorrow".to_owned(),
        _ => format!("on {}", waiver.last_day()),
    }
}

/// Whole days after today until a waiver's last day, in UTC.
pub(crate) fn days_left(waiver: &Waiver, now: Millis) -> u64 {
    let day = i64::try_from(DAY_MS).unwrap_or(i64::MAX);
    let last = waiver.until.0.saturating_sub(1).div_euclid(day);
    u64::try_from(last - now.0.div_euclid(day)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_day_is_shown_as_today_tomorrow_or_a_date() {
        let noon = Millis(1_709_208_000_000); // 2024-02-29 12:00
        let waiver = |until: i64| Waiver {
            id: 1,
            item: "A.1".into(),
            text_digest: String::new(),
            by: 1,
            by_name: String::new(),
            reason: String::new(),
            at: noon,
            until: Millis(until),
            holds: true,
        };
        let midnight = 1_709_251_200_000;
        let day = i64::try_from(DAY_MS).unwrap();
        assert_eq!(ending(&waiver(midnight), noon), "today");
        assert_eq!(ending(&waiver(midnight + day), noon), "tomorrow");
        assert_eq!(ending(&waiver(midnight + 2 * day), noon), "on 2 Mar");
        assert_eq!(days_left(&waiver(midnight + 2 * day), noon), 2);
    }
}
