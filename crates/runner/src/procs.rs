//! Finds and ends all processes of a run.
//!
//! The supervisor is a "subreaper": orphaned descendants become its children, so a walk down from the supervisor finds
//! all of them. The tag in the environment finds the remaining processes when the supervisor itself is dead.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, WaitIdOptions, WaitOptions};

use super::RUN_TAG;

/// Environment variable with the run's directory: two data directories may use the same ids.
pub(super) const DIR_TAG: &str = "STAGEGATE_RUN_DIR";
/// Environment variable with the number of the command within its run.
pub(super) const COMMAND_TAG: &str = "STAGEGATE_RUN_COMMAND";

/// How long killed processes may take to disappear.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// A process, distinguished from a later one with the same id by its start time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    began: u64,
    parent: i32,
    group: i32,
    zombie: bool,
    /// Its name, for people.
    pub(super) name: String,
}

impl Process {
    fn read(pid: i32) -> Option<Self> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        // The name is in parentheses and may contain any character, including parentheses.
        let (head, tail) = stat.rsplit_once(')')?;
        let name = head.split_once('(')?.1.to_owned();
        let fields: Vec<_> = tail.split_whitespace().collect();
        Some(Self {
            pid,
            began: fields.get(19)?.parse().ok()?,
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            zombie: matches!(*fields.first()?, "Z" | "X"),
            name,
        })
    }

    fn environ_has(&self, wanted: &[&[u8]], unwanted: impl Fn(&[u8]) -> bool) -> bool {
        let Ok(environ) = fs::read(format!("/proc/{}/environ", self.pid)) else {
            return false;
        };
        let vars: Vec<_> = environ.split(|byte| *byte == 0).collect();
        wanted.iter().all(|var| vars.contains(var)) && !vars.iter().any(|var| unwanted(var))
    }

    fn signal(&self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return;
        };
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => {
                // The handle is opened first and the identity checked afterwards, so the id cannot pass to another
                // process in between.
                if Self::read(self.pid).is_some_and(|now| now.began == self.began) {
                    let _ = rustix::process::pidfd_send_signal(&handle, signal);
                }
            }
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {
                if Self::read(self.pid).is_some_and(|now| now.began == self.began) {
                    let _ = rustix::process::kill_process(pid, signal);
                }
            }
            Err(_) => {}
        }
    }
}

fn all() -> BTreeMap<i32, Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return BTreeMap::new();
    };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, Process::read(pid)?))).collect()
}

/// The processes below `roots`, without the roots.
fn below(all: &BTreeMap<i32, Process>, roots: impl IntoIterator<Item = i32>) -> BTreeSet<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for process in all.values() {
        children.entry(process.parent).or_default().push(process.pid);
    }
    let mut found = BTreeSet::new();
    let mut todo: Vec<_> = roots.into_iter().collect();
    while let Some(pid) = todo.pop() {
        let new = children.get(&pid).into_iter().flatten().filter(|child| found.insert(**child));
        todo.extend(new.copied().collect::<Vec<_>>());
    }
    found
}

/// Direct children of the supervisor that are waited for. They must not be reaped elsewhere.
#[derive(Debug, Clone, Default)]
pub(super) struct Awaited(Arc<Mutex<BTreeSet<i32>>>);

impl Awaited {
    /// Starts a child and registers it as awaited, with no gap in which it could be reaped.
    pub(super) fn spawn<T, E>(
        &self,
        start: impl FnOnce() -> Result<T, E>,
        pid: impl FnOnce(&T) -> Option<u32>,
    ) -> Result<T, E> {
        let mut pids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let child = start()?;
        pids.extend(pid(&child).and_then(|pid| i32::try_from(pid).ok()));
        Ok(child)
    }

    pub(super) fn done(&self, pid: i32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid);
    }

    fn is_alone(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len() <= 1
    }

    /// Reaps adopted orphans that have ended.
    pub(super) fn reap_others(&self) {
        let awaited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let peek = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if !matches!(rustix::process::waitid(rustix::process::WaitId::All, peek), Ok(Some(_))) {
            return;
        }
        let me = own_pid();
        for process in all().values().filter(|p| p.parent == me && p.zombie && !awaited.contains(&p.pid)) {
            if let Some(pid) = Pid::from_raw(process.pid) {
                let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
            }
        }
    }
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// A set of processes.
#[derive(Debug, Clone)]
pub(super) enum Scope {
    /// Everything below this process, the supervisor.
    Run(Tags, Awaited),
    /// One command of the run; everything below this process while no other command runs beside it.
    Command { tags: Tags, awaited: Awaited, pid: i32, number: u64 },
    /// Processes with the tags of a run whose supervisor is dead, and everything below.
    Leftovers(Tags),
}

/// The marks that every process of a run carries in its environment.
#[derive(Debug, Clone)]
pub(super) struct Tags {
    run: Vec<u8>,
    dir: Vec<u8>,
}

impl Tags {
    pub(super) fn new(id: &str, dir: &Path) -> Self {
        Self {
            run: format!("{RUN_TAG}={id}").into_bytes(),
            dir: format!("{DIR_TAG}={}", dir.display()).into_bytes(),
        }
    }

