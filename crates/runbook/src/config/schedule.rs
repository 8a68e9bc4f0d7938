//! When a check runs by itself, in which order and beside what.

use domain::check::Check;
use domain::check::Schedule;
use domain::runbook::Runbook;
use domain::schedule::circle;
use toml::de::DeTable;

use super::checks::ReadCheck;
use super::walk::{At, Walk, suggestion};

/// More often than this would be no schedule but a load.
const LEAST_EVERY_MS: u64 = 10_000;

/// Reads the keys of one check.
pub(super) fn read_schedule(walk: &mut Walk<'_>, table: &DeTable<'_>, after: &[At<String>]) -> Schedule {
    let every_ms = walk.duration(table, "every");
    if every_ms.is_some_and(|ms| ms < LEAST_EVERY_MS)
        && let Some(value) = table.get("every")
    {
        walk.error(value.span().start, "`every` is at least 10s", "checks are not for measuring load");
    }
    Schedule {
        after: after.iter().map(|a| a.value.clone()).collect(),
        every_ms,
        parallel: walk.yes_or_no(table, "parallel"),
        after_deploy: walk.yes_or_no(table, "after_deploy").unwrap_or(false),
    }
}

/// Reads `[schedule]`: whether checks that may change something may be started by the clock.
pub(super) fn read_commands_allowed(walk: &mut Walk<'_>, root: &DeTable<'_>) -> bool {
    let Some(table) = walk.table(root, "schedule") else { return false };
    walk.unknown_keys(table, &["commands"], "[schedule]");
    walk.yes_or_no(table, "commands").unwrap_or(false)
}

/// What is named in `after` exists, nothing waits for itself, and the clock starts nothing that may change
/// something without leave.
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
                let message = format!("`after` names `{value}`, which is no check and no step");
                walk.error(span.start, message, suggestion(value, &known));
            }
        }
        let Some(check) = &read.check else { continue };
        if check.schedule.every_ms.is_none() {
            continue;
        }
        let kind = check.spec.kind();
        if kind == "drill" {
            let message = format!("the drill `{}` cannot be scheduled", check.id);
            walk.error(read.id_at, message, "leave `every` out: people drill on purpose");
        } else if !check.only_looks() && !commands_allowed {
            let message = format!("`{}` may change something, so the clock does not start it", check.id);
            walk.error(read.id_at, message, "leave `every` out, or write `commands = true` in [schedule]");
        }
    }
    let all: Vec<Check> = checks.iter().filter_map(|c| c.check.clone()).collect();
    if let Some(ids) = circle(&all) {
        let at = checks.iter().find(|c| Some(&c.id) == ids.first()).map_or(0, |c| c.id_at);
        let message = format!("`after` goes round in a circle: {}", ids.join(", "));
        walk.error(at, message, "let one of them go first");
    }
}
