//! The ports on which the processes of a container listen.

use std::fs;

use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures::StreamExt;

use super::docker::{Address, Docker, LONG_TIMEOUT, explain};
use super::transport::MAX_ANSWER_BYTES;
use crate::container::Container;
use crate::error::{OrchestratorError, Result};
use system::files::off_thread;

/// The TCP ports on which processes inside of a container accept connections from outside of it: what the kernel
/// reports for the container's network, by its main process, else from inside of the container.
pub(crate) async fn listening_ports(engine: &Address, container: &Container) -> Result<Vec<u16>> {
    if engine.is_local()
        && let Some(pid) = container.pid
    {
        let id = container.id.clone();
        if let Ok(Some(ports)) = off_thread(move || of_process(pid, &id)).await {
            return Ok(ports);
        }
    }
    let docker = Docker::connect_within(engine, LONG_TIMEOUT, LONG_TIMEOUT).await?;
    let four = read_inside(&docker, &container.id, "/proc/net/tcp").await?;
    // A host without IPv6 has no such file.
    let six = match read_inside(&docker, &container.id, "/proc/net/tcp6").await {
        Ok(six) => six,
        Err(OrchestratorError::CommandFailed { .. }) => String::new(),
        Err(error) => return Err(error),
    };
    Ok(listeners(&four, &six))
}

/// `None` when the process is not visible here or does not belong to the container: an engine in a virtual machine
/// (Docker Desktop) has its own process IDs.
fn of_process(pid: u32, container: &str) -> Option<Vec<u16>> {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}"));
    let groups = read("cgroup").unwrap_or_default();
    if container.is_empty() || !groups.contains(container) {
        return None;
    }
    Some(listeners(&read("net/tcp").ok()?, &read("net/tcp6").unwrap_or_default()))
}

/// The text of a file inside of a container.
async fn read_inside(docker: &Docker, container: &str, path: &str) -> Result<String> {
    let options = CreateExecOptions {
        cmd: Some(vec!["cat".to_owned(), path.to_owned()]),
        attach_stdout: Some(true),
        ..CreateExecOptions::default()
    };
    let exec = docker.send(docker.client().create_exec(container, options)).await?.id;
    let (client, _budget) = docker.metered(MAX_ANSWER_BYTES);
    let started = docker.send(client.start_exec(&exec, None::<StartExecOptions>)).await?;
    let mut text = Vec::new();
    if let StartExecResults::Attached { mut output, .. } = started {
        let read = async {
            while let Some(chunk) = output.next().await {
                text.extend_from_slice(&chunk.map_err(explain)?.into_bytes());
            }
            Ok::<_, OrchestratorError>(())
        };
        tokio::time::timeout(docker.timeout(), read).await.map_err(|_| {
            OrchestratorError::Unreachable {
                why: "the output of a command did not arrive in time".to_owned(),
            }
        })??;
    }
    let code = docker.send(docker.client().inspect_exec(&exec)).await?.exit_code;
    match code {
        Some(0) => Ok(String::from_utf8_lossy(&text).into_owned()),
        code => Err(OrchestratorError::CommandFailed { code: code.unwrap_or(-1) }),
    }
}

/// Listening ports (state 0A) of /proc/net/tcp and tcp6, without those on the loopback address, which are not
/// reachable from outside the container.
fn listeners(four: &str, six: &str) -> Vec<u16> {
    let mut ports: Vec<u16> = four
        .lines()
        .chain(six.lines())
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (address, port) = fields.get(1)?.split_once(':')?;
            // Addresses are four-byte words in host byte order: 127.x.x.x ends in 7F.
            let loopback = match address.len() {
                8 => address.ends_with("7F"),
                _ => {
                    address == "00000000000000000000000001000000"
                        || (address.starts_with("0000000000000000FFFF0000") && address.ends_with("7F"))
                }
            };
            let listens = fields.get(3) == Some(&"0A") && !loopback;
            u16::from_str_radix(port, 16).ok().filter(|_| listens)
        })
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reachable_listening_ports_are_read() {
        let head = "  sl  local_address rem_address   st tx_queue\n";
        let four = format!(
            "{head}   0: 00000000:0BB8 00000000:0000 0A x\n   1: 0B00007F:A2C1 00000000:0000 0A x\n   2: 020011AC:0BB9 0100007F:0001 01 x\n"
        );
        let six = format!(
            "{head}   0: 00000000000000000000000000000000:1538 0:0 0A x\n   1: 00000000000000000000000001000000:0050 0:0 0A x\n"
        );
        assert_eq!(listeners(&four, &six), [3000, 5432]);
        assert!(listeners("", "nonsense\n").is_empty());
    }
}
