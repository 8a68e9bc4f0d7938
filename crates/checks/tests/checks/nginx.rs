//! A real nginx on free loopback ports.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// An nginx until it is dropped.
pub struct Nginx {
    home: TempDir,
    child: Child,
    /// Where each server listens, in order.
    pub at: Vec<SocketAddr>,
}

/// One `server { … }`: whether it uses TLS, and its directives in addition to `listen`.
pub struct Server {
    pub tls: bool,
    pub body: String,
}

pub fn plain(body: &str) -> Server {
    Server { tls: false, body: body.to_owned() }
}

pub fn tls(body: &str) -> Server {
    Server { tls: true, body: body.to_owned() }
}

impl Nginx {
    /// Starts it with `http` in front of the servers, and waits until all of them accept connections.
    pub fn start(http: &str, servers: &[Server]) -> Nginx {
        let home = tempfile::tempdir().unwrap();
        // Kept open until all are chosen, so that all are different.
        let held: Vec<TcpListener> =
            servers.iter().map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
        let at: Vec<SocketAddr> = held.iter().map(|l| l.local_addr().unwrap()).collect();
        drop(held);
        let dir = home.path().display();
        let blocks = servers.iter().zip(&at).map(|(server, at)| {
            let ssl = if server.tls { " ssl" } else { "" };
            format!("server {{ listen {at}{ssl}; server_name _; {} }}\n", server.body)
        });
        let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {dir}/{kind};"))
            .concat();
        let config = format!(
            "daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;\nevents {{}}\n\
             http {{ access_log off; default_type text/plain; {temp}\n{http}\n{} }}\n",
            blocks.collect::<String>()
        );
        fs::write(home.path().join("nginx.conf"), config).unwrap();
        let child = Command::new("nginx")
            .args(["-e", "stderr", "-p"])
            .arg(home.path())
            .arg("-c")
            .arg(home.path().join("nginx.conf"))
            .env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()))
            .stdin(Stdio::null())
            .spawn()
            .expect("nginx must be installed (.ci/install nginx)");
        let mut nginx = Nginx { home, child, at };
        nginx.wait();
        nginx
    }

    fn wait(&mut self) {
        let until = Instant::now() + Duration::from_secs(20);
        for at in self.at.clone() {
            while TcpStream::connect(at).is_err() {
                let log = fs::read_to_string(self.home.path().join("error.log")).unwrap_or_default();
                assert!(self.child.try_wait().unwrap().is_none(), "nginx ended: {log}");
                assert!(Instant::now() < until, "nginx does not listen: {log}");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
