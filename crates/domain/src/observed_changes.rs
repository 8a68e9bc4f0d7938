//! When observed things changed. Evidence records the parts it was found on; this records when they changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::observed::{Health, Observed, Service};
use crate::release::ReleaseComponent;
use crate::time::Millis;

/// A change of an observed thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What is observed: see [`watched`].
    pub key: String,
    /// The value before; `None` if it was never observed before.
    pub was: Option<String>,
    /// The new value: a digest, an image ID or a keyword; never a value of the env file.
    pub now: String,
    /// When it was first observed.
    pub at: Millis,
}

/// A container that has restarted and whose last start is more recent than this keeps restarting.
const LOOP_MS: u64 = 60_000;
/// From this number of restarts on, a recent start counts as a restart loop.
const RESTARTS: u64 = 2;

const YES: &str = "yes";
const NO: &str = "no";

/// The key of a part other than the images.
pub fn part_key(part: ReleaseComponent) -> String {
    part.label().to_owned()
}

/// The key of a service's image.
pub fn image_key(service: &str) -> String {
    format!("image:{service}")
}

/// The key of a condition of a service or container: `gone`, `loop`, `tag`, `orphan`.
pub fn condition_key(condition: &str, name: &str) -> String {
    format!("{condition}:{name}")
}

/// The key of the env file's permissions.
pub const MODE_KEY: &str = "mode";

/// Permissions in the usual notation: `0600`.
pub fn mode_text(mode: u32) -> String {
    format!("{:04o}", mode & 0o7777)
}

/// Whether the container of a service is in a restart loop.
pub fn restarts_again_and_again(service: &Service, now: Millis) -> bool {
    let lately = service.started_at.is_some_and(|at| now.since(at) < LOOP_MS);
    (service.health == Health::Restarting && service.restarts > 0)
        || (service.restarts >= RESTARTS && lately && service.health != Health::Missing)
}

/// The current values of everything that is observed: the parts, each service's image, the env file's mode,
/// whether a service has no container, keeps restarting or has lost its tag, and the containers without a service.
/// What cannot be observed is left out.
pub fn watched(observed: &Observed, now: Millis) -> BTreeMap<String, String> {
    let mut seen: BTreeMap<String, String> =
        observed.parts.values.iter().map(|(part, value)| (part_key(*part), value.clone())).collect();
    if let Some(mode) = observed.env_mode {
        seen.insert(MODE_KEY.to_owned(), mode_text(mode));
    }
    if observed.unreachable_since.is_some() || observed.engine_version.is_empty() {
        return seen;
    }
    let word = |holds: bool| if holds { YES } else { NO }.to_owned();
    seen.extend(observed.parts.images.iter().map(|(service, image)| (image_key(service), image.clone())));
    for service in &observed.services {
        let name = &service.name;
        seen.insert(condition_key("gone", name), word(service.health == Health::Missing));
        seen.insert(condition_key("loop", name), word(restarts_again_and_again(service, now)));
        seen.insert(condition_key("tag", name), word(observed.moved_tags.contains(name)));
    }
    for orphan in &observed.orphans {
        seen.insert(condition_key("orphan", &orphan.container), word(true));
    }
    seen
}

/// The changes to record: everything that differs from the last record. A condition that was never true
/// is not recorded.
pub fn news(recorded: &[Change], observed: &Observed, now: Millis) -> Vec<Change> {
    let last = |key: &str| recorded.iter().rfind(|c| c.key == key).map(|c| c.now.clone());
    let mut seen = watched(observed, now);
    if observed.unreachable_since.is_none() && !observed.engine_version.is_empty() {
        // The removal of an orphan container is recorded too.
        for change in recorded.iter().filter(|c| c.key.starts_with("orphan:")) {
            seen.entry(change.key.clone()).or_insert_with(|| NO.to_owned());
        }
    }
    seen.into_iter()
        .filter_map(|(key, value)| {
            let was = last(&key);
            let same = was.as_ref() == Some(&value) || (was.is_none() && value == NO);
            (!same).then_some(Change { key, was, now: value, at: now })
        })
        .collect()
}

