//! The only writer. Jobs are queued; all waiting jobs share one transaction, each with its own savepoint, and no
//! caller gets an answer before the COMMIT is on the disk.
//!
//! It makes sure that the audit log covers the rows that jobs write, and it detects writes by other connections.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::StoreError;
use crate::audit::{self, Head};

/// Maximum number of jobs per COMMIT: enough to share the cost of the disk flush, few enough to answer soon.
const BATCH: usize = 256;
/// Maximum number of queued jobs; further callers wait.
const QUEUE: usize = 1024;
/// Maximum duration of a job. A job waits only for the connection, so one that takes longer is stuck and would block
/// all others.
const LONGEST_JOB: Duration = Duration::from_secs(30);

/// Handle of the writer task.
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    task: Mutex<Option<JoinHandle<()>>>,
    others: Arc<Mutex<Others>>,
}

/// Writes by other connections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Others {
    /// How many times a write by another connection was detected.
    pub writes: u64,
    /// The first event of the audit log that this process wrote and that was replaced or removed since.
    pub lost: Option<Head>,
}

enum Message {
    Do(Box<dyn Job>),
    Look {
        /// Whether to search again for events that were missing.
        again: bool,
        reply: oneshot::Sender<Result<(), StoreError>>,
    },
    Stop,
}

/// The open connection, with the last known number of commits by others.
struct Open {
    conn: SqliteConnection,
    /// SQLite's count of commits by other connections.
    version: Option<i64>,
}

impl Open {
    /// The first connection. Earlier writes by others are not detected.
    async fn first(mut conn: SqliteConnection) -> Result<Open, StoreError> {
        let version = data_version(&mut conn).await?;
        Ok(Open { version: Some(version), ..Open::again(conn).await? })
    }

    /// A later connection: writes by others since the previous one are unknown.
    async fn again(mut conn: SqliteConnection) -> Result<Open, StoreError> {
        audit::rows::prepare(&mut conn).await?;
        Ok(Open { conn, version: None })
    }
}

async fn data_version(conn: &mut SqliteConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("PRAGMA data_version").fetch_one(conn).await?)
}

impl Writer {
    /// Starts the task on `conn`; `options` are used for a new connection if that one breaks.
    /// `commits` counts commits, each before its callers get their answers.
    pub(super) fn start(
        conn: SqliteConnection,
        options: SqliteConnectOptions,
        commits: Arc<AtomicU64>,
    ) -> Writer {
        let (queue, inbox) = mpsc::channel(QUEUE);
        let others = Arc::new(Mutex::new(Others::default()));
        let task = tokio::spawn(work(conn, options, inbox, others.clone(), commits));
        Writer { queue, task: Mutex::new(Some(task)), others }
    }

    /// Checks whether other connections have written to the file since the store was opened.
    /// With `again`, an event that was missing and is back no longer counts as missing.
    pub(super) async fn others(&self, again: bool) -> Result<Others, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Message::Look { again, reply }).await.map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::BrokenOff))?;
        Ok(self.others.lock().unwrap_or_else(|e| e.into_inner()).clone())
    }

    /// Runs `job` and waits until its changes are durable. A queued job is executed even if the
    /// caller stops waiting.
    pub(super) async fn write<T, E, F>(&self, job: F) -> Result<T, E>
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let message = Message::Do(Box::new(Typed { job, reply }));
        if self.queue.send(message).await.is_err() {
            return Err(StoreError::Closed.into());
        }
        answer.await.unwrap_or_else(|_| Err(StoreError::BrokenOff.into()))
    }

    /// Finishes the queued jobs, then ends the task.
    pub(super) async fn stop(&self) {
        let task = self.task.lock().ok().and_then(|mut task| task.take());
        if let Some(task) = task {
            // A closed queue means that the task has ended already.
            let _ = self.queue.send(Message::Stop).await;
            let _ = task.await;
        }
    }
}

