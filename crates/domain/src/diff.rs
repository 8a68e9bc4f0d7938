//! What differs between what somebody was shown when they gave their word and what stands now.

use crate::evidence::Staleness;
use crate::facts::ShownRow;
use crate::release::{ReleaseComponent, ReleaseComponents};

/// What differs in the rows, one phrase for each. Empty when the rows are the same; measured values
/// are another matter ([`value_changes`]), because a word outlives them.
pub fn row_changes(then: &[ShownRow], now: &[ShownRow]) -> Vec<String> {
    let mut changes: Vec<String> = now
        .iter()
        .filter_map(|row| match then.iter().find(|t| t.item == row.item) {
            None => Some(format!("{} is new", row.item)),
            Some(t) if t.text_digest != row.text_digest => Some(format!("the text of {} changed", row.item)),
            Some(t) if t.state != row.state => Some(restated(t, row)),
            Some(t) if t.failures != row.failures => Some(format!("{} did not hold in between", row.item)),
            Some(_) => None,
        })
        .collect();
    changes.extend(
        then.iter().filter(|t| !now.iter().any(|n| n.item == t.item)).map(|t| format!("{} is gone", t.item)),
    );
    changes
}

/// `A.1 was proved and is open`; a word given again has another number but the same name.
fn restated(then: &ShownRow, now: &ShownRow) -> String {
    let (was, is) = (word(&then.state), word(&now.state));
    if was == is {
        return format!("{} was {is} anew", now.item);
    }
    let detail = now.saw.first().map(|s| format!(" ({s})")).filter(|_| is == "open").unwrap_or_default();
    format!("{} was {was} and is {is}{detail}", now.item)
}

/// The state without the number of the word behind it.
fn word(state: &str) -> &str {
    state.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end()
}

/// The measured values that are others now: `A.1 coverage was 71.2 %, is 66.1 %`.
pub fn value_changes(then: &[ShownRow], now: &[ShownRow]) -> Vec<String> {
    let mut changes = Vec::new();
    for row in now {
        let Some(before) = then.iter().find(|t| t.item == row.item) else { continue };
        for value in &row.values {
            let was = before.values.iter().find(|v| v.check == value.check);
            if let Some(was) = was.filter(|w| w.value != value.value) {
                changes.push(format!("{} {} was {}, is {}", row.item, value.check, was.value, value.value));
            }
        }
    }
    changes
}

/// The parts of the release that are others now: `the image of backend changed`. What was not known
/// then or is not known now says nothing.
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

/// Why a word on all this no longer counts, given that its digest is another one: never empty.
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
            saw: vec!["coverage saw 60 %".into()],
        }
    }

    #[test]
    fn each_row_is_told_in_words() {
        let then = [row("A.1", "proved", "71.2 %"), row("A.2", "attested 4", ""), row("A.3", "proved", "")];
        let now = [row("A.1", "open", "60 %"), row("A.2", "attested 9", ""), row("B.1", "open", "")];
        assert_eq!(
            row_changes(&then, &now),
            [
                "A.1 was proved and is open (coverage saw 60 %)",
                "A.2 was attested anew",
                "B.1 is new",
                "A.3 is gone"
            ]
        );
        assert_eq!(value_changes(&then, &now), ["A.1 coverage was 71.2 %, is 60 %"]);
    }

    #[test]
    fn images_are_told_by_service_and_the_unknown_says_nothing() {
        let parts = |image: &str| ReleaseComponents {
            values: [(ReleaseComponent::Commit, "a".to_owned())].into(),
            images: [("backend".to_owned(), image.to_owned()), ("db".to_owned(), "1".to_owned())].into(),
        };
        assert_eq!(part_changes(&parts("1"), &parts("2")), ["the image of backend changed"]);
        assert!(part_changes(&ReleaseComponents::default(), &parts("2")).is_empty());
        assert_eq!(why_stale(&[], None, &[], &parts("1")), ["the release itself changed"]);
    }
}
