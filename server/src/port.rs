//! Listening on a port that may still be taken: by a server that was killed a moment ago and has not quite gone, or by
//! somebody who has to be named.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

/// So long a port that is taken is tried again.
const TAKEN_MAX: Duration = Duration::from_secs(8);
/// Time between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// Why nothing can listen there.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else listens there.
    #[error(
        "cannot listen on {address}: the port is used by {holder}. Stop it, or choose another address with --listen."
    )]
    Taken {
        /// The address.
        address: SocketAddr,
        /// Who, as far as this user may see.
        holder: String,
    },
    /// The address is not ours, or not allowed.
    #[error("cannot listen on {0}")]
    Refused(SocketAddr, #[source] io::Error),
}

/// Listens on `address`. While the port is taken it is tried again for some seconds; `waits` is told once by whom.
///
/// # Errors
/// When the port stays taken, or cannot be listened on at all.
pub async fn listen(address: SocketAddr, waits: impl FnOnce(&str)) -> Result<TcpListener, ListenError> {
    let until = Instant::now() + TAKEN_MAX;
    let mut waits = Some(waits);
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let port = address.port();
                let found = tokio::task::spawn_blocking(move || holder(port)).await.ok().flatten();
                let holder = found.unwrap_or_else(|| "a process that this user cannot see".to_owned());
                if Instant::now() >= until {
                    return Err(ListenError::Taken { address, holder });
                }
                if let Some(waits) = waits.take() {
                    waits(&holder);
                }
                sleep(PAUSE).await;
            }
            Err(error) => return Err(ListenError::Refused(address, error)),
        }
    }
}

/// The process that listens on a port: its name and id. `None` when it cannot be seen.
fn holder(port: u16) -> Option<String> {
    let sockets: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .flat_map(|table| listening(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    if sockets.is_empty() {
        return None;
    }
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let found = processes.filter(|entry| {
        let open = std::fs::read_dir(entry.path().join("fd"));
        open.into_iter().flatten().flatten().any(|fd| {
            std::fs::read_link(fd.path())
                .is_ok_and(|to| sockets.iter().any(|socket| to.as_os_str() == socket.as_str()))
        })
    });
    let names: Vec<String> = found
        .filter_map(|entry| {
            let id = entry.file_name().to_string_lossy().into_owned();
            let name = std::fs::read_to_string(entry.path().join("comm")).ok()?;
            Some(format!("{} (process {id})", name.trim()))
        })
        .collect();
    if names.is_empty() { None } else { Some(names.join(", ")) }
}

/// The inodes of the sockets that listen on `port`, from a table of `/proc/net`.
fn listening(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, at) = fields.get(1)?.rsplit_once(':')?;
        let is_it = u16::from_str_radix(at, 16).ok()? == port && *fields.get(3)? == LISTEN;
        let inode = fields.get(9)?;
        (is_it && *inode != "0").then(|| (*inode).to_owned())
    };
    table.lines().skip(1).filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_becomes_free_is_taken_and_its_holder_was_named() {
        let held = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = held.local_addr().unwrap();
        let own = format!("(process {})", std::process::id());
        assert!(holder(address.port()).unwrap().contains(&own));
        tokio::spawn(async move {
            sleep(Duration::from_millis(500)).await;
            drop(held);
        });
        let mut named = String::new();
        let listener = listen(address, |holder| named = holder.to_owned()).await.unwrap();
        assert_eq!(listener.local_addr().unwrap(), address);
        assert!(named.contains(&own), "{named}");
    }

    #[tokio::test]
    async fn a_port_that_stays_taken_is_given_up_with_the_name_of_its_holder() {
        let held = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = listen(held.local_addr().unwrap(), |_| ()).await.unwrap_err().to_string();
        assert!(error.contains("is used by") && error.contains(&std::process::id().to_string()), "{error}");
        let elsewhere = listen("192.0.2.1:9".parse().unwrap(), |_| ()).await.unwrap_err();
        assert!(matches!(elsewhere, ListenError::Refused(..)));
    }
}
