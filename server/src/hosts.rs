//! The host names that this board accepts. A foreign site can make its own host name resolve to this host (DNS
//! rebinding); the browser then sends that name, and it is refused here.
//!
//! Cookies do not depend on the port: a service on another port of the same host name receives the session too. So on
//! a loopback address the board has its own host name, and the server does not start when a URL of the stack has the
//! same one. A configuration file that is changed in this way while the server runs is refused as well.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use engine::{StackUrl, UrlRefusal};
use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode, Uri, header};

/// The board's own name on loopback addresses. Browsers resolve every name below `localhost` to this host.
const OWN_NAME: &str = "stagegate.localhost";

/// Why the server does not start.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HostError {
    /// A setting is not a valid host name or address.
    #[error("[server] {key}: “{value}” is not {wanted}")]
    Unreadable {
        /// Which setting.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// Something of the stack is served on the same host name.
    #[error(
        "Stagegate would share the host name {host} with [stack.urls] {name} = \"{url}\".\n\
         Browsers send cookies to every port of a host name, so that service would receive the sessions of all users \
         who sign in to Stagegate.\n\
         Give Stagegate its own host name: set public_url in [server] to another host name, or, if users open it \
         on this host only, remove public_url and use http://stagegate.localhost.\n\
         To accept the risk, set share_host = true in [server]."
    )]
    Shared {
        /// The name.
        host: String,
        /// Which URL.
        name: String,
        /// The URL.
        url: String,
    },
}

impl HostError {
    /// The same for a file that was changed while the server runs. The server continues with the previous version.
    pub fn while_running(self) -> UrlRefusal {
        match self {
            HostError::Shared { host, name, url } => UrlRefusal {
                message: format!("`{name}` = \"{url}\" has the host name {host}, which is Stagegate's own"),
                hint: "that service would receive the sessions of all users who sign in; give Stagegate another host \
                       name with public_url in [server], or accept the risk with share_host = true there, then \
                       restart Stagegate"
                    .to_owned(),
            },
            other => UrlRefusal { message: other.to_string(), hint: String::new() },
        }
    }
}

/// The host names that are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts {
    inner: Arc<Inner>,
}

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    /// Accepted names at one port; `None` means that a request names none.
    accepted: Vec<(String, Option<u16>)>,
    /// Names accepted at every port: a proxy may pass on its own port, or none.
    at_any_port: Vec<String>,
    /// The port at which any address of this host is accepted, if any.
    any_address: Option<u16>,
    /// Where browsers are redirected from the other loopback names.
    own: Option<String>,
    /// The address that is printed and named in refusals.
    base: String,
}

impl Hosts {
    /// The host names for the address that the server listens on and for the settings.
    ///
    /// # Errors
    /// When a setting is not a valid host name or address.
    pub fn of(local: SocketAddr, public_url: Option<&str>, more: &[String]) -> Result<Hosts, HostError> {
        let port = local.port();
        let (mut accepted, mut at_any_port, mut any_address, mut own) = (vec![], vec![], None, None);
        let base = match public_url {
            Some(url) => {
                let (name, origin) = of_url(url)?;
                at_any_port.push(name);
                origin
            }
            None => {
                let is_loopback = local.ip().is_loopback();
                let names =
                    [OWN_NAME.to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned()];
                let names = names.into_iter().chain([literal(local.ip())]);
                accepted.extend(names.flat_map(|name| at_port(&name, port)));
                any_address = local.ip().is_unspecified().then_some(port);
                let name = if is_loopback { OWN_NAME.to_owned() } else { literal(local.ip()) };
                let name = if port == 80 { name } else { format!("{name}:{port}") };
                own = is_loopback.then(|| name.clone());
                format!("http://{name}")
            }
        };
        for value in more {
            let unreadable = || HostError::Unreadable {
                key: "allowed_hosts",
                value: value.clone(),
                wanted: "a host name such as go.example.com or go.example.com:4400",
            };
            let (name, given) = split(value).ok_or_else(unreadable)?;
            match given {
                Some(_) => accepted.push((name, given)),
                None => {
                    accepted.extend([(name.clone(), None), (name.clone(), Some(port)), (name, Some(443))])
                }
            }
        }
        Ok(Hosts { inner: Arc::new(Inner { accepted, at_any_port, any_address, own, base }) })
    }

