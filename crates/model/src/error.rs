//! The one error type of this crate.

use thiserror::Error;

/// Why a parameter, a recipe, an artifact or a set of scores was refused.
#[derive(Debug, Error)]
pub enum ModelError {
    /// A training parameter is unknown or out of its bounds.
    #[error("{message}")]
    Parameter { message: String, hint: String },
    /// Stored or imported bytes are not a model this version can read.
    #[error("the stored model is not valid: {0}")]
    Artifact(String),
    /// The training data cannot give a model.
    #[error("{message}")]
    Data { message: String, hint: String },
}

impl ModelError {
    pub fn artifact(reason: impl Into<String>) -> Self {
        Self::Artifact(reason.into())
    }

    pub fn data(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Data { message: message.into(), hint: hint.into() }
    }

    /// What the user can do about it, if there is anything to say.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Parameter { hint, .. } | Self::Data { hint, .. } => Some(hint),
            Self::Artifact(_) => None,
        }
    }
}
