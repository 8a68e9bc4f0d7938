//! Running programs and reading files within limits of time and memory.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use crate::Exit;
use system::files::off_thread;

/// Most bytes of standard error that are kept.
const ERROR_CAP: u64 = 16 * 1024;

/// The result of a program.
#[derive(Debug)]
pub struct Answer {
    /// How it ended; [`Exit::OutputCap`] when it exceeded the output limit.
    pub exit: Exit,
    /// The beginning of its standard error.
    pub err: String,
}

/// Ends the program's process group when dropped.
struct Group(Option<rustix::process::Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}

/// Runs a program and passes its standard output on piece by piece, at most `cap` bytes of it. After `patience` it is
/// killed with its whole process group.
///
/// # Errors
/// When it cannot be started, or its output cannot be read.
pub async fn stream(
    mut command: Command,
    patience: Duration,
    cap: u64,
    mut piece: impl FnMut(&[u8]),
) -> io::Result<Answer> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    // Returns when the program runs, which waits for the file system of the working directory.
    let spawned = off_thread(move || command.process_group(0).spawn());
    let Ok(spawned) = tokio::time::timeout(patience, spawned).await else {
        return Ok(Answer { exit: Exit::Timeout, err: String::new() });
    };
    let mut child = spawned??;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
    let mut group = Group(pid);
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let read = async {
        let reading = async {
            let Some(mut out) = out else { return Ok(false) };
            let (mut total, mut buffer) = (0_u64, vec![0; 64 * 1024]);
            loop {
                let n = out.read(&mut buffer).await?;
                total += n as u64;
                match n {
                    0 => return Ok::<_, io::Error>(false),
                    _ if total > cap => return Ok(true),
                    n => piece(&buffer[..n]),
                }
            }
        };
        let (over, err) = tokio::join!(reading, error_output(err));
        if over? {
            return Ok((Exit::OutputCap, err));
        }
        let status = child.wait().await?;
        let exit = status.code().map_or_else(|| Exit::Signal(status.signal().unwrap_or(0)), Exit::Code);
        Ok::<_, io::Error>((exit, err))
    };
    let answer = match tokio::time::timeout(patience, read).await {
        Ok(done) => done.map(|(exit, err)| Answer { exit, err })?,
        Err(_) => Answer { exit: Exit::Timeout, err: String::new() },
    };
    if !matches!(answer.exit, Exit::OutputCap | Exit::Timeout) {
        // It ended by itself, and its id may belong to another process by now.
        group.0 = None;
    }
    Ok(answer)
}

/// The beginning of what is written there; the rest is read and dropped, so that the program does not block.
async fn error_output(err: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut err) = err else { return String::new() };
    let mut kept = Vec::new();
    let _ = (&mut err).take(ERROR_CAP).read_to_end(&mut kept).await;
    let _ = tokio::io::copy(&mut err, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&kept).into_owned()
}

/// As [`stream`], with the output in one piece.
///
/// # Errors
/// As [`stream`].
pub async fn output(command: Command, patience: Duration, cap: u64) -> io::Result<(Answer, Vec<u8>)> {
    let mut out = Vec::new();
    let answer = stream(command, patience, cap, |piece| out.extend_from_slice(piece)).await?;
    Ok((answer, out))
}

/// Opens a regular file for reading. A FIFO, a device or a directory is refused, and nothing waits for a writer.
///
/// # Errors
/// When it cannot be opened, or is not a regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    // Opening must not wait for the other end of a FIFO.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
    }
}

/// Reads a regular file of at most `cap` bytes.
///
/// # Errors
/// When it cannot be read, is not a regular file, or is larger.
pub fn read_small(path: &Path, cap: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(cap + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > cap {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {cap} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn endless_output_and_a_silent_program_are_ended() {
        let began = Instant::now();
        let (answer, out) = output(sh("yes"), Duration::from_secs(30), 100_000).await.unwrap();
        assert_eq!(answer.exit, Exit::OutputCap);
        assert!(out.len() <= 100_000);
        // Its children end with it: a `sleep` that keeps the pipe open must not delay the result.
        let (answer, _) = output(sh("sleep 60 & sleep 60"), Duration::from_millis(200), 10).await.unwrap();
        assert_eq!(answer.exit, Exit::Timeout);
        let (answer, out) =
            output(sh("yes complaint | head -c 9000000 >&2; echo done; exit 3"), Duration::from_secs(30), 10)
                .await
                .unwrap();
        assert_eq!((answer.exit, out.as_slice()), (Exit::Code(3), b"done\n".as_slice()));
        assert!(answer.err.len() as u64 <= ERROR_CAP);
        assert!(began.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn only_regular_files_within_the_limit_are_read() {
        let home = tempfile::tempdir().unwrap();
        let fifo = home.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        assert!(read_small(&fifo, 10).is_err(), "it has no writer");
        assert!(read_small(home.path(), 10).is_err());
        assert!(read_small(Path::new("/dev/zero"), 10).is_err());
        std::fs::write(home.path().join("a"), "12345").unwrap();
        assert_eq!(read_small(&home.path().join("a"), 5).unwrap(), b"12345");
        assert!(read_small(&home.path().join("a"), 4).is_err());
    }
}
