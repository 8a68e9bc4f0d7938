//! `stagegate verify`: whether stored records are unchanged; and accepting records that differ.

use std::process::ExitCode;

use engine::Engine;
use store::audit;

use super::prune::counted;
use super::{CommandResult, open};
use crate::cli::Verify;
use crate::console;

pub(super) async fn run(args: &Verify) -> CommandResult {
    let engine = open(&args.stack).await?;
    if args.accept {
        return accept(&engine, args).await;
    }
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
                "stagegate: the stored records do not match the audit log. Restore the data directory from the last \
                 good backup, or undo the change. If the change was intended, accept it: stagegate verify --accept \
                 --reason '…'"
            ));
            Ok(ExitCode::FAILURE)
        }
        Ok(report) => {
            let (events, head) = (report.events, report.head);
            console::line(format_args!(
                "The audit log is intact: {}. Stored data matches it: {}.",
                counted(events, "event"),
                counted(records, "record")
            ))?;
            console::line(format_args!("Head: {head}"))?;
            console::line(format_args!(
                "Keep the head outside of this host. To detect a truncated or rewritten log later, run:"
            ))?;
            console::line(format_args!("  stagegate verify --expect {head}"))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Lists the records that differ, asks for confirmation, and makes the audit log cover them as they are.
async fn accept(engine: &Engine, args: &Verify) -> CommandResult {
    let (reason, noted) = (args.reason.as_deref().unwrap_or_default(), args.expect.as_ref());
    let faults = engine.differing_records(noted).await?;
    if faults.is_empty() {
        console::line(format_args!("Every record matches the audit log: there is nothing to accept."))?;
        return Ok(ExitCode::SUCCESS);
    }
    for fault in &faults {
        console::line(format_args!("  {fault}"))?;
    }
    console::line(format_args!(
        "The audit log will cover these records as they are now. Tables that are derived from others are recomputed; \
         triggers and indexes are recreated."
    ))?;
    if !args.yes && !console::confirmed("Type yes to accept them: ")? {
        console::complain(format_args!("stagegate: nothing was accepted"));
        return Ok(ExitCode::FAILURE);
    }
    let events = engine.accept_records(&faults, reason, noted).await?;
    let numbers: Vec<String> = events.iter().map(ToString::to_string).collect();
    console::line(format_args!(
        "Accepted {}; audit {} {}. A running server applies the change within seconds.",
        if faults.len() == 1 { "1 record".to_owned() } else { format!("{} records", faults.len()) },
        if numbers.len() == 1 { "event" } else { "events" },
        numbers.join(", ")
    ))?;
    let left = engine.differing_records(noted).await?;
    for fault in &left {
        console::complain(format_args!("stagegate: {fault}"));
    }
    Ok(if left.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
