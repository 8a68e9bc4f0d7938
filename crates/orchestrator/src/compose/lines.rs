//! The log lines that Docker's log driver keeps of a service, with their times and the driver's options.

use std::collections::BTreeMap;

use bollard::container::LogOutput;
use bollard::query_parameters::{InspectContainerOptions, LogsOptions};
use domain::time::Millis;
use futures::{Stream, StreamExt, TryStreamExt};

use super::docker::{Docker, explain};
use super::error::{ComposeError, Result};
use super::observe::{Instance, instances, parse_time};
use super::transport::MAX_OUTPUT_BYTES;

/// Most bytes of a log that are kept, however long its lines are.
const LOG_MAX: usize = 8 << 20;

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

/// The last `n` lines of each container of a service. Empty for a driver whose lines Docker cannot read.
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
    ComposeError::Unreachable { why: "its logs did not arrive in time".to_owned() }
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
    one: &Instance,
    options: LogsOptions,
    most: Option<usize>,
) -> Result<Vec<(Option<Millis>, String)>> {
    let chunks = docker.stream(MAX_OUTPUT_BYTES, |client| client.logs(&one.id, Some(options)));
    let bytes = last_bytes(chunks.take(most.unwrap_or(usize::MAX)));
    let bytes = tokio::time::timeout(docker.patience(), bytes).await.map_err(|_| late())??;
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
