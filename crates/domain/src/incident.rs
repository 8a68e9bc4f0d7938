//! What a real rollback leaves behind: the facts in order, what people add, and the report as Markdown.

use serde::{Deserialize, Serialize};

use crate::release::{Release, ReleaseComponent, migrations_between};
use crate::time::{Millis, human_span};

/// An incident, opened by a rollback that touched what runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Number in the store.
    pub id: i64,
    /// The rollback's run.
    pub run: i64,
    /// The release that was left; `None` when the same release was put back in place.
    pub from: Option<i64>,
    /// The release that was gone back to.
    pub to: i64,
    /// Who decided: person id.
    pub by: i64,
    /// Their name at the time.
    pub by_name: String,
    /// When the rollback ended.
    pub at: Millis,
    /// The facts as they were then.
    pub report: Report,
}

/// The facts of an incident, as they were when its rollback ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Whether the target's images run, healthy, and its smoke checks passed.
    pub complete: bool,
    /// How the rollback ended, for people.
    pub message: String,
    /// What happened, oldest first.
    pub timeline: Vec<Moment>,
    /// The services that were not well, with what they said last; secrets masked.
    pub failing: Vec<LastWords>,
    /// What the other services said last, before anything was replaced; secrets masked.
    pub others: Vec<LastWords>,
    /// How the stack answered while it was rolled back.
    pub outages: Vec<Outage>,
    /// Time from the first replaced container until all services were well, milliseconds.
    pub replaced_in_ms: Option<u64>,
    /// How the two releases differ.
    pub diff: Option<Diff>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// When.
    pub at: Millis,
    /// What, one sentence.
    pub what: String,
}

/// What a service said before it was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWords {
    /// The service.
    pub service: String,
    /// How it stood, in words.
    pub health: String,
    /// Its last log lines, secrets masked.
    pub lines: Vec<String>,
}

/// What a prober saw of one address while containers were replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// What was asked: the smoke check's title.
    pub what: String,
    /// How often it was asked.
    pub asked: u32,
    /// How often there was no wanted answer.
    pub missed: u32,
    /// The longest time without a wanted answer, milliseconds.
    pub longest_ms: u64,
    /// It answered as wanted when the watch ended.
    pub answers_now: bool,
}

/// How two releases differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// The release that was left, by name.
    pub from: String,
    /// The release gone back to, by name.
    pub to: String,
    /// Subject lines of the two commits.
    pub subjects: (String, String),
    /// The services whose images differ.
    pub services: Vec<String>,
    /// The rendered Compose configuration differs.
    pub config: bool,
    /// The env file differs.
    pub env: bool,
    /// The runbook differs.
    pub runbook: bool,
    /// Migrations that only the release that was left has; `None` when they were not recorded.
    pub migrations: Option<Vec<String>>,
}

impl Diff {
    /// Compares two releases.
    pub fn between(from: &Release, to: &Release) -> Diff {
        let differs = |part| !from.parts.agrees(&to.parts, part);
        Diff {
            from: from.name(),
            to: to.name(),
            subjects: (from.subject.clone(), to.subject.clone()),
            services: from.parts.changed_services(&to.parts),
            config: differs(ReleaseComponent::Config),
            env: differs(ReleaseComponent::Env),
            runbook: differs(ReleaseComponent::Runbook),
            migrations: migrations_between(from, to).map(|(only_from, _)| only_from),
        }
    }

    /// One line for each thing that differs.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("From {} to {}", self.from, self.to)];
        if !self.services.is_empty() {
            lines.push(format!("Images differ: {}", self.services.join(", ")));
        }
        for (differs, what) in [
            (self.config, "The Compose configuration differs"),
            (self.env, "The env file differs"),
            (self.runbook, "The runbook differs"),
        ] {
            if differs {
                lines.push(what.to_owned());
            }
        }
        lines.push(match self.migrations.as_deref() {
            None => "Migrations between: not recorded".to_owned(),
            Some([]) => "No migrations between".to_owned(),
            Some(names) => format!("Migrations between: {}", names.join(", ")),
        });
        lines
    }
}

/// What people add to an incident. Append-only: the last cause counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Number in the store.
    pub id: i64,
    /// The incident.
    pub incident: i64,
    /// What kind of note it is.
    pub kind: NoteKind,
    /// The text; empty for [`NoteKind::Done`].
    pub text: String,
    /// Who: person id.
    pub by: i64,
    /// Their name at the time.
    pub by_name: String,
    /// When.
    pub at: Millis,
}