    /// The address that users open.
    pub fn base(&self) -> &str {
        &self.inner.base
    }

    /// Whether a `Host` header names this board.
    fn accepts(&self, host: &str) -> bool {
        let Some((name, port)) = split(host) else { return false };
        let listed = self.inner.at_any_port.contains(&name)
            || self.inner.accepted.iter().any(|(n, p)| *n == name && *p == port);
        listed
            || (self.inner.any_address.is_some()
                && self.inner.any_address == port
                && address(&name).is_some())
    }

    /// Refuses to share a host name with a URL of the stack, which would receive the sessions.
    ///
    /// # Errors
    /// When it has the same name.
    pub fn refuse_shared(&self, url: &StackUrl) -> Result<(), HostError> {
        // Where the board has its own name, browsers are redirected to it from the other loopback names.
        let own = self.inner.own.as_deref().and_then(split).map(|(name, _)| name);
        let leads_on = |name: &str| own.as_deref().is_some_and(|own| own != name) && is_loopback(name);
        let is_shared = |host: &str| {
            let mut names = self.inner.accepted.iter().map(|(name, _)| name).chain(&self.inner.at_any_port);
            let is_named = names.any(|name| name == host && !leads_on(name));
            is_named || (self.inner.any_address.is_some() && address(host).is_some())
        };
        match host_of(&url.with_defaults()).filter(|host| is_shared(host)) {
            // With values of the env file it may contain secrets, so it is shown as it is declared.
            Some(host) => Err(HostError::Shared { host, name: url.name.clone(), url: url.declared.clone() }),
            None => Ok(()),
        }
    }
}

/// The address that a host name is, where it is one.
fn address(name: &str) -> Option<IpAddr> {
    name.trim_matches(['[', ']']).parse().ok()
}

fn is_loopback(name: &str) -> bool {
    name == "localhost" || address(name).is_some_and(|ip| ip.is_loopback())
}

/// The host name of a public address, and its origin as browsers write it: without a path and without the usual port.
fn of_url(url: &str) -> Result<(String, String), HostError> {
    let unreadable = || HostError::Unreadable {
        key: "public_url",
        value: url.to_owned(),
        wanted: "an address such as https://go.example.com",
    };
    let uri: Uri = url.parse().map_err(|_| unreadable())?;
    let (scheme, usual) = match uri.scheme_str() {
        Some("https") => ("https", 443),
        Some("http") => ("http", 80),
        _ => return Err(unreadable()),
    };
    if uri.path_and_query().is_some_and(|rest| rest.as_str() != "/") || url.contains('#') {
        return Err(unreadable());
    }
    let (name, port) = uri.authority().and_then(|a| split(a.as_str())).ok_or_else(unreadable)?;
    let origin = match port.filter(|port| *port != usual) {
        Some(port) => format!("{scheme}://{name}:{port}"),
        None => format!("{scheme}://{name}"),
    };
    Ok((name, origin))
}

/// A name at a port; port 80 is not written.
fn at_port(name: &str, port: u16) -> Vec<(String, Option<u16>)> {
    let mut hosts = vec![(name.to_owned(), Some(port))];
    if port == 80 {
        hosts.push((name.to_owned(), None));
    }
    hosts
}

