//! What the backend and the trainer say to each other of a model in ONNX. The trainer gets a [`Conversion`] (JSON) and the
//! bytes of the model, and answers with the artifact and [`crate::protocol::Event::Converted`].

use crate::protocol::SourceColumn;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the output of a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// Of one class, or of two of which the second is true.
    Probability,
    Logit,
    Quantity,
}

impl OutputKind {
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "probability" => Self::Probability,
            "logit" => Self::Logit,
            "quantity" => Self::Quantity,
            _ => return None,
        })
    }
}

/// A value of a row that is not NULL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    Number(f64),
    Text(String),
}

/// Values by the names of their columns, all lists of one length; NULL is `None`.
pub type Rows = BTreeMap<String, Vec<Option<Value>>>;

/// How a model is to be converted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Conversion {
    /// The version of the extension that asks; `None` where the trainer is run by hand.
    #[serde(default)]
    pub extension: Option<String>,
    /// The columns of the source; `None` if there is none.
    #[serde(default)]
    pub columns: Option<Vec<SourceColumn>>,
    /// The columns of the model's values, in their order; `None` if its inputs have the columns' names.
    #[serde(default)]
    pub names: Option<Vec<String>>,
    /// What the output is; `None` if the graph says it.
    #[serde(default)]
    pub output: Option<OutputKind>,
    /// Rows of the source on which the two are compared; what is not there is random.
    #[serde(default)]
    pub rows: Rows,
}
