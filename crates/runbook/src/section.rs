//! The position in the file: the headings that enclose a block, and what they say about it.

use super::phrase::{gate_heading, speaks_of_sign_off};
use super::text::{fold, has_word, slug};

/// One enclosing heading.
struct Level {
    level: u8,
    text: String,
    gate: Option<String>,
    is_title: bool,
    traits: Traits,
}

/// What the words of a heading say about the blocks below it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Traits {
    pub roles: bool,
    pub sign_offs: bool,
    pub ownership: bool,
    pub rollback: bool,
    pub matrix: bool,
}

impl Traits {
    fn of(text: &str) -> Traits {
        let folded = fold(text);
        let sign_offs = speaks_of_sign_off(&folded);
        let roles = ["role", "roles", "dri", "dris", "responsibility", "responsibilities"];
        Traits {
            sign_offs,
            roles: !sign_offs && roles.iter().any(|w| has_word(&folded, w)),
            ownership: has_word(&folded, "ownership"),
            rollback: speaks_of_rollback(&folded),
            matrix: has_word(&folded, "matrix") || has_word(&folded, "verification"),
        }
    }
}

/// Whether a folded text is about a rollback.
pub(super) fn speaks_of_rollback(folded: &str) -> bool {
    ["rollback", "roll back", "roll-back", "rolling back"].iter().any(|w| folded.contains(w))
}

/// The stack of enclosing headings.
#[derive(Default)]
pub(super) struct Sections {
    levels: Vec<Level>,
    seen: bool,
    /// The last paragraph that ended in a colon under the innermost heading.
    pub lead: String,
}

impl Sections {
    /// Enters a heading; returns its contents if it is the heading of a gate.
    pub fn enter(&mut self, level: u8, text: &str) -> Option<super::phrase::GateHeading> {
        while self.levels.last().is_some_and(|l| l.level >= level) {
            self.levels.pop();
        }
        // Relevant headings are not longer.
        let short: String = text.chars().take(300).collect();
        let gate = gate_heading(&short);
        self.levels.push(Level {
            level,
            traits: if gate.is_some() { Traits::default() } else { Traits::of(&short) },
            gate: gate.as_ref().map(|g| g.id.clone()),
            // The title is about the whole file, so its words say nothing about single blocks.
            is_title: !std::mem::replace(&mut self.seen, true) && gate.is_none() && level == 1,
            text: short,
        });
        self.lead.clear();
        gate
    }

    /// The innermost gate.
    pub fn gate(&self) -> Option<&str> {
        self.levels.iter().rev().find_map(|l| l.gate.as_deref())
    }

    /// The innermost heading.
    pub fn heading(&self) -> &str {
        self.levels.last().map_or("", |l| l.text.as_str())
    }

    /// The innermost heading as part of an id.
    pub fn slug(&self) -> String {
        if self.levels.is_empty() { "top".to_owned() } else { slug(self.heading()) }
    }

    /// What the enclosing headings say about a block.
    pub fn traits(&self) -> Traits {
        let mut all = Traits::default();
        for level in self.levels.iter().filter(|l| !l.is_title) {
            all.roles |= level.traits.roles;
            all.sign_offs |= level.traits.sign_offs;
            all.ownership |= level.traits.ownership;
            all.rollback |= level.traits.rollback;
            all.matrix |= level.traits.matrix;
        }
        all
    }
}
