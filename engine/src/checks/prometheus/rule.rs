//! An alerting rule that is loaded, as declared, and evaluated.

use domain::check::PrometheusRule;
use domain::evidence::Finding;
use domain::time::human_span;
use serde_json::Value;

use super::super::finding::{brief, failed, names, passed, unknown};
use super::super::probe::Probe;
use super::super::span::parse_span;
use super::client::{NoData, Server, at_ms};

/// A loaded rule, and how often its group is evaluated.
struct Loaded<'a> {
    rule: &'a Value,
    every_ms: u64,
}

pub(super) async fn look(probe: &Probe<'_>, server: &Server, asked: &PrometheusRule) -> Finding {
    let mut wanted = format!("alert {} loaded and evaluated", asked.alert);
    if let Some(expr) = &asked.expr {
        wanted.push_str(&format!(", {}", brief(expr, 160)));
    }
    if let Some(span) = &asked.r#for {
        wanted.push_str(&format!(", for {span}"));
    }
    match seen(probe, server, asked, &wanted).await {
        Ok(found) | Err(found) => found,
    }
}

/// The finding; `Err` when it was reached early.
async fn seen(
    probe: &Probe<'_>,
    server: &Server,
    asked: &PrometheusRule,
    wanted: &str,
) -> Result<Finding, Finding> {
    let unseen = |(saw, next): (String, String)| unknown(wanted, saw, next);
    let data = server.data(probe, "rules", &[("type", "alert")]).await.map_err(|n| unseen(n.words()))?;
    let loaded = loaded(&data, &asked.alert);
    let [one] = loaded.as_slice() else {
        return Err(match loaded.len() {
            0 => {
                let all = every(&data);
                let others = if all.is_empty() { "none at all".to_owned() } else { names(all) };
                let saw = format!("no alert {} is loaded; loaded: {others}", asked.alert);
                failed(wanted, saw, "Add the rule to a file of `rule_files`, then reload Prometheus.")
            }
            n => {
                let saw = format!("{n} rules are called {}", asked.alert);
                unknown(wanted, saw, "Give each rule a name of its own.")
            }
        });
    };
    let correct = "Correct the rule file (or the declaration), then reload Prometheus.";
    if let Some(span) = &asked.r#for {
        let Some(want_ms) = parse_span(span) else {
            return Err(unknown(wanted, format!("“{span}” is no span of time"), "Write one such as 10m."));
        };
        let Some(seconds) = one.rule["duration"].as_f64() else {
            return Err(unknown(wanted, "Prometheus does not say the rule's `for`", "Run it again."));
        };
        let loaded_ms = (seconds * 1_000.0).round() as u64;
        if loaded_ms != want_ms {
            let saw = format!("{} is loaded with for {}, not {span}", asked.alert, written(loaded_ms));
            return Err(failed(wanted, saw, correct));
        }
    }
    if let Some(expr) = &asked.expr {
        let loaded = one.rule["query"].as_str().unwrap_or_default();
        if !same(probe, server, expr, loaded).await.map_err(unseen)? {
            let saw = format!("{} is loaded with {}", asked.alert, brief(loaded, 240));
            return Err(failed(wanted, saw, correct));
        }
    }
    Ok(health(probe, asked, one, wanted))
}

fn health(probe: &Probe<'_>, asked: &PrometheusRule, one: &Loaded<'_>, wanted: &str) -> Finding {
    let wait = "Wait for the rule's next evaluation, then run it again.";
    match one.rule["health"].as_str() {
        Some("ok") => {}
        Some("err") => {
            let why = brief(one.rule["lastError"].as_str().unwrap_or_default(), 200);
            return failed(
                wanted,
                format!("{} cannot be evaluated: {why}", asked.alert),
                "Correct the rule.",
            );
        }
        _ => return unknown(wanted, format!("{} was not evaluated so far", asked.alert), wait),
    }
    let Some(last) = at_ms(&one.rule["lastEvaluation"]) else {
        return unknown(wanted, format!("{} was not evaluated so far", asked.alert), wait);
    };
    let age = probe.now_ms().saturating_sub(last);
    // Two rounds may be missed by a busy server; a group of seconds gets a little more.
    if age > (one.every_ms * 3).max(15_000) {
        let saw = format!("{} was last evaluated {} ago", asked.alert, human_span(age));
        return failed(wanted, saw, "Look at the log of Prometheus: it no longer evaluates the rule.");
    }
    let state = one.rule["state"].as_str().unwrap_or("in a state that is not told");
    passed(wanted, format!("{} is loaded as wanted, evaluated without error, now {state}", asked.alert))
}

