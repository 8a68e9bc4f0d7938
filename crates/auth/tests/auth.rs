//! Passwords, tokens, and the rate limits for attempts.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

use std::net::IpAddr;

use auth::confirmations::Confirmations;
use auth::passwords::{Cost, PasswordError, Passwords, Priority, Verdict, Weak, check_rule};
use auth::throttle::Throttle;
use auth::tokens::Token;
use domain::time::Millis;

const CHEAP: Cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };

#[test]
fn new_passwords_are_long_and_hard_to_guess() {
    let check =
        |password: &str| check_rule(password, "ada.lovelace@example.org", "Ada Lovelace", "medianest");
    for (password, verdict) in [
        ("short", Err(Weak::TooShort)),
        ("123456789", Err(Weak::TooShort)),
        ("ada.lovelace@example.org", Err(Weak::OwnName)),
        ("ADA.LOVELACE", Err(Weak::OwnName)),
        (" Ada Lovelace ", Err(Weak::OwnName)),
        ("four words are fine", Ok(())),
        ("grün ist die Heide", Ok(())),
        ("q8Zr-t0Lm-vXw2", Ok(())),
        // Those of the other tests and of the journeys.
        ("three green lights", Ok(())),
        ("four green lights", Ok(())),
        ("five green lights", Ok(())),
        ("three green lights for Ada", Ok(())),
        ("a horse of the battery", Ok(())),
        ("another long password", Ok(())),
        ("a third long password", Ok(())),
        ("another long one", Ok(())),
        // The estimate for all of it would take seconds.
        (
            "X<+@6TZB@zB%b+ZI449xS4z[X$a9isE(z3[{8[7t7to4[o7iA02O3Gc5i<@is9%zIT([E%[ix6<iT@xo<X%0A[1(G35{x(E8@E|`",
            Ok(()),
        ),
    ] {
        assert_eq!(check(password), verdict, "{password}");
    }
    for easy in [
        "6262626262626262626262626262626262626262626262626262626262626262",
        "ääääääääää",
        "Password123",
        "P@ssw0rd123!",
        "1234567890",
        "zzzzzzzzzzzz",
        "qwertyuiop[]",
        "correcthorsebatterystaple",
        "stagegate123",
        // Hard for a stranger, easy for somebody who knows the person or the stack.
        "Lovelace2024",
        "medianest-1815",
    ] {
        let Err(Weak::Guessable { advice }) = check(easy) else { panic!("{easy} is accepted") };
        assert!(advice.ends_with('.') && !advice.contains(easy), "{easy}: {advice}");
    }
    let phrase: String =
        "nobody guesses seven unrelated words of a list ".chars().cycle().take(256).collect();
    assert_eq!(check(&phrase), Ok(()));
    assert_eq!(check(&format!("{phrase}x")), Err(Weak::TooLong));
}

#[test]
fn a_refusal_says_what_to_do() {
    let refusal = check_rule("Password123", "ada", "Ada", "shop").unwrap_err().to_string();
    assert_eq!(
        refusal,
        "this password is too easy to guess. This is a very common password. Add another word or two. \
         Uncommon words are better. Capitalization doesn't help very much."
    );
}

#[tokio::test]
async fn the_right_password_is_accepted_and_a_missing_person_has_none() {
    let passwords = Passwords::new(CHEAP).unwrap();
    let hash = passwords.hash("correct horse".into()).await.unwrap();
    assert_ne!(hash, passwords.hash("correct horse".into()).await.unwrap(), "salts differ");
    let verify = async |typed: &str, stored: Option<&String>| {
        passwords.verify(typed.into(), stored.cloned(), Priority::SignedIn).await.unwrap()
    };
    assert_eq!(verify("correct horse", Some(&hash)).await, Verdict::Right);
    assert_eq!(verify("correct hors", Some(&hash)).await, Verdict::Wrong);
    assert_eq!(verify("", Some(&hash)).await, Verdict::Wrong);
    assert_eq!(verify("correct horse", None).await, Verdict::Wrong);
    assert_eq!(verify(&"x".repeat(1_000_000), Some(&hash)).await, Verdict::Wrong);
    let unreadable = passwords.verify("x".into(), Some("$argon2id$rubbish".into()), Priority::SignedIn).await;
    assert!(matches!(unreadable, Err(PasswordError::Hash(_))));
}

