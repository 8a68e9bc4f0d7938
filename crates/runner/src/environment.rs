//! The environment of programs that the server starts.

use std::collections::BTreeMap;

/// Variables that are passed on. Compose prefers the environment over the env file, so a `PORT` in the environment of
/// the server must not change the stack.
const PASSED_ON: &[&str] = &[
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "USER",
    "LOGNAME",
    "SHELL",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
];

/// The environment of every program that is started for the stack: the variables that are passed on, and settings for
/// a missing terminal.
pub fn base_environment() -> BTreeMap<String, String> {
    let mut env: BTreeMap<String, String> =
        PASSED_ON.iter().filter_map(|key| Some(((*key).to_owned(), std::env::var(key).ok()?))).collect();
    env.entry("PATH".to_owned())
        .or_insert_with(|| "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    env.entry("LANG".to_owned()).or_insert_with(|| "C.UTF-8".to_owned());
    env.insert("TERM".to_owned(), "dumb".to_owned());
    env.insert("CI".to_owned(), "true".to_owned());
    env
}
