//! Drift: differences between the release and the running stack or the files on disk; since when they exist, what to do
//! about them, and what they make stale or block.

use serde::{Deserialize, Serialize};

use crate::check::{Check, CheckSpec, EnvAssert};
use crate::facts::Facts;
use crate::observed::{Health, Observed};
use crate::observed_changes::{
    MODE_KEY, became, began, image_key, mode_text, part_key, restarts_again_and_again,
};
use crate::release::{Release, ReleaseComponent, ReleaseComponents, ReleaseState, short_commit};
use crate::time::Millis;

/// What has drifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftKind {
    /// A container runs a different image than the release.
    Image,
    /// The image tag of a container has moved to another image or was removed.
    Tag,
    /// A container keeps restarting.
    Loop,
    /// A service has no container.
    Gone,
    /// A container of the project belongs to no service.
    Orphan,
    /// The content of the env file has changed.
    Env,
    /// The permissions of the env file are less strict than required.
    EnvMode,
    /// The Compose configuration in the directory has changed.
    Config,
    /// HEAD or the tracked files have changed.
    Commit,
}

/// One thing that drifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// What has drifted.
    pub kind: DriftKind,
    /// The service or container concerned; empty for files.
    pub subject: String,
    /// The difference, a phrase.
    pub what: String,
    /// When it was first observed; `None` when that is not known.
    pub since: Option<Millis>,
    /// What to do, one sentence.
    pub next: String,
    /// What it makes stale or blocks, one sentence.
    pub effect: String,
    /// Whether the verdict lists it as a blocker.
    pub blocks: bool,
}

/// The release's parts, with those that are observed to differ replaced: the image of a service that runs
/// a different one, the env file, and, while nothing is deployed yet, the parts read from the directory.
pub fn parts_seen(release: &Release, observed: &ReleaseComponents) -> ReleaseComponents {
    let mut parts = release.parts.clone();
    for (service, image) in &mut parts.images {
        if let Some(now) = observed.images.get(service) {
            image.clone_from(now);
        }
    }
    let here: &[ReleaseComponent] = match release.state {
        ReleaseState::Opened => &[
            ReleaseComponent::Commit,
            ReleaseComponent::Config,
            ReleaseComponent::Env,
            ReleaseComponent::Runbook,
        ],
        _ => &[ReleaseComponent::Env],
    };
    for part in here {
        if let (Some(value), Some(now)) = (parts.values.get_mut(part), observed.values.get(part)) {
            value.clone_from(now);
        }
    }
    parts
}

/// Everything that has drifted from the release, the most serious first. What cannot be observed is left out.
pub fn drift(facts: &Facts<'_>) -> Vec<Drift> {
    let Some(release) = facts.release else { return vec![] };
    let mut out = Vec::new();
    if !release.parts.images.is_empty() && facts.observed.unreachable_since.is_none() {
        images(facts, release, &mut out);
        containers(facts, &mut out);
    }
    files(facts, release, &mut out);
    out
}

fn images(facts: &Facts<'_>, release: &Release, out: &mut Vec<Drift>) {
    for (service, image) in &release.parts.images {
        let Some(now) = facts.observed.parts.images.get(service).filter(|now| *now != image) else {
            continue;
        };
        out.push(Drift {
            kind: DriftKind::Image,
            subject: service.clone(),
            what: format!("{service} runs a different image than the release"),
            since: became(facts.changes, &image_key(service), now),
            next: "Deploy the current checkout, or roll back to the release.".to_owned(),
            effect: blocks_go(&bound(facts, ReleaseComponent::Images, Some(service))),
            blocks: true,
        });
    }
}

fn containers(facts: &Facts<'_>, out: &mut Vec<Drift>) {
    for service in &facts.observed.services {
        let name = &service.name;
        if service.health == Health::Missing {
            out.push(Drift {
                kind: DriftKind::Gone,
                subject: name.clone(),
                what: format!("{name} has no container"),
                since: began(facts.changes, "gone", name),
                next: "Deploy or roll back to the release to start it again.".to_owned(),
                effect: "Blocks Go until it runs.".to_owned(),
                // The health of the service already blocks.
                blocks: false,
            });
        } else if restarts_again_and_again(service, facts.now) {
            out.push(Drift {
                kind: DriftKind::Loop,
                subject: name.clone(),
                what: format!("{name} keeps restarting: {} so far", times(service.restarts)),
                since: began(facts.changes, "loop", name),
                next: format!("Read its log (docker compose logs {name}) and fix the cause."),
                effect: "Blocks Go until it has run for 1 minute without a restart.".to_owned(),
                blocks: true,
            });
        }
        if facts.observed.moved_tags.contains(name) {
            out.push(Drift {
                kind: DriftKind::Tag,
                subject: name.clone(),
                what: format!("the image tag of {name} was moved to another image or removed"),
                since: began(facts.changes, "tag", name),
                next: "Deploy to use the image of the tag, or roll back to restore the tag.".to_owned(),
                effect:
                    "Blocks nothing: the release's image still runs. Compose would start a different one."
                        .to_owned(),
                blocks: false,
            });
        }
    }
    for orphan in &facts.observed.orphans {
        let name = &orphan.container;
        out.push(Drift {
            kind: DriftKind::Orphan,
            subject: name.clone(),
            what: format!("the container {name} belongs to the Compose project but to none of its services"),
            since: began(facts.changes, "orphan", name),
            next: format!("Remove it (docker rm -f {name}), or restore its service in the Compose file."),
            effect: "Blocks nothing, but it may hold ports and data.".to_owned(),
            blocks: false,
        });
    }
}