/// An address as it is written in a URL.
fn literal(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// Name and port of a host as in a header or a URL. `None`: it is not a plain host.
fn split(host: &str) -> Option<(String, Option<u16>)> {
    let authority: Authority = host.parse().ok()?;
    let is_plain = !host.contains('@') && !host.ends_with(':') && !authority.host().is_empty();
    let port = authority.port_u16();
    // A port that is not a number is not a missing port.
    let says_port = authority.as_str().len() > authority.host().len();
    (is_plain && says_port == port.is_some()).then(|| (authority.host().to_ascii_lowercase(), port))
}

/// The host of a URL.
fn host_of(url: &str) -> Option<String> {
    let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?.trim_end_matches(':');
    split(host).map(|(name, _)| name)
}

/// Refuses requests for other hosts, and redirects browsers to the board's own name.
pub async fn gate(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    // It only reports that this process answers, so any host name is accepted.
    if path == "/healthz" {
        return next.run(request).await;
    }
    let host = stated_host(request.uri(), request.headers());
    let Some(host) = host.filter(|host| hosts.accepts(host)) else {
        let name: String = host.unwrap_or("").chars().filter(char::is_ascii_graphic).take(100).collect();
        let base = hosts.base();
        let text = format!(
            "Stagegate does not accept the host name “{name}”. Open {base} instead, or add the name to allowed_hosts \
             in the [server] table of stagegate.toml and restart Stagegate.\n"
        );
        return (StatusCode::MISDIRECTED_REQUEST, text).into_response();
    };
    if let Some(own) = &hosts.inner.own
        && !host.eq_ignore_ascii_case(own)
        && is_loopback_name(host)
        && *request.method() == Method::GET
        && is_browser_opening_a_page(request.headers())
    {
        let rest = request.uri().path_and_query().map_or("/", |p| p.as_str());
        return Redirect::temporary(&format!("http://{own}{rest}")).into_response();
    }
    next.run(request).await
}

/// The one host that a request names: that of the header, and the request line must not name another.
fn stated_host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let mut stated = headers.get_all(header::HOST).iter();
    let host = stated.next()?.to_str().ok()?;
    let in_line = uri.authority().is_none_or(|authority| authority.as_str().eq_ignore_ascii_case(host));
    (stated.next().is_none() && in_line).then_some(host)
}

