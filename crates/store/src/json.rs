//! JSON in text columns.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;

/// `value` as JSON text; `what` names table and column for the error.
pub(super) fn write<T: Serialize + ?Sized>(value: &T, what: &'static str) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Damaged { what })
}

/// The value of a JSON text; `what` names table and column for the error.
pub(super) fn read<T: DeserializeOwned>(text: &str, what: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Damaged { what })
}

/// The value of a JSON text that may be absent.
pub(super) fn read_some<T: DeserializeOwned>(
    text: Option<String>,
    what: &'static str,
) -> Result<Option<T>, StoreError> {
    text.map(|t| read(&t, what)).transpose()
}
