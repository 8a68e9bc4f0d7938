//! The values of the env source: how an env file is read, which values are secret, how secrets are masked, and how
//! copies and keys are stored. Must not know runs, Docker, SQL or HTTP.

mod encodings;
mod encrypted_env;
pub mod env_file;
mod escape;
mod hmac;
pub mod interpolation;
mod key_file;
mod normalise;
mod placeholders;
mod publicity;
mod quoting;
pub mod redact;
mod references;

pub use encrypted_env::replace;
pub use encrypted_env::{EncryptionError, EnvCopy, has_env_copy};
pub use escape::{Token, token};
pub use hmac::Key;
pub use hmac::{canonical, hide};
pub use key_file::KeyError;
pub use key_file::installation_key;
pub use placeholders::{could_be_secret, is_placeholder, is_secret_key, password_in, unfilled_secret};
