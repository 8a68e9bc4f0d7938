//! When a check runs on schedule, in which order, and whether in parallel with others.

use domain::check::Check;
use domain::check::Schedule;
use domain::runbook::Runbook;
use domain::schedule::circle;
use toml::de::DeTable;

use super::checks::ReadCheck;
use super::walk::{At, Walk, suggestion};

/// The shortest interval, milliseconds. Shorter ones would put load on the stack.
const LEAST_EVERY_MS: u64 = 10_000;

/// Reads the keys of one check.
pub(super) fn read_schedule(walk: &mut Walk<'_>, table: &DeTable<'_>, after: &[At<String>]) -> Schedule {
    let every_ms = walk.duration(table, "every");
    if every_ms.is_some_and(|ms| ms < LEAST_EVERY_MS)
        && let Some(value) = table.get("every")
    {
        walk.error(value.span().start, "`every` must be at least 10s", "use a longer interval");
    }
    Schedule {
        after: after.iter().map(|a| a.value.clone()).collect(),
        every_ms,
        parallel: walk.yes_or_no(table, "parallel"),
        after_deploy: walk.yes_or_no(table, "after_deploy").unwrap_or(false),
    }
}

/// Reads `[schedule]`: whether checks that may change something may run on schedule.
pub(super) fn read_commands_allowed(walk: &mut Walk<'_>, root: &DeTable<'_>) -> bool {
    let Some(table) = walk.table(root, "schedule") else { return false };
    walk.unknown_keys(table, &["commands"], "[schedule]");
    walk.yes_or_no(table, "commands").unwrap_or(false)
}

/// Checks that the ids in `after` exist, that no check waits for itself, and that checks that may change something
/// run on schedule only when this is allowed.
pub(super) fn check_schedules(
    walk: &mut Walk<'_>,
    runbook: Option<&Runbook>,
    checks: &[ReadCheck],
    commands_allowed: bool,
) {
    let mut known: Vec<&str> = checks.iter().map(|c| c.id.as_str()).filter(|id| !id.is_empty()).collect();
    if let Some(runbook) = runbook {
        known.extend(runbook.steps.iter().map(|s| s.id.as_str()));
    }
    for read in checks {
        for At { value, span } in &read.after {
            if !known.contains(&value.as_str()) && runbook.is_some() {
                let message = format!("`after` names `{value}`, but there is no such check or step");
                walk.error(span.start, message, suggestion(value, &known));
            }
        }
        let Some(check) = &read.check else { continue };
        if check.schedule.every_ms.is_none() {
            continue;
        }
        if !check.spec.can_be_run() {
            let message = format!("the {} `{}` cannot be scheduled", check.spec.kind(), check.id);
            walk.error(read.id_at, message, "remove `every`: a person must start a drill");
        } else if !check.spec.only_reads() && !commands_allowed {
            let message = format!("`{}` may change something, so it cannot run on schedule", check.id);
            walk.error(
                read.id_at,
                message,
                "remove `every`, or allow it with `commands = true` in [schedule]",
            );
        }
    }
    let all: Vec<Check> = checks.iter().filter_map(|c| c.check.clone()).collect();
    if let Some(ids) = circle(&all) {
        let at = checks.iter().find(|c| Some(&c.id) == ids.first()).map_or(0, |c| c.id_at);
        let message = format!("`after` forms a cycle: {}", ids.join(", "));
        walk.error(at, message, "remove `after` from one of them");
    }
}
