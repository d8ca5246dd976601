//! Parameters whose values have names.

use crate::algorithm::Task;
use serde::{Deserialize, Serialize};

/// What the versions of a model are compared by, on validation rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    Auroc,
    AveragePrecision,
    LogLoss,
    PrecisionAtK,
    Rmse,
    Mae,
    Pinball,
}

impl Metric {
    /// What a task is judged by where nothing was asked for.
    pub fn default_for(task: Task) -> Self {
        match task {
            Task::Binary => Self::AveragePrecision,
            Task::Regression => Self::Rmse,
        }
    }

    /// As it is told to a reader.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auroc => "AUROC",
            Self::AveragePrecision => "average precision",
            Self::LogLoss => "log loss",
            Self::PrecisionAtK => "precision at k",
            Self::Rmse => "RMSE",
            Self::Mae => "MAE",
            Self::Pinball => "pinball loss",
        }
    }

    pub fn task(self) -> Task {
        match self {
            Self::Auroc | Self::AveragePrecision | Self::LogLoss | Self::PrecisionAtK => Task::Binary,
            Self::Rmse | Self::Mae | Self::Pinball => Task::Regression,
        }
    }

    /// True if more is better.
    pub fn is_gain(self) -> bool {
        matches!(self, Self::Auroc | Self::AveragePrecision | Self::PrecisionAtK)
    }

    /// Whether one value is better than another.
    pub fn prefers(self, value: f64, other: f64) -> bool {
        if self.is_gain() {
            value > other
        } else {
            value < other
        }
    }
}

/// How logits become probabilities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CalibrationChoice {
    /// The better of the others on validation rows that neither was fitted to.
    #[default]
    Auto,
    None,
    Platt,
    Isotonic,
}

/// How the learning rate moves during training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    #[default]
    Constant,
    /// Down to 0 along half a cosine.
    Cosine,
    /// Up for three tenths of the steps, then down to 0 along half a cosine.
    OneCycle,
}

/// In what precision a GPU multiplies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    #[default]
    Float32,
    Tf32,
    Bf16,
}
