//! Everything that feature arithmetic refuses.

use thiserror::Error;

/// An error, by what it means to the caller; Postgres gets an SQLSTATE for each kind.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FeatureError {
    /// An argument that no call may have.
    #[error("{message}")]
    Argument { message: String, hint: Option<String> },
    /// A value that cannot be computed with: NaN or infinite where only finite numbers make sense, or too large.
    #[error("{message}")]
    Range { message: String, hint: Option<String> },
    /// The text form of a value, damaged.
    #[error("{0}")]
    Text(String),
    /// The stored or binary form of a value, damaged.
    #[error("{0}")]
    Binary(String),
    /// More than there is room for.
    #[error("{message}")]
    Limit { message: String, hint: Option<String> },
}

impl FeatureError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Argument { hint, .. } | Self::Range { hint, .. } | Self::Limit { hint, .. } => {
                hint.as_deref()
            }
            Self::Text(_) | Self::Binary(_) => None,
        }
    }
}
