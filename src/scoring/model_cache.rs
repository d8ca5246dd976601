//! The backend's cache of decoded models. A version is immutable and its weights have an id of their own, so an entry is
//! never stale. The least recently used entries go when the cache outgrows `reco.model_cache_size`. Large models are mapped
//! and shared (`shared_models.rs`); of these only the backend's own memory counts.

use super::shared_models;
use crate::catalog::read::{self, VersionRow};
use crate::error::Error;
use crate::metrics::tally::Tally;
use crate::pg::mapping::Mapping;
use crate::settings;
use model::{Row, Scorer};
use once_cell::sync::Lazy;
use parking_lot::Mutex;
use std::sync::Arc;

/// A version that can score.
pub struct Decoded {
    pub version: VersionRow,
    pub scorer: Scorer,
    /// The mapping that the scorer reads, if its model is mapped.
    pub mapping: Option<Arc<Mapping>>,
    /// Counts what the version scores.
    pub tally: Arc<Tally>,
}

impl Decoded {
    /// The score that the version gives a row. It is an error if that is NaN.
    #[inline]
    pub fn score(&self, row: &mut Row) -> Result<f64, Error> {
        self.number(self.scorer.score(row))
    }

    /// The quantiles that the version gives a row, if it predicts any.
    pub fn quantiles(&self, row: &mut Row) -> Result<Option<[f64; 3]>, Error> {
        let quantiles = self.scorer.quantiles(row);
        quantiles.iter().flatten().try_for_each(|quantile| self.number(*quantile).map(drop))?;
        Ok(quantiles)
    }

    /// The scorer's score. It is NaN if a sum overflowed, and then it is an error.
    #[inline]
    pub fn number(&self, score: f64) -> Result<f64, Error> {
        match score.is_nan() {
            false => Ok(score),
            true => Err(self.no_number()),
        }
    }

    #[cold]
    fn no_number(&self) -> Error {
        Error::NoScore { model: self.version.model.clone(), version: self.version.number }
    }
}

/// The entries; the most recently used is the last. They are few, so a list is faster than a map.
static CACHE: Lazy<Mutex<Vec<Arc<Decoded>>>> = Lazy::new(|| Mutex::new(Vec::new()));

/// The version that an alias of a model stands for now, and the A/B test that the model takes part in.
pub fn decoded(model: &str, alias: &str) -> Result<(Arc<Decoded>, Option<String>), Error> {
    let named = read::version_of_alias(model, alias)?;
    let decode = || decode(read::version(model, named.version)?);
    Ok((cached(named.artifact_id).map_or_else(decode, Ok)?, named.test))
}

/// A version of a model, decoded.
pub fn decoded_version(model: &str, number: i32) -> Result<Arc<Decoded>, Error> {
    decoded_row(read::version(model, number)?)
}

/// A version whose row is known, decoded.
pub fn decoded_row(version: VersionRow) -> Result<Arc<Decoded>, Error> {
    cached(version.artifact_id).map_or_else(|| decode(version), Ok)
}

fn decode(version: VersionRow) -> Result<Arc<Decoded>, Error> {
    let (scorer, mapping) = shared_models::scorer(&version)?;
    let tally = Tally::of(&version.model, version.number);
    let decoded = Arc::new(Decoded { version, scorer, mapping, tally });
    keep(Arc::clone(&decoded));
    Ok(decoded)
}

fn cached(artifact_id: pgrx::Uuid) -> Option<Arc<Decoded>> {
    let mut cache = CACHE.lock();
    let position = cache.iter().position(|entry| entry.version.artifact_id == artifact_id)?;
    let entry = cache.remove(position);
    if entry.mapping.as_ref().is_some_and(|mapping| !mapping.is_intact()) {
        return None;
    }
    entry.tally.was_kept();
    cache.push(Arc::clone(&entry));
    Some(entry)
}

fn keep(entry: Arc<Decoded>) {
    let mut cache = CACHE.lock();
    cache.push(entry);
    let mut size: usize = cache.iter().map(|entry| entry.scorer.memory()).sum();
    while size > settings::model_cache_size() && cache.len() > 1 {
        size -= cache.remove(0).scorer.memory();
    }
}
