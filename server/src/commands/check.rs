//! `stagegate check`: what was recognised, and all problems found.

use std::path::PathBuf;
use std::process::ExitCode;

use runbook::Report;

use super::CommandResult;
use crate::cli::Check;
use crate::console;

/// Prints the report; fails when it contains an error.
pub fn run(args: &Check) -> CommandResult {
    let report = match (&args.config, &args.runbook) {
        (_, Some(path)) => {
            let bytes = std::fs::read(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
            Report::of_runbook(&path.display().to_string(), &bytes)
        }
        (Some(config), None) => preflight::report(config),
        (None, None) => {
            let default = PathBuf::from("stagegate.toml");
            if !default.is_file() {
                return Err("there is no stagegate.toml in the current directory; give a runbook with --runbook, or a \
                    configuration with --config"
                    .into());
            }
            preflight::report(&default)
        }
    };
    if args.json {
        console::json(&serde_json::to_string_pretty(&report)?)?;
    } else {
        console::line(report.to_string().trim_end_matches('\n'))?;
    }
    let fits = report.breaking() == 0 || !args.strict;
    Ok(if report.is_usable() && fits { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
