//! Several checks in one run: in order, in parallel where they allow it, each step once. Runs in the
//! supervisor.

use domain::check::{Check, CheckSpec};
use domain::evidence::{Finding, Outcome};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use super::work::{CheckFinding, SetupStep, sum_up};
use checks::{Output, ProbeWork, TrackedFiles, judge_command, probe, settled, with_remark};
use runner::{Cmd, Exit, Session};

/// How many checks may run at the same time.
const AT_ONCE: usize = 4;

/// Executes the steps and checks in the given order. A check whose predecessor was not successful is Inconclusive.
/// After a stop, what has not started is left out.
pub(crate) async fn run_all(
    session: &Session,
    setup: &[SetupStep],
    probes: &[ProbeWork],
) -> Vec<CheckFinding> {
    let units = units(setup, probes);
    let alone = units.len() == 1;
    let mut found: Vec<Option<CheckFinding>> = vec![None; probes.len()];
    let mut states = vec![State::Waiting; units.len()];
    let mut running = FuturesUnordered::new();
    loop {
        for at in 0..units.len() {
            if states[at] != State::Waiting || session.cancelled().is_cancelled() {
                continue;
            }
            let unit = &units[at];
            match unit.readiness(&units, &states) {
                Readiness::Waits => continue,
                Readiness::Hindered(by) => {
                    states[at] = State::Done { well: false };
                    for check in &unit.checks {
                        session.say(&format!(
                            "— {} was skipped: {by} was not successful",
                            probes[*check].check.title
                        ));
                        found[*check] = Some(CheckFinding::of(&probes[*check].check, hindered(&by)));
                    }
                    continue;
                }
                Readiness::Free => {}
            }
            if !unit.fits(&units, &states) {
                // A later one must not take the place that this one waits for.
                break;
            }
            states[at] = State::Runs;
            running.push(async move {
                // Lines of parallel checks are written together, when each check is done.
                let own = if alone || unit.touches { session.clone() } else { session.apart() };
                let (well, findings) = unit.carry_out(&own, setup, probes).await;
                own.tell();
                (at, well, findings)
            });
        }
        progress(session, &units, &states, &found, probes);
        let Some((at, well, findings)) = running.next().await else { break };
        states[at] = State::Done { well };
        for (check, finding) in units[at].checks.iter().zip(findings) {
            found[*check] = Some(finding);
        }
    }
    let found: Vec<CheckFinding> = found.into_iter().flatten().collect();
    if probes.len() > 1 {
        session.say(&format!("All checks done: {}.", sum_up(&found)));
    }
    found
}

fn progress(
    session: &Session,
    units: &[Unit],
    states: &[State],
    found: &[Option<CheckFinding>],
    probes: &[ProbeWork],
) {
    let now: Vec<&str> =
        units.iter().zip(states).filter(|(_, s)| **s == State::Runs).map(|(u, _)| u.title.as_str()).collect();
    if now.is_empty() {
        return;
    }
    let done = found.iter().flatten().count();
    let bad = found.iter().flatten().filter(|c| c.finding.outcome != Outcome::Pass).count();
    let bad = if bad == 0 { String::new() } else { format!(", {bad} not passed") };
    let checks = if probes.len() == 1 { "check" } else { "checks" };
    let summary = format!("{done} of {} {checks} done{bad}; running: {}", probes.len(), now.join(", "));
    session.progress(serde_json::json!({ "summary": summary, "done": done, "of": probes.len() }));
}

