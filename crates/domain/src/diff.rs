//! Differences between what a person was shown when they signed and the current state.

use crate::evidence::Staleness;
use crate::facts::ShownRow;
use crate::release::{ReleaseComponent, ReleaseComponents};

/// Differences between rows, one phrase each. Empty when the rows are the same. Measured values are compared separately
/// ([`value_changes`]), because a sign-off stays valid when they change.
pub fn row_changes(then: &[ShownRow], now: &[ShownRow]) -> Vec<String> {
    let mut changes: Vec<String> = now
        .iter()
        .filter_map(|row| match then.iter().find(|t| t.item == row.item) {
            None => Some(format!("{} was added", row.item)),
            Some(t) if t.text_digest != row.text_digest => Some(format!("the text of {} changed", row.item)),
            Some(t) if t.state != row.state => Some(restated(t, row)),
            Some(t) if t.failures != row.failures => {
                Some(format!("{} failed or was inconclusive in the meantime", row.item))
            }
            Some(_) => None,
        })
        .collect();
    changes.extend(
        then.iter()
            .filter(|t| !now.iter().any(|n| n.item == t.item))
            .map(|t| format!("{} was removed", t.item)),
    );
    changes
}

/// `A.1 was proved and is now open`. A new attestation or waiver has a different number but the same name.
fn restated(then: &ShownRow, now: &ShownRow) -> String {
    let (was, is) = (word(&then.state), word(&now.state));
    if was == is {
        return format!("{} was {is} again", now.item);
    }
    let detail = now.saw.first().map(|s| format!(" ({s})")).filter(|_| is == "open").unwrap_or_default();
    format!("{} was {was} and is now {is}{detail}", now.item)
}

/// The state without the number of its attestation or waiver.
fn word(state: &str) -> &str {
    state.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end()
}

/// The measured values that have changed: `A.1 coverage was 71.2 %, is now 66.1 %`.
pub fn value_changes(then: &[ShownRow], now: &[ShownRow]) -> Vec<String> {
    let mut changes = Vec::new();
    for row in now {
        let Some(before) = then.iter().find(|t| t.item == row.item) else { continue };
        for value in &row.values {
            let was = before.values.iter().find(|v| v.check == value.check);
            if let Some(was) = was.filter(|w| w.value != value.value) {
                changes
                    .push(format!("{} {} was {}, is now {}", row.item, value.check, was.value, value.value));
            }
        }
    }
    changes
}

/// The parts of the release that have changed: `the image of backend changed`. Parts that were not known
/// then or are not known now are left out.
pub fn part_changes(then: &ReleaseComponents, now: &ReleaseComponents) -> Vec<String> {
    ReleaseComponent::ALL
        .into_iter()
        .filter(|part| matches!((then.get(*part), now.get(*part)), (Some(a), Some(b)) if a != b))
        .map(|part| {
            let services = if part == ReleaseComponent::Images { now.changed_services(then) } else { vec![] };
            let (was, now) = (then.get(part), now.get(part));
            Staleness::PartChanged { part, services, was, now, at: None }.reason()
        })
        .collect()
}

/// Why a sign-off no longer counts, given that its digest has changed; never empty.
pub fn why_stale(
    then: &[ShownRow],
    parts: Option<&ReleaseComponents>,
    now: &[ShownRow],
    release: &ReleaseComponents,
) -> Vec<String> {
    let mut why = parts.map(|p| part_changes(p, release)).unwrap_or_default();
    why.extend(row_changes(then, now));
    if why.is_empty() {
        why.push("the release itself changed".to_owned());
    }
    why
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::ShownValue;

    fn row(item: &str, state: &str, value: &str) -> ShownRow {
        ShownRow {
            item: item.into(),
            text_digest: "d".into(),
            state: state.into(),
            failures: 0,
            title: String::new(),
            values: vec![ShownValue { check: "coverage".into(), value: value.into() }],
            saw: vec!["coverage: 60 %".into()],
        }
    }

    #[test]
    fn each_changed_row_is_described() {
        let then = [row("A.1", "proved", "71.2 %"), row("A.2", "attested 4", ""), row("A.3", "proved", "")];
        let now = [row("A.1", "open", "60 %"), row("A.2", "attested 9", ""), row("B.1", "open", "")];
        assert_eq!(
            row_changes(&then, &now),
            [
                "A.1 was proved and is now open (coverage: 60 %)",
                "A.2 was attested again",
                "B.1 was added",
                "A.3 was removed"
            ]
        );
        assert_eq!(value_changes(&then, &now), ["A.1 coverage was 71.2 %, is now 60 %"]);
    }

    #[test]
    fn image_changes_name_the_service_and_unknown_parts_are_left_out() {
        let parts = |image: &str| ReleaseComponents {
            values: [(ReleaseComponent::Commit, "a".to_owned())].into(),
            images: [("backend".to_owned(), image.to_owned()), ("db".to_owned(), "1".to_owned())].into(),
        };
        assert_eq!(part_changes(&parts("1"), &parts("2")), ["the image of backend changed"]);
        assert!(part_changes(&ReleaseComponents::default(), &parts("2")).is_empty());
        assert_eq!(why_stale(&[], None, &[], &parts("1")), ["the release itself changed"]);
    }
}
