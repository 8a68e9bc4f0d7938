//! The one writer. Jobs queue up; whatever waits goes into one transaction, each job behind a savepoint
//! of its own, and nobody hears "stored" before the one COMMIT is on the disk.
//!
//! It knows nothing of what the jobs do, but that the audit log vouches for the rows they write, and it notices when
//! somebody else writes to the file.

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

/// Jobs that share one COMMIT at most: enough to pay for the disk's flush, few enough to answer soon.
const BATCH: usize = 256;
/// Jobs that may wait before callers are held up.
const QUEUE: usize = 1024;
/// A job has only the connection to wait for; one that takes longer is stuck and would stop everybody.
const LONGEST_JOB: Duration = Duration::from_secs(30);

/// The way to the writer task.
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    task: Mutex<Option<JoinHandle<()>>>,
    others: Arc<Mutex<Others>>,
}

/// What other connections did to the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Others {
    /// How many times it was noticed that another connection had written.
    pub writes: u64,
    /// The first event of the audit log that this process wrote and that was found replaced or removed.
    pub lost: Option<Head>,
}

enum Message {
    Do(Box<dyn Job>),
    Look {
        /// Whether events that were found missing are looked for again.
        again: bool,
        reply: oneshot::Sender<Result<(), StoreError>>,
    },
    Stop,
}

/// The open connection and what was last seen through it.
struct Open {
    conn: SqliteConnection,
    /// SQLite's count of commits by other connections.
    version: Option<i64>,
}

impl Open {
    /// The first connection. What others wrote before is not noticed.
    async fn first(mut conn: SqliteConnection) -> Result<Open, StoreError> {
        let version = data_version(&mut conn).await?;
        Ok(Open { version: Some(version), ..Open::again(conn).await? })
    }

    /// A later one: what others wrote since the one before is not known.
    async fn again(mut conn: SqliteConnection) -> Result<Open, StoreError> {
        audit::rows::prepare(&mut conn).await?;
        Ok(Open { conn, version: None })
    }
}

async fn data_version(conn: &mut SqliteConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("PRAGMA data_version").fetch_one(conn).await?)
}

impl Writer {
    /// Starts the task on `conn`; `options` make a new connection when that one breaks.
    /// `commits` counts commits, each before its writers hear of it.
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

    /// Looks whether other connections have written to the file since the store was opened.
    /// With `again` an event that was found missing and is back counts as missing no longer.
    pub(super) async fn others(&self, again: bool) -> Result<Others, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Message::Look { again, reply }).await.map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::BrokenOff))?;
        Ok(self.others.lock().unwrap_or_else(|e| e.into_inner()).clone())
    }

    /// Runs `job` and waits until what it wrote is durable. A job once queued is done even when the
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

    /// Finishes what is queued, then ends the task.
    pub(super) async fn stop(&self) {
        let task = self.task.lock().ok().and_then(|mut task| task.take());
        if let Some(task) = task {
            // A closed queue means that the task has ended already.
            let _ = self.queue.send(Message::Stop).await;
            let _ = task.await;
        }
    }
}

/// A job whose types are forgotten, so that different ones can queue together.
trait Job: Send {
    /// Does it. The caller is answered later, by [`Ended::ack`].
    fn run<'c>(self: Box<Self>, conn: &'c mut SqliteConnection) -> BoxFuture<'c, Ended>;
    /// Answers the caller without doing it.
    fn refuse(self: Box<Self>, why: StoreError);
}

/// A job that was run and whose caller has not been answered yet.
struct Ended {
    /// Whether its changes are to stay.
    keep: bool,
    /// Answers the caller, told how the commit went.
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
                    tracing::error!("a job of the store panicked; its changes are undone");
                    Err(StoreError::BrokenOff.into())
                }
                Err(_elapsed) => {
                    tracing::error!("a job of the store took too long; its changes are undone");
                    Err(StoreError::BrokenOff.into())
                }
            };
            Ended {
                keep: result.is_ok(),
                ack: Box::new(move |commit| {
                    // The caller may have stopped waiting; then nobody needs the answer.
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
                    // SQLite may have rolled the transaction back by itself, behind sqlx's count of
                    // savepoints; a new connection is the state that is certainly clean.
                    tracing::error!(error = ?error, "a batch of writes was lost; its writers were told");
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

/// Runs `jobs` in one transaction and answers every caller. An error means that none was kept.
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
            // What the log cannot vouch for is not written.
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
    // After an error too: whether it reached the disk is not certain then.
    commits.fetch_add(1, Ordering::AcqRel);
    for (job, sealed) in ended {
        (job.ack)(sealed.and(committed.clone()));
    }
    if let Err(error) = &committed {
        jobs.for_each(|job| job.refuse(error.clone()));
    }
    committed
}

/// Counts when another connection has written, and looks whether the end of the audit log is still what was written
/// here last.
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

/// Looks whether the event that was found missing is back, and so is the last that was written here. Both must be: a
/// log to which events were added after it was cut has the second and not the first.
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
