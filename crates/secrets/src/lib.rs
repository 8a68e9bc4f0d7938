//! The values of the env source: where they come from, which are secret, how secrets are masked, and how copies and
//! keys are stored. Must not know runs, Docker, SQL or HTTP.

mod encodings;
mod encrypted_env;
mod env_file;
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
mod source;

pub use encrypted_env::{EncryptionError, EnvCopy, has_env_copy};
pub use env_file::{EnvSyntaxError, EnvValues, EnvVar};
pub use escape::{Token, token};
pub use hmac::Key;
pub use hmac::{canonical, hide};
pub use key_file::KeyError;
pub use key_file::installation_key;
pub use placeholders::{could_be_secret, is_placeholder, is_secret_key, password_in, unfilled_secret};
pub use source::{EnvSource, EnvSourceError, EnvVersion, SecretFile};
