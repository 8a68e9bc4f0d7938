//! The lines that Docker's own log driver keeps of a service, with their times, and how they are kept.

use std::collections::BTreeMap;

use bollard::query_parameters::{InspectContainerOptions, LogsOptions};
use domain::time::Millis;
use futures::{StreamExt, TryStreamExt};

use super::docker::{Docker, explain};
use super::error::{ComposeError, Result};
use super::observe::{Instance, instances, parse_time};

/// What is kept of one service.
#[derive(Debug, Default, Clone)]
pub struct KeptLines {
    /// The last lines of its containers.
    pub lines: Vec<String>,
    /// When the newest of them was written.
    pub newest: Option<Millis>,
    /// When the oldest line that is still there was written.
    pub oldest: Option<Millis>,
    /// Docker's log driver; empty when the service has no container.
    pub driver: String,
    /// The driver's options, such as `max-size`.
    pub options: BTreeMap<String, String>,
}

/// The last `n` lines of each container of a service. A driver whose lines Docker cannot read gives none.
pub async fn kept_lines(docker: &Docker, project: &str, service: &str, n: usize) -> Result<KeptLines> {
    let mut kept = KeptLines::default();
    for one in instances(docker, project).await?.iter().filter(|one| one.service == service) {
        let about = docker.client().inspect_container(&one.id, None::<InspectContainerOptions>);
        let about =
            tokio::time::timeout(docker.patience(), about).await.map_err(|_| late())?.map_err(explain)?;
        let log = about.host_config.and_then(|host| host.log_config);
        if let Some(log) = log {
            kept.driver = log.typ.unwrap_or_default();
            kept.options = log.config.unwrap_or_default().into_iter().collect();
        }
        let last = read(docker, one, LogsOptions { tail: n.to_string(), ..both() }, None).await?;
        let first = read(docker, one, LogsOptions { tail: "all".to_owned(), ..both() }, Some(1)).await?;
        kept.newest = kept.newest.max(last.iter().filter_map(|(at, _)| *at).max());
        let oldest = first.iter().filter_map(|(at, _)| *at).min();
        kept.oldest = match (kept.oldest, oldest) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        kept.lines.extend(last.into_iter().map(|(_, line)| line));
    }
    Ok(kept)
}

fn both() -> LogsOptions {
    LogsOptions { stdout: true, stderr: true, timestamps: true, ..LogsOptions::default() }
}

fn late() -> ComposeError {
    ComposeError::Unreachable { why: "its logs did not come".to_owned() }
}

/// Lines with their times; only the first `most` chunks when that is given.
async fn read(
    docker: &Docker,
    one: &Instance,
    options: LogsOptions,
    most: Option<usize>,
) -> Result<Vec<(Option<Millis>, String)>> {
    let chunks = docker.client().logs(&one.id, Some(options)).take(most.unwrap_or(usize::MAX));
    let chunks = tokio::time::timeout(docker.patience(), chunks.try_collect::<Vec<_>>());
    let bytes: Vec<u8> = chunks
        .await
        .map_err(|_| late())?
        .map_err(explain)?
        .into_iter()
        .flat_map(|c| c.into_bytes())
        .collect();
    let text = String::from_utf8_lossy(&bytes);
    Ok(text
        .lines()
        .map(|line| match line.split_once(' ') {
            Some((at, rest)) if parse_time(at).is_some() => (parse_time(at), rest.to_owned()),
            _ => (None, line.to_owned()),
        })
        .collect())
}