#[tokio::test]
async fn a_hash_of_another_cost_must_be_replaced() {
    let old = Passwords::new(CHEAP).unwrap().hash("correct horse".into()).await.unwrap();
    let passwords = Passwords::new(Cost { passes: 2, ..CHEAP }).unwrap();
    let verdict =
        passwords.verify("correct horse".into(), Some(old.clone()), Priority::KnownOrigin).await.unwrap();
    assert_eq!(verdict, Verdict::RightButRehash);
    assert_eq!(
        passwords.verify("wrong".into(), Some(old), Priority::KnownOrigin).await.unwrap(),
        Verdict::Wrong
    );
}

#[tokio::test]
async fn the_standard_cost_is_what_is_stored() {
    let passwords = Passwords::new(Cost::STANDARD).unwrap();
    let hash = passwords.hash("correct horse".into()).await.unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=65536,t=3,p=1$"), "{hash}");
}

#[tokio::test]
async fn a_flood_of_sign_ins_is_refused_and_recovers() {
    let passwords = Passwords::new(Cost { memory_kib: 8 * 1024, passes: 1, lanes: 1 }).unwrap();
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let passwords = passwords.clone();
        flood.spawn(async move { passwords.verify("x".into(), None, Priority::UnknownOrigin(ip(1))).await });
    }
    let results = flood.join_all().await;
    assert!(results.iter().any(|r| matches!(r, Err(PasswordError::Busy))));
    assert!(results.iter().filter(|r| r.is_ok()).count() >= 32);
    assert!(
        passwords.verify("x".into(), None, Priority::UnknownOrigin(ip(1))).await.is_ok(),
        "places are freed"
    );
}

#[test]
fn tokens_are_long_different_and_do_not_show_themselves() {
    let (a, b) = (Token::generate().unwrap(), Token::generate().unwrap());
    assert_ne!(a.reveal(), b.reveal());
    assert_eq!(a.reveal().len(), 43);
    assert!(!format!("{a:?}").contains(a.reveal()));
    assert_eq!(Token::parse(a.reveal()).unwrap().hash(), a.hash());
    assert_ne!(a.hash(), b.hash());
    for bad in ["", "x", &"x".repeat(44), &format!("{}/", &a.reveal()[..42])] {
        assert!(Token::parse(bad).is_none(), "{bad}");
    }
}

const SECOND: i64 = 1000;
const HOUR: i64 = 3600 * SECOND;

fn ip(n: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, n])
}

/// Tries every `step` milliseconds for `span`, and returns how many were let through.
fn attack(
    throttle: &mut Throttle,
    span: i64,
    step: i64,
    mut with: impl FnMut(i64) -> (String, IpAddr),
) -> usize {
    (0..span / step)
        .filter(|n| {
            let (login, from) = with(*n);
            throttle.attempt(&login, from, None, Millis(n * step)).is_ok()
        })
        .count()
}

#[test]
fn each_wrong_attempt_doubles_the_wait() {
    let mut throttle = Throttle::new();
    let mut now = Millis(0);
    for wait in [500, 1000, 2000, 4000, 8000, 16_000] {
        assert!(throttle.attempt("ada", ip(1), None, now).is_ok(), "{now:?}");
        assert_eq!(throttle.attempt("ada", ip(1), None, now).unwrap_err().for_ms, wait);
        let almost = now.plus(wait - 1);
        assert_eq!(throttle.attempt("ada", ip(1), None, almost).unwrap_err().for_ms, 1);
        now = now.plus(wait);
    }
}

