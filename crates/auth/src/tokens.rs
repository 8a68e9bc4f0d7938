//! One-time tokens: shown once, stored only as a hash.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::digest::sha256_hex;

/// Random bytes in a token: 256 bits, impossible to guess.
const BYTES: usize = 32;
/// Characters of a token.
const LENGTH: usize = 43;

/// The system provided no random bytes.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the operating system provided no random numbers; nothing was created")]
pub struct NoRandomness;

/// A secret for one-time use. `Debug` does not show it.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A new token from the system's randomness.
    pub fn generate() -> Result<Token, NoRandomness> {
        let mut bytes = [0_u8; BYTES];
        getrandom::fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(Token(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// A token from a request; `None` when it does not have the form of a token.
    pub fn parse(text: &str) -> Option<Token> {
        let fits = text.len() == LENGTH
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        fits.then(|| Token(text.to_owned()))
    }

    /// The token itself, usable in a URL. To be shown once and never stored.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored: SHA-256, hex. No salt is needed, since 256 bits cannot be guessed.
    pub fn hash(&self) -> String {
        sha256_hex(self.0.as_bytes())
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}