fn groups(data: &Value) -> impl Iterator<Item = (&Value, &Value)> {
    let groups = data["groups"].as_array().into_iter().flatten();
    groups.flat_map(|group| {
        let rules = group["rules"].as_array().into_iter().flatten();
        rules.map(move |rule| (group, rule))
    })
}

fn loaded<'a>(data: &'a Value, alert: &str) -> Vec<Loaded<'a>> {
    groups(data)
        .filter(|(_, rule)| rule["name"] == alert)
        .map(|(group, rule)| {
            let every_ms = (group["interval"].as_f64().unwrap_or(60.0) * 1_000.0) as u64;
            Loaded { rule, every_ms }
        })
        .collect()
}

fn every(data: &Value) -> Vec<&str> {
    groups(data).filter_map(|(_, rule)| rule["name"].as_str()).collect()
}

/// Whether two expressions say the same. Prometheus itself writes both in its own form, so that white
/// space, the order of clauses and needless outer parentheses do not count.
async fn same(
    probe: &Probe<'_>,
    server: &Server,
    ours: &str,
    theirs: &str,
) -> Result<bool, (String, String)> {
    if plain(ours) == plain(theirs) {
        return Ok(true);
    }
    let mut forms = Vec::new();
    for expr in [ours, theirs] {
        match server.data(probe, "format_query", &[("query", expr)]).await {
            Ok(form) => forms.push(plain(form.as_str().unwrap_or_default())),
            Err(NoData::Unsupported) => {
                return Err((
                    format!("another text is loaded: {}; this Prometheus cannot compare", brief(theirs, 200)),
                    "Write the expression in the check as Prometheus shows it.".to_owned(),
                ));
            }
            Err(other) => return Err(other.words()),
        }
    }
    Ok(forms[0] == forms[1] && !forms[0].is_empty())
}

/// The expression without white space outside of strings, and without parentheses around the whole.
fn plain(expr: &str) -> String {
    let mut out = String::new();
    let (mut quote, mut escaped, mut gap) = (None, false, false);
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
    for c in expr.trim().chars() {
        if let Some(end) = quote {
            out.push(c);
            if escaped {
                escaped = false;
            } else if c == '\\' && end != '`' {
                escaped = true;
            } else if c == end {
                quote = None;
            }
            continue;
        }
        if c.is_whitespace() {
            gap = true;
            continue;
        }
        if gap && word(c) && out.chars().next_back().is_some_and(word) {
            out.push(' ');
        }
        gap = false;
        if matches!(c, '"' | '\'' | '`') {
            quote = Some(c);
        }
        out.push(c);
    }
    while let Some(inner) = unwrapped(&out) {
        out = inner.to_owned();
    }
    out
}

/// The inside, when one pair of parentheses holds everything.
fn unwrapped(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('(')?.strip_suffix(')')?;
    let mut depth = 0_i32;
    for c in inner.chars() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if depth < 0 {
            return None;
        }
    }
    (depth == 0).then_some(inner)
}

/// A span as rule files write it.
fn written(ms: u64) -> String {
    match ms {
        0 => "0s".to_owned(),
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_and_outer_parentheses_do_not_count() {
        assert_eq!(plain("( up  == 0 )"), plain("up==0"));
        assert_eq!(plain("sum by (le) (a)"), "sum by(le)(a)");
        assert_ne!(plain("(a) / (b)"), plain("a) / (b"));
        assert_eq!(plain("(a)/(b)"), "(a)/(b)");
        assert_ne!(plain("a{b=\"x y\"}"), plain("a{b=\"xy\"}"));
        assert_ne!(plain("a and b"), plain("aandb"));
        assert_ne!(plain("up == 0"), plain("up == 1"));
    }

    #[test]
    fn spans_are_written_as_in_rule_files() {
        assert_eq!([600_000, 7_200_000, 90_000, 0].map(written), ["10m", "2h", "90s", "0s"]);
    }
}
