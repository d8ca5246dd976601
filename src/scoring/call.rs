//! What one call site keeps for the length of a statement: which version scores, and its decoded model.

use super::model_cache::{self, Decoded};
use super::row::Inputs;
use crate::catalog::read;
use crate::catalog::CHAMPION;
use crate::error::Error;
use crate::moment::Moment;
use crate::settings;
use std::sync::Arc;

/// The version that a model's champion alias names at one moment, ready to score.
pub struct Resolved {
    /// The name as the caller gave it, `None` for the default model.
    asked: Option<String>,
    /// The setting `reco.default_model`, if nothing was asked for.
    default: Option<String>,
    moment: Moment,
    pub decoded: Arc<Decoded>,
    pub inputs: Inputs,
}

impl Resolved {
    pub fn new(model: Option<&str>) -> Result<Self, Error> {
        Self::version(model, None)
    }

    /// As [`Self::new`], with the version of this number if there is one.
    pub fn version(model: Option<&str>, version: Option<i32>) -> Result<Self, Error> {
        let moment = Moment::now();
        let default = model.is_none().then(settings::default_model).flatten();
        let name = match model.map(str::to_owned).or_else(|| default.clone()) {
            Some(name) => name,
            None => read::only_model()?,
        };
        let decoded = match version {
            Some(number) => model_cache::decoded_version(&name, number)?,
            None => model_cache::decoded(&name, CHAMPION)?,
        };
        let inputs = Inputs::of(&decoded.scorer);
        Ok(Self { asked: model.map(str::to_owned), default, moment, decoded, inputs })
    }

    /// The probability of the row that the inputs were filled from.
    #[inline]
    pub fn score(&mut self) -> f64 {
        self.decoded.scorer.score(&mut self.inputs.row)
    }

    /// Whether this answers for `model` at this moment.
    #[inline]
    pub fn answers(&self, model: Option<&[u8]>) -> bool {
        self.asked.as_deref().map(str::as_bytes) == model
            && self.moment == Moment::now()
            && (model.is_some() || self.default == settings::default_model())
    }
}
