//! What a Prometheus server knows: whether a target is scraped, a rule loaded, a query's value wanted.

mod client;
mod query;
mod rule;
mod target;

use domain::check::PrometheusSpec;
use domain::evidence::Finding;

use super::finding::unknown;
use super::probe::Probe;
use client::Server;

pub(super) async fn probe(probe: &Probe<'_>, spec: &PrometheusSpec) -> Finding {
    let wanted = "an answer of Prometheus";
    let server = match Server::new(probe, spec) {
        Ok(server) => server,
        Err((saw, next)) => return unknown(wanted, saw, next),
    };
    match (&spec.target, &spec.rule, &spec.query) {
        (Some(target), None, None) => target::look(probe, &server, target).await,
        (None, Some(rule), None) => rule::look(probe, &server, rule).await,
        (None, None, Some(query)) => query::look(probe, &server, query).await,
        _ => unknown(
            wanted,
            "the check names not exactly one of target, rule and query",
            "Correct the declaration.",
        ),
    }
}