    /// Tagged with this run, and with no other directory.
    fn are_on(&self, process: &Process) -> bool {
        let other = |var: &[u8]| {
            var.starts_with(DIR_TAG.as_bytes()) && var.get(DIR_TAG.len()) == Some(&b'=') && var != self.dir
        };
        process.environ_has(&[&self.run], other)
    }
}

impl Scope {
    fn reap(&self) {
        if let Self::Run(_, awaited) | Self::Command { awaited, .. } = self {
            awaited.reap_others();
        }
    }

    /// The living processes of the set, never this one. With `deep`, environments are read too.
    fn members(&self, deep: bool) -> Vec<Process> {
        let all = all();
        let me = own_pid();
        let tagged = |tags: &Tags| -> Vec<i32> {
            if !deep {
                return Vec::new();
            }
            all.values().filter(|p| p.pid != me && !p.zombie && tags.are_on(p)).map(|p| p.pid).collect()
        };
        let mut found = match self {
            Self::Run(tags, _) => {
                let tagged = tagged(tags);
                let mut found = below(&all, tagged.iter().copied().chain([me]));
                found.extend(tagged);
                found
            }
            Self::Command { tags, awaited, .. } if awaited.is_alone() => {
                let tagged = tagged(tags);
                let mut found = below(&all, tagged.iter().copied().chain([me]));
                found.extend(tagged);
                found
            }
            Self::Command { tags, pid, number, .. } => {
                let mark = format!("{COMMAND_TAG}={number}").into_bytes();
                let own = |p: &&Process| {
                    p.pid != me
                        && (p.pid == *pid
                            || p.group == *pid
                            || p.environ_has(&[&tags.run, &tags.dir, &mark], |_| false))
                };
                let mut found: BTreeSet<_> = all.values().filter(own).map(|p| p.pid).collect();
                found.extend(below(&all, found.clone()));
                found
            }
            Self::Leftovers(tags) => {
                let tagged: Vec<_> = all
                    .values()
                    .filter(|p| p.pid != me && !p.zombie && tags.are_on(p))
                    .map(|p| p.pid)
                    .collect();
                let mut found = below(&all, tagged.iter().copied());
                found.extend(tagged);
                // A server that was itself started inside the run must not end itself or those above it.
                let mut above = me;
                while let Some(process) = all.get(&above) {
                    found.remove(&above);
                    above = process.parent;
                }
                found
            }
        };
        found.remove(&me);
        found.remove(&1);
        found.iter().filter_map(|pid| all.get(pid)).filter(|p| !p.zombie).cloned().collect()
    }

    /// The living processes of the set, searched in every way.
    pub(super) fn living(&self) -> Vec<Process> {
        self.reap();
        self.members(true)
    }

    /// Ends all of them: SIGTERM, waits for `grace`, then stops and kills until none is left.
    /// Returns those that could not be ended within a few seconds.
    pub(super) async fn end(&self, grace: Duration) -> Vec<Process> {
        self.ask(grace).await;
        self.kill().await
    }

    async fn ask(&self, grace: Duration) {
        let until = Instant::now() + grace;
        let mut asked = BTreeSet::new();
        loop {
            self.reap();
            let living = self.members(true);
            if living.is_empty() {
                return;
            }
            for process in living.iter().filter(|p| asked.insert((p.pid, p.began))) {
                process.signal(Signal::TERM);
                // A stopped process receives the first signal only when it is continued.
                process.signal(Signal::CONT);
            }
            if Instant::now() >= until {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn kill(&self) -> Vec<Process> {
        let until = Instant::now() + KILL_TIMEOUT;
        let mut quiet_rounds = 0;
        loop {
            // Processes are stopped before they are killed: a stopped process starts no others.
            let mut frozen = BTreeSet::new();
            let mut found = Vec::new();
            for round in 0..40 {
                let members = self.members(round == 0);
                let new: Vec<_> = members.into_iter().filter(|p| frozen.insert((p.pid, p.began))).collect();
                if new.is_empty() && round > 0 {
                    break;
                }
                new.iter().for_each(|process| process.signal(Signal::STOP));
                found.extend(new);
            }
            found.iter().for_each(|process| process.signal(Signal::KILL));
            self.reap();
            quiet_rounds = if found.is_empty() { quiet_rounds + 1 } else { 0 };
            if quiet_rounds >= 2 {
                return Vec::new();
            }
            if Instant::now() >= until {
                return self.living();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The names and ids of processes, for people.
pub(super) fn names(processes: &[Process]) -> String {
    let mut named: Vec<_> = processes.iter().take(8).map(|p| format!("{} ({})", p.name, p.pid)).collect();
    if processes.len() > named.len() {
        named.push(format!("{} more", processes.len() - named.len()));
    }
    named.join(", ")
}

/// Canonical form of a run's directory, as in the tag.
pub(super) fn tag_dir(dir: &Path) -> PathBuf {
    fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned())
}
