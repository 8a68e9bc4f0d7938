//! Preflight findings: problems found before anything runs, by comparing runbook, repository, Compose file,
//! Dockerfiles and env file.

use serde::{Deserialize, Serialize};

use crate::digest::digest_fields;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// A step or the deploy would fail. It blocks its gate until it is fixed or waived.
    Breaks,
    /// For information; it blocks nothing.
    Note,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The gate that it concerns; `None` if the runbook has no gate for it, or it is outside the gates.
    pub gate: Option<String>,
    /// How much it matters.
    #[serde(rename = "severity")]
    pub weight: Weight,
    /// The kind of problem, in kebab-case; stable.
    pub kind: String,
    /// The file, relative to the stack's directory if it is inside it.
    pub file: String,
    /// Line in it, from 1.
    pub line: usize,
    /// The problem, one sentence. Contains no value of the env file.
    pub message: String,
    /// How to fix it.
    pub hint: String,
    /// What it is about, in a fixed order: names, and values if a different value is a different problem.
    #[serde(default, skip_serializing)]
    pub about: Vec<String>,
}

/// The id of a finding as an item of its gate, and the digest that is stored with waivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `C.p-3f2c9e1a`.
    pub id: String,
    /// Digest of what is waived.
    pub digest: String,
}

/// Prefix of digests in the second format.
const SECOND_FORM: &str = "2:";

impl Finding {
    /// Digest of gate, kind, file and what it is about. It does not include texts and line: a waiver stays valid when
    /// the texts for the same problem change or lines are added above.
    pub fn digest(&self) -> String {
        let gate = self.gate.as_deref().unwrap_or_default();
        let head = ["preflight 2", gate, &self.kind, &self.file];
        let about = self.about.iter().map(String::as_str);
        format!("{SECOND_FORM}{}", digest_fields(head.into_iter().chain(about)))
    }

    /// Its id and digest as an item of its gate; `None` if it concerns no gate.
    pub fn identity(&self) -> Option<Identity> {
        Some(Identity::of(self.gate.as_deref()?, self.digest()))
    }

    /// The identity in the first format, which included the message. Waivers, acceptances and sign-offs that were
    /// stored with it count as long as the message is the same.
    pub fn first_identity(&self) -> Option<Identity> {
        let gate = self.gate.as_deref()?;
        let digest = digest_fields(["preflight", gate, &self.kind, &self.file, &self.message]);
        Some(Identity::of(gate, digest))
    }

    /// Its location: `docker-compose.yml:12`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}

impl Identity {
    fn of(gate: &str, digest: String) -> Self {
        let hex = digest.trim_start_matches(SECOND_FORM);
        Self { id: format!("{gate}.p-{}", hex.get(..8).unwrap_or(hex)), digest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_keeps_its_identity_with_other_texts_and_loses_it_with_another_subject() {
        let finding = Finding {
            gate: Some("C".into()),
            weight: Weight::Breaks,
            kind: "env-key-missing".into(),
            file: ".env".into(),
            line: 3,
            message: "TOKEN is missing".into(),
            hint: "set it".into(),
            about: vec!["example".into(), "TOKEN".into()],
        };
        let identity = finding.identity();
        let id = identity.as_ref().map(|i| i.id.as_str());
        assert!(id.is_some_and(|i| i.starts_with("C.p-") && i.len() == 12), "{id:?}");
        let reworded =
            Finding { message: "TOKEN is not set".into(), line: 9, hint: String::new(), ..finding.clone() };
        assert_eq!(reworded.identity(), identity);
        let about = vec!["example".into(), "KEY".into()];
        assert_ne!(Finding { about, ..finding.clone() }.identity(), identity);
        assert_ne!(Finding { file: ".env.example".into(), ..finding.clone() }.identity(), identity);
        // The first format depends on the message.
        assert_eq!(Finding { line: 9, ..finding.clone() }.first_identity(), finding.first_identity());
        assert_ne!(reworded.first_identity(), finding.first_identity());
        assert_eq!(Finding { gate: None, ..finding }.identity(), None);
    }
}
