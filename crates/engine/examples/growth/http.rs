//! A real server, accessed over HTTP.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};

use super::build::{LOGIN, PASSWORD};

/// The criterion that is attested again and again.
const ITEM: &str = "A.2";

/// A running server and a session on it. It is stopped when this is dropped.
pub struct Server {
    child: Child,
    base: Url,
    client: Client,
    cookie: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts the server and waits until it answers.
    pub async fn start(bin: &str, home: &Path) -> Server {
        let site = home.join("site");
        std::fs::create_dir_all(site.join("pkg")).unwrap();
        std::fs::write(site.join("favicon.svg"), "<svg xmlns='http://www.w3.org/2000/svg'/>").unwrap();
        let mut child = Command::new(bin)
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(home.join("stack/stagegate.toml"))
            .arg("--data")
            .arg(home.join("data"))
            .arg("--site")
            .arg(&site)
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
                // The receiver may be gone; the pipe is read to its end anyway.
                let _ = send.send(line);
            }
        });
        let address = tokio::task::spawn_blocking(move || {
            while let Ok(line) = lines.recv_timeout(Duration::from_secs(120)) {
                if let Some(at) = line.find("http://") {
                    return line[at..].split_whitespace().next().unwrap().to_owned();
                }
            }
            panic!("the server does not say where it listens");
        });
        let base = Url::parse(&address.await.unwrap()).unwrap();
        let port = base.port().unwrap();
        // An error means that it was already reported.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .redirect(Policy::none())
            .resolve(base.host_str().unwrap(), ([127, 0, 0, 1], port).into())
            .timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(usize::MAX)
            .build()
            .unwrap();
        let server = Server { child, base, client, cookie: String::new() };
        while server.client.get(server.url("/healthz")).send().await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server
    }

    pub fn url(&self, path: &str) -> Url {
        self.base.join(path).unwrap()
    }

    pub fn port(&self) -> u16 {
        self.base.port().unwrap()
    }

    pub fn host(&self) -> String {
        format!("{}:{}", self.base.host_str().unwrap(), self.port())
    }

    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub async fn sign_in(&mut self) {
        self.cookie = self.new_session().await;
        let board = self.client.get(self.url("/")).header("cookie", &self.cookie).send().await.unwrap();
        assert_eq!(board.status(), 200, "signing in did not work");
    }

    /// Signs in again. Returns the cookie of that session.
    pub async fn new_session(&self) -> String {
        // With a session's cookie that session would end.
        let answer = self.post_as("", "/api/sign_in", &[("login", LOGIN), ("password", PASSWORD)]).await;
        let cookies = answer.headers().get_all("set-cookie").iter();
        let cookie = cookies.filter_map(|c| c.to_str().ok()?.split(';').next()).next_back();
        cookie.unwrap_or_else(|| panic!("no session: {}", answer.status())).to_owned()
    }

    /// Milliseconds until the whole page was read.
    pub async fn get(&self, path: &str) -> f64 {
        let began = Instant::now();
        let answer = self.client.get(self.url(path)).header("cookie", &self.cookie).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.bytes().await.unwrap();
        began.elapsed().as_secs_f64() * 1_000.0
    }

    /// Attests an item, or withdraws the attestation, whichever its page offers: it changes the verdict. Returns the
    /// milliseconds until the answer.
    pub async fn write(&self) -> f64 {
        let (digest, holds, shown) = self.offered().await;
        let form = [
            ("item", ITEM),
            ("digest", digest.as_str()),
            ("holds", holds.as_str()),
            ("shown", shown.as_str()),
            ("note", "seen"),
            ("link", ""),
        ];
        let began = Instant::now();
        let answer = self.post("/api/attest", &form).await;
        let took = began.elapsed().as_secs_f64() * 1_000.0;
        assert!(answer.status().is_redirection(), "{}", answer.status());
        assert_ne!(self.offered().await.1, holds, "the write was refused");
        took
    }

    /// The fields of the form of [`ITEM`]: the criterion's digest, whether to attest it, what was shown.
    async fn offered(&self) -> (String, String, String) {
        let page = self.client.get(self.url("/gates/A")).header("cookie", &self.cookie).send().await.unwrap();
        let page = page.text().await.unwrap();
        let form = page
            .split(&format!("name=\"item\" value=\"{ITEM}\""))
            .skip(1)
            .find(|part| part.split("</form>").next().is_some_and(|form| form.contains("name=\"holds\"")));
        let form = form.unwrap_or_else(|| panic!("{ITEM} cannot be attested: {page}"));
        let field = |name: &str| {
            let rest = form.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        (field("digest"), field("holds"), field("shown"))
    }

    /// A form post from one of Stagegate's own pages.
    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Response {
        self.post_as(&self.cookie, path, form).await
    }

    async fn post_as(&self, cookie: &str, path: &str, form: &[(&str, &str)]) -> Response {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let key = format!("bench-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let envelope = [("key", key.as_str()), ("back", "/"), ("form", "bench")];
        let pairs = form.iter().chain(&envelope);
        let body: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", percent(value))).collect();
        self.client
            .post(self.url(path))
            .header("origin", self.base.origin().ascii_serialization())
            .header("accept", "text/html")
            .header("referer", self.base.as_str())
            .header("cookie", cookie)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.join("&"))
            .send()
            .await
            .unwrap()
    }

    /// Memory of the server, megabytes.
    pub fn memory_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1_024.0
    }

    /// Waits until the start-up tasks of the server have ended: until it is idle for three seconds, so that other load
    /// on the host is not mistaken for them.
    pub async fn is_idle(&self) {
        let mut rest = 0;
        for _ in 0..180 {
            let before = self.cpu_seconds();
            tokio::time::sleep(Duration::from_secs(1)).await;
            rest = if self.cpu_seconds() - before < 0.05 { rest + 1 } else { 0 };
            if rest == 3 {
                return;
            }
        }
        panic!("the server does not come to rest");
    }

    /// CPU seconds that the server has used.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        // The kernel counts in hundredths for every program.
        ticks / 100.0
    }
}

fn percent(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric();
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