/// The kinds of note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// Why it happened.
    Cause,
    /// Something to be done, so that it does not happen again.
    FollowUp,
    /// This follow-up, by its note's number, is done.
    Done(i64),
}

/// The cause that counts.
pub fn cause(notes: &[Note]) -> Option<&Note> {
    notes.iter().rfind(|n| n.kind == NoteKind::Cause)
}

/// The follow-ups in order, each with the note that says it is done.
pub fn follow_ups(notes: &[Note]) -> Vec<(&Note, Option<&Note>)> {
    let done = |id| notes.iter().find(|n| n.kind == NoteKind::Done(id));
    notes.iter().filter(|n| n.kind == NoteKind::FollowUp).map(|n| (n, done(n.id))).collect()
}

impl Incident {
    /// Whether it went nowhere else: what ran was taken down and started again.
    pub fn is_restart(&self) -> bool {
        self.from.is_none_or(|from| from == self.to)
    }

    /// How it ended, in two words or three.
    pub fn end(&self) -> &'static str {
        match (self.is_restart(), self.report.complete) {
            (false, true) => "Rolled back",
            (false, false) => "Rollback not complete",
            (true, true) => "Started anew",
            (true, false) => "Restart not complete",
        }
    }
}

/// The incident as Markdown, for a wiki or a mail. What people and services wrote cannot become markup.
pub fn markdown(stack: &str, incident: &Incident, notes: &[Note]) -> String {
    let report = &incident.report;
    let mut out = format!("# Incident {} of {}\n\n", incident.id, plain(stack));
    out.push_str(&format!(
        "{}, decided by {}, {} UTC. {}\n",
        incident.end(),
        plain(&incident.by_name),
        incident.at.short(),
        plain(&report.message)
    ));
    out.push_str("\n## Timeline (UTC)\n\n");
    for moment in &report.timeline {
        out.push_str(&format!("- {}: {}\n", moment.at.rfc3339(), plain(&moment.what)));
    }
    out.push_str("\n## Outage\n\n");
    for line in outage_lines(report) {
        out.push_str(&format!("- {}\n", plain(&line)));
    }
    if let Some(diff) = &report.diff {
        out.push_str("\n## What differed\n\n");
        for line in diff.lines() {
            out.push_str(&format!("- {}\n", plain(&line)));
        }
    }
    for words in report.failing.iter().chain(&report.others) {
        out.push_str(&format!("\n## Last lines of {} ({})\n\n", plain(&words.service), plain(&words.health)));
        for line in &words.lines {
            // Indented code: nothing in it is markup, whatever it holds.
            out.push_str(&format!("    {line}\n"));
        }
    }
    out.push_str("\n## Cause\n\n");
    match cause(notes) {
        Some(note) => out.push_str(&format!("{} ({})\n", plain(&note.text), plain(&note.by_name))),
        None => out.push_str("Not known yet.\n"),
    }
    out.push_str("\n## Follow-ups\n\n");
    let open = follow_ups(notes);
    for (note, done) in &open {
        let mark = if done.is_some() { "x" } else { " " };
        out.push_str(&format!("- [{mark}] {} ({})\n", plain(&note.text), plain(&note.by_name)));
    }
    if open.is_empty() {
        out.push_str("None yet.\n");
    }
    out
}

/// What is known of the outage, one line each.
pub fn outage_lines(report: &Report) -> Vec<String> {
    let mut lines: Vec<String> = report
        .outages
        .iter()
        .map(|o| match (o.missed, o.answers_now) {
            (0, _) => format!("{}: answered {} of {} times", o.what, o.asked, o.asked),
            (missed, now) => format!(
                "{}: no wanted answer {missed} of {} times, at most {} in a row{}",
                o.what,
                o.asked,
                human_span(o.longest_ms),
                if now { "" } else { ", and none when the watch ended" }
            ),
        })
        .collect();
    if let Some(ms) = report.replaced_in_ms {
        lines.push(format!("All services were well {} after the first was replaced", human_span(ms)));
    }
    if lines.is_empty() {
        lines.push("Nothing was measured".to_owned());
    }
    lines
}

