//! Passwords: the rule for new ones, hashing, verifying. Off the async threads, and few at a time.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

pub use super::queue::Priority;
use super::queue::Queue;
use super::tokens::NoRandomness;

/// Shortest password, in characters.
pub const SHORTEST: usize = 10;
/// Longest password, in characters.
pub const LONGEST: usize = 256;

/// The cost of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory, KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Cost {
    /// The cost in use: about 150 ms of one core and 64 MiB for each attempt.
    pub const STANDARD: Cost = Cost { memory_kib: 64 * 1024, passes: 3, lanes: 1 };
}

/// Why a new password is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Weak {
    /// It is too short.
    #[error("a password must have at least 10 characters")]
    TooShort,
    /// It is too long.
    #[error("a password must have at most 256 characters")]
    TooLong,
    /// It is one of the most common passwords.
    #[error("this password is too common; choose another one")]
    Common,
    /// It is the person's login or name.
    #[error("a password must not be the login or the name")]
    OwnName,
}

/// A password could not be hashed or verified.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PasswordError {
    /// Too many sign-ins are already waiting.
    #[error("too many sign-ins at once; try again in a few seconds")]
    Busy,
    /// There are no random bytes for the salt.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The hash function failed, or a stored hash cannot be read.
    #[error("the password could not be checked")]
    Hash(String),
}

/// The result of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The password is wrong, or there is no such person; the caller cannot tell which.
    Wrong,
    /// The password is right.
    Right,
    /// The password is right, and its hash has another cost: store a new one.
    RightButRehash,
}

/// Checks the rule for new passwords. Length is counted in characters; no kinds of characters are
/// required.
pub fn check_rule(password: &str, login: &str, name: &str) -> Result<(), Weak> {
    let length = password.chars().count();
    if length < SHORTEST {
        return Err(Weak::TooShort);
    }
    if length > LONGEST {
        return Err(Weak::TooLong);
    }
    let plain = password.trim().to_lowercase();
    let mailbox = login.split('@').next().unwrap_or_default();
    if [login, mailbox, name].iter().any(|own| own.trim().to_lowercase() == plain) {
        return Err(Weak::OwnName);
    }
    let one_character = plain.chars().all(|c| plain.starts_with(c));
    if one_character || COMMON.contains(&plain.as_str()) {
        return Err(Weak::Common);
    }
    Ok(())
}

/// The most common passwords that are long enough to pass the first rule.
const COMMON: &[&str] = &[
    "0123456789",
    "0987654321",
    "1029384756",
    "1234512345",
    "123123123123",
    "123456789a",
    "1234567890",
    "12345678900",
    "12345678910",
    "123456789012",
    "1234567891",
    "1234567899",
    "123qwe123qwe",
    "1472583690",
    "1q2w3e4r5t",
    "1q2w3e4r5t6y",
    "1qaz2wsx3edc",
    "1qazxsw23edc",
    "9876543210",
    "abc1234567",
    "abcd123456",
    "abcdefghij",
    "administrator",
    "asdfasdfasdf",
    "asdfghjkl1",
    "asdfghjkl;",
    "basketball",
    "changeme123",
    "changemenow",
    "correcthorsebatterystaple",
    "football123",
    "helloworld",
    "iloveyou123",
    "iloveyou12",
    "letmein123",
    "letmeinnow",
    "michaeljordan",
    "motdepasse",
    "p@ssw0rd123",
    "passw0rd123",
    "password01",
    "password10",
    "password11",
    "password12",
    "password123",
    "password1234",
    "password123!",
    "password!1",
    "passwordpassword",
    "passwort123",
    "q1w2e3r4t5",
    "q1w2e3r4t5y6",
    "qazwsxedcrfv",
    "qwerty1234",
    "qwerty12345",
    "qwerty123456",
    "qwertyqwerty",
    "qwertyuiop",
    "qwertyuiop1",
    "qwertyuiop[]",
    "qwertzuiop",
    "sonnenschein",
    "stagegate1",
    "stagegate123",
    "starwars123",
    "sunshine123",
    "superman123",
    "test123456",
    "testtesttest",
    "trustno1trustno1",
    "unbelievable",
    "welcome123",
    "welcome1234",
    "zaq12wsxcde3",
    "zxcvbnm123",
    "zxcvbnm,./",
];

