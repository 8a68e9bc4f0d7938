//! Incidents: the record of a rollback, the notes that people add, and the report as Markdown.

use serde::{Deserialize, Serialize};

use crate::release::{Release, ReleaseComponent, migrations_between};
use crate::time::{Millis, human_span};

/// An incident, opened by a rollback that changed the running stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Id in the store.
    pub id: i64,
    /// The rollback's run.
    pub run: i64,
    /// The release that was rolled back; `None` if the same release was restored.
    pub from: Option<i64>,
    /// The rollback target.
    pub to: i64,
    /// Who decided: person id.
    pub by: i64,
    /// Their name at the time.
    pub by_name: String,
    /// When the rollback ended.
    pub at: Millis,
    /// The facts at that time.
    pub report: Report,
}

/// The facts of an incident at the end of its rollback.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Whether the target's images are running and healthy, and its smoke checks passed.
    pub complete: bool,
    /// How the rollback ended, for people.
    pub message: String,
    /// What happened, oldest first.
    pub timeline: Vec<Moment>,
    /// The unhealthy services, with their last log lines; secrets masked.
    pub failing: Vec<LastWords>,
    /// The last log lines of the other services before anything was replaced; secrets masked.
    pub others: Vec<LastWords>,
    /// Availability of the stack during the rollback.
    pub outages: Vec<Outage>,
    /// Time from the first replaced container until all services were healthy, milliseconds.
    pub replaced_in_ms: Option<u64>,
    /// How the two releases differ.
    pub diff: Option<Diff>,
}

/// An entry of the timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// When.
    pub at: Millis,
    /// What happened, one sentence.
    pub what: String,
}

/// The last log lines of a service before it was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWords {
    /// The service.
    pub service: String,
    /// Its health.
    pub health: String,
    /// Its last log lines, secrets masked.
    pub lines: Vec<String>,
}

/// The availability of one address while containers were replaced, measured by a prober.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// What was probed: the smoke check's title.
    pub what: String,
    /// Number of probes.
    pub asked: u32,
    /// Number of failed probes.
    pub missed: u32,
    /// The longest time without a successful probe, milliseconds.
    pub longest_ms: u64,
    /// Whether the last probe succeeded.
    pub answers_now: bool,
}

/// How two releases differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// Name of the release that was rolled back.
    pub from: String,
    /// Name of the rollback target.
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
    /// Migrations that only `from` has; `None` if they were not recorded.
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
    /// Id in the store.
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
    /// A task that prevents it from happening again.
    FollowUp,
    /// The follow-up with this note id is done.
    Done(i64),
}

/// The newest cause.
pub fn cause(notes: &[Note]) -> Option<&Note> {
    notes.iter().rfind(|n| n.kind == NoteKind::Cause)
}

/// The follow-ups in order, each with the note that marks it as done.
pub fn follow_ups(notes: &[Note]) -> Vec<(&Note, Option<&Note>)> {
    let done = |id| notes.iter().find(|n| n.kind == NoteKind::Done(id));
    notes.iter().filter(|n| n.kind == NoteKind::FollowUp).map(|n| (n, done(n.id))).collect()
}

impl Incident {
    /// Whether the same release was stopped and started again.
    pub fn is_restart(&self) -> bool {
        self.from.is_none_or(|from| from == self.to)
    }

    /// How it ended, in a few words.
    pub fn end(&self) -> &'static str {
        match (self.is_restart(), self.report.complete) {
            (false, true) => "Rolled back",
            (false, false) => "Rollback incomplete",
            (true, true) => "Restarted",
            (true, false) => "Restart incomplete",
        }
    }
}

/// The incident as Markdown, for a wiki or an email. Text from people and services is escaped.
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
        out.push_str("\n## Differences\n\n");
        for line in diff.lines() {
            out.push_str(&format!("- {}\n", plain(&line)));
        }
    }
    for log in report.failing.iter().chain(&report.others) {
        out.push_str(&format!("\n## Last log lines of {} ({})\n\n", plain(&log.service), plain(&log.health)));
        for line in &log.lines {
            // Indented code: nothing in it is interpreted as markup.
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

/// The measured outages, one line each.
pub fn outage_lines(report: &Report) -> Vec<String> {
    let mut lines: Vec<String> = report
        .outages
        .iter()
        .map(|o| match (o.missed, o.answers_now) {
            (0, _) => format!("{}: 0 of {} probes failed", o.what, o.asked),
            (missed, now) => format!(
                "{}: {missed} of {} probes failed, longest outage {}{}",
                o.what,
                o.asked,
                human_span(o.longest_ms),
                if now { "" } else { ", still failing at the end" }
            ),
        })
        .collect();
    if let Some(ms) = report.replaced_in_ms {
        lines.push(format!(
            "All services were healthy {} after the first container was replaced",
            human_span(ms)
        ));
    }
    if lines.is_empty() {
        lines.push("Nothing was measured".to_owned());
    }
    lines
}

/// The text on one line, with markup characters escaped.
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
    fn text_of_people_and_services_is_escaped() {
        let text = markdown("A *B*", &incident(), &[]);
        assert!(text.contains("Deploy of \\<b\\>\\#2\\</b\\> failed"), "{text}");
        assert!(text.contains("\n    # not a heading\n"), "{text}");
        assert!(text.contains("# Incident 1 of A \\*B\\*"), "{text}");
        assert!(text.contains("Not known yet.") && text.contains("None yet."), "{text}");
    }

    #[test]
    fn outages_are_listed_with_probes_and_duration() {
        let mut report = incident().report;
        assert!(outage_lines(&report)[0].contains("10 of 40 probes failed, longest outage 2.0 s"));
        report.outages[0].missed = 0;
        assert_eq!(outage_lines(&report)[0], "API health: 0 of 40 probes failed");
        report.outages[0].missed = 40;
        report.outages[0].answers_now = false;
        assert!(outage_lines(&report)[0].ends_with("still failing at the end"));
        report.outages.clear();
        report.replaced_in_ms = None;
        assert_eq!(outage_lines(&report), ["Nothing was measured"]);
    }

    #[test]
    fn parts_unknown_on_one_side_count_as_different() {
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