fn hindered(by: &str) -> Finding {
    Finding {
        outcome: Outcome::Inconclusive,
        value: None,
        saw: format!("not run, because {by} must succeed first and did not"),
        wanted: format!("{by} succeeds first"),
        next: format!("Fix {by}, then run this check again."),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Runs,
    Done { well: bool },
}

enum Readiness {
    Free,
    Waits,
    /// The named one was not successful.
    Hindered(String),
}

/// One unit of execution: a setup step, a check, or all checks that evaluate one step.
struct Unit {
    title: String,
    /// The ids that others may wait for.
    names: Vec<String>,
    after: Vec<String>,
    setup: Option<usize>,
    checks: Vec<usize>,
    /// Others may run at the same time.
    beside: bool,
    /// It runs a command; only one command runs at a time.
    touches: bool,
}

/// In the order given; checks that evaluate the same step under the same conditions are one unit.
fn units(setup: &[SetupStep], probes: &[ProbeWork]) -> Vec<Unit> {
    let mut units: Vec<Unit> = setup
        .iter()
        .enumerate()
        .map(|(at, step)| Unit {
            title: step.title.clone(),
            names: vec![step.id.clone()],
            after: vec![],
            setup: Some(at),
            checks: vec![],
            beside: false,
            touches: true,
        })
        .collect();
    for (at, work) in probes.iter().enumerate() {
        let check = &work.check;
        let step = shared_step(check);
        let after = &check.schedule.after;
        let twin = units.iter_mut().find(|u| {
            let first = u.checks.first().map(|first| &probes[*first].check);
            step.is_some() && u.after == *after && first.is_some_and(|f| shared_step(f) == step)
        });
        if let Some(unit) = twin {
            unit.names.push(check.id.clone());
            unit.checks.push(at);
            unit.beside &= check.runs_beside_others();
            continue;
        }
        units.push(Unit {
            title: check.title.clone(),
            names: std::iter::once(check.id.clone()).chain(check.spec.step().map(str::to_owned)).collect(),
            after: after.clone(),
            setup: None,
            checks: vec![at],
            beside: check.runs_beside_others(),
            touches: matches!(check.spec, CheckSpec::Command { .. }),
        });
    }
    units
}

/// The step that a check evaluates, if its execution can be shared with other checks.
fn shared_step(check: &Check) -> Option<&str> {
    match &check.spec {
        CheckSpec::Command { step: Some(step), cwd: None, twice: None, .. } if check.retries == 0 => {
            Some(step)
        }
        _ => None,
    }
}

impl Unit {
    fn readiness(&self, units: &[Unit], states: &[State]) -> Readiness {
        let mut waits = false;
        for (other, state) in units.iter().zip(states) {
            let Some(name) = self.after.iter().find(|a| other.names.contains(a) && !self.names.contains(a))
            else {
                continue;
            };
            match state {
                State::Done { well: true } => {}
                State::Done { well: false } => return Readiness::Hindered(format!("“{name}”")),
                State::Waiting | State::Runs => waits = true,
            }
        }
        if waits { Readiness::Waits } else { Readiness::Free }
    }

    /// Whether it may run in parallel with what is running.
    fn fits(&self, units: &[Unit], states: &[State]) -> bool {
        let running: Vec<&Unit> =
            units.iter().zip(states).filter(|(_, s)| **s == State::Runs).map(|(u, _)| u).collect();
        let none_alone = running.iter().all(|u| u.beside);
        let one_command = !self.touches || running.iter().all(|u| !u.touches);
        running.is_empty() || (self.beside && none_alone && one_command && running.len() < AT_ONCE)
    }

    async fn carry_out(
        &self,
        session: &Session,
        setup: &[SetupStep],
        probes: &[ProbeWork],
    ) -> (bool, Vec<CheckFinding>) {
        if let Some(step) = self.setup.and_then(|at| setup.get(at)) {
            session.say(&format!("— {} ({})", step.title, step.id));
            let exit = session.exec(Cmd::bash(&step.command)).await;
            session.say(&format!("Ended: {exit}."));
            return (exit.is_success(), vec![]);
        }
        let own: Vec<&ProbeWork> = self.checks.iter().map(|at| &probes[*at]).collect();
        let findings = match own.as_slice() {
            [work] => {
                session.say(&format!("— {} ({})", work.check.title, work.check.id));
                vec![CheckFinding::of(&work.check, probe(session, work).await)]
            }
            [first, ..] => {
                let titles: Vec<&str> = own.iter().map(|w| w.check.title.as_str()).collect();
                session.say(&format!("— {}", titles.join(", ")));
                let command = first.command.clone().unwrap_or_default();
                session.say(&format!("Command: {command}"));
                let longest = own.iter().map(|w| w.check.timeout_ms).max().unwrap_or_default();
                judged_step(session, &command, Some(longest), &own).await.1
            }
            [] => vec![],
        };
        (findings.iter().all(|f| f.finding.outcome == Outcome::Pass), findings)
    }
}

/// Runs a step once and evaluates it with all its checks. `timeout_ms` limits the command if the run itself does
/// not.
pub(crate) async fn judged_step(
    session: &Session,
    command: &str,
    timeout_ms: Option<u64>,
    judged_by: &[&ProbeWork],
) -> (Exit, Vec<CheckFinding>) {
    let started_at_ms = u64::try_from(system::clock::now().0).unwrap_or(0);
    let dir = session.dir();
    let from = runner::Reader::open(&dir).and_then(|reader| reader.count()).unwrap_or(0);
    let place = session.plan().cwd.clone();
    let before = TrackedFiles::of(session, &place).await;
    let mut cmd = Cmd::bash(command);
    cmd.timeout = timeout_ms.map(std::time::Duration::from_millis);
    let exit = session.exec(cmd).await;
    // With names, so that the end of another step in the same log is not mistaken for this one's.
    let names: Vec<&str> = judged_by.iter().map(|w| w.check.id.as_str()).collect();
    let mark = match timeout_ms {
        None => format!("Ended: {exit}."),
        Some(_) => format!("Ended ({}): {exit}.", names.join(", ")),
    };
    session.say(&mark);
    let written = settled(&dir, &session.redact(&mark)).await;
    let after = TrackedFiles::of(session, &place).await;
    let remark = before.zip(after).and_then(|(before, after)| after.remark(&before));
    if let Some(remark) = &remark {
        session.say(&format!("Warning: {remark}."));
    }
    // One execution serves all checks that evaluate the step.
    let checks = judged_by
        .iter()
        .map(|work| {
            let output = || match &written {
                Ok(()) => Output::of_run(&dir, from),
                Err(error) => Err(std::io::Error::other(error.to_string())),
            };
            let stack_dir = work.stack.dir();
            let mut finding = judge_command(&work.check, &exit, &output, stack_dir, started_at_ms);
            if let Some(remark) = &remark {
                finding = with_remark(finding, remark);
            }
            session.say(&format!("{}: {}; {}", work.check.title, finding.outcome.slug(), finding.saw));
            CheckFinding::of(&work.check, finding)
        })
        .collect();
    (exit, checks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::check::Schedule;

    fn work(id: &str, spec: serde_json::Value, schedule: Schedule) -> ProbeWork {
        let check = Check {
            id: id.into(),
            title: id.into(),
            proves: vec![],
            spec: serde_json::from_value(spec).unwrap(),
            want: None,
            timeout_ms: 1,
            retries: 0,
            valid_for_ms: None,
            binds: vec![],
            images: vec![],
            schedule,
        };
        serde_json::from_value(serde_json::json!({
            "check": check,
            "project": { "name": null, "dir": "/", "files": [], "env_file": null },
        }))
        .unwrap()
    }

    fn port(id: &str) -> ProbeWork {
        work(id, serde_json::json!({ "kind": "port", "address": "x:1" }), Schedule::default())
    }

    fn step(id: &str, step: &str, after: &[&str]) -> ProbeWork {
        let after = after.iter().map(|a| (*a).to_owned()).collect();
        let spec = serde_json::json!({ "kind": "command", "step": step });
        work(id, spec, Schedule { after, ..Schedule::default() })
    }

    #[test]
    fn checks_of_one_step_are_one_execution() {
        let units = units(
            &[],
            &[
                step("unit", "A.s1", &[]),
                port("web"),
                step("coverage", "A.s1", &[]),
                step("late", "A.s1", &["web"]),
            ],
        );
        let checks: Vec<&[usize]> = units.iter().map(|u| u.checks.as_slice()).collect();
        assert_eq!(checks, [&[0, 2][..], &[1], &[3]], "a check that waits is a separate execution");
        assert_eq!(units[0].names, ["unit", "A.s1", "coverage"]);
    }

    #[test]
    fn at_most_four_run_at_once_and_commands_run_alone() {
        let mut works: Vec<ProbeWork> = (0..6).map(|n| port(&format!("p{n}"))).collect();
        works.push(step("unit", "A.s1", &[]));
        let parallel = Schedule { parallel: Some(true), ..Schedule::default() };
        let run = serde_json::json!({ "kind": "command", "run": "true" });
        works.push(work("beside", run.clone(), parallel.clone()));
        works.push(work("beside too", run, parallel));
        let units = units(&[], &works);
        let fits = |running: &[usize], at: usize| {
            let mut states = vec![State::Waiting; units.len()];
            running.iter().for_each(|r| states[*r] = State::Runs);
            units[at].fits(&units, &states)
        };
        assert!(fits(&[], 0) && fits(&[0, 1, 2], 3) && !fits(&[0, 1, 2, 3], 4));
        assert!(fits(&[], 6) && !fits(&[0], 6) && !fits(&[6], 0), "a command runs alone");
        assert!(fits(&[0], 7) && fits(&[7], 0), "a parallel command runs beside probes");
        assert!(!fits(&[7], 8), "but not beside another command");
    }

    #[test]
    fn a_unit_waits_for_its_predecessor_and_is_skipped_when_that_fails() {
        let setup = [SetupStep { id: "A.s0".into(), title: "install".into(), command: "true".into() }];
        let units = units(&setup, &[step("unit", "A.s1", &["A.s0", "not here"]), port("web")]);
        let ask = |state: State| units[1].readiness(&units, &[state, State::Waiting, State::Waiting]);
        assert!(matches!(ask(State::Waiting), Readiness::Waits));
        assert!(matches!(ask(State::Runs), Readiness::Waits));
        assert!(matches!(ask(State::Done { well: true }), Readiness::Free));
        assert!(matches!(ask(State::Done { well: false }), Readiness::Hindered(by) if by.contains("A.s0")));
    }

    #[test]
    fn the_summary_names_what_did_not_pass() {
        let found = |id: &str, outcome| CheckFinding {
            check: id.into(),
            threshold_digest: String::new(),
            finding: Finding { outcome, ..hindered("x") },
        };
        let all = [
            found("a", Outcome::Pass),
            found("coverage", Outcome::Fail),
            found("p95", Outcome::Inconclusive),
        ];
        assert_eq!(sum_up(&all), "1 passed, 1 failed (coverage), 1 inconclusive (p95)");
        assert_eq!(sum_up(&all[..1]), "1 passed");
    }
}