/// A text on one line that cannot become markup.
fn plain(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().fold(String::new(), |mut out, c| {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '&') {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(id: i64, kind: NoteKind, text: &str) -> Note {
        Note { id, incident: 1, kind, text: text.into(), by: 1, by_name: "Ada".into(), at: Millis(0) }
    }

    fn incident() -> Incident {
        Incident {
            id: 1,
            run: 9,
            from: Some(2),
            to: 1,
            by: 1,
            by_name: "Dana".into(),
            at: Millis(1_000),
            report: Report {
                complete: true,
                message: "Rolled back to r1.".into(),
                timeline: vec![Moment { at: Millis(0), what: "Deploy of <b>#2</b> failed".into() }],
                failing: vec![LastWords {
                    service: "backend".into(),
                    health: "unhealthy".into(),
                    lines: vec!["# not a heading".into()],
                }],
                others: vec![LastWords {
                    service: "proxy".into(),
                    health: "healthy".into(),
                    lines: vec!["upstream *prematurely* closed".into()],
                }],
                outages: vec![Outage {
                    what: "API health".into(),
                    asked: 40,
                    missed: 10,
                    longest_ms: 2_000,
                    answers_now: true,
                }],
                replaced_in_ms: Some(8_400),
                diff: None,
            },
        }
    }

    #[test]
    fn the_last_cause_counts_and_a_done_follow_up_is_ticked() {
        let notes = [
            note(1, NoteKind::Cause, "bad luck"),
            note(2, NoteKind::FollowUp, "test it"),
            note(3, NoteKind::FollowUp, "alert on it"),
            note(4, NoteKind::Done(2), ""),
            note(5, NoteKind::Cause, "the migration"),
        ];
        assert_eq!(cause(&notes).map(|n| n.id), Some(5));
        let open: Vec<(i64, bool)> = follow_ups(&notes).iter().map(|(n, d)| (n.id, d.is_some())).collect();
        assert_eq!(open, [(2, true), (3, false)]);
        let text = markdown("MediaNest", &incident(), &notes);
        assert!(text.contains("- [x] test it (Ada)") && text.contains("- [ ] alert on it (Ada)"), "{text}");
        assert!(text.contains("the migration (Ada)") && !text.contains("bad luck"), "{text}");
    }

    #[test]
    fn nothing_that_was_written_becomes_markup() {
        let text = markdown("A *B*", &incident(), &[]);
        assert!(text.contains("Deploy of \\<b\\>\\#2\\</b\\> failed"), "{text}");
        assert!(text.contains("\n    # not a heading\n"), "{text}");
        assert!(text.contains("# Incident 1 of A \\*B\\*"), "{text}");
        assert!(text.contains("Not known yet.") && text.contains("None yet."), "{text}");
    }

    #[test]
    fn an_outage_is_told_as_it_was_seen() {
        let mut report = incident().report;
        assert!(outage_lines(&report)[0].contains("10 of 40 times, at most 2.0 s in a row"));
        report.outages[0].missed = 0;
        assert_eq!(outage_lines(&report)[0], "API health: answered 40 of 40 times");
        report.outages[0].missed = 40;
        report.outages[0].answers_now = false;
        assert!(outage_lines(&report)[0].ends_with("and none when the watch ended"));
        report.outages.clear();
        report.replaced_in_ms = None;
        assert_eq!(outage_lines(&report), ["Nothing was measured"]);
    }

    #[test]
    fn what_could_not_be_read_on_one_side_counts_as_different() {
        let release = |id: i64, commit: Option<&str>| Release {
            id,
            parts: crate::release::ReleaseComponents {
                values: commit.map(|c| (ReleaseComponent::Commit, c.to_owned())).into_iter().collect(),
                images: [("web".to_owned(), format!("sha256:{id}"))].into(),
            },
            subject: format!("subject {id}"),
            opened_by: 1,
            opened_at: Millis(0),
            deployed_by: None,
            deployed_at: None,
            state: crate::release::ReleaseState::Deployed,
            migrations: None,
            rollback_point_at: None,
        };
        let diff = Diff::between(&release(2, Some("bbbbbbbbb")), &release(1, Some("aaaaaaaaa")));
        assert_eq!(diff.services, ["web"]);
        assert!(diff.config && diff.env);
        assert!(diff.lines().contains(&"Migrations between: not recorded".to_owned()));
        assert_eq!(diff.lines()[0], "From #2 · bbbbbbb to #1 · aaaaaaa");
    }
}
