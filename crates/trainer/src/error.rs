//! The one error type of the trainer, and how it becomes the last event of a failed training.

use model::protocol::{other_version, Cause, Event, OTHER_VERSION_HINT};
use model::ModelError;
use tch::TchError;
use thiserror::Error;

/// Why a training stopped.
#[derive(Debug, Error)]
pub enum TrainerError {
    /// The command line or the spec is wrong: a mistake of whoever started the trainer.
    #[error("{message}")]
    Spec { message: String, hint: String },
    /// Another version of the extension asks.
    #[error("{}", other_version(env!("CARGO_PKG_VERSION"), extension))]
    OtherVersion { extension: String },
    /// The data cannot give a model.
    #[error("{message}")]
    Data { message: String, detail: Option<String>, hint: String },
    /// A model in ONNX cannot be converted.
    #[error("{0}")]
    Import(#[from] onnx::import::ImportError),
    /// A file cannot be read or written.
    #[error("cannot {action} {path}")]
    File { action: &'static str, path: String, reason: String },
    /// The device that was asked for is not there.
    #[error("{message}")]
    Device { message: String, hint: String },
    /// What was asked for does not fit into the memory that may be used.
    #[error("{message}")]
    Memory { message: String, hint: String },
    /// The loss became infinite or not a number.
    #[error("the training diverged in epoch {epoch}: its loss is no longer a number")]
    Diverged { epoch: u32 },
    /// The scores that will be served are not those of the network that was trained.
    #[error("the scores of the stored model differ from libtorch's by up to {difference:e}")]
    Parity { difference: f64 },
    #[error("libtorch failed")]
    Torch(#[from] TchError),
    #[error("{0}")]
    Model(#[from] ModelError),
    /// A defect of the trainer.
    #[error("the trainer failed unexpectedly")]
    Internal { detail: String },
    /// Nobody reads the events any more.
    #[error("standard output was closed")]
    HungUp,
}

impl TrainerError {
    pub fn spec(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Spec { message: message.into(), hint: hint.into() }
    }

    pub fn data(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Data { message: message.into(), detail: None, hint: hint.into() }
    }

    pub fn internal(detail: impl Into<String>) -> Self {
        Self::Internal { detail: detail.into() }
    }

    /// What lies behind the message, where there is more to say.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Data { detail, .. } => detail.clone(),
            Self::File { reason, .. } => Some(reason.clone()),
            Self::Torch(error) => Some(first_line(&error.to_string())),
            Self::Parity { .. } => Some("The two forward passes must agree within 1e-5.".into()),
            Self::Internal { detail } => Some(detail.clone()),
            _ => None,
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Spec { hint, .. }
            | Self::Data { hint, .. }
            | Self::Device { hint, .. }
            | Self::Memory { hint, .. } => Some(hint.clone()),
            Self::OtherVersion { .. } => Some(OTHER_VERSION_HINT.into()),
            Self::Diverged { .. } => Some("Lower the training parameter \"learning_rate\".".into()),
            Self::Parity { .. } => Some("Please report this as a bug: nothing was stored.".into()),
            Self::Torch(error) if error.to_string().contains("CUDA out of memory") => Some(
                "The GPU's memory is too small or in use: train on fewer rows, or set the training parameter \"device\" \
                 to cpu or to another GPU."
                    .into(),
            ),
            Self::Model(error) => error.hint().map(str::to_owned),
            Self::Import(error) => error.hint.clone(),
            _ => None,
        }
    }

    fn cause(&self) -> Cause {
        match self {
            Self::Spec { .. }
            | Self::Device { .. }
            | Self::Import(_)
            | Self::Model(ModelError::Parameter { .. }) => Cause::Arguments,
            Self::Data { .. } | Self::Model(ModelError::Data { .. }) => Cause::Data,
            Self::Diverged { .. } => Cause::Diverged,
            _ => Cause::Trainer,
        }
    }

    pub fn event(&self) -> Event {
        Event::Error {
            cause: self.cause(),
            message: self.to_string(),
            detail: self.detail(),
            hint: self.hint(),
        }
    }
}

/// libtorch appends its C++ stack trace, which helps no user.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_gpu_is_not_taken_for_a_full_machine() {
        let words = "CUDA out of memory. Tried to allocate 2.00 GiB.\nException raised from malloc";
        let error = TrainerError::from(TchError::Torch(words.into()));
        assert!(error.detail().unwrap().ends_with("CUDA out of memory. Tried to allocate 2.00 GiB."));
        assert!(error.hint().unwrap().contains("\"device\""));
        assert_eq!(TrainerError::from(TchError::Torch("not enough memory".into())).hint(), None);
    }
}