fn is_loopback_name(host: &str) -> bool {
    let Some((name, _)) = split(host) else { return false };
    name == "localhost" || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Only browsers send these headers; scripts are not redirected.
fn is_browser_opening_a_page(headers: &HeaderMap) -> bool {
    let is = |name: &str, value: &str| headers.get(name).is_some_and(|v| v == value);
    is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(listen: &str, public_url: Option<&str>, more: &[&str]) -> Hosts {
        let more: Vec<String> = more.iter().map(|m| (*m).to_owned()).collect();
        Hosts::of(listen.parse().unwrap(), public_url, &more).unwrap()
    }

    #[test]
    fn without_a_public_address_only_names_of_this_host_are_accepted() {
        let own = hosts("127.0.0.1:4400", None, &[]);
        assert_eq!(own.base(), "http://stagegate.localhost:4400");
        for good in
            ["127.0.0.1:4400", "localhost:4400", "LOCALHOST:4400", "[::1]:4400", "stagegate.localhost:4400"]
        {
            assert!(own.accepts(good), "{good}");
        }
        for bad in [
            "evil.example",
            "evil.example:4400",
            "127.0.0.1",
            "127.0.0.1:4401",
            "stagegate.localhost",
            "localhost.:4400",
            "x.localhost:4400",
            "127.0.0.2:4400",
            "10.0.0.5:4400",
            "127.0.0.1:4400@evil.example",
            "localhost:4400:1",
            "",
            "localhost:",
            "localhost:x",
            "evil.example@localhost:4400",
            "2130706433:4400",
            "localhost:4400/",
            "[::1]",
        ] {
            assert!(!own.accepts(bad), "{bad}");
        }
        assert!(hosts("127.0.0.1:80", None, &[]).accepts("stagegate.localhost"));
    }

    #[test]
    fn the_listen_address_is_accepted_and_foreign_names_are_not() {
        let one = hosts("10.0.0.5:4400", None, &[]);
        assert_eq!(one.base(), "http://10.0.0.5:4400");
        assert!(one.accepts("10.0.0.5:4400") && !one.accepts("10.0.0.6:4400"));
        let all = hosts("0.0.0.0:4400", None, &[]);
        assert!(
            all.accepts("10.0.0.6:4400") && all.accepts("[fe80::1]:4400") && all.accepts("localhost:4400")
        );
        assert!(
            !all.accepts("evil.example:4400") && !all.accepts("10.0.0.6:4401") && !all.accepts("10.0.0.6")
        );
    }

    #[test]
    fn the_public_address_and_allowed_hosts_are_accepted() {
        let public =
            hosts("127.0.0.1:4400", Some("https://go.example.com/"), &["board.lan:8080", "board.lan2"]);
        assert_eq!(public.base(), "https://go.example.com");
        for good in [
            "go.example.com",
            "GO.example.com:443",
            "go.example.com:4400",
            "board.lan:8080",
            "board.lan2",
            "board.lan2:4400",
        ] {
            assert!(public.accepts(good), "{good}");
        }
        for bad in ["127.0.0.1:4400", "localhost:4400", "go.example.org", "board.lan"] {
            assert!(!public.accepts(bad), "{bad}");
        }
        for (url, base) in [
            ("https://go.example.com:443", "https://go.example.com"),
            ("http://GO.example.com:80/", "http://go.example.com"),
            ("https://go.example.com:8443", "https://go.example.com:8443"),
        ] {
            assert_eq!(hosts("127.0.0.1:4400", Some(url), &[]).base(), base);
        }
        for bad in [
            "go.example.com",
            "https://go.example.com/board",
            "https://go.example.com/?x",
            "ftp://go.example.com",
        ] {
            assert!(Hosts::of("127.0.0.1:1".parse().unwrap(), Some(bad), &[]).is_err(), "{bad}");
        }
        assert!(Hosts::of("127.0.0.1:1".parse().unwrap(), None, &["http://x".to_owned()]).is_err());
    }

    #[test]
    fn a_host_name_is_not_shared_with_the_stack() {
        let urls = |url: &str| StackUrl { name: "api".into(), declared: url.into(), filled: url.into() };
        let local = "http://127.0.0.1:${PORT:-3000}";
        assert_eq!(hosts("127.0.0.1:4400", None, &[]).refuse_shared(&urls(local)), Ok(()));
        let own = hosts("127.0.0.1:4400", Some("http://127.0.0.1:4400"), &[]);
        let error = own.refuse_shared(&urls(local)).unwrap_err().to_string();
        assert!(error.contains("127.0.0.1") && error.contains("share_host = true"), "{error}");
        let public = hosts("127.0.0.1:4400", Some("https://go.example.com"), &[]);
        for shared in [
            "https://GO.example.com:8443/x",
            "http://u:p@go.example.com",
            "https://${HOST:-go.example.com}:${P:-1}/",
            "https://go.example.com?x",
            "https://go.example.com:3000/${TOKEN:?set it}",
            "https://go.example.com/${A!b}",
            "https://go.example.com${X:?}/",
        ] {
            assert!(public.refuse_shared(&urls(shared)).is_err(), "{shared}");
        }
        for other in ["https://api.example.com", local, "${BASE}/x", "https://example.com", "not a url"] {
            assert_eq!(public.refuse_shared(&urls(other)), Ok(()), "{other}");
        }
        // The value from the env file decides, and is not shown.
        let filled = "https://u:secret@go.example.com/";
        let url = StackUrl { filled: filled.into(), ..urls("https://u:${PW}@${HOST:-x}/") };
        let error = public.refuse_shared(&url).unwrap_err();
        assert!(!error.to_string().contains("secret") && error.to_string().contains("${PW}"), "{error}");
        let UrlRefusal { message, hint } = error.while_running();
        assert!(message.contains("go.example.com") && !message.contains("secret"), "{message}");
        assert!(hint.contains("share_host = true"), "{hint}");
        let direct = hosts("10.0.0.5:4400", None, &[]);
        assert!(direct.refuse_shared(&urls("http://10.0.0.5:3000")).is_err());
        // Any address of this host may be that of the service.
        let all = hosts("0.0.0.0:4400", None, &[]);
        for shared in ["http://192.168.1.5:3000", "http://[fe80::1]:3000", "http://localhost:3000"] {
            assert!(all.refuse_shared(&urls(shared)).is_err(), "{shared}");
        }
        assert_eq!(all.refuse_shared(&urls("http://api.lan:3000")), Ok(()));
        // A name in allowed_hosts belongs to the board as well.
        let named = hosts("127.0.0.1:4400", None, &["board.lan"]);
        assert!(named.refuse_shared(&urls("http://board.lan:3000")).is_err());
        assert!(named.refuse_shared(&urls("http://stagegate.localhost:3000")).is_err());
        assert_eq!(named.refuse_shared(&urls(local)), Ok(()));
    }
}
