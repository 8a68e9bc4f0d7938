//! The disk of the data directory is full: users who are signed in still see the board and reach the rollback, and
//! users can still sign in.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]

mod support;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{PASSWORD, Server};

/// A file system of 64 MB, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` without permission to mount.
    fn mount(at: &Path) -> Option<SmallDisk> {
        fs::create_dir_all(at).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "none"]).arg(at).output().unwrap();
        mounted.status.success().then(|| SmallDisk(at.to_owned()))
    }

    /// Fills it to the last byte, including the space reserved for a rollback.
    fn fill(&self) {
        let _ = fs::remove_file(self.0.join("ballast"));
        let mut file = File::create(self.0.join("filling")).unwrap();
        for size in [1 << 20, 1 << 10, 1] {
            let block = vec![7_u8; size];
            while file.write_all(&block).is_ok() {}
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_the_board_works_and_users_can_sign_in() {
    let mut disk = None;
    let server = Server::start_with("", |dir| disk = SmallDisk::mount(&dir.join(".stagegate")));
    let Some(disk) = disk else {
        assert!(std::env::var_os("CI").is_none(), "no permission to mount");
        println!("skipped: no permission to mount");
        return;
    };
    let admin = server.admin().await;
    let devops = server.person("devops").await;
    disk.fill();
    for browser in [&admin, &devops] {
        // Each leaves a notice that the next page shows.
        let form = [("gate", "A"), ("digest", "x"), ("note", "looked")];
        let answer = server.post(browser, "/api/accept_gate", &form).await;
        assert!(answer.status().is_redirection(), "{}", answer.status());
        let page = server.get(browser, "/").await;
        assert_eq!(page.status().as_u16(), 200);
        assert!(page.text().await.unwrap().contains("id=\"notice\""), "the refusal is shown");
        for path in
            ["/", "/releases", "/gates/A", "/runs", "/activity", "/account", "/board.json", "/sign-in"]
        {
            assert_eq!(server.get(browser, path).await.status().as_u16(), 200, "{path}");
        }
    }
    // Rolling back is refused for its own reason (nothing was deployed here), not for the session's.
    let answer = server.post(&devops, "/api/roll_back", &[("release", "1"), ("digest", "x")]).await;
    assert!(answer.status().as_u16() < 500, "{}", answer.status());
    // A user whose session ended, and a user who signs in over an existing session.
    for browser in [server.browser(), devops.clone()] {
        let form = [("login", "devops"), ("password", PASSWORD)];
        let answer = server.post(&browser, "/api/sign_in", &form).await;
        assert!(answer.status().is_redirection(), "{}", answer.status());
        for path in ["/", "/releases", "/"] {
            assert_eq!(server.get(&browser, path).await.status().as_u16(), 200, "{path}");
        }
        let out = server.post(&browser, "/api/sign_out", &[]).await;
        assert!(out.status().is_redirection(), "{}", out.status());
        assert_ne!(server.get(&browser, "/").await.status().as_u16(), 200, "signed out");
    }
    let stranger = server.browser();
    let form = [("login", "devops"), ("password", "wrong password")];
    let answer = server.post(&stranger, "/api/sign_in", &form).await;
    assert!(answer.status().is_redirection(), "{}", answer.status());
    let page = server.get(&stranger, "/sign-in").await.text().await.unwrap();
    assert!(page.contains("Name or password is wrong."), "{page}");
}