/// When the thing got its current value, if that is `value`.
pub fn became(recorded: &[Change], key: &str, value: &str) -> Option<Millis> {
    recorded.iter().rfind(|c| c.key == key).filter(|c| c.now == value).map(|c| c.at)
}

/// When the condition began, if it is true now.
pub fn began(recorded: &[Change], condition: &str, name: &str) -> Option<Millis> {
    became(recorded, &condition_key(condition, name), YES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::Orphan;

    fn service(name: &str, health: Health) -> Service {
        Service {
            name: name.into(),
            health,
            image: "sha256:1".into(),
            tag: "shop".into(),
            restarts: 0,
            started_at: Some(Millis(0)),
            ports: vec![],
            container: "c".into(),
        }
    }

    fn observed() -> Observed {
        let mut observed = Observed {
            engine_version: "20".into(),
            services: vec![service("web", Health::Healthy)],
            env_mode: Some(0o100_600),
            ..Observed::default()
        };
        observed.parts.values.insert(ReleaseComponent::Commit, "a".into());
        observed.parts.images.insert("web".into(), "sha256:1".into());
        observed
    }

    fn keys(changes: &[Change]) -> Vec<&str> {
        changes.iter().map(|c| c.key.as_str()).collect()
    }

    #[test]
    fn first_values_and_changes_are_recorded_once() {
        let mut recorded = news(&[], &observed(), Millis(1));
        assert_eq!(keys(&recorded), ["commit", "image:web", "mode"]);
        assert!(news(&recorded, &observed(), Millis(2)).is_empty());
        let mut other = observed();
        other.parts.images.insert("web".into(), "sha256:2".into());
        other.env_mode = Some(0o100_644);
        let more = news(&recorded, &other, Millis(3));
        assert_eq!(keys(&more), ["image:web", "mode"]);
        assert_eq!((more[0].was.as_deref(), more[1].now.as_str()), (Some("sha256:1"), "0644"));
        recorded.extend(more);
        assert_eq!(became(&recorded, "image:web", "sha256:2"), Some(Millis(3)));
        assert_eq!(became(&recorded, "image:web", "sha256:1"), None, "it has another value now");
    }

    #[test]
    fn what_cannot_be_observed_is_not_a_change() {
        let recorded = news(&[], &observed(), Millis(1));
        let mut silent = observed();
        silent.unreachable_since = Some(Millis(2));
        silent.parts = crate::release::ReleaseComponents::default();
        silent.services.clear();
        silent.env_mode = None;
        assert!(news(&recorded, &silent, Millis(3)).is_empty());
    }

    #[test]
    fn conditions_begin_and_end() {
        let mut recorded = news(&[], &observed(), Millis(1));
        let mut bad = observed();
        bad.services = vec![service("web", Health::Missing)];
        bad.parts.images.clear();
        bad.moved_tags = vec!["web".into()];
        bad.orphans = vec![Orphan { container: "old".into(), service: "old".into(), image: "i".into() }];
        let more = news(&recorded, &bad, Millis(5));
        assert_eq!(keys(&more), ["gone:web", "orphan:old", "tag:web"]);
        recorded.extend(more);
        for (condition, name) in [("gone", "web"), ("orphan", "old"), ("tag", "web")] {
            assert_eq!(began(&recorded, condition, name), Some(Millis(5)), "{condition}");
        }
        recorded.extend(news(&recorded, &observed(), Millis(9)));
        for (condition, name) in [("gone", "web"), ("orphan", "old"), ("tag", "web")] {
            assert_eq!(began(&recorded, condition, name), None, "{condition}");
        }
    }

    #[test]
    fn a_loop_is_several_restarts_with_a_recent_one() {
        let mut one = service("web", Health::Running);
        one.restarts = 3;
        one.started_at = Some(Millis(100_000));
        assert!(restarts_again_and_again(&one, Millis(120_000)));
        assert!(!restarts_again_and_again(&one, Millis(160_000)), "it has run for a minute");
        one.restarts = 1;
        assert!(!restarts_again_and_again(&one, Millis(120_000)), "one restart is not a loop");
        one.health = Health::Restarting;
        assert!(restarts_again_and_again(&one, Millis(900_000)));
    }
}
