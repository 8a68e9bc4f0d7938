//! Audit events: their fields, escaping for safe output, and their hash.

use domain::digest::digest_fields;
use domain::facts::Actor;
use domain::time::Millis;

use super::AuditAction;
use crate::StoreError;

/// Maximum length of action, name and subject, in characters.
const SHORT: usize = 200;
/// Maximum length of the detail, in characters.
const LONG: usize = 1000;

/// The outcome of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is about to be done.
    Intent,
    /// It was done.
    Done,
    /// It was refused.
    Refused,
    /// It was allowed but failed.
    Failed,
}

impl Outcome {
    const ALL: [Outcome; 4] = [Outcome::Intent, Outcome::Done, Outcome::Refused, Outcome::Failed];

    /// The value in the store and on pages.
    pub fn slug(self) -> &'static str {
        match self {
            Outcome::Intent => "intent",
            Outcome::Done => "done",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
        }
    }

    /// Reads [`Outcome::slug`] back.
    pub(super) fn from_slug(slug: &str) -> Result<Outcome, StoreError> {
        Outcome::ALL
            .into_iter()
            .find(|o| o.slug() == slug)
            .ok_or(StoreError::Damaged { what: "audit_event.outcome" })
    }
}

/// Something that happened, or is about to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Millis,
    /// Who: person id; `None` for Stagegate itself and for people who are not signed in.
    pub actor: Option<i64>,
    /// Their name at the time; "not signed in" for people who are not; empty for Stagegate itself.
    pub actor_name: String,
    /// The name of the action ([`AuditAction::name`]). An event that was read can have the name of another version.
    pub act: String,
    /// The subject of the action.
    pub subject: String,
    /// On which release.
    pub release: Option<i64>,
    /// In which run.
    pub run: Option<i64>,
    /// For an outcome: `seq` of the intent that it belongs to.
    pub intent: Option<i64>,
    /// The outcome.
    pub outcome: Outcome,
    /// Details, short, without secrets.
    pub detail: String,
}

impl Event {
    /// An intent by `actor` (`None`: Stagegate itself); the other fields are set with the methods below.
    pub fn new(at: Millis, actor: Option<&Actor>, action: AuditAction, subject: impl Into<String>) -> Event {
        Event {
            at,
            actor: actor.map(|a| a.id),
            actor_name: actor.map(|a| a.name.clone()).unwrap_or_default(),
            act: action.name().to_owned(),
            subject: subject.into(),
            release: None,
            run: None,
            intent: None,
            outcome: Outcome::Intent,
            detail: String::new(),
        }
    }

    /// The same, on a release.
    pub fn on_release(mut self, release: Option<i64>) -> Event {
        self.release = release;
        self
    }

    /// The same, in a run.
    pub fn in_run(mut self, run: Option<i64>) -> Event {
        self.run = run;
        self
    }

    /// The same, with details.
    pub fn detail(mut self, detail: impl Into<String>) -> Event {
        self.detail = detail.into();
        self
    }

    /// The same, with this outcome; used for refusals, which have no intent.
    pub fn outcome(mut self, outcome: Outcome) -> Event {
        self.outcome = outcome;
        self
    }

    /// The form that is stored: escaped and truncated to the maximum length.
    pub(super) fn cleaned(&self) -> Event {
        Event {
            actor_name: short(&self.actor_name, SHORT),
            act: short(&self.act, SHORT),
            subject: short(&self.subject, SHORT),
            detail: short(&self.detail, LONG),
            ..self.clone()
        }
    }
}

/// An event in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Position in the chain, from 1, without gaps.
    pub seq: i64,
    /// The event as stored.
    pub event: Event,
    /// Hash of the row before it; [`super::GENESIS`] for the first.
    pub prev_hash: String,
    /// Digest of the rows that it covers; may be empty.
    pub rows_digest: String,
    /// Its own hash.
    pub hash: String,
}

