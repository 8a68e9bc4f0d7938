//! A server of the real binary, on its own port and data directory.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};

pub const PASSWORD: &str = "three green lights";

/// A running server and its users. Stopped when dropped.
pub struct Server {
    child: Child,
    /// The address for programs. Browsers are redirected to the board's own host name, which not every resolver knows.
    pub base: String,
    /// The address that the start printed.
    pub printed: String,
    pub dir: tempfile::TempDir,
    setup: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub const RUNBOOK: &str = "\
# Small

## Phase 1 — Ready (Gate A)

```bash
# Say hello
echo hello
```

Acceptance (Gate A):
- Somebody looked.

## Phase 2 — Go (Gate H)

- [ ] Gate A accepted
- [ ] Stakeholder sign-offs: Backend / QA

## Ownership Log
- Seen by: ____ on: ____
";

pub const CONFIG: &str = "runbook = \"runbook.md\"\n[stack]\nname = \"Small\"\nfiles = [\"compose.yml\"]\n";

impl Server {
    pub fn start() -> Server {
        Server::start_with("", |_| {})
    }

    /// A server whose `stagegate.toml` ends with `config`; `prepare` gets its directory before the start.
    pub fn start_with(config: &str, prepare: impl FnOnce(&Path)) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("runbook.md", RUNBOOK);
        write("stagegate.toml", &format!("{CONFIG}{config}"));
        write("compose.yml", "services:\n  web:\n    image: stagegate-test/none:1\n");
        write("site/pkg/stagegate.css", "body{}");
        write("site/favicon.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>");
        prepare(dir.path());
        let (child, printed, setup) = spawn(dir.path(), true);
        Server { child, base: local(&printed), printed, dir, setup: setup.unwrap() }
    }

    /// Kills the server as a power cut would and starts another on the same data.
    pub fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let (child, printed, _) = spawn(self.dir.path(), false);
        self.child = child;
        self.base = local(&printed);
        self.printed = printed;
    }

    /// Its data directory.
    pub fn data(&self) -> std::path::PathBuf {
        self.dir.path().join(".stagegate")
    }

    /// Whether a file in its data directory contains this text.
    pub fn data_holds(&self, text: &str) -> bool {
        let files = std::fs::read_dir(self.data()).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.is_file()).any(|path| {
            std::fs::read(path).unwrap().windows(text.len()).any(|window| window == text.as_bytes())
        })
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A browser without a session.
    pub fn browser(&self) -> Client {
        client(true)
    }

    /// The token of the setup link that the first start printed.
    #[allow(dead_code, reason = "not every test file looks for it")]
    pub fn setup_token(&self) -> String {
        self.setup.rsplit('/').next().unwrap().to_owned()
    }

    /// The first admin, created with the setup link.
    pub async fn admin(&self) -> Client {
        let browser = self.browser();
        let token = self.setup_token();
        let form = [
            ("token", token.as_str()),
            ("name", "Root"),
            ("login", "root"),
            ("password", PASSWORD),
            ("again", PASSWORD),
        ];
        let answer = self.post(&browser, "/api/use_link", &form).await;
        assert!(answer.status().is_redirection(), "{}", answer.status());
        browser
    }

    /// A user with this role, added from the console and signed in.
    pub async fn person(&self, role: &str) -> Client {
        let out = Command::new(env!("CARGO_BIN_EXE_stagegate"))
            .args(["user", "add", role, "--role", role, "--config"])
            .arg(self.dir.path().join("stagegate.toml"))
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let text = String::from_utf8(out.stdout).unwrap();
        let token = text
            .split_whitespace()
            .find_map(|w| w.strip_prefix("/link/"))
            .expect("the command prints a link");
        let browser = self.browser();
        let form = [("token", token), ("password", PASSWORD), ("again", PASSWORD)];
        let answer = self.post(&browser, "/api/use_link", &form).await;
        assert!(answer.status().is_redirection(), "{}", answer.status());
        browser
    }

    /// A form post from one of our own pages.
    pub async fn post(&self, browser: &Client, path: &str, form: &[(&str, &str)]) -> Response {
        let body: Vec<String> = form
            .iter()
            .map(|(k, v)| format!("{k}={}", percent(v)))
            .chain([format!("key={}", unique()), "back=%2F".to_owned(), "form=test".to_owned()])
            .collect();
        browser
            .post(self.url(path))
            .header("origin", &self.base)
            .header("accept", "text/html")
            .header("referer", self.url("/"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.join("&"))
            .send()
            .await
            .unwrap()
    }

    pub async fn get(&self, browser: &Client, path: &str) -> Response {
        browser.get(self.url(path)).header("accept", "text/html").send().await.unwrap()
    }
}

pub fn client(cookies: bool) -> Client {
    // An error means that another test has installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut headers = HeaderMap::new();
    headers.insert("user-agent", HeaderValue::from_static("stagegate-test"));
    Client::builder()
        .cookie_store(cookies)
        .redirect(Policy::none())
        .default_headers(headers)
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

pub fn percent(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { (b as char).to_string() } else { format!("%{b:02X}") })
        .collect()
}

pub fn unique() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("test-key-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The loopback address behind the own host name.
fn local(printed: &str) -> String {
    printed.replace("stagegate.localhost", "127.0.0.1")
}

/// Sends raw bytes and reads until the server closes the connection, or nothing arrives for some seconds.
pub async fn raw(base: &str, request: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(base.trim_start_matches("http://")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer));
    // The test checks what arrived until then.
    let _ = read.await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of a raw response.
pub fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

fn spawn(dir: &Path, is_new: bool) -> (Child, String, Option<String>) {
    let files = std::fs::read_to_string(dir.join("open-files")).unwrap_or_default();
    let mut child = Command::new("sh")
        .args(["-c", "[ -z \"$0\" ] || ulimit -n \"$0\"; exec \"$@\""])
        .arg(files)
        .arg(env!("CARGO_BIN_EXE_stagegate"))
        .args(["serve", "--listen", "127.0.0.1:0", "--config"])
        .arg(dir.join("stagegate.toml"))
        .arg("--site")
        .arg(dir.join("site"))
        .env("STAGEGATE_LOG", "error")
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let out = child.stdout.take().unwrap();
    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            // The receiver may be gone; the pipe is still read to its end.
            let _ = send.send(line);
        }
    });
    let mut base = None;
    let mut setup = None;
    // The setup link is printed last, and only when there are no accounts.
    while let Ok(line) = lines.recv_timeout(Duration::from_secs(30)) {
        if let Some(at) = line.find("http://") {
            let url = line[at..].split_whitespace().next().unwrap().to_owned();
            if url.contains("/link/") {
                setup = Some(url);
                break;
            }
            base = Some(url);
            if !is_new {
                break;
            }
        }
    }
    (child, base.expect("the server says where it listens"), setup)
}
