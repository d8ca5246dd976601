//! The artifact that an exported file carries beside its graph, as a text in its metadata. By it a version comes back as it was; the
//! graph alone would come back as a model made elsewhere.

use crate::proto;
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use model::{Artifact, ModelError};

/// The name of the text: the artifact's bytes in base 64.
const KEY: &str = "pg_recommend.artifact";

/// How long the text is for so many bytes.
pub fn length(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

pub fn entry(artifact: &[u8]) -> proto::Entry {
    proto::Entry { key: KEY.to_owned(), value: STANDARD.encode(artifact) }
}

/// `None` where a model carries none.
pub fn artifact(model: &proto::Model) -> Result<Option<Artifact>, ModelError> {
    let Some(entry) = model.metadata_props.iter().find(|entry| entry.key == KEY) else { return Ok(None) };
    let bytes = STANDARD.decode(&entry.value);
    let bytes = bytes.map_err(|error| ModelError::Artifact(format!("{KEY} is no base 64: {error}")))?;
    Artifact::from_bytes(&bytes).map(Some)
}
