//! The server's settings: flag, environment, file, default, in that order.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::cli;

/// What the server needs to know beside the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The stack's `stagegate.toml`, absolute.
    pub config: PathBuf,
    /// Where state is kept, absolute.
    pub data: PathBuf,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// The address people type; `None`: the address listened on.
    pub public_url: Option<String>,
    /// Host names that are answered to besides.
    pub allowed_hosts: Vec<String>,
    /// Whether the stack may be served on the same host name.
    pub share_host: bool,
    /// Directory of the page's files.
    pub site: PathBuf,
    /// Make the example's people.
    pub demo: bool,
}

/// What keeps the settings from being used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// `--demo` on an address that others can reach.
    #[error(
        "--demo makes people with sign-in links on the console, so it works on loopback addresses only, not on {0}"
    )]
    DemoInPublic(SocketAddr),
    /// The page's files are not where they should be.
    #[error("the page's files were not found at {0}; build them with `make build` or name them with --site")]
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
    /// The current directory cannot be told.
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

/// Reads the `[server]` table. A file that is missing or no TOML says nothing here; reading the whole
/// configuration tells what is wrong with it.
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

/// Puts flags (which hold the environment already), file and defaults together.
pub fn settle(flags: &cli::Serve, file: &FileSettings) -> Result<Settings, SettingsError> {
    let (config, data) = stack_paths(&flags.stack, file)?;
    let from_file = match &file.listen {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| SettingsError::File {
            key: "listen",
            file: config.clone(),
            why: format!("“{text}” is no address such as 127.0.0.1:4400"),
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
    fn the_flag_beats_the_file_and_the_file_the_default() {
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
    fn state_lies_beside_the_stack_unless_said_otherwise() {
        let site = site();
        let settled = settle(&flags(None, false, site.path()), &FileSettings::default()).unwrap();
        assert_eq!(settled.data, Path::new("/srv/x/.stagegate"));
    }
}