/// What has changed in the directory since the release was opened.
struct FileChanges<'a> {
    facts: &'a Facts<'a>,
    release: &'a Release,
}

fn files(facts: &Facts<'_>, release: &Release, out: &mut Vec<Drift>) {
    let changes = FileChanges { facts, release };
    out.extend(changes.env());
    out.extend(changes.env_mode());
    out.extend(changes.commit());
    out.extend(changes.config());
}

impl FileChanges<'_> {
    /// The observed value of a component that differs from the release, and since when.
    fn moved(&self, part: ReleaseComponent) -> Option<(String, Option<Millis>)> {
        let now = self.facts.observed.parts.values.get(&part)?;
        let differs = self.release.parts.values.get(&part) != Some(now);
        differs.then(|| (now.clone(), became(self.facts.changes, &part_key(part), now)))
    }

    /// The effect of a change that does not block.
    fn effect(&self, part: ReleaseComponent) -> String {
        let ids = bound(self.facts, part, None);
        if self.release.state != ReleaseState::Opened {
            format!("Blocks nothing: the board still shows release {}.", self.release.name())
        } else if ids.is_empty() {
            "No check depends on it. The next run opens a new release.".to_owned()
        } else {
            format!("Stale checks: {}. The next run opens a new release.", ids.join(", "))
        }
    }

    fn env(&self) -> Option<Drift> {
        let (_, since) = self.moved(ReleaseComponent::Env)?;
        let deployed = !self.release.parts.images.is_empty();
        Some(Drift {
            kind: DriftKind::Env,
            subject: String::new(),
            what: "the env file has changed since the release was opened".to_owned(),
            since,
            next: "Deploy to apply the change, or restore the file.".to_owned(),
            effect: if deployed {
                blocks_go(&bound(self.facts, ReleaseComponent::Env, None))
            } else {
                self.effect(ReleaseComponent::Env)
            },
            blocks: deployed,
        })
    }

    fn env_mode(&self) -> Option<Drift> {
        let (mode, ids) = env_mode(self.facts)?;
        Some(Drift {
            kind: DriftKind::EnvMode,
            subject: String::new(),
            what: format!("the env file has mode {}, which is less strict than required", mode_text(mode)),
            since: became(self.facts.changes, MODE_KEY, &mode_text(mode)),
            next: "Restrict its permissions: chmod 600.".to_owned(),
            effect: format!("Blocks Go until this is resolved. Stale checks: {}.", ids.join(", ")),
            blocks: true,
        })
    }

    fn commit(&self) -> Option<Drift> {
        let (now, since) = self.moved(ReleaseComponent::Commit)?;
        let then = short_commit(self.release.parts.get(ReleaseComponent::Commit).as_deref());
        let here = short_commit(Some(&now));
        let what = if then == here {
            format!("the uncommitted changes on top of {here} differ from those of the release")
        } else {
            format!("HEAD is at {here}, the release is at {then}")
        };
        Some(Drift {
            kind: DriftKind::Commit,
            subject: String::new(),
            what,
            since,
            next: "To evaluate the change, open a release from HEAD or deploy.".to_owned(),
            effect: self.effect(ReleaseComponent::Commit),
            blocks: false,
        })
    }

    fn config(&self) -> Option<Drift> {
        let (_, since) = self.moved(ReleaseComponent::Config)?;
        Some(Drift {
            kind: DriftKind::Config,
            subject: String::new(),
            what: "the Compose configuration in the directory differs from that of the release".to_owned(),
            since,
            next: "To evaluate the change, open a release from HEAD or deploy.".to_owned(),
            effect: self.effect(ReleaseComponent::Config),
            blocks: false,
        })
    }
}

/// The env file's mode if it is less strict than a check requires, and the ids of those checks.
fn env_mode(facts: &Facts<'_>) -> Option<(u32, Vec<String>)> {
    let laxer = |c: &&Check| laxer_mode(c, facts.observed).is_some();
    let ids: Vec<String> = facts.checks.iter().filter(laxer).map(|c| c.id.clone()).collect();
    (!ids.is_empty()).then_some((facts.observed.env_mode? & 0o777, ids))
}

/// The observed mode of the env file if it is less strict than this check requires.
pub fn laxer_mode(check: &Check, observed: &Observed) -> Option<u32> {
    let CheckSpec::EnvFile { assert: EnvAssert::Mode, mode: wanted, .. } = &check.spec else { return None };
    let wanted = u32::from_str_radix(wanted.as_deref().unwrap_or("0600"), 8).ok()?;
    let mode = observed.env_mode? & 0o777;
    (mode & !wanted != 0).then_some(mode)
}

/// The checks whose evidence depends on a part, or on one service's image.
fn bound(facts: &Facts<'_>, part: ReleaseComponent, service: Option<&str>) -> Vec<String> {
    let concerns = |c: &&Check| {
        c.binds.contains(&part)
            && service.is_none_or(|s| c.images.is_empty() || c.images.iter().any(|i| i == s))
    };
    facts.checks.iter().filter(concerns).map(|c| c.id.clone()).collect()
}

fn blocks_go(stale: &[String]) -> String {
    match stale {
        [] => "Blocks Go until this is resolved.".to_owned(),
        ids => format!("Blocks Go until this is resolved. Stale checks: {}.", ids.join(", ")),
    }
}

fn times(n: u64) -> String {
    if n == 1 { "1 restart".to_owned() } else { format!("{n} restarts") }
}
