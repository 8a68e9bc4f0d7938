//! What a run found for a check, and whether it still counts for the release.

use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::observed_changes::{Change, became, image_key, part_key};
use crate::release::{ReleaseComponent, ReleaseComponents, short_commit};
use crate::time::{Millis, human_span};

/// What a check concluded. Only `Pass` ever satisfies anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Measured, and as expected.
    Pass,
    /// Measured, and not as expected.
    Fail,
    /// Could not be evaluated: timeout, no value, target unreachable.
    Inconclusive,
}

impl Outcome {
    /// The name on pages and in the store.
    pub fn slug(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Fail => "fail",
            Outcome::Inconclusive => "inconclusive",
        }
    }
}

/// The result of a check: outcome, value, and texts for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The outcome.
    pub outcome: Outcome,
    /// The measured value, in the unit of the threshold.
    pub value: Option<f64>,
    /// The actual result, one sentence, without secrets.
    pub saw: String,
    /// The expected result, one sentence.
    pub wanted: String,
    /// What to do next if it did not pass; empty if it did.
    pub next: String,
}

/// A finding with the release and parts it was found on. Append-only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Id in the store; newer evidence has a higher id.
    pub id: i64,
    /// The check's id.
    pub check: String,
    /// What was found.
    pub finding: Finding,
    /// The check's [`Check::threshold_digest`] at the time.
    pub threshold_digest: String,
    /// The parts as observed when the run began.
    pub parts: ReleaseComponents,
    /// The current release at the time.
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
    /// A part that it depends on has changed, or cannot be read.
    PartChanged {
        /// Which part.
        part: ReleaseComponent,
        /// The affected services, if the part is the images.
        services: Vec<String>,
        /// Its value when the evidence was found, if known.
        was: Option<String>,
        /// Its current value, if known.
        now: Option<String>,
        /// When the current value was first observed.
        at: Option<Millis>,
    },
    /// It passed, but observation now shows the opposite.
    SeenOtherwise {
        /// What is observed, a phrase.
        what: String,
        /// When it was first observed.
        at: Option<Millis>,
    },
    /// The declaration of the check changed.
    ThresholdChanged,
    /// It is older than the check allows.
    TooOld {
        /// Its age, milliseconds.
        age_ms: u64,
        /// The maximum age, milliseconds.
        allowed_ms: u64,
    },
}

impl Staleness {
    /// The reason as a phrase for people, without the time.
    pub fn reason(&self) -> String {
        match self {
            Staleness::PartChanged { part: ReleaseComponent::Images, services, now, .. }
                if !services.is_empty() =>
            {
                let names = services.join(", ");
                match now {
                    Some(_) => format!("the image of {names} changed"),
                    None => format!("the image of {names} is not known for this release yet"),
                }
            }
            Staleness::PartChanged { part: ReleaseComponent::Commit, was, now, .. } => {
                commit_changed(was, now)
            }
            Staleness::PartChanged { part, .. } => match part {
                ReleaseComponent::Commit => "the commit changed".to_owned(),
                ReleaseComponent::Config => "the Compose configuration changed".to_owned(),
                ReleaseComponent::Images => "no image is known for this release yet".to_owned(),
                ReleaseComponent::Env => "the env file changed".to_owned(),
                ReleaseComponent::Runbook => "the runbook changed".to_owned(),
            },
            Staleness::SeenOtherwise { what, .. } => what.clone(),
            Staleness::ThresholdChanged => "the definition of the check changed".to_owned(),
            Staleness::TooOld { age_ms, allowed_ms } => {
                format!("it is {} old but valid for only {}", human_span(*age_ms), human_span(*allowed_ms))
            }
        }
    }

    /// Since when the reason applies, if known.
    pub fn at(&self) -> Option<Millis> {
        match self {
            Staleness::PartChanged { at, .. } | Staleness::SeenOtherwise { at, .. } => *at,
            _ => None,
        }
    }

    /// The same, with the time at which the current value was first observed.
    pub fn dated(mut self, changes: &[Change], parts: &ReleaseComponents) -> Staleness {
        if let Staleness::PartChanged { part, services, at, .. } = &mut self {
            *at = match part {
                ReleaseComponent::Images => {
                    services.iter().filter_map(|s| became(changes, &image_key(s), parts.images.get(s)?)).max()
                }
                other => parts.values.get(other).and_then(|now| became(changes, &part_key(*other), now)),
            };
        }
        self
    }
}

