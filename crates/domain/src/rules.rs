//! Rules of a stack's configuration: how long attestations and waivers last, and the parts of
//! checklist items.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::DAY_MS;

/// The maximum duration of a waiver if the configuration sets none: a year, milliseconds.
pub const WAIVER_LONGEST_MS: u64 = 366 * DAY_MS;

/// The declared rules. The default applies if the configuration sets none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// How long an attestation counts, milliseconds; `None`: as long as its release and its text do not change.
    pub attested_for_ms: Option<u64>,
    /// The same for single items, by id; takes precedence over [`Rules::attested_for_ms`].
    pub attested_for_items: BTreeMap<String, u64>,
    /// The maximum duration of a waiver, milliseconds; `None`: [`WAIVER_LONGEST_MS`].
    pub waiver_longest_ms: Option<u64>,
    /// The parts of checklist items, by the item's id.
    pub checklist: BTreeMap<String, Vec<ChecklistPart>>,
}

impl Rules {
    /// The rules of a configuration that sets none.
    pub const NONE: &'static Rules = &Rules {
        attested_for_ms: None,
        attested_for_items: BTreeMap::new(),
        waiver_longest_ms: None,
        checklist: BTreeMap::new(),
    };

    /// How long an attestation of `item` counts, milliseconds; `None`: it does not expire.
    pub fn attested_for(&self, item: &str) -> Option<u64> {
        self.attested_for_items.get(item).copied().or(self.attested_for_ms)
    }

    /// The maximum duration of a waiver, milliseconds.
    pub fn waiver_longest(&self) -> u64 {
        self.waiver_longest_ms.unwrap_or(WAIVER_LONGEST_MS)
    }
}

/// A part of a checklist item. The item is satisfied when all its parts are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChecklistPart {
    /// This criterion is satisfied.
    Criterion(String),
    /// This check passes.
    Check(String),
}

impl ChecklistPart {
    /// Reads `C.1` or `check:env-untracked`, without testing whether it exists.
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
    fn parts_are_read_back_as_written() {
        for text in ["C.1", "check:env-untracked"] {
            assert_eq!(ChecklistPart::read(text).to_string(), text);
        }
        assert_eq!(ChecklistPart::read(" check: x "), ChecklistPart::Check("x".into()));
    }

    #[test]
    fn a_rule_for_one_item_takes_precedence() {
        let rules = Rules {
            attested_for_ms: Some(30),
            attested_for_items: [("B.1".to_owned(), 7)].into(),
            ..Rules::default()
        };
        assert_eq!((rules.attested_for("B.1"), rules.attested_for("B.2")), (Some(7), Some(30)));
        assert_eq!(Rules::NONE.attested_for("B.1"), None);
    }
}
