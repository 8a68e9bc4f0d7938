//! A rollback while the disk of the data directory is full, on a real engine.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use domain::time::Millis;
use engine::Return;
use engine::view::RunState;
use store::StoreError;
use store::audit::{AuditAction, Event, Outcome};

use crate::support::bench::{Bench, board, ended, log, run_id, until};
use test_support::chaos_table::{Table, number};

/// A file system of 64 MB; removed when this is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` without the right to mount.
    fn mount(at: &Path) -> Option<SmallDisk> {
        fs::create_dir_all(at).unwrap();
        let image = at.with_extension("img");
        let script = format!(
            "truncate -s 64M '{i}' && mkfs.ext4 -q -m 0 '{i}' && mount -o loop '{i}' '{at}' || mount -t tmpfs -o size=64m none '{at}'",
            i = image.display(),
            at = at.display()
        );
        let mounted = Command::new("sh").args(["-c", &script]).output().unwrap();
        mounted.status.success().then(|| SmallDisk(at.to_owned()))
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut file = File::create(self.filling()).unwrap();
        for size in [1 << 20, 1 << 10, 1] {
            let block = vec![7_u8; size];
            while file.write_all(&block).is_ok() {}
        }
        let _ = file.sync_all();
    }

    fn empty(&self) {
        let _ = fs::remove_file(self.filling());
    }

    fn filling(&self) -> PathBuf {
        self.0.join("filling")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_works_while_the_disk_is_full_with_docker() {
    let bench = Bench::tinystack("disk", "");
    let Some(disk) = SmallDisk::mount(&bench.data()) else {
        test_support::tools::missing("the right to mount");
        return;
    };
    let engine = bench.start().await;
    for version in ["VERSION:-1", "VERSION:-2"] {
        if version == "VERSION:-2" {
            bench.edit("docker-compose.yml", "VERSION:-1", version);
            bench.commit("second");
        }
        let done = bench.deploy(&engine, "devops").await.unwrap();
        let page = ended(&engine, run_id(&done)).await;
        assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    }
    let mut table = Table::default();
    for turn in 0..number("CHAOS_DISKS", 1) {
        let ballast = bench.data().join("ballast");
        until("the disk space reserved for a rollback", Duration::from_secs(40), || async {
            ballast.exists()
        })
        .await;
        disk.fill();
        let began = Instant::now();
        // Roll back and return: a release that was rolled back is not a target, so the return is a deploy.
        let done = engine.roll_back(&bench.by(&engine, "devops").await, &Return::to(1)).await;
        let mut wrong = Vec::new();
        match done {
            Ok(done) => {
                let page = ended(&engine, run_id(&done)).await;
                if page.run.state != RunState::Passed {
                    wrong.push(log(&page));
                }
                if board(&engine).await.release.is_none_or(|release| release.id != 1) {
                    wrong.push("the board does not show release 1".to_owned());
                }
            }
            Err(error) => wrong.push(format!("{error:?}")),
        }
        table.note("rollback, disk full", !ballast.exists(), began.elapsed(), &wrong);
        disk.empty();
        bench.edit("docker-compose.yml", "VERSION:-", &format!("VERSION:-{turn}"));
        bench.commit("another");
        let done = bench.deploy(&engine, "devops").await.unwrap();
        let page = ended(&engine, run_id(&done)).await;
        assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    }
    engine.close().await;
    table.finish(None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_starts_on_a_full_disk_although_actions_were_left_open() {
    let bench = Bench::new("full-start");
    let Some(disk) = SmallDisk::mount(&bench.data()) else {
        test_support::tools::missing("the right to mount");
        return;
    };
    // It is not closed: as after a kill, its files are as they were.
    let killed = bench.start().await;
    let open = Event::new(Millis(1), None, AuditAction::GateAccept, "gate A").outcome(Outcome::Intent);
    killed
        .store()
        .write(move |tx| Box::pin(async move { store::audit::append(tx, &open).await }))
        .await
        .map_err(|e: StoreError| e)
        .unwrap();
    disk.fill();
    let refused = killed
        .store()
        .write(|tx| {
            let more = Event::new(Millis(2), None, AuditAction::GateAccept, "x".repeat(5_000))
                .outcome(Outcome::Done);
            Box::pin(async move { store::audit::append(tx, &more).await })
        })
        .await;
    assert!(matches!(refused, Err(StoreError::Full)), "the disk is full: {refused:?}");
    let engine = bench.open().await;
    engine.start_up().await.unwrap();
    assert_eq!(board(&engine).await.release, None);
    disk.empty();
    engine.close().await;
    killed.close().await;
}