#[test]
fn attempts_are_limited_by_account() {
    for (what, most, with) in [
        ("one account, one address", 7, (|_| ("ada".into(), ip(1))) as fn(i64) -> (String, IpAddr)),
        ("one account, typed in many ways", 7, |n| (["ada", " ADA ", "Ada"][(n % 3) as usize].into(), ip(1))),
        ("one account, 200 addresses", 10, |n| ("ada".into(), ip((n % 200) as u8))),
        ("one account, one IPv6 network", 7, |n| {
            ("ada".into(), IpAddr::from([0x2001, 0xdb8, 0, 7, n as u16, 0, 0, 1]))
        }),
        ("one account, an IPv4 address in two forms", 7, |n| {
            let plain = std::net::Ipv4Addr::new(10, 0, 0, 1);
            ("ada".into(), if n % 2 == 0 { plain.into() } else { plain.to_ipv6_mapped().into() })
        }),
    ] {
        let mut throttle = Throttle::new();
        assert_eq!(attack(&mut throttle, HOUR, 100, with), most, "{what}, first hour");
        let later = attack(&mut Throttle::new(), 3 * HOUR, 1000, with);
        assert!((most + 1..=3 * most).contains(&later), "{what}, three hours: {later}");
    }
}

#[test]
fn the_owner_gets_in_from_another_address_during_an_attack() {
    let mut throttle = Throttle::new();
    for n in 0..10_000 {
        let _ = throttle.attempt("ada", ip((n % 5) as u8), None, Millis(n * 100));
    }
    let now = Millis(10_000 * 100);
    assert!(throttle.attempt("ada", ip(1), None, now).is_err());
    let attempt = throttle.attempt("ADA", ip(99), None, now).unwrap();
    throttle.succeeded(attempt);
    // From now on the address is known, and not even an attack from everywhere affects it.
    for n in 0..10_000 {
        let _ = throttle.attempt(
            "ada",
            IpAddr::from([11, 0, (n / 250) as u8, (n % 250) as u8]),
            None,
            now.plus(n),
        );
    }
    assert!(throttle.attempt("ada", IpAddr::from([12, 0, 0, 1]), None, now.plus(20_000)).is_err());
    assert!(throttle.attempt("ada", ip(99), None, now.plus(20_000)).is_ok());
}

#[test]
fn a_known_browser_has_attempts_of_its_own_wherever_it_is() {
    let key = secrets::Key::from([1; 32]);
    let browser = |now| {
        let cookie = auth::browsers::value(&key, "ada", now).unwrap();
        auth::browsers::known(&key, "ada", &cookie, now).unwrap()
    };
    let (own, stolen) = (browser(Millis(0)), browser(Millis(0)));
    let mut throttle = Throttle::new();
    // All users have the same address, which is known for the owner as well.
    throttle.add_known_network("ada", ip(1), Millis(0));
    attack(&mut throttle, HOUR / 2, 100, |_| ("ada".into(), ip(1)));
    assert!(throttle.attempt("ada", ip(1), None, Millis(HOUR / 2)).is_err());
    assert!(throttle.attempt("ada", ip(1), Some(own), Millis(HOUR / 2)).is_ok());
    // With such a cookie there are ten attempts an hour, and other browsers are not affected.
    let mut heard = 0;
    for n in 0..10_000 {
        let tried = throttle.attempt("ada", ip(2), Some(stolen), Millis(HOUR / 2 + n * 350));
        heard += usize::from(tried.is_ok());
    }
    assert_eq!(heard, 10);
    let later = Millis(HOUR / 2 + 20 * 60 * 1000);
    let attempt = throttle.attempt("ada", ip(3), Some(own), later).unwrap();
    assert!(attempt.is_from_known_origin());
    throttle.succeeded(attempt);
}

#[test]
fn a_network_that_was_added_is_known() {
    let mut throttle = Throttle::new();
    throttle.add_known_network("Ada", ip(9), Millis(0));
    attack(&mut throttle, HOUR, 100, |n| ("ada".into(), ip((n % 8) as u8)));
    assert_eq!(attack(&mut throttle, HOUR, 100, |_| ("ada".into(), ip(9))), 10, "its own ten");
    let month = Millis(31 * 24 * HOUR);
    for n in 0..10 {
        let _ = throttle.attempt("ada", IpAddr::from([12, 0, 0, n]), None, month);
    }
    assert!(throttle.attempt("ada", ip(9), None, month).is_err(), "known for thirty days, not forever");
}

