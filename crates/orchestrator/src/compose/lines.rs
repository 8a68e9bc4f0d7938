//! The log lines that Docker's log driver keeps of services, with their times and the driver's options.

use std::collections::BTreeMap;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptions;
use domain::time::Millis;
use futures::{Stream, StreamExt, TryStreamExt};

use super::docker::{Address, Docker};
use super::inspection::parse_time;
use super::observe::list_containers;
use super::transport::MAX_OUTPUT_BYTES;
use crate::container::{Container, LogLines};
use crate::error::{OrchestratorError, Result};
use crate::rendered::Rendered;

/// Most bytes of a log that are kept, however long its lines are.
const LOG_MAX: usize = 8 << 20;

/// The last `n` lines of each container of these services. None for a driver whose lines the engine cannot read.
pub(crate) async fn log_lines(
    engine: &Address,
    rendered: &Rendered,
    services: &[String],
    n: usize,
) -> Result<BTreeMap<String, LogLines>> {
    let docker = Docker::connect(engine).await?;
    let containers = list_containers(&docker, &rendered.name).await?;
    let mut all = BTreeMap::new();
    for service in services {
        let own = containers.iter().filter(|one| &one.service == service);
        all.insert(service.clone(), lines_of(&docker, own, n).await?);
    }
    Ok(all)
}

async fn lines_of(
    docker: &Docker,
    containers: impl Iterator<Item = &Container>,
    n: usize,
) -> Result<LogLines> {
    let mut log = LogLines::default();
    for one in containers {
        log.driver.clone_from(&one.log_driver);
        log.options.clone_from(&one.log_options);
        let last = match read(docker, one, LogsOptions { tail: n.to_string(), ..both() }, None).await {
            // The engine cannot read the lines of this driver.
            Err(OrchestratorError::Refused { status: 501, .. }) => continue,
            last => last?,
        };
        let first = read(docker, one, LogsOptions { tail: "all".to_owned(), ..both() }, Some(1)).await?;
        log.newest = log.newest.max(last.iter().filter_map(|(at, _)| *at).max());
        let oldest = first.iter().filter_map(|(at, _)| *at).min();
        log.oldest = match (log.oldest, oldest) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        log.lines.extend(last.into_iter().map(|(_, line)| line));
    }
    Ok(log)
}

fn both() -> LogsOptions {
    LogsOptions { stdout: true, stderr: true, timestamps: true, ..LogsOptions::default() }
}

fn late() -> OrchestratorError {
    OrchestratorError::Unreachable { why: "its logs did not arrive in time".to_owned() }
}

/// The last [`LOG_MAX`] bytes of a log, from the beginning of a line on.
pub(super) async fn last_bytes<E>(chunks: impl Stream<Item = Result<LogOutput, E>>) -> Result<Vec<u8>, E> {
    let mut chunks = std::pin::pin!(chunks);
    let mut kept: Vec<u8> = Vec::new();
    let mut cut = false;
    while let Some(chunk) = chunks.try_next().await? {
        kept.extend_from_slice(&chunk.into_bytes());
        if kept.len() > 2 * LOG_MAX {
            kept.drain(..kept.len() - LOG_MAX);
            cut = true;
        }
    }
    if kept.len() > LOG_MAX {
        kept.drain(..kept.len() - LOG_MAX);
        cut = true;
    }
    if cut {
        // The first line may begin within a secret, whose end alone could not be recognised.
        let after = kept.iter().position(|byte| *byte == b'\n').map_or(kept.len(), |at| at + 1);
        kept.drain(..after);
    }
    Ok(kept)
}

/// Lines with their times; only the first `most` chunks when that is given.
async fn read(
    docker: &Docker,
    one: &Container,
    options: LogsOptions,
    most: Option<usize>,
) -> Result<Vec<(Option<Millis>, String)>> {
    let chunks = docker.stream(MAX_OUTPUT_BYTES, |client| client.logs(&one.id, Some(options)));
    let bytes = last_bytes(chunks.take(most.unwrap_or(usize::MAX)));
    let bytes = tokio::time::timeout(docker.timeout(), bytes).await.map_err(|_| late())??;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text
        .lines()
        .map(|line| match line.split_once(' ') {
            Some((at, rest)) if parse_time(at).is_some() => (parse_time(at), rest.to_owned()),
            _ => (None, line.to_owned()),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_last_complete_lines_of_an_endless_log_are_kept() {
        let chunk = |text: String| Ok::<_, ()>(LogOutput::StdOut { message: text.into() });
        let few = futures::stream::iter([chunk("a\nb".to_owned()), chunk("c\n".to_owned())]);
        assert_eq!(last_bytes(few).await.unwrap(), b"a\nbc\n");
        let line = |n: usize| format!("{n:08} {}\n", "x".repeat(16_000));
        let many = futures::stream::iter((0..3_000).map(|n| chunk(line(n))));
        let kept = last_bytes(many).await.unwrap();
        assert!(kept.len() <= LOG_MAX && kept.len() > LOG_MAX - 20_000);
        assert!(kept.starts_with(b"0000") && kept.ends_with(line(2_999).as_bytes()));
        let one = futures::stream::iter((0..3_000).map(|_| chunk("x".repeat(16_000))));
        assert_eq!(last_bytes(one).await.unwrap(), b"", "a truncated line is dropped");
    }
}
