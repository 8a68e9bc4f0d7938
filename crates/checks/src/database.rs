//! A database of the stack: migrations, seed data, backups, and a restore test.
//!
//! All queries use the client of the database inside its container, so no client is needed on this host and
//! no password leaves the container.

mod backup;
mod client;
mod migrations;
mod restore;
mod rows;

use domain::check::{DatabaseAssert, DatabaseSpec};
use domain::evidence::Finding;

use super::finding::unknown;
use super::probe::Probe;

const STACK_NEXT: &str = "Deploy the stack. The run's log has the output of the database.";

pub(super) async fn probe(probe: &Probe<'_>, spec: &DatabaseSpec) -> Finding {
    if spec.assert == DatabaseAssert::Backup {
        return backup::probe(probe, spec).await;
    }
    let client = match client::Client::new(probe, spec) {
        Ok(client) => client,
        Err(saw) => return unknown("a database that responds", saw, "Correct the check in stagegate.toml."),
    };
    if let Err(saw) = client.greet().await {
        return unknown("a database that responds", saw, STACK_NEXT);
    }
    match spec.assert {
        DatabaseAssert::Migrations => migrations::probe(probe, spec, &client).await,
        DatabaseAssert::Rows => rows::probe(probe, spec, &client).await,
        DatabaseAssert::Restore => restore::probe(probe, spec, &client).await,
        DatabaseAssert::Backup => backup::probe(probe, spec).await,
    }
}
