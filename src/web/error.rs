//! Errors as JavaScript sees them.

use wasm_bindgen::JsValue;

use super::set;
use crate::error::Error;

/// What every fallible export gives.
pub type JsResult<T> = Result<T, JsError>;

/// An `Error` with a `code`.
pub struct JsError(Error);

impl From<Error> for JsError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<JsError> for JsValue {
    fn from(JsError(error): JsError) -> Self {
        let value: JsValue = js_sys::Error::new(&error.to_string()).into();
        set(&value, "name", &"RrsisError".into());
        set(&value, "code", &code(&error).into());
        value
    }
}

fn code(error: &Error) -> &'static str {
    match error {
        Error::Image(_) => "image",
        Error::Expression(_) => "expression",
        Error::Config(_) => "manifest",
        Error::Weights(error) => match error {
            crate::weights::WeightsError::Manifest { .. }
            | crate::weights::WeightsError::ManifestVersion { .. } => "manifest",
            _ => "shard",
        },
        Error::Cancelled => "cancelled",
        Error::Device(_) => "device",
        Error::Option { .. } => "options",
        Error::Mask(_) | Error::Metrics(_) | Error::Incomplete { .. } | Error::Io { .. } => {
            "internal"
        }
    }
}