#[test]
fn attempts_at_other_accounts_do_not_lock_out_users_at_the_same_address() {
    let mut throttle = Throttle::new();
    for n in 0..500 {
        let _ = throttle.attempt(&format!("u{n}"), ip(1), None, Millis(n * 10));
    }
    assert!(throttle.attempt("ada", ip(1), None, Millis(5_000)).is_ok());
}

#[test]
fn an_attempt_that_could_not_be_checked_does_not_count() {
    let mut throttle = Throttle::new();
    throttle.add_known_network("bob", ip(2), Millis(0));
    for n in 0..100 {
        for (login, from) in [("ada", ip(1)), ("bob", ip(2))] {
            let attempt = throttle.attempt(login, from, None, Millis(n)).unwrap();
            assert_eq!(attempt.is_from_known_origin(), login == "bob");
            throttle.release(attempt);
        }
    }
    assert!(throttle.attempt("ada", ip(3), None, Millis(200)).is_ok());
}

#[test]
fn confirmations_count_by_person_and_session() {
    let mut confirmations = Confirmations::default();
    let wrong = (0..HOUR / 100).filter(|n| confirmations.attempt(1, "a", Millis(n * 100)).is_ok()).count();
    assert_eq!(wrong, 10, "ten wrong ones an hour in one session");
    let now = Millis(HOUR - 1);
    assert!(confirmations.attempt(1, "a", now).is_err());
    for (person, session) in [(1, "b"), (2, "a")] {
        let attempt = confirmations.attempt(person, session, now).unwrap();
        assert!(
            confirmations.attempt(person, session, now).is_err(),
            "parallel attempts do not exceed the limit"
        );
        confirmations.release(&attempt);
        let attempt = confirmations.attempt(person, session, now).unwrap();
        confirmations.succeeded(&attempt);
        assert!(confirmations.attempt(person, session, now).is_ok(), "right ones are not counted");
    }
}

#[test]
fn right_attempts_are_not_counted() {
    let mut throttle = Throttle::new();
    for n in 0..200 {
        let attempt = throttle.attempt(&format!("u{}", n % 20), ip(1), None, Millis(n)).unwrap();
        throttle.succeeded(attempt);
    }
    let wrong = throttle.attempt("u1", ip(1), None, Millis(500)).unwrap();
    drop(wrong);
    assert!(throttle.attempt("u1", ip(1), None, Millis(600)).is_err());
}

#[test]
fn parallel_attempts_do_not_exceed_the_limit() {
    let mut throttle = Throttle::new();
    let at_once = (0..100).filter(|_| throttle.attempt("ada", ip(1), None, Millis(0)).is_ok()).count();
    assert_eq!(at_once, 1);
}

#[test]
fn invented_names_do_not_fill_the_memory_or_free_the_attacker() {
    let mut throttle = Throttle::new();
    for n in 0..100_000_u32 {
        let [_, b, c, d] = n.to_be_bytes();
        let _ = throttle.attempt(&format!("u{n}"), IpAddr::from([20, b, c, d]), None, Millis(i64::from(n)));
    }
    assert!(throttle.entries() <= 3 * 20_000 + 3, "{}", throttle.entries());
    assert!(throttle.attempt("u99999", IpAddr::from([20, 1, 134, 159]), None, Millis(100_000)).is_err());
}

#[test]
fn the_wait_is_shown_as_text() {
    let mut throttle = Throttle::new();
    let _attempt = throttle.attempt("ada", ip(1), None, Millis(0)).unwrap();
    let wait = throttle.attempt("ada", ip(1), None, Millis(0)).unwrap_err();
    assert_eq!(wait.to_string(), "too many attempts; try again in 1 s");
}
