//! Listening on a port that may still be in use: by a server that was killed a moment ago and has not ended yet, or by
//! another process, which the error names.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

/// For how long a port that is in use is tried again.
const TAKEN_MAX: Duration = Duration::from_secs(8);
/// Time between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process listens there.
    #[error(
        "cannot listen on {address}: the port is in use by {holder}. Stop that process, or choose another address with \
         --listen."
    )]
    Taken {
        /// The address.
        address: SocketAddr,
        /// The process, as far as this user can see it.
        holder: String,
    },
    /// The address does not belong to this host, or is not allowed.
    #[error("cannot listen on {0}")]
    Refused(SocketAddr, #[source] io::Error),
}

/// Listens on `address`. A port that is in use is tried again for some seconds; `waits` is called once with its holder.
///
/// # Errors
/// When the port stays in use, or the address cannot be used at all.
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
    async fn a_port_that_becomes_free_is_used_and_its_holder_was_named() {
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
    async fn a_port_that_stays_in_use_is_an_error_that_names_its_holder() {
        let held = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = listen(held.local_addr().unwrap(), |_| ()).await.unwrap_err().to_string();
        assert!(error.contains("is in use by") && error.contains(&std::process::id().to_string()), "{error}");
        let elsewhere = listen("192.0.2.1:9".parse().unwrap(), |_| ()).await.unwrap_err();
        assert!(matches!(elsewhere, ListenError::Refused(..)));
    }
}
