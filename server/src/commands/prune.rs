//! `stagegate prune`: removes what retention allows to remove, now instead of once a day.

use std::process::ExitCode;

use engine::PruneMode;

use super::{CommandResult, open};
use crate::cli::Prune;
use crate::console;

pub(super) async fn run(args: &Prune) -> CommandResult {
    let engine = open(&args.stack).await?;
    let mode = if args.dry_run { PruneMode::Count } else { PruneMode::Remove };
    let pruned = engine.prune(mode).await?;
    engine.close().await;
    let settings = pruned.settings.words();
    if settings.is_empty() {
        console::line(format_args!(
            "Nothing to remove: stagegate.toml has no [retention] section. Add one with runs = \"90d\" or \
             evidence = \"90d\"."
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    console::line(format_args!("Retention: {}.", settings.join(", ")))?;
    let word = match mode {
        PruneMode::Count => "Would remove",
        PruneMode::Remove => "Removed",
    };
    console::line(format_args!(
        "{word} the logs of {} ({} bytes).",
        counted(pruned.runs, "run"),
        pruned.run_bytes
    ))?;
    console::line(format_args!(
        "{word} {} of scheduled checks.",
        counted(pruned.evidence, "row of evidence")
    ))?;
    console::line(format_args!(
        "Kept: everything that the current release, rollback targets, incidents and decisions depend on."
    ))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn counted(n: u64, word: &str) -> String {
    match (n, word.split_once(' ')) {
        (1, _) => format!("1 {word}"),
        (n, Some((first, rest))) => format!("{n} {first}s {rest}"),
        (n, None) => format!("{n} {word}s"),
    }
}