fn commit_changed(was: &Option<String>, now: &Option<String>) -> String {
    let (Some(was), Some(now)) = (was, now) else {
        return "the commit changed, or cannot be read".to_owned();
    };
    let base = |commit: &str| commit.split('+').next().unwrap_or_default().to_owned();
    if base(was) == base(now) {
        return format!("the tracked files changed on top of {}", short_commit(Some(&base(now))));
    }
    format!("the commit changed {} → {}", short_commit(Some(was)), short_commit(Some(now)))
}

/// Why `evidence` does not count for a release with these parts. Empty if it counts.
pub fn staleness(
    evidence: &Evidence,
    check: &Check,
    release: &ReleaseComponents,
    now: Millis,
) -> Vec<Staleness> {
    let mut reasons: Vec<Staleness> = check
        .binds
        .iter()
        .filter(|part| !check.agrees(&evidence.parts, release, **part))
        .map(|part| changed(evidence, check, release, *part))
        .collect();
    if !check.declared_as(&evidence.threshold_digest) {
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

fn changed(
    evidence: &Evidence,
    check: &Check,
    release: &ReleaseComponents,
    part: ReleaseComponent,
) -> Staleness {
    let (was, now) = (evidence.parts.get(part), release.get(part));
    if part != ReleaseComponent::Images {
        return Staleness::PartChanged { part, services: vec![], was, now, at: None };
    }
    if release.images.is_empty() {
        // Nothing is deployed yet; a list of all services would add no information.
        return Staleness::PartChanged { part, services: check.images.clone(), was, now: None, at: None };
    }
    let mut services = release.changed_services(&evidence.parts);
    services.retain(|s| check.images.is_empty() || check.images.contains(s));
    // A service that is unknown on both sides counts as changed.
    services.extend(check.images.iter().filter(|s| !release.images.contains_key(*s)).cloned());
    services.sort();
    services.dedup();
    let known = services.iter().all(|s| release.images.contains_key(s));
    let now = if check.images.is_empty() || known { now } else { None };
    Staleness::PartChanged { part, services, was, now, at: None }
}

/// When evidence becomes stale because of its age; `None`: never.
pub fn expires_at(evidence: &Evidence, check: &Check) -> Option<Millis> {
    check.valid_for_ms.map(|ms| evidence.at.plus(ms))
}

/// Whether evidence that counts is about to expire: a tenth of its validity is left, at most a day.
pub fn expires_soon(evidence: &Evidence, check: &Check, now: Millis) -> bool {
    let Some((valid, end)) = check.valid_for_ms.zip(expires_at(evidence, check)) else { return false };
    now <= end && end.since(now) <= (valid / 10).min(DAY_MS)
}

const DAY_MS: u64 = 86_400_000;

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
            binds: vec![ReleaseComponent::Commit, ReleaseComponent::Images],
            images: vec![],
            schedule: Default::default(),
        }
    }

    fn parts(commit: &str, image: &str) -> ReleaseComponents {
        ReleaseComponents {
            values: [(ReleaseComponent::Commit, commit.to_owned())].into(),
            images: [("web".to_owned(), image.to_owned())].into(),
        }
    }

    fn evidence(parts: ReleaseComponents) -> Evidence {
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
    fn evidence_counts_while_its_parts_are_unchanged() {
        let e = evidence(parts("a", "1"));
        assert!(staleness(&e, &check(), &parts("a", "1"), Millis(11_000)).is_empty());
    }

    #[test]
    fn each_change_is_named() {
        let e = evidence(parts("a", "1"));
        let reasons = |p: &ReleaseComponents, now| {
            staleness(&e, &check(), p, Millis(now)).iter().map(Staleness::reason).collect::<Vec<_>>()
        };
        assert_eq!(reasons(&parts("b", "1"), 10_000), ["the commit changed a → b"]);
        assert_eq!(reasons(&parts("a", "2"), 10_000), ["the image of web changed"]);
        assert_eq!(reasons(&parts("a", "1"), 11_001).len(), 1);
        let mut other = check();
        other.want = Some("== 0".parse().unwrap());
        assert_eq!(staleness(&e, &other, &parts("a", "1"), Millis(10_000)), [Staleness::ThresholdChanged]);
    }

    #[test]
    fn evidence_for_images_is_stale_before_a_deploy() {
        let e = evidence(parts("a", "1"));
        let undeployed = ReleaseComponents { images: Default::default(), ..parts("a", "1") };
        assert_eq!(staleness(&e, &check(), &undeployed, Millis(10_000)).len(), 1);
    }
}
