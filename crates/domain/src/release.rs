//! Releases, identified by a fingerprint over their parts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::digest_fields;
use crate::time::Millis;

/// A part of a release that evidence can depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReleaseComponent {
    /// The git commit, and whether the tree differed from it.
    Commit,
    /// The rendered Compose configuration, with secret values replaced by hashes.
    Config,
    /// The image ID of every service.
    Images,
    /// The env file: keyed digest of its contents.
    Env,
    /// The runbook's SHA-256.
    Runbook,
}

impl ReleaseComponent {
    /// Every part.
    pub const ALL: [ReleaseComponent; 5] = [
        ReleaseComponent::Commit,
        ReleaseComponent::Config,
        ReleaseComponent::Images,
        ReleaseComponent::Env,
        ReleaseComponent::Runbook,
    ];

    /// Its name in stored digests. It must not change, even if pages use another name.
    fn key(self) -> &'static str {
        match self {
            ReleaseComponent::Commit => "commit",
            ReleaseComponent::Config => "config",
            ReleaseComponent::Images => "images",
            ReleaseComponent::Env => "env",
            ReleaseComponent::Runbook => "runbook",
        }
    }

    /// Its name on pages and in `binds`.
    pub fn label(self) -> &'static str {
        match self {
            ReleaseComponent::Commit => "commit",
            ReleaseComponent::Config => "config",
            ReleaseComponent::Images => "images",
            ReleaseComponent::Env => "env",
            ReleaseComponent::Runbook => "runbook",
        }
    }
}

/// The value of each part at one moment. A part that could not be read is absent; an absent part
/// is never equal, not even to another absent part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseComponents {
    /// Value of each known part except the images.
    pub values: BTreeMap<ReleaseComponent, String>,
    /// Image ID (`sha256:…`) of each service.
    pub images: BTreeMap<String, String>,
}

impl ReleaseComponents {
    /// The value of `part`, if it is known.
    pub fn get(&self, part: ReleaseComponent) -> Option<String> {
        match part {
            ReleaseComponent::Images if self.images.is_empty() => None,
            ReleaseComponent::Images => Some(digest_fields(self.images.iter().flat_map(|(s, i)| [s, i]))),
            other => self.values.get(&other).cloned(),
        }
    }

    /// Whether `part` is known on both sides and the same.
    pub fn agrees(&self, other: &ReleaseComponents, part: ReleaseComponent) -> bool {
        matches!((self.get(part), other.get(part)), (Some(a), Some(b)) if a == b)
    }

    /// Fingerprint over all parts; absent parts are included as absent.
    pub fn fingerprint(&self) -> String {
        digest_fields(
            ReleaseComponent::ALL
                .into_iter()
                .flat_map(|p| [p.key().to_owned(), self.get(p).unwrap_or_default()]),
        )
    }

    /// The services whose images differ, sorted by name.
    pub fn changed_services(&self, other: &ReleaseComponents) -> Vec<String> {
        let mut names: Vec<&String> = self.images.keys().chain(other.images.keys()).collect();
        names.sort();
        names.dedup();
        names.into_iter().filter(|s| self.images.get(*s) != other.images.get(*s)).cloned().collect()
    }
}

/// The state of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseState {
    /// Opened from the directory; not deployed yet.
    Opened,
    /// Deployed and healthy when the deploy ended.
    Deployed,
    /// Its deploy failed.
    Failed,
    /// It was rolled back.
    RolledBackFrom,
}

/// A release: the unit that is evaluated, deployed, signed and rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Number within this installation, from 1.
    pub id: i64,
    /// Its parts when it was opened, the images since it was deployed.
    pub parts: ReleaseComponents,
    /// Subject line of the commit; empty when there is none.
    pub subject: String,
    /// Who opened it: person id.
    pub opened_by: i64,
    /// When.
    pub opened_at: Millis,
    /// Who deployed it last, if it was deployed.
    pub deployed_by: Option<i64>,
    /// When it was deployed last.
    pub deployed_at: Option<Millis>,
    /// Its state.
    pub state: ReleaseState,
    /// Names of the database migrations that were applied when its deploy ended.
    pub migrations: Option<Vec<String>>,
    /// When its evidence made it a rollback target.
    pub rollback_point_at: Option<Millis>,
}

impl Release {
    /// The commit in the short form, or `no commit`.
    pub fn short_commit(&self) -> String {
        short_commit(self.parts.get(ReleaseComponent::Commit).as_deref())
    }

    /// The name used on pages: `#3 · 3f2c9e1`.
    pub fn name(&self) -> String {
        format!("#{} · {}", self.id, self.short_commit())
    }
}

/// The first seven digits of a commit part, followed by `*` if tracked files were changed.
pub fn short_commit(commit: Option<&str>) -> String {
    match commit {
        None => "no commit".to_owned(),
        Some(full) => {
            let (sha, changed) = full.split_once('+').map_or((full, ""), |(sha, _)| (sha, "*"));
            format!("{}{changed}", sha.chars().take(7).collect::<String>())
        }
    }
}

/// The migrations applied between two releases, in order, when both lists are known.
/// The first list holds those only `from` has (a rollback leaves them applied),
/// the second those only `to` has.
pub fn migrations_between(from: &Release, to: &Release) -> Option<(Vec<String>, Vec<String>)> {
    let (from, to) = (from.migrations.as_ref()?, to.migrations.as_ref()?);
    let only = |a: &[String], b: &[String]| a.iter().filter(|m| !b.contains(m)).cloned().collect();
    Some((only(from, to), only(to, from)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(commit: Option<&str>, images: &[(&str, &str)]) -> ReleaseComponents {
        ReleaseComponents {
            values: commit.map(|c| (ReleaseComponent::Commit, c.to_owned())).into_iter().collect(),
            images: images.iter().map(|(s, i)| ((*s).to_owned(), (*i).to_owned())).collect(),
        }
    }

    #[test]
    fn unknown_parts_are_equal_to_nothing() {
        let unknown = parts(None, &[]);
        assert!(!unknown.agrees(&unknown, ReleaseComponent::Commit));
        assert!(!unknown.agrees(&unknown, ReleaseComponent::Images));
        let known = parts(Some("abc"), &[("web", "sha256:1")]);
        assert!(
            known.agrees(&known, ReleaseComponent::Commit) && known.agrees(&known, ReleaseComponent::Images)
        );
    }

    #[test]
    fn every_part_changes_the_fingerprint() {
        let base = parts(Some("abc"), &[("web", "sha256:1")]);
        let mut other = base.clone();
        for part in [
            ReleaseComponent::Commit,
            ReleaseComponent::Config,
            ReleaseComponent::Env,
            ReleaseComponent::Runbook,
        ] {
            other.values.insert(part, "different".into());
            assert_ne!(base.fingerprint(), other.fingerprint(), "{part:?}");
        }
        assert_ne!(base.fingerprint(), parts(Some("abc"), &[("web", "sha256:2")]).fingerprint());
        assert_eq!(
            base.changed_services(&parts(Some("abc"), &[("web", "sha256:2"), ("db", "sha256:9")])),
            ["db", "web"]
        );
    }

    #[test]
    fn a_changed_tree_is_marked() {
        assert_eq!(short_commit(Some("3f2c9e1aaaa+dirty")), "3f2c9e1*");
        assert_eq!(short_commit(None), "no commit");
    }
}