/// A type-erased job, so that different jobs can share a queue.
trait Job: Send {
    /// Executes it. The caller gets the answer later, from [`Ended::ack`].
    fn run<'c>(self: Box<Self>, conn: &'c mut SqliteConnection) -> BoxFuture<'c, Ended>;
    /// Answers the caller without executing it.
    fn refuse(self: Box<Self>, why: StoreError);
}

/// A job that was executed and whose caller has no answer yet.
struct Ended {
    /// Whether its changes are kept.
    keep: bool,
    /// Answers the caller with the result of the commit.
    ack: Box<dyn FnOnce(Result<(), StoreError>) + Send>,
}

struct Typed<F, T, E> {
    job: F,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Job for Typed<F, T, E>
where
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    fn run<'c>(self: Box<Self>, conn: &'c mut SqliteConnection) -> BoxFuture<'c, Ended> {
        let Typed { job, reply } = *self;
        Box::pin(async move {
            let guarded = AssertUnwindSafe(async move { job(conn).await }).catch_unwind();
            let result = match tokio::time::timeout(LONGEST_JOB, guarded).await {
                Ok(Ok(result)) => result,
                Ok(Err(_panic)) => {
                    tracing::error!("a database write panicked; its changes were undone");
                    Err(StoreError::BrokenOff.into())
                }
                Err(_elapsed) => {
                    tracing::error!("a database write took too long; its changes were undone");
                    Err(StoreError::BrokenOff.into())
                }
            };
            Ended {
                keep: result.is_ok(),
                ack: Box::new(move |commit| {
                    // The caller may have stopped waiting; then the answer is not needed.
                    let _ = reply.send(result.and_then(|value| {
                        commit.map_err(E::from)?;
                        Ok(value)
                    }));
                }),
            }
        })
    }

    fn refuse(self: Box<Self>, why: StoreError) {
        let _ = self.reply.send(Err(why.into()));
    }
}

async fn work(
    first: SqliteConnection,
    options: SqliteConnectOptions,
    mut inbox: mpsc::Receiver<Message>,
    others: Arc<Mutex<Others>>,
    commits: Arc<AtomicU64>,
) {
    let mut conn = Open::first(first).await.ok();
    let mut head = None;
    let mut messages = Vec::with_capacity(BATCH);
    let mut stopping = false;
    while !stopping && inbox.recv_many(&mut messages, BATCH).await > 0 {
        let mut jobs = Vec::with_capacity(messages.len());
        let mut looks = Vec::new();
        let mut look_again = false;
        for message in messages.drain(..) {
            match message {
                Message::Do(job) if !stopping => jobs.push(job),
                Message::Do(job) => job.refuse(StoreError::Closed),
                Message::Look { again, reply } => {
                    look_again |= again;
                    looks.push(reply);
                }
                Message::Stop => stopping = true,
            }
        }
        let opened = match conn.take() {
            Some(conn) => Ok(conn),
            None => match options.connect().await {
                Ok(conn) => Open::again(conn).await,
                Err(error) => Err(error.into()),
            },
        };
        let looked = match opened {
            Ok(mut open) => match commit_together(&mut open, jobs, &mut head, &others, &commits).await {
                Ok(()) => {
                    let looked = match look_again {
                        true => find_lost(&mut open.conn, head.as_ref(), &others).await,
                        false => Ok(()),
                    };
                    conn = Some(open);
                    looked
                }
                Err(error) => {
                    // SQLite may have rolled back the transaction itself, and then sqlx's count of
                    // savepoints is wrong; only a new connection has a known state.
                    tracing::error!(error = ?error, "a batch of database writes failed; the callers got the error");
                    let _ = open.conn.close_hard().await;
                    Err(error)
                }
            },
            Err(error) => {
                tracing::error!(error = ?error, "the database cannot be opened for writing");
                jobs.into_iter().for_each(|job| job.refuse(error.clone()));
                Err(error)
            }
        };
        for reply in looks {
            let _ = reply.send(looked.clone());
        }
    }
    if let Some(open) = conn
        && let Err(error) = open.conn.close().await
    {
        tracing::warn!(error = ?error, "the database was not closed cleanly");
    }
}

