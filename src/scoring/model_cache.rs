//! Decoded models, kept by the backend. Versions are immutable and their weights have an id of their own, so an
//! entry is never stale; the least recently used go when the cache outgrows `reco.model_cache_size`. Large ones are mapped
//! and shared (`shared_models.rs`): of those only what is the backend's own counts.

use super::shared_models;
use crate::catalog::read::{self, VersionRow};
use crate::error::Error;
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
    /// What it reads, if that is mapped.
    pub mapping: Option<Arc<Mapping>>,
}

impl Decoded {
    /// What the version gives a row; an error where that is no number.
    #[inline]
    pub fn score(&self, row: &mut Row) -> Result<f64, Error> {
        self.number(self.scorer.score(row))
    }

    /// The quantiles that it gives a row, if it knows any.
    pub fn quantiles(&self, row: &mut Row) -> Result<Option<[f64; 3]>, Error> {
        let quantiles = self.scorer.quantiles(row);
        quantiles.iter().flatten().try_for_each(|quantile| self.number(*quantile).map(drop))?;
        Ok(quantiles)
    }

    /// A score of the scorer's, which is NaN where its sums overflowed.
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

/// Most recently used last. A handful of entries: a list beats a map.
static CACHE: Lazy<Mutex<Vec<Arc<Decoded>>>> = Lazy::new(|| Mutex::new(Vec::new()));

/// The version that an alias of a model stands for now, and the A/B test that the model takes part in.
pub fn decoded(model: &str, alias: &str) -> Result<(Arc<Decoded>, Option<String>), Error> {
    let named = read::version_of_alias(model, alias)?;
    let decode = || decode(read::version(model, named.version)?);
    Ok((cached(named.artifact_id).map_or_else(decode, Ok)?, named.test))
}

/// A version of a model.
pub fn decoded_version(model: &str, number: i32) -> Result<Arc<Decoded>, Error> {
    let version = read::version(model, number)?;
    cached(version.artifact_id).map_or_else(|| decode(version), Ok)
}

fn decode(version: VersionRow) -> Result<Arc<Decoded>, Error> {
    let (scorer, mapping) = shared_models::scorer(&version)?;
    let decoded = Arc::new(Decoded { version, scorer, mapping });
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
