//! The server's settings: flag, environment, file, default, in that order.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::cli;

/// What the server needs to know apart from the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The stack's `stagegate.toml`, absolute.
    pub config: PathBuf,
    /// The data directory, absolute.
    pub data: PathBuf,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// The URL that users open; `None`: the address that the server listens on.
    pub public_url: Option<String>,
    /// Further host names that are accepted.
    pub allowed_hosts: Vec<String>,
    /// Whether the stack may be served on the same host name.
    pub share_host: bool,
    /// Directory with the files of the web pages.
    pub site: PathBuf,
    /// Create the demo accounts.
    pub demo: bool,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// `--demo` on an address that others can reach.
    #[error(
        "--demo prints sign-in links for demo accounts, so it is only allowed on loopback addresses, not on {0}"
    )]
    DemoInPublic(SocketAddr),
    /// The files of the web pages are missing.
    #[error(
        "the files of the web pages were not found in {0}; build them with `make build`, or give their directory with \
         --site"
    )]
    NoSite(PathBuf),
    /// A value in the file cannot be read.
    #[error("[server] {key} in {file}: {why}")]
    File {
        /// Which key.
        key: &'static str,
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The current directory cannot be read.
    #[error("the current directory cannot be read")]
    Directory(#[source] std::io::Error),
}

/// The `[server]` table of `stagegate.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileSettings {
    /// `listen`.
    pub listen: Option<String>,
    /// `data`, relative to the file.
    pub data: Option<String>,
    /// `public_url`.
    pub public_url: Option<String>,
    /// `allowed_hosts`.
    pub allowed_hosts: Vec<String>,
    /// `share_host`.
    pub share_host: bool,
}

/// Reads the `[server]` table. A file that is missing or is not valid TOML gives no error here; reading the whole
/// configuration reports it.
pub fn read_file(config: &Path) -> Result<FileSettings, SettingsError> {
    let Ok(text) = std::fs::read_to_string(config) else { return Ok(FileSettings::default()) };
    let server = runbook::config::server_table(&text);
    Ok(FileSettings {
        listen: server.listen,
        data: server.data,
        public_url: server.public_url,
        allowed_hosts: server.allowed_hosts,
        share_host: server.share_host,
    })
}

/// Combines flags (which include the environment), file and defaults.
pub fn settle(flags: &cli::Serve, file: &FileSettings) -> Result<Settings, SettingsError> {
    let (config, data) = stack_paths(&flags.stack, file)?;
    let from_file = match &file.listen {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| SettingsError::File {
            key: "listen",
            file: config.clone(),
            why: format!("“{text}” is not an address such as 127.0.0.1:4400"),
        })?),
    };
    let listen = flags.listen.or(from_file).unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4400));
    if flags.demo && !listen.ip().is_loopback() {
        return Err(SettingsError::DemoInPublic(listen));
    }
    let site = find_site(flags.site.clone())?;
    let public_url = flags.public_url.clone().or_else(|| file.public_url.clone());
    Ok(Settings {
        config,
        data,
        listen,
        public_url: public_url.map(|u| u.trim_end_matches('/').to_owned()),
        allowed_hosts: match flags.allowed_hosts.is_empty() {
            true => file.allowed_hosts.clone(),
            false => flags.allowed_hosts.clone(),
        },
        share_host: flags.share_host || file.share_host,
        site,
        demo: flags.demo,
    })
}

/// The absolute paths of `stagegate.toml` and of the data directory.
pub fn stack_paths(stack: &cli::Stack, file: &FileSettings) -> Result<(PathBuf, PathBuf), SettingsError> {
    let config = std::path::absolute(&stack.config).map_err(SettingsError::Directory)?;
    let beside = config.parent().unwrap_or(Path::new("/")).to_owned();
    let data = match (&stack.data, &file.data) {
        (Some(flag), _) => std::path::absolute(flag).map_err(SettingsError::Directory)?,
        (None, Some(text)) => beside.join(text),
        (None, None) => beside.join(".stagegate"),
    };
    Ok((config, data))
}

fn find_site(flag: Option<PathBuf>) -> Result<PathBuf, SettingsError> {
    if let Some(site) = flag {
        return if site.join("pkg").is_dir() { Ok(site) } else { Err(SettingsError::NoSite(site)) };
    }
    let beside_binary = std::env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.parent()?.join("site")))
        .unwrap_or_else(|| PathBuf::from("target/site"));
    [beside_binary.clone(), PathBuf::from("target/site")]
        .into_iter()
        .find(|site| site.join("pkg").is_dir())
        .ok_or(SettingsError::NoSite(beside_binary))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(listen: Option<&str>, demo: bool, site: &Path) -> cli::Serve {
        cli::Serve {
            stack: cli::Stack { config: "/srv/x/stagegate.toml".into(), data: None },
            listen: listen.map(|l| l.parse().unwrap()),
            public_url: None,
            allowed_hosts: vec![],
            share_host: false,
            site: Some(site.to_owned()),
            demo,
        }
    }

    fn site() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("pkg")).unwrap();
        dir
    }

    #[test]
    fn a_flag_overrides_the_file_and_the_file_overrides_the_default() {
        let site = site();
        let file = FileSettings { listen: Some("127.0.0.1:9".into()), ..Default::default() };
        let at = |flag, file: &FileSettings| {
            settle(&flags(flag, false, site.path()), file).unwrap().listen.to_string()
        };
        assert_eq!(at(Some("127.0.0.1:8"), &file), "127.0.0.1:8");
        assert_eq!(at(None, &file), "127.0.0.1:9");
        assert_eq!(at(None, &FileSettings::default()), "127.0.0.1:4400");
    }

    #[test]
    fn demo_people_exist_on_loopback_only() {
        let site = site();
        let result = settle(&flags(Some("0.0.0.0:4400"), true, site.path()), &Default::default());
        assert!(matches!(result, Err(SettingsError::DemoInPublic(_))));
    }

    #[test]
    fn the_data_directory_is_beside_the_stack_by_default() {
        let site = site();
        let settled = settle(&flags(None, false, site.path()), &FileSettings::default()).unwrap();
        assert_eq!(settled.data, Path::new("/srv/x/.stagegate"));
    }
}
