//! The stack's directory is on a file system that does not respond, like a network file system without its server.
//! Pages are still served, and show what cannot be done.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]
#![allow(dead_code, reason = "the support is shared with other tests")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::Server;

/// A file system on which every look-up blocks until it is dropped.
struct Hung {
    at: PathBuf,
    /// Holds the device, and answers no request from it.
    holder: Child,
}

impl Hung {
    /// `None` without permission to mount.
    fn mount(at: &Path) -> Option<Hung> {
        let script = "[ -e /dev/fuse ] || mknod /dev/fuse c 10 229 || exit 1
            exec 5<>/dev/fuse || exit 1
            mount -i -t fuse none \"$1\" -o fd=5,rootmode=40000,user_id=0,group_id=0,allow_other || exit 1
            echo mounted
            exec sleep 300";
        let mut holder = Command::new("bash")
            .args(["-c", script, "bash"])
            .arg(at)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = holder.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
        if line != "mounted\n" {
            holder.wait().unwrap();
            return None;
        }
        Some(Hung { at: at.to_owned(), holder })
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
        // Blocked calls get an error now.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_served_while_the_stacks_directory_does_not_respond() {
    let server = Server::start_with("directory = \"app\"\n", |dir| {
        std::fs::create_dir(dir.join("app")).unwrap();
        std::fs::rename(dir.join("compose.yml"), dir.join("app/compose.yml")).unwrap();
    });
    let devops = server.person("devops").await;
    let page = server.get(&devops, "/gates/A").await.text().await.unwrap();
    let digest = page.split("name=\"digest\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let digest = digest.expect("the step has a form").to_owned();
    let Some(hung) = Hung::mount(&server.dir.path().join("app")) else {
        assert!(std::env::var_os("CI").is_none(), "no permission to mount");
        println!("skipped: no permission to mount");
        return;
    };
    // Only the action waits for the directory.
    let step = [("step", "A.s1"), ("digest", digest.as_str())];
    let acts = server.post(&devops, "/api/run_step", &step);
    let looks = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        for round in 0..4 {
            let pages = ["/", "/gates/A", "/gates/H", "/runbook", "/runs", "/releases", "/matrix"];
            let (server, devops) = (&server, &devops);
            let all = pages.iter().chain(&pages).map(|path| async move {
                let answer = tokio::time::timeout(Duration::from_secs(5), server.get(devops, path)).await;
                let answer = answer.unwrap_or_else(|_| panic!("{path} is not answered (round {round})"));
                assert_eq!(answer.status(), 200, "{path}");
            });
            futures::future::join_all(all).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    let (answer, ()) = tokio::join!(acts, looks);
    assert!(answer.status().is_redirection(), "{}", answer.status());
    let page = server.get(&devops, "/").await.text().await.unwrap();
    assert!(page.contains("could not be read in time; nothing was started"), "{page}");
    drop(hung);
    let answer = server.post(&devops, "/api/run_step", &step).await;
    let to = answer.headers().get("location").unwrap().to_str().unwrap();
    assert!(to.starts_with("/runs/"), "{to}");
}
