//! The one error of an import.

use thiserror::Error;

/// Why a model was not taken. `detail` is the hint: what can be done, or what would be supported.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct ImportError {
    pub message: String,
    pub hint: Option<String>,
}

pub type Result<T> = std::result::Result<T, ImportError>;

impl ImportError {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub fn hinted(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()) }
    }
}

/// An error without a hint.
pub fn refuse<T>(message: impl Into<String>) -> Result<T> {
    Err(ImportError::new(message))
}

impl From<model::ModelError> for ImportError {
    fn from(error: model::ModelError) -> Self {
        Self { message: error.to_string(), hint: error.hint().map(str::to_owned) }
    }
}
