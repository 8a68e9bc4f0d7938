//! What a stack's configuration says about people's words: how long they count, and of which parts
//! checklist items are made.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::DAY_MS;

/// The longest a waiver lasts where the configuration says nothing: a year, milliseconds.
pub const WAIVER_LONGEST_MS: u64 = 366 * DAY_MS;

/// The declared rules. The default is that of a configuration that says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// How long an attestation counts, milliseconds; `None`: as long as its release and its text.
    pub attested_for_ms: Option<u64>,
    /// The same for single items, by id; goes before [`Rules::attested_for_ms`].
    pub attested_for_items: BTreeMap<String, u64>,
    /// The longest a waiver may last, milliseconds; `None`: [`WAIVER_LONGEST_MS`].
    pub waiver_longest_ms: Option<u64>,
    /// The parts that checklist items are made of, by the item's id.
    pub checklist: BTreeMap<String, Vec<ChecklistPart>>,
}

impl Rules {
    /// A configuration that says nothing.
    pub const NONE: &'static Rules = &Rules {
        attested_for_ms: None,
        attested_for_items: BTreeMap::new(),
        waiver_longest_ms: None,
        checklist: BTreeMap::new(),
    };

    /// How long an attestation of `item` counts, milliseconds; `None`: no age ends it.
    pub fn attested_for(&self, item: &str) -> Option<u64> {
        self.attested_for_items.get(item).copied().or(self.attested_for_ms)
    }

    /// The longest a waiver may last, milliseconds.
    pub fn waiver_longest(&self) -> u64 {
        self.waiver_longest_ms.unwrap_or(WAIVER_LONGEST_MS)
    }
}

/// A part of a checklist item: it holds when all its parts do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChecklistPart {
    /// This criterion is satisfied.
    Criterion(String),
    /// This check passes.
    Check(String),
}

impl ChecklistPart {
    /// Reads `C.1` or `check:env-untracked`; whether it exists is not asked here.
    pub fn read(text: &str) -> ChecklistPart {
        let text = text.trim();
        match text.strip_prefix("check:") {
            Some(check) => ChecklistPart::Check(check.trim().to_owned()),
            None => ChecklistPart::Criterion(text.to_owned()),
        }
    }
}

impl fmt::Display for ChecklistPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChecklistPart::Criterion(id) => f.write_str(id),
            ChecklistPart::Check(id) => write!(f, "check:{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_read_back_as_they_are_written() {
        for text in ["C.1", "check:env-untracked"] {
            assert_eq!(ChecklistPart::read(text).to_string(), text);
        }
        assert_eq!(ChecklistPart::read(" check: x "), ChecklistPart::Check("x".into()));
    }

    #[test]
    fn what_is_said_of_one_item_goes_before_what_is_said_of_all() {
        let rules = Rules {
            attested_for_ms: Some(30),
            attested_for_items: [("B.1".to_owned(), 7)].into(),
            ..Rules::default()
        };
        assert_eq!((rules.attested_for("B.1"), rules.attested_for("B.2")), (Some(7), Some(30)));
        assert_eq!(Rules::NONE.attested_for("B.1"), None);
    }
}