/// Hash of a row over all its fields, each with its length, so that no two rows have the same input.
pub(super) fn hash(seq: i64, event: &Event, prev_hash: &str, rows_digest: &str) -> String {
    let number = |n: Option<i64>| n.map(|n| n.to_string()).unwrap_or_default();
    // The first field names the layout of the others. An event that covers no rows has layout 1.
    let (layout, rows) = match rows_digest {
        "" => ("stagegate-audit-1", None),
        rows => ("stagegate-audit-2", Some(rows)),
    };
    let fields = [
        layout,
        prev_hash,
        &seq.to_string(),
        &event.at.0.to_string(),
        &number(event.actor),
        &event.actor_name,
        &event.act,
        &event.subject,
        &number(event.release),
        &number(event.run),
        &number(event.intent),
        event.outcome.slug(),
        &event.detail,
    ];
    digest_fields(fields.into_iter().chain(rows))
}

fn short(text: &str, longest: usize) -> String {
    let mut out: String = text.chars().take(longest).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    escape(&out)
}

/// `text` on one line without hidden characters: control characters, line separators and characters that change the
/// writing direction become `\n`, `\r`, `\t` or `\u{…}`, and a backslash is doubled, so that a text cannot
/// look like another.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || is_deceptive(c) => {
                out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

/// The text before [`escape`].
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (c, if c == '\\' { rest.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('r')) => out.push('\r'),
            ('\\', Some('t')) => out.push('\t'),
            ('\\', Some('u')) => {
                let code: String = rest.by_ref().skip(1).take_while(|digit| *digit != '}').collect();
                out.extend(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32));
            }
            ('\\', Some(other)) => out.push(other),
            (plain, _) => out.push(plain),
        }
    }
    out
}

/// Separators of lines and paragraphs, marks of writing direction, and characters of no width.
fn is_deceptive(c: char) -> bool {
    matches!(
        c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{61c}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_forge_a_line_or_look_like_another() {
        for (text, shown) in [
            ("plain – ≥ 65 %", "plain – ≥ 65 %"),
            ("a\r\nb", "a\\r\\nb"),
            ("a\\nb", "a\\\\nb"),
            ("\u{1b}[31m\u{0}", "\\u{1b}[31m\\u{0}"),
            ("x\u{202e}y\u{2028}z", "x\\u{202e}y\\u{2028}z"),
        ] {
            assert_eq!(escape(text), shown);
            assert_eq!(unescape(shown), text);
        }
    }

    #[test]
    fn long_details_are_truncated_with_an_ellipsis() {
        let event =
            Event::new(Millis(1), None, AuditAction::GateAccept, "y").detail("ä".repeat(5000)).cleaned();
        assert_eq!(event.detail.chars().count(), LONG + 1);
        assert!(event.detail.ends_with('…'));
    }

    #[test]
    fn every_field_changes_the_hash() {
        let base = Event { act: "a.b".into(), ..Event::new(Millis(1), None, AuditAction::GateAccept, "s") };
        let mut all = vec![
            hash(1, &base, "p", ""),
            hash(2, &base, "p", ""),
            hash(1, &base, "q", ""),
            hash(1, &base, "p", "r"),
        ];
        for change in [
            |e: &mut Event| e.at = Millis(2),
            |e: &mut Event| e.actor = Some(0),
            |e: &mut Event| e.actor_name = "n".into(),
            |e: &mut Event| e.act = "a.c".into(),
            |e: &mut Event| e.subject = "t".into(),
            |e: &mut Event| e.release = Some(1),
            |e: &mut Event| e.run = Some(1),
            |e: &mut Event| e.intent = Some(1),
            |e: &mut Event| e.outcome = Outcome::Done,
            |e: &mut Event| e.detail = "d".into(),
        ] {
            let mut event = base.clone();
            change(&mut event);
            all.push(hash(1, &event, "p", ""));
        }
        // As written by all versions so far: a change would break all existing chains.
        assert_eq!(all[0], "e9ad130cb701680c316811448dc1e229ee25ade01f1e25ba464070d1503b7e14");
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
