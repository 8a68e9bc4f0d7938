//! Random acts in random order: what must hold whatever people do.

use super::*;

#[derive(Debug, Clone)]
enum Act {
    Find(usize, u8),
    Attest(bool, bool),
    Waive(bool),
    Accept(bool),
    Sign(u8, i64, bool),
    Wait(u8),
    Deploy(i64),
    Break(bool),
    Reword,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0usize..2, 0u8..6).prop_map(|(c, o)| Act::Find(c, o)),
        3 => (any::<bool>(), prop::bool::weighted(0.85)).prop_map(|(i, h)| Act::Attest(i, h)),
        1 => any::<bool>().prop_map(Act::Waive),
        4 => any::<bool>().prop_map(Act::Accept),
        6 => (0u8..3, 1i64..5, prop::bool::weighted(0.9)).prop_map(|(r, p, g)| Act::Sign(r, p, g)),
        1 => (0u8..10).prop_map(Act::Wait),
        1 => (1i64..3).prop_map(Act::Deploy),
        1 => any::<bool>().prop_map(Act::Break),
        1 => Just(Act::Reword),
    ];
    prop::collection::vec(act, 1..40)
}

fn perform(w: &mut World, act: &Act) {
    match act {
        Act::Find(check, outcome) => {
            let outcome = match outcome {
                0 => Outcome::Fail,
                1 => Outcome::Inconclusive,
                _ => Outcome::Pass,
            };
            w.finds(["unit", "scan"][*check], outcome);
        }
        Act::Attest(first, holds) => w.attests(if *first { "A.2" } else { "H.c2" }, *holds),
        Act::Waive(first) => w.waives(if *first { "A.1" } else { "B.1" }, 3),
        Act::Accept(first) => {
            w.accepts(if *first { "A" } else { "B" });
        }
        Act::Sign(role, by, go) => {
            let role = [Role::Backend, Role::Qa, Role::Po][usize::from(*role)];
            w.signs(role, *by, if *go { Choice::Go } else { Choice::NoGo });
        }
        Act::Wait(days) => w.now = w.now.plus(u64::from(*days) * DAY / 2),
        Act::Deploy(id) => {
            w.release = Some(release(*id));
            w.observed.parts = release(*id).parts;
        }
        Act::Break(bad) => {
            w.observed.services = vec![service(if *bad { Health::Unhealthy } else { Health::Healthy })];
        }
        Act::Reword => w.runbook.criteria[1].digest.push('x'),
    }
}

fn check_invariants(w: &World) -> Result<(), TestCaseError> {
    let judged = w.judge();
    for gate in &judged.gates {
        if gate.state == GateState::Accepted {
            prop_assert!(gate.items.iter().all(|i| i.is_satisfied()), "accepted with an unmet item");
        }
    }
    for signed in judged.sign_offs.iter().filter(|s| s.counts() == Some(Choice::Go)) {
        let last = signed.last.as_ref().unwrap();
        prop_assert_eq!(&last.digest, &judged.digest, "a stale signature is counted");
        prop_assert_eq!(last.release, w.release_id());
    }
    if judged.verdict.is_go() {
        let mut people: Vec<i64> = judged
            .sign_offs
            .iter()
            .filter(|s| s.counts() == Some(Choice::Go))
            .map(|s| s.last.as_ref().unwrap().by)
            .collect();
        people.sort_unstable();
        people.dedup();
        prop_assert_eq!(people.len(), 3, "Go without three roles by three people");
        let decided: Vec<_> = judged.gates.iter().filter(|g| !g.is_decision).collect();
        prop_assert!(decided.iter().all(|g| g.state == GateState::Accepted));
        prop_assert!(w.observed.services.iter().all(|s| s.health.is_good()));
        for item in judged.gates.iter().flat_map(|g| &g.items) {
            prop_assert!(item.is_satisfied(), "Go with {} open", item.item.id);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// From nothing, and from a board that is Go: no sequence of acts gets past the rules.
    #[test]
    fn no_sequence_of_acts_gets_past_the_rules(acts in acts(), from_go in any::<bool>()) {
        let mut w = if from_go { World::signed() } else { World::new() };
        for act in &acts {
            perform(&mut w, act);
            check_invariants(&w)?;
        }
    }
}
