//! Random sequences of actions against an independent statement of the rules.
//!
//! The model below uses only the facts (who attested or signed what, when, on which release) and defines for each
//! conclusion what must be true for it. It shares no code with the judge: no digests, no item states, no
//! staleness. The actions change the facts without a permission check, so the rules cannot depend
//! on valid actions.
//!
//! `make model` runs 100,000 of them; `STAGEGATE_MODEL` sets the number.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "model/claims.rs"]
mod claims;
#[path = "model/world.rs"]
mod world;

use claims::{Claim, broken};
use domain::facts::Choice;
use domain::gate::GateState;
use domain::judge::Judgement;
use world::{Dice, World};

/// Default number of sequences: some seconds in a debug build.
const USUAL: u64 = 1_000;
/// Maximum number of actions per sequence.
const LONGEST: u64 = 24;

fn sequences() -> u64 {
    std::env::var("STAGEGATE_MODEL").ok().and_then(|n| n.parse().ok()).unwrap_or(USUAL)
}

/// Runs `count` sequences from `first` on; `spoil` may change the judgement. Returns the first
/// claim that was violated, and how often the verdict was Go, a decision was valid, and a gate was accepted.
fn run(first: u64, count: u64, spoil: fn(&World, &mut Judgement)) -> (Option<(u64, Claim)>, [u64; 3]) {
    let mut seen = [0; 3];
    for seed in first..first + count {
        let mut dice = Dice::new(seed);
        // Half of them begin with only the sign-offs missing, or with all signed, because Go is rare otherwise.
        let mut world = match dice.below(4) {
            0 => World::signed(&mut dice),
            1 => World::accepted(&mut dice),
            _ => World::new(),
        };
        for _ in 0..=dice.below(LONGEST) {
            world.act(&mut dice);
            let mut judged = world.judge();
            spoil(&world, &mut judged);
            seen[0] += u64::from(judged.verdict.is_go());
            seen[1] += u64::from(judged.decision.as_ref().is_some_and(|d| d.choice == Choice::Go));
            seen[2] +=
                u64::from(judged.gates.iter().any(|g| g.state == GateState::Accepted && !g.is_decision));
            if let Some(claim) = broken(&world, &judged) {
                return (Some((seed, claim)), seen);
            }
        }
    }
    (None, seen)
}

#[test]
fn no_sequence_of_acts_gets_past_the_rules() {
    let (count, hands) = (sequences(), 2);
    let threads: Vec<_> = (0..hands)
        .map(|n| std::thread::spawn(move || run(n * (count / hands), count / hands, |_, _| {})))
        .collect();
    let mut seen = [0; 3];
    for thread in threads {
        let (wrong, here) = thread.join().unwrap();
        assert_eq!(wrong, None, "(seed, broken claim)");
        for (all, one) in seen.iter_mut().zip(here) {
            *all += one;
        }
    }
    let [go, decided, accepted] = seen;
    println!(
        "{count} sequences: {go} moments of Go, {decided} with a decision, {accepted} with a gate accepted"
    );
    // Sequences that never reach Go would prove nothing.
    assert!(go > count / 20 && decided > count / 200 && accepted > count / 4, "{seen:?}");
}

/// Each of these mistakes of a judge is detected by the claim that it violates.
#[test]
fn a_wrong_judge_is_caught() {
    type Spoil = fn(&World, &mut Judgement);
    let ways: [(&str, Claim, Spoil); 7] = [
        ("a gate stays accepted whatever happens", Claim::AcceptedUnmet, |_, j| {
            for gate in j.gates.iter_mut().filter(|g| g.acceptance.is_some()) {
                gate.state = GateState::Accepted;
            }
        }),
        ("stale sign-offs count", Claim::StaleCounted, |_, j| {
            j.sign_offs.iter_mut().for_each(|s| s.stale.clear());
        }),
        ("missing sign-offs do not matter", Claim::GoUnsigned, |_, j| {
            j.verdict.blockers.retain(|b| !b.what.starts_with("Sign-offs missing"));
        }),
        ("a No-Go does not matter", Claim::GoUnsigned, |_, j| {
            j.verdict.blockers.retain(|b| !b.what.ends_with("signed No-Go"));
        }),
        ("open gates do not matter", Claim::GoUnaccepted, |_, j| {
            j.verdict.blockers.retain(|b| !b.what.starts_with("Gate "));
        }),
        ("a decision is valid forever", Claim::DecisionOnNoGo, |w, j| {
            j.decision = w.decisions.last().cloned();
        }),
        ("one person signs twice", Claim::TwoRoles, |w, j| {
            for view in &mut j.sign_offs {
                if view.last.as_ref().is_some_and(|l| w.same_as_shown(l)) {
                    view.stale.clear();
                }
            }
        }),
    ];
    for (what, claim, spoil) in ways {
        let (wrong, _) = run(0, 20_000, spoil);
        assert_eq!(wrong.map(|(_, claim)| claim), Some(claim), "{what}");
    }
}