/// Runs `jobs` in one transaction and answers all callers. An error means that no changes were kept.
async fn commit_together(
    open: &mut Open,
    jobs: Vec<Box<dyn Job>>,
    head: &mut Option<Head>,
    others: &Mutex<Others>,
    commits: &AtomicU64,
) -> Result<(), StoreError> {
    let Open { conn, version } = open;
    if jobs.is_empty() {
        return notice_others(conn, version, head.as_ref(), others).await;
    }
    let mut jobs = jobs.into_iter();
    let mut ended = Vec::with_capacity(jobs.len());
    let committed = async {
        let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
        notice_others(&mut tx, version, head.as_ref(), others).await?;
        for job in jobs.by_ref() {
            let mut savepoint = match tx.begin().await {
                Ok(savepoint) => savepoint,
                Err(error) => {
                    let error = StoreError::from(error);
                    job.refuse(error.clone());
                    return Err(error);
                }
            };
            let job = job.run(&mut savepoint).await;
            // Rows that the audit log cannot cover are not written.
            let sealed = if job.keep { audit::rows::seal(&mut savepoint).await } else { Ok(()) };
            let keep = job.keep && sealed.is_ok();
            ended.push((job, sealed));
            if keep {
                savepoint.commit().await?;
            } else {
                savepoint.rollback().await?;
            }
        }
        let newest =
            sqlx::query_as!(Head, r#"SELECT seq AS "seq!", hash FROM audit_event ORDER BY seq DESC LIMIT 1"#)
                .fetch_optional(&mut *tx)
                .await?;
        tx.commit().await?;
        *head = newest;
        Ok::<(), StoreError>(())
    }
    .await;
    // After an error too, because the data may have reached the disk.
    commits.fetch_add(1, Ordering::AcqRel);
    for (job, sealed) in ended {
        (job.ack)(sealed.and(committed.clone()));
    }
    if let Err(error) = &committed {
        jobs.for_each(|job| job.refuse(error.clone()));
    }
    committed
}

/// Counts writes by other connections, and checks whether the last event that was written here is still in the audit
/// log.
async fn notice_others(
    conn: &mut SqliteConnection,
    seen: &mut Option<i64>,
    head: Option<&Head>,
    others: &Mutex<Others>,
) -> Result<(), StoreError> {
    let version = data_version(&mut *conn).await?;
    if seen.replace(version) == Some(version) {
        return Ok(());
    }
    let mut lost = None;
    if let Some(head) = head
        && !is_there(conn, head).await?
    {
        lost = Some(head.clone());
    }
    let mut others = others.lock().unwrap_or_else(|e| e.into_inner());
    others.writes += 1;
    others.lost = others.lost.take().or(lost);
    Ok(())
}

/// Checks whether the missing event is back, and whether the last event written here exists. Both must exist: a
/// log to which events were added after it was cut has the second but not the first.
async fn find_lost(
    conn: &mut SqliteConnection,
    head: Option<&Head>,
    others: &Mutex<Others>,
) -> Result<(), StoreError> {
    let lost = others.lock().unwrap_or_else(|e| e.into_inner()).lost.clone();
    let Some(lost) = lost else { return Ok(()) };
    for event in std::iter::once(&lost).chain(head) {
        if !is_there(&mut *conn, event).await? {
            return Ok(());
        }
    }
    others.lock().unwrap_or_else(|e| e.into_inner()).lost = None;
    Ok(())
}

async fn is_there(conn: &mut SqliteConnection, event: &Head) -> Result<bool, StoreError> {
    let hash = sqlx::query_scalar!("SELECT hash FROM audit_event WHERE seq = ?", event.seq)
        .fetch_optional(conn)
        .await?;
    Ok(hash.as_ref() == Some(&event.hash))
}
