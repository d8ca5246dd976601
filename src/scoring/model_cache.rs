//! Decoded models, kept by the backend. Versions are immutable and their weights have an id of their own, so an
//! entry is never stale; the least recently used go when the cache outgrows `reco.model_cache_size`.

use crate::catalog::read;
use crate::error::Error;
use crate::settings;
use model::{Artifact, Scorer};
use once_cell::sync::Lazy;
use parking_lot::Mutex;
use pgrx::Uuid;
use std::sync::Arc;

struct Entry {
    artifact_id: Uuid,
    scorer: Arc<Scorer>,
}

/// Most recently used last. A handful of entries: a list beats a map.
static CACHE: Lazy<Mutex<Vec<Entry>>> = Lazy::new(|| Mutex::new(Vec::new()));

/// The scorer of these weights.
pub fn scorer(artifact_id: Uuid) -> Result<Arc<Scorer>, Error> {
    if let Some(scorer) = cached(artifact_id) {
        return Ok(scorer);
    }
    let scorer =
        Arc::new(read::with_artifact(artifact_id, |bytes| Ok(Scorer::new(&Artifact::from_bytes(bytes)?)?))?);
    keep(Entry { artifact_id, scorer: Arc::clone(&scorer) });
    Ok(scorer)
}

fn cached(artifact_id: Uuid) -> Option<Arc<Scorer>> {
    let mut cache = CACHE.lock();
    let position = cache.iter().position(|entry| entry.artifact_id == artifact_id)?;
    let entry = cache.remove(position);
    let scorer = Arc::clone(&entry.scorer);
    cache.push(entry);
    Some(scorer)
}

fn keep(entry: Entry) {
    let mut cache = CACHE.lock();
    cache.push(entry);
    let mut size: usize = cache.iter().map(|entry| entry.scorer.memory()).sum();
    while size > settings::model_cache_size() && cache.len() > 1 {
        size -= cache.remove(0).scorer.memory();
    }
}
