//! `stagegate verify`: whether what is stored is what was stored.

use std::process::ExitCode;

use engine::audit;

use super::{CommandResult, open};
use crate::cli::Verify;
use crate::console;

pub(super) async fn run(args: &Verify) -> CommandResult {
    let engine = open(&args.stack).await?;
    let db = engine.store().readers();
    let chain = match &args.expect {
        Some(noted) => audit::verify_against(db, noted).await,
        None => audit::verify(db).await,
    };
    let (records, mut faults) = audit::all_rows(db).await?;
    faults.extend(audit::all_derived(db).await?);
    for fault in &faults {
        console::complain(format_args!("stagegate: {fault}"));
    }
    match chain {
        Err(error) => {
            console::complain(format_args!("stagegate: {error}"));
            Ok(ExitCode::FAILURE)
        }
        Ok(_) if !faults.is_empty() => {
            console::complain(format_args!(
                "stagegate: the stored records do not match the audit log; restore the data directory from the last \
                 good backup, or undo the change"
            ));
            Ok(ExitCode::FAILURE)
        }
        Ok(report) => {
            let (events, head) = (report.events, report.head);
            console::line(format_args!(
                "The audit log is whole: {events} events, and {records} records match it."
            ))?;
            console::line(format_args!("Head: {head}"))?;
            console::line(format_args!(
                "Note the head outside of this machine. A log that was cut or rewritten is found with:"
            ))?;
            console::line(format_args!("  stagegate verify --expect {head}"))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
