//! The state that a call site keeps while its answer stays true: which version scores, and the decoded model.

use super::model_cache::{self, Decoded};
use super::row::Inputs;

use crate::catalog::read::{self, VersionRow};
use crate::catalog::rights::{self, Nearness, Privilege};
use crate::catalog::CHAMPION;
use crate::error::Error;
use crate::metrics::tally::{self, Clock, Tally};
use crate::pg::acting_as::current_user;
use crate::pg::mapping;
use crate::pg::moment::Moment;
use crate::settings;
use model::Scorer;
use std::sync::Arc;

/// A version that is ready to score. By default it is the one that the model's champion alias stood for at `moment`.
pub struct Resolved {
    /// The name that the caller gave; `None` for the default model.
    asked: Option<String>,
    /// The setting `reco.default_model`, if the caller gave no name.
    default: Option<String>,
    moment: Moment,
    /// How many mappings the process had lost by then. If one more is lost, it may be the one that this version reads.
    losses: u64,
    pub decoded: Arc<Decoded>,
    pub inputs: Inputs,
    /// The A/B test that decides by key which version scores; `None` if none runs or the caller asked for a version.
    pub test: Option<String>,
}

impl Resolved {
    /// Finds and decodes the version `version`; without one it is the champion.
    pub fn new(model: Option<&str>, version: Option<i32>) -> Result<Self, Error> {
        Self::with(model, |name| match version {
            Some(number) => Ok((model_cache::decoded_version(name, number)?, None)),
            None => model_cache::decoded(name, CHAMPION),
        })
    }

    /// Finds the model and checks the right to it, and takes what `decode` gives for its name: a version, and the A/B test that
    /// the model takes part in.
    fn with(
        model: Option<&str>,
        decode: impl FnOnce(&str) -> Result<(Arc<Decoded>, Option<String>), Error>,
    ) -> Result<Self, Error> {
        let moment = Moment::now();
        let default = model.is_none().then(settings::default_model).flatten();
        let name = match model.map(str::to_owned).or_else(|| default.clone()) {
            Some(name) => name,
            None => only_model()?,
        };
        rights::check(&name, Privilege::Score)?;
        let (decoded, test) = decode(&name)?;
        let inputs = Inputs::of(&decoded.scorer);
        let losses = mapping::losses();
        Ok(Self { asked: model.map(str::to_owned), default, moment, losses, decoded, inputs, test })
    }

    /// The same for a call that measures the version on rows from the day `from` on, or on rows of any time. If a refit has
    /// learned from such rows, the fit that was measured then is taken, which has not.
    pub fn measuring(model: Option<&str>, version: Option<i32>, from: Option<i32>) -> Result<Self, Error> {
        Self::with(model, |name| {
            let number = match version {
                Some(number) => number,
                None => read::version_of_alias(name, CHAMPION)?.version,
            };
            let served = read::version(name, number)?;
            let measured = read::measured_fit(&served, from)?;
            Ok((model_cache::decoded_row(measured.unwrap_or(served))?, None))
        })
    }

    /// The same for a call that gives scores to its caller, which is counted.
    pub fn serving(model: Option<&str>, version: Option<i32>) -> Result<Self, Error> {
        let clock = Clock::read();
        let resolved = Self::new(model, version).inspect_err(|_| tally::no_version())?;
        // Where a test runs, the call is that of the version which the key falls to.
        if resolved.test.is_none() {
            resolved.decoded.tally.begin(&clock);
        }
        Ok(resolved)
    }

    /// A version that is not in the catalog.
    pub fn unstored(version: VersionRow, scorer: Scorer) -> Self {
        let inputs = Inputs::of(&scorer);
        let decoded = Arc::new(Decoded { version, scorer, mapping: None, tally: Tally::none() });
        Self {
            asked: None,
            default: None,
            moment: Moment::now(),
            losses: mapping::losses(),
            decoded,
            inputs,
            test: None,
        }
    }

    /// The score of the row that the inputs were filled from, for the caller: it is counted.
    #[inline]
    pub fn score(&mut self) -> Result<f64, Error> {
        let score = self.decoded.score(&mut self.inputs.row)?;
        self.decoded.tally.rows(1);
        Ok(score)
    }

    /// Whether this value, which was made for a champion, is still right for `model`: neither the caller, the snapshot nor
    /// the default model has changed, and no mapping was lost.
    #[inline]
    pub fn answers(&self, model: Option<&[u8]>) -> bool {
        self.asked.as_deref().map(str::as_bytes) == model
            && self.moment == Moment::now()
            && self.losses == mapping::losses()
            && (model.is_some() || self.default == settings::default_model())
    }
}

/// The only model among those that are nearest to the caller. Models that other roles make or grant do not change the
/// answer.
fn only_model() -> Result<String, Error> {
    let names = read::model_names()?;
    let models = names.len();
    let mut allowed = Vec::new();
    for name in names {
        if let Some(nearness) = rights::nearness(&name)? {
            allowed.push((nearness, name));
        }
    }
    let nearest = allowed.iter().map(|(nearness, _)| *nearness).min();
    allowed.retain(|(nearness, _)| Some(*nearness) == nearest);
    let mut names: Vec<String> = allowed.into_iter().map(|(_, name)| name).collect();
    match (names.len(), models) {
        (0, 0) => Err(Error::NoModel),
        (0, _) => Err(Error::Privilege {
            message: format!(
                "permission denied: there is no model that role \"{}\" may score with",
                current_user()
            ),
            hint: Some(
                "Whoever manages one can grant it: SELECT reco.grant_model(model, role, 'score').".into(),
            ),
        }),
        _ if nearest == Some(Nearness::Stranger) => {
            Err(Error::NoDefault { role: current_user(), models: names })
        }
        (1, _) => Ok(names.swap_remove(0)),
        _ => Err(Error::SeveralModels(names)),
    }
}
