//! What the file of a model tells that was trained elsewhere: it becomes the version's metrics and lineage, marked as told.

use crate::error::Error;
use crate::pg::extension::LIBRARY;
use model::told::Told;
use model::{Artifact, ModelError};
use serde_json::{json, Value};

/// The parts of a version that a file may tell.
pub struct Lineage {
    pub parameters: Value,
    pub metrics: Value,
    pub data: Value,
    pub libraries: Value,
    /// The artifact without what is told, which has rows in it.
    pub artifact: Vec<u8>,
}

/// What the bytes of an artifact tell; `None` if they tell nothing. An error if it is impossible, or if the outputs that it tells of
/// some rows are not those that come out here.
pub fn lineage(bytes: &[u8], artifact: &Artifact) -> Result<Option<Lineage>, Error> {
    let refuse = |error| match error {
        ModelError::Artifact(reason) => Error::BadArtifact(reason),
        other => other.into(),
    };
    let Some(told) = Told::read(&bytes).map_err(refuse)? else { return Ok(None) };
    told.check(artifact).map_err(refuse)?;
    let parity = told.sample.parity(artifact).map_err(refuse)?;
    let mut data = serde_json::to_value(&told.data)?;
    data["told_by_file"] = serde_json::to_value(&told.training)?;
    data["defaults"] = json!({ artifact.algorithm.name(): told.taken });
    let mut libraries = Value::Object(told.libraries.clone());
    libraries["pg_recommend"] = json!(LIBRARY);
    Ok(Some(Lineage {
        parameters: serde_json::to_value(told.params().map_err(refuse)?)?,
        metrics: json!({
            "validation": told.validation, "test": told.test, "best_epoch": told.best_epoch, "parity": parity,
            "losses": told.losses,
        }),
        data,
        libraries,
        artifact: artifact.to_bytes().map_err(refuse)?,
    }))
}
