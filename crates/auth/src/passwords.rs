//! Passwords: the rule for new ones, hashing, verifying. Off the async threads, and few at a time.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zxcvbn::Score;

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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Weak {
    /// It is too short.
    #[error("a password must have at least 10 characters")]
    TooShort,
    /// It is too long.
    #[error("a password must have at most 256 characters")]
    TooLong,
    /// It could be guessed.
    #[error("this password is too easy to guess. {advice}")]
    Guessable {
        /// What makes it easy to guess, and what to do instead: whole sentences.
        advice: String,
    },
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

/// A passphrase that the dictionaries do not have and everybody knows.
const FAMOUS: &str = "correcthorsebatterystaple";

/// Checks the rule for new passwords: length in characters, and how many guesses it would take somebody who knows the
/// person and the stack. No kinds of characters are required.
///
/// # Errors
/// What is wrong with the password.
pub fn check_rule(password: &str, login: &str, name: &str, stack: &str) -> Result<(), Weak> {
    let length = password.chars().count();
    if length < SHORTEST {
        return Err(Weak::TooShort);
    }
    if length > LONGEST {
        return Err(Weak::TooLong);
    }
    let plain = password.trim().to_lowercase();
    let mailbox = login.split('@').next().unwrap_or_default();
    let own = [login, mailbox, name].map(|own| own.trim().to_lowercase());
    if own.contains(&plain) {
        return Err(Weak::OwnName);
    }
    let words = [login, name, stack].into_iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
    let known: Vec<&str> = [login, mailbox, name, stack, "stagegate", FAMOUS]
        .into_iter()
        .chain(words)
        .filter(|w| !w.is_empty())
        .collect();
    // The estimate takes seconds for a long password of many signs. The beginning is enough: more characters only make
    // a password stronger.
    let estimate = |most: usize| {
        let beginning: String = password.chars().take(most).collect();
        zxcvbn::zxcvbn(&beginning, &known)
    };
    let mut strength = estimate(32);
    if strength.score() < Score::Three && length > 32 {
        strength = estimate(48);
    }
    if strength.score() >= Score::Three {
        return Ok(());
    }
    let advice = strength.feedback().map(ToString::to_string).unwrap_or_default();
    Err(Weak::Guessable { advice: advice.trim().to_owned() })
}

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