/// Hashes and verifies, a limited number at a time. Clones share the limit.
#[derive(Clone)]
pub struct Passwords {
    inner: Arc<Inner>,
}

struct Inner {
    cost: Cost,
    queue: Arc<Queue>,
    /// A well-formed hash that no password matches: used when there is no stored hash, at the same cost.
    nobody: String,
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passwords").field("cost", &self.inner.cost).finish_non_exhaustive()
    }
}

impl Passwords {
    /// Passwords at this cost, [`Cost::STANDARD`] outside tests.
    pub fn new(cost: Cost) -> Result<Passwords, PasswordError> {
        // Fails now rather than at the first sign-in if argon2 does not accept the cost.
        argon2(cost)?;
        let mut random = [0_u8; 48];
        getrandom::fill(&mut random).map_err(|_| NoRandomness)?;
        // 32 random bytes as the hash: no password matches, and verifying takes the same time.
        let nobody = format!(
            "$argon2id$v=19$m={},t={},p={}${}${}",
            cost.memory_kib,
            cost.passes,
            cost.lanes,
            STANDARD_NO_PAD.encode(&random[..16]),
            STANDARD_NO_PAD.encode(&random[16..]),
        );
        let inner = Inner { cost, queue: Arc::default(), nobody };
        Ok(Passwords { inner: Arc::new(inner) })
    }

    /// The PHC text to store for a new password that passed [`check_rule`]. A person who chooses one is signed in or
    /// has a one-time link, so they have priority over sign-ins.
    pub async fn hash(&self, password: String) -> Result<String, PasswordError> {
        let argon2 = argon2(self.inner.cost)?;
        self.off_thread(Priority::SignedIn, move || {
            argon2.hash_password(password.as_bytes()).map(|h| h.to_string()).map_err(failed)
        })
        .await
    }

    /// Verifies the typed password against the stored hash. `None` stands for a person who does not exist, is disabled
    /// or has no password; the work is the same.
    pub async fn verify(
        &self,
        typed: String,
        stored: Option<String>,
        priority: Priority,
    ) -> Result<Verdict, PasswordError> {
        let cost = self.inner.cost;
        let exists = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.inner.nobody.clone());
        let argon2 = argon2(cost)?;
        self.off_thread(priority, move || {
            let hash = PasswordHash::new(&stored).map_err(failed)?;
            // A text beyond the longest password is cut before hashing; it cannot match.
            let typed: String = typed.chars().take(LONGEST + 1).collect();
            let matches = match argon2.verify_password(typed.as_bytes(), &hash) {
                Ok(()) => true,
                Err(argon2::password_hash::Error::PasswordInvalid) => false,
                Err(other) => return Err(failed(other)),
            };
            Ok(match (matches && exists, cost_of(&hash) == Some(cost)) {
                (false, _) => Verdict::Wrong,
                (true, true) => Verdict::Right,
                (true, false) => Verdict::RightButRehash,
            })
        })
        .await
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        priority: Priority,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let permit = self.inner.queue.enter(priority).await.map_err(|_| PasswordError::Busy)?;
        // The permit moves to the thread: a caller that is dropped does not free it before the hash is done.
        let work = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        work.await.map_err(|e| PasswordError::Hash(e.to_string()))?
    }
}

fn argon2(cost: Cost) -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, None)
        .map_err(|e| PasswordError::Hash(e.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn cost_of(hash: &PasswordHash) -> Option<Cost> {
    let params = Params::try_from(hash).ok()?;
    Some(Cost { memory_kib: params.m_cost(), passes: params.t_cost(), lanes: params.p_cost() })
}

fn failed(error: impl std::fmt::Display) -> PasswordError {
    PasswordError::Hash(error.to_string())
}
