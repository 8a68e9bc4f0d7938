//! What a run found for a check, and whether that still says anything about the release.

use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::release::{Part, Parts};
use crate::time::{Millis, human_span};

/// What a check concluded. Only `Pass` ever satisfies anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Seen, and as wanted.
    Pass,
    /// Seen, and not as wanted.
    Fail,
    /// Not seen: timed out, no number, target unreachable.
    Inconclusive,
}

impl Outcome {
    /// The word on pages and in the store.
    pub fn slug(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Fail => "fail",
            Outcome::Inconclusive => "inconclusive",
        }
    }
}

/// What a check says after looking: outcome, value, and words for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The outcome.
    pub outcome: Outcome,
    /// The measured value, in the unit of the threshold.
    pub value: Option<f64>,
    /// What was seen, one sentence, no secret in it.
    pub saw: String,
    /// What was wanted, one sentence.
    pub wanted: String,
    /// The next thing to do when it did not pass; empty when it did.
    pub next: String,
}

/// A finding with what it was found on. Append-only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Number in the store; later ones are greater.
    pub id: i64,
    /// The check's id.
    pub check: String,
    /// What was found.
    pub finding: Finding,
    /// The check's [`Check::threshold_digest`] at the time.
    pub threshold_digest: String,
    /// The parts as observed when the run began.
    pub parts: Parts,
    /// The release judged at the time.
    pub release: i64,
    /// The run that found it.
    pub run: i64,
    /// Who started that run: person id.
    pub by: i64,
    /// When the run ended.
    pub at: Millis,
}

/// Why evidence no longer counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Staleness {
    /// A part that it depends on is another one now, or cannot be read.
    PartChanged {
        /// Which part.
        part: Part,
        /// The services concerned, when the part is the images.
        services: Vec<String>,
    },
    /// The declaration of the check changed.
    ThresholdChanged,
    /// It is older than the check allows.
    TooOld {
        /// Its age, milliseconds.
        age_ms: u64,
        /// The greatest age allowed, milliseconds.
        allowed_ms: u64,
    },
}

impl Staleness {
    /// One phrase for people.
    pub fn reason(&self) -> String {
        match self {
            Staleness::PartChanged { part: Part::Images, services } if !services.is_empty() => {
                format!("the image of {} changed", services.join(", "))
            }
            Staleness::PartChanged { part, .. } => match part {
                Part::Commit => "the commit changed".to_owned(),
                Part::Config => "the Compose configuration changed".to_owned(),
                Part::Images => "no image is known for this release yet".to_owned(),
                Part::Env => "the env file changed".to_owned(),
                Part::Runbook => "the runbook changed".to_owned(),
            },
            Staleness::ThresholdChanged => "the check itself changed".to_owned(),
            Staleness::TooOld { age_ms, allowed_ms } => {
                format!("it is {} old and counts for {}", human_span(*age_ms), human_span(*allowed_ms))
            }
        }
    }
}

/// Why `evidence` does not count for a release with these parts now. Empty: it counts.
pub fn staleness(evidence: &Evidence, check: &Check, release: &Parts, now: Millis) -> Vec<Staleness> {
    let mut reasons: Vec<Staleness> = check
        .binds
        .iter()
        .filter(|part| !evidence.parts.agrees(release, **part))
        .map(|part| Staleness::PartChanged {
            part: *part,
            services: if *part == Part::Images && !release.images.is_empty() {
                release.changed_services(&evidence.parts)
            } else {
                vec![]
            },
        })
        .collect();
    if evidence.threshold_digest != check.threshold_digest() {
        reasons.push(Staleness::ThresholdChanged);
    }
    if let Some(allowed_ms) = check.valid_for_ms {
        let age_ms = now.since(evidence.at);
        if age_ms > allowed_ms {
            reasons.push(Staleness::TooOld { age_ms, allowed_ms });
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{CheckSpec, GitAssert};

    fn check() -> Check {
        Check {
            id: "c".into(),
            title: "c".into(),
            proves: vec![],
            spec: CheckSpec::Git {
                assert: GitAssert::Clean,
                path: None,
                commit: None,
                branch: None,
                tag: None,
            },
            want: None,
            timeout_ms: 1,
            retries: 0,
            valid_for_ms: Some(1_000),
            binds: vec![Part::Commit, Part::Images],
        }
    }

    fn parts(commit: &str, image: &str) -> Parts {
        Parts {
            values: [(Part::Commit, commit.to_owned())].into(),
            images: [("web".to_owned(), image.to_owned())].into(),
        }
    }

    fn evidence(parts: Parts) -> Evidence {
        Evidence {
            id: 1,
            check: "c".into(),
            finding: Finding {
                outcome: Outcome::Pass,
                value: None,
                saw: String::new(),
                wanted: String::new(),
                next: String::new(),
            },
            threshold_digest: check().threshold_digest(),
            parts,
            release: 1,
            run: 1,
            by: 1,
            at: Millis(10_000),
        }
    }

    #[test]
    fn evidence_counts_while_everything_it_binds_to_is_the_same() {
        let e = evidence(parts("a", "1"));
        assert!(staleness(&e, &check(), &parts("a", "1"), Millis(11_000)).is_empty());
    }

    #[test]
    fn each_change_is_named() {
        let e = evidence(parts("a", "1"));
        let reasons = |p: &Parts, now| {
            staleness(&e, &check(), p, Millis(now)).iter().map(Staleness::reason).collect::<Vec<_>>()
        };
        assert_eq!(reasons(&parts("b", "1"), 10_000), ["the commit changed"]);
        assert_eq!(reasons(&parts("a", "2"), 10_000), ["the image of web changed"]);
        assert_eq!(reasons(&parts("a", "1"), 11_001).len(), 1);
        let mut other = check();
        other.want = Some("== 0".parse().unwrap());
        assert_eq!(staleness(&e, &other, &parts("a", "1"), Millis(10_000)), [Staleness::ThresholdChanged]);
    }

    #[test]
    fn evidence_for_images_says_nothing_before_a_deploy() {
        let e = evidence(parts("a", "1"));
        let undeployed = Parts { images: Default::default(), ..parts("a", "1") };
        assert_eq!(staleness(&e, &check(), &undeployed, Millis(10_000)).len(), 1);
    }
}
