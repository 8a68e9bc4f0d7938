//! The digests that are stored with acceptances, sign-offs and decisions. Their input must not change.

use super::{SignOffView, Verdict};
use crate::digest::digest_fields;
use crate::facts::ShownRow;
use crate::item::{Item, ItemState};
use crate::preflight::Identity;

/// A digest in the current format, and in the format of versions that identified preflight findings by their messages.
pub(super) struct Digests {
    pub(super) now: String,
    first: String,
}

impl Digests {
    pub(super) fn of<'a>(head: &str, states: impl Iterator<Item = &'a ItemState> + Clone) -> Self {
        let now: Vec<ShownRow> = states.clone().map(ItemState::shown).collect();
        let first: Vec<ShownRow> = states.map(ItemState::shown_first).collect();
        Self { now: digest_rows(head, &now), first: digest_rows(head, &first) }
    }

    /// The digests of something that includes this digest.
    pub(super) fn map(&self, of: impl Fn(&str) -> String) -> Self {
        Self { now: of(&self.now), first: of(&self.first) }
    }

    /// Whether `stored` is this digest in one of the two formats.
    pub(super) fn has(&self, stored: &str) -> bool {
        self.now == stored || self.first == stored
    }
}

/// Identities of preflight findings in the rows of earlier sign-offs and decisions, with their current identities.
pub(super) struct FirstNames(Vec<(Identity, Identity)>);

impl FirstNames {
    pub(super) fn of(states: &[ItemState]) -> Self {
        let now = |item: &Item| Identity { id: item.id.clone(), digest: item.digest.clone() };
        Self(states.iter().filter_map(|s| Some((s.item.first.clone()?, now(&s.item)))).collect())
    }

    /// The rows with current identities.
    pub(super) fn renewed(&self, rows: &[ShownRow]) -> Vec<ShownRow> {
        let renew = |row: &ShownRow| {
            let mut row = row.clone();
            let is_it = |first: &Identity| first.id == row.item && first.digest == row.text_digest;
            if let Some((_, now)) = self.0.iter().find(|(first, _)| is_it(first)).cloned() {
                (row.item, row.text_digest) = (now.id, now.digest);
            }
            row
        };
        rows.iter().map(renew).collect()
    }
}

/// Digest of what a decision is based on: the evidence, the valid sign-offs, the verdict and its blockers.
pub(super) fn verdict_digest(digest: &str, sign_offs: &[SignOffView], verdict: &Verdict) -> String {
    let signed = sign_offs.iter().flat_map(|s| {
        let word = s.last.as_ref().filter(|_| s.stale.is_empty());
        [s.name.clone(), word.map_or_else(String::new, |w| format!("{} {} {}", w.id, w.by, w.choice.slug()))]
    });
    let blockers = verdict.blockers.iter().map(|b| b.what.clone());
    // Stored digests of decisions contain these texts: they must not change when pages use other names.
    let words = match (verdict.is_go(), verdict.waivers) {
        (false, _) => "No-Go".to_owned(),
        (true, 0) => "Go".to_owned(),
        (true, 1) => "Go with 1 waiver".to_owned(),
        (true, n) => format!("Go with {n} waivers"),
    };
    let head = ["verdict".to_owned(), digest.to_owned(), words];
    digest_fields(head.into_iter().chain(signed).chain(blockers))
}

fn digest_rows(head: &str, rows: &[ShownRow]) -> String {
    let fields = rows
        .iter()
        .flat_map(|r| [r.item.clone(), r.text_digest.clone(), r.state.clone(), r.failures.to_string()]);
    digest_fields(std::iter::once(head.to_owned()).chain(fields))
}

/// The beginning of a gate's digest. Stored digests of acceptances contain it, so it must not change.
pub(super) fn gate_head(gate: &str, release: Option<i64>) -> String {
    match release {
        Some(id) => format!("gate {gate} Some({id})"),
        None => format!("gate {gate} None"),
    }
}
