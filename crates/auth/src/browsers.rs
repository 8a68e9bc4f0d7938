//! Browsers in which a user has signed in. The sign-in sets a cookie; with it, attempts at that login are counted for
//! this browser alone. Behind a proxy all users have the same address, and an attacker there must not lock the owner
//! out. The cookie grants no access: whoever has it gets the same number of attempts as the owner.

use domain::time::Millis;

use super::tokens::NoRandomness;
use secrets::Key;

/// How long a browser counts as known after its last sign-in, milliseconds.
const KNOWN_FOR_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// Version and purpose, part of the HMAC input.
const PURPOSE: &str = "stagegate-browser-1";

/// A browser in which the person has signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Browser([u8; 16]);

/// The cookie's value for a browser in which the owner of `login` signs in at `now`: random, time, and HMAC-SHA256 over
/// both and the login.
///
/// # Errors
/// When the system provides no random bytes.
pub fn value(key: &Key, login: &str, now: Millis) -> Result<String, NoRandomness> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| NoRandomness)?;
    let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let code = code(key, login, &id, now.0);
    Ok(format!("{id}.{}.{code}", now.0))
}

/// The browser of a cookie's value, if the owner of `login` has signed in there recently.
pub fn known(key: &Key, login: &str, value: &str, now: Millis) -> Option<Browser> {
    let (id, rest) = value.split_once('.')?;
    let (at, stated) = rest.split_once('.')?;
    let at: i64 = at.parse().ok()?;
    if stated.len() != 64 || !is_same(code(key, login, id, at).as_bytes(), stated.as_bytes()) {
        return None;
    }
    let mut bytes = [0; 16];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(id.get(place * 2..place * 2 + 2)?, 16).ok()?;
    }
    (now.since(Millis(at)) < KNOWN_FOR_MS).then_some(Browser(bytes))
}

fn code(key: &Key, login: &str, id: &str, at: i64) -> String {
    // A login contains no line break.
    key.digest(format!("{PURPOSE}\n{id}\n{at}\n{login}").as_bytes())
}

/// Compares in constant time for texts of the same length.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_790_000_000_000);

    #[test]
    fn a_browser_is_known_for_the_login_that_signed_in_there_and_for_a_month() {
        let key = Key::from([7; 32]);
        let cookie = value(&key, "po", NOW).unwrap();
        let seen = known(&key, "po", &cookie, NOW).expect("it was made here");
        assert_eq!(known(&key, "po", &cookie, NOW.plus(KNOWN_FOR_MS - 1)), Some(seen));
        assert_eq!(known(&key, "po", &cookie, NOW.plus(KNOWN_FOR_MS)), None);
        assert_eq!(known(&key, "qa", &cookie, NOW), None, "another login");
        assert_eq!(known(&Key::from([8; 32]), "po", &cookie, NOW), None, "another key");
        assert_ne!(known(&key, "po", &value(&key, "po", NOW).unwrap(), NOW), Some(seen), "another browser");
    }

    #[test]
    fn a_forged_or_damaged_cookie_is_not_a_known_browser() {
        let key = Key::from([7; 32]);
        let cookie = value(&key, "po", NOW).unwrap();
        let later = cookie.replace(&NOW.0.to_string(), &NOW.plus(1).0.to_string());
        let half = cookie.get(..40).unwrap().to_owned();
        for wrong in
            ["", ".", "..", "a.b.c", "é.1.é", &later, &half, &format!("{cookie}0"), &format!("0{cookie}")]
        {
            assert_eq!(known(&key, "po", wrong, NOW), None, "{wrong}");
        }
    }
}
