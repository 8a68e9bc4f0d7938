//! Published ports: only those that the check allows.

use domain::evidence::Finding;

use super::super::finding::{failed, names, passed, unknown};
use super::super::probe::Probe;
use super::look;
use orchestrator::{Container, HostPort};

pub(super) async fn ports(probe: &Probe<'_>, services: &[String], allowed: &[String]) -> Finding {
    let mut rules = vec![];
    for text in allowed {
        match probe.names.fill(text).map(|f| rule(&f.text)) {
            Ok(Some(rule)) => rules.push(rule),
            Ok(None) => {
                let saw = format!("“{text}” is not a port or an address with a port");
                return unknown("allowed ports", saw, "Write `allowed` as 443 or 127.0.0.1:3000.");
            }
            Err(error) => {
                return unknown("allowed ports", error.to_string(), "Correct `allowed` or the env file.");
            }
        }
    }
    let shown = rules.iter().map(show).collect::<Vec<_>>().join(", ");
    let wanted = if shown.is_empty() {
        "no published port".to_owned()
    } else {
        format!("only these published ports: {shown}")
    };
    let (rendered, all) = match look(probe, &wanted, services).await {
        Ok(seen) => seen,
        Err(found) => return found,
    };
    let covered: Vec<&Container> = all.iter().filter(|c| rendered.service(&c.service).is_some()).collect();
    let running = covered.iter().filter(|c| c.is_running()).count();
    let mut published: Vec<(String, HostPort)> = vec![];
    for declared in &rendered.services {
        published.extend(declared.ports.iter().map(|p| (declared.name.clone(), p.host.clone())));
    }
    for c in &covered {
        published.extend(c.ports.iter().map(|p| (c.service.clone(), p.host.clone())));
    }
    published.sort();
    published.dedup();
    let mut bad: Vec<String> = published
        .iter()
        .filter(|(_, p)| !rules.iter().any(|r| allows(r, p)))
        .map(|(name, p)| format!("{name} publishes {}", show(p)))
        .collect();
    bad.extend(
        covered.iter().filter(|c| c.host_network).map(|c| format!("{} uses the host network", c.service)),
    );
    if !bad.is_empty() {
        return failed(
            wanted,
            names(bad),
            "Remove these ports from the Compose file, bind them to 127.0.0.1, or add them to `allowed`.",
        );
    }
    if running == 0 {
        return unknown(wanted, "no service is running, so no port is published", "Deploy the stack.");
    }
    let list: Vec<String> = published.iter().map(|(name, p)| format!("{name} {}", show(p))).collect();
    let saw = if list.is_empty() { "no port is published".to_owned() } else { names(list) };
    passed(wanted, saw)
}

/// `3000`, `127.0.0.1:3000`, `127.0.0.1:*`, `[::1]:3000`.
fn rule(text: &str) -> Option<HostPort> {
    let text = text.trim();
    let (address, port) = text.rsplit_once(':').unwrap_or(("", text));
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let fits = port.parse::<u16>().is_ok_and(|p| p > 0) || (port == "*" && !address.is_empty());
    let known = address.is_empty() || address.parse::<std::net::IpAddr>().is_ok();
    (fits && known).then(|| HostPort::new(address, port))
}

/// A rule without an address allows its port on every address.
fn allows(rule: &HostPort, found: &HostPort) -> bool {
    (rule.port == "*" || rule.port == found.port)
        && (rule.address.is_empty() || rule.address == found.address)
}

pub(super) fn show(p: &HostPort) -> String {
    match (p.address.is_empty(), p.address.contains(':')) {
        (true, _) => p.port.clone(),
        (false, true) => format!("[{}]:{}", p.address, p.port),
        (false, false) => format!("{}:{}", p.address, p.port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_for_ports_mean_all_addresses_or_one() {
        let at = |address: &str, port: &str| HostPort { address: address.into(), port: port.into() };
        let allowed = |text: &str, p: &HostPort| rule(text).is_some_and(|r| allows(&r, p));
        assert!(allowed("3000", &at("", "3000")) && allowed("3000", &at("127.0.0.1", "3000")));
        assert!(allowed("127.0.0.1:3000", &at("127.0.0.1", "3000")));
        assert!(allowed("0.0.0.0:3000", &at("", "3000")) && allowed("[::]:3000", &at("", "3000")));
        assert!(!allowed("127.0.0.1:3000", &at("", "3000")) && !allowed("3000", &at("", "3001")));
        assert!(allowed("127.0.0.1:*", &at("127.0.0.1", "9")) && allowed("[::1]:80", &at("::1", "80")));
        for bad in ["", "x", "*", "0", "70000", "host:80", "80-90"] {
            assert!(rule(bad).is_none(), "{bad}");
        }
    }
}
