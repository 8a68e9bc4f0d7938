//! What cannot work, known before anything runs: findings of reading runbook, repository, Compose file,
//! Dockerfiles and env file together.

use serde::{Deserialize, Serialize};

use crate::digest::digest_fields;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// It would break. Red on its gate until it is gone or waived.
    Breaks,
    /// Worth knowing; it blocks nothing.
    Note,
}

/// One thing that does not fit together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The gate that it concerns; `None` when the runbook has no gate for it, or it stands outside the gates.
    pub gate: Option<String>,
    /// How much it matters.
    #[serde(rename = "severity")]
    pub weight: Weight,
    /// The kind of trouble, in kebab-case; stable.
    pub kind: String,
    /// The file, relative to the stack's directory where it lies in it.
    pub file: String,
    /// Line in it, from 1.
    pub line: usize,
    /// What cannot work, one sentence. Holds no value of the env file.
    pub message: String,
    /// The way out.
    pub hint: String,
}

impl Finding {
    /// Digest of what it says. The line is left out: a waiver survives lines added above.
    pub fn digest(&self) -> String {
        let gate = self.gate.as_deref().unwrap_or_default();
        digest_fields(["preflight", gate, &self.kind, &self.file, &self.message])
    }

    /// Its id as an item of its gate, `C.p-3f2c9e1a`.
    pub fn item_id(&self) -> Option<String> {
        let gate = self.gate.as_deref()?;
        let digest = self.digest();
        Some(format!("{gate}.p-{}", digest.get(..8).unwrap_or(&digest)))
    }

    /// Where it stands: `docker-compose.yml:12`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_keeps_its_id_when_lines_move_and_loses_it_when_it_says_something_else() {
        let finding = Finding {
            gate: Some("C".into()),
            weight: Weight::Breaks,
            kind: "env-key-missing".into(),
            file: ".env".into(),
            line: 3,
            message: "TOKEN is missing".into(),
            hint: "set it".into(),
        };
        let id = finding.item_id();
        assert!(id.as_deref().is_some_and(|i| i.starts_with("C.p-") && i.len() == 12), "{id:?}");
        assert_eq!(Finding { line: 9, hint: String::new(), ..finding.clone() }.item_id(), id);
        assert_ne!(Finding { message: "KEY is missing".into(), ..finding.clone() }.item_id(), id);
        assert_eq!(Finding { gate: None, ..finding }.item_id(), None);
    }
}
