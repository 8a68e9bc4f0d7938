//! Seed data: tables with a minimum number of rows.

use domain::check::DatabaseSpec;
use domain::evidence::Finding;

use super::super::finding::{failed, names, passed, unknown, with_value};
use super::super::probe::Probe;
use super::client::{Client, literal, table};

pub(super) async fn probe(probe: &Probe<'_>, spec: &DatabaseSpec, client: &Client<'_>) -> Finding {
    let wanted = spec.rows.iter().map(|(name, least)| format!("{name} at least {least}"));
    let wanted = format!("rows: {}", names(wanted));
    if spec.rows.is_empty() {
        return unknown(
            "rows in tables",
            "the check names no table",
            "Set rows = { media = 10 } in the check.",
        );
    }
    let (mut lacking, mut seen, mut total) = (vec![], vec![], 0_u64);
    for (name, least) in &spec.rows {
        let there = format!("select to_regclass({}) is not null", literal(&table(name)));
        let there = client.query(&there).await;
        match there.as_ref().map(|rows| rows.first().and_then(|row| row.first()).map(String::as_str)) {
            Ok(Some("t")) => {}
            Ok(_) => {
                lacking.push(format!("table {name} does not exist"));
                continue;
            }
            Err(exit) => {
                return unknown(
                    wanted,
                    format!("table {name} could not be checked ({exit})"),
                    super::STACK_NEXT,
                );
            }
        }
        let counted = client.query(&format!("select count(*) from {}", table(name))).await.ok();
        let count = counted.and_then(|rows| rows.first()?.first()?.parse::<u64>().ok());
        let Some(count) = count else {
            return unknown(wanted, format!("the rows of {name} could not be counted"), super::STACK_NEXT);
        };
        probe.say(&format!("{name}: {count} rows"));
        total += count;
        seen.push(format!("{name} {count}"));
        if count < *least {
            lacking.push(format!("{name} has {count} {}", if count == 1 { "row" } else { "rows" }));
        }
    }
    if lacking.is_empty() {
        return with_value(passed(wanted, format!("rows: {}", names(seen))), total as f64);
    }
    with_value(failed(wanted, names(lacking), "Seed the database, then run the check again."), total as f64)
}
