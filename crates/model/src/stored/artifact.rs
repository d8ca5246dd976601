//! A model version as bytes and back: weights as safetensors, the rest as JSON in the header's metadata.
//!
//! The tensors are those of [`crate::predictor`]. The metadata has `format`, `format_version`, `algorithm`, and as JSON
//! `recipe`, `layout` and `output`.

use super::bytes::Bytes;
use super::meaning;
use super::output::Output;
use super::recipe::Recipe;
use super::tensors::{TensorReader, TensorWriter};
use crate::algorithm::{Algorithm, Task};
use crate::error::ModelError;
use crate::score::predictor::{Predictor, PredictorLayout};
use safetensors::tensor::Metadata;
use safetensors::SafeTensorError;
use serde::de::DeserializeOwned;
use serde::Serialize;
use std::collections::BTreeMap;

const FORMAT: &str = "pg_recommend";
const FORMAT_VERSION: &str = "1";
/// A safetensors file begins with its header's length in this many bytes; the header is padded with spaces to a
/// multiple of it.
const WORD: usize = 8;

/// A model version: everything scoring needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    pub algorithm: Algorithm,
    pub recipe: Recipe,
    pub predictor: Predictor,
    pub output: Output,
}

impl Artifact {
    pub fn task(&self) -> Task {
        self.output.task()
    }

    /// Checks every bound: the recipe, the predictor against the recipe and the output, the output.
    pub fn check(&self) -> Result<(), ModelError> {
        self.recipe.check()?;
        self.output.check()?;
        self.predictor.check(&self.recipe, self.output.outputs())
    }

    /// The artifact as safetensors bytes. The same artifact always gives the same bytes. An artifact that
    /// [`Artifact::check`] refuses is an error.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        self.check()?;
        let mut tensors = TensorWriter::default();
        self.predictor.write(&mut tensors);
        let metadata = BTreeMap::from([
            ("format", FORMAT.to_owned()),
            ("format_version", FORMAT_VERSION.to_owned()),
            ("algorithm", self.algorithm.name().to_owned()),
            ("recipe", to_json(&self.recipe)?),
            ("layout", to_json(&self.predictor.layout())?),
            ("output", to_json(&self.output)?),
        ]);
        let mut header = to_json(&Header { metadata, tensors: &tensors })?.into_bytes();
        header.resize(header.len().next_multiple_of(WORD), b' ');
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.append(&mut header);
        bytes.append(&mut tensors.data);
        Ok(bytes)
    }

    /// Reads bytes that may come from anywhere: every length, shape, type and number is checked before use,
    /// and whatever does not fit is an error.
    pub fn from_bytes(bytes: &[u8]) -> Result<Artifact, ModelError> {
        Self::from_pieces(&bytes)
    }

    /// As [`Artifact::from_bytes`], of bytes that need not be in memory: a piece of them at a time is.
    pub fn from_pieces(bytes: &dyn Bytes) -> Result<Artifact, ModelError> {
        let (header, first) = read_header(bytes)?;
        check_format(&header)?;
        let algorithm = text(&header, "algorithm")?;
        let recipe: Recipe = from_json(&header, "recipe")?;
        recipe.check()?;
        let layout: PredictorLayout = from_json(&header, "layout")?;
        let mut tensors = TensorReader::new(&header, bytes, first);
        let mut artifact = Artifact {
            algorithm: Algorithm::from_name(algorithm)
                .ok_or_else(|| ModelError::artifact(format!("its algorithm is {algorithm:?}")))?,
            predictor: Predictor::read(layout, &recipe, &mut tensors)?,
            output: from_json(&header, "output")?,
            recipe,
        };
        tensors.finish()?;
        artifact.check()?;
        meaning::bring_up(&mut artifact.recipe, &mut artifact.predictor);
        Ok(artifact)
    }
}

/// An entry of the header's metadata; `None` if there is none of that name.
pub fn metadata_of(bytes: &dyn Bytes, key: &str) -> Result<Option<String>, ModelError> {
    let (header, _) = read_header(bytes)?;
    Ok(header.metadata().as_ref().and_then(|metadata| metadata.get(key)).cloned())
}

/// The header of a safetensors file. The crate's own writer puts the metadata in the order of a hash map, which
/// differs from run to run; here every map is sorted.
#[derive(Serialize)]
struct Header<'a> {
    #[serde(rename = "__metadata__")]
    metadata: BTreeMap<&'static str, String>,
    #[serde(flatten)]
    tensors: &'a TensorWriter,
}

fn to_json(value: &impl Serialize) -> Result<String, ModelError> {
    serde_json::to_string(value).map_err(|e| ModelError::artifact(format!("it cannot be written: {e}")))
}

fn not_safetensors(error: impl std::fmt::Display) -> ModelError {
    ModelError::artifact(format!("it is not a safetensors file: {error}"))
}

/// Bytes of the longest header: as much as the crate's own reader takes.
const LONGEST_HEADER: usize = 100_000_000;

/// The header, of which every tensor has its bounds, and where their data begin, which end where the file does.
fn read_header(bytes: &dyn Bytes) -> Result<(Metadata, usize), ModelError> {
    let unreadable = |error| ModelError::artifact(format!("it cannot be read: {error}"));
    let size = bytes.size().map_err(unreadable)?;
    let mut room = Vec::new();
    if size < WORD {
        return Err(not_safetensors(SafeTensorError::HeaderTooSmall));
    }
    let word = bytes.piece(0, WORD, &mut room).map_err(unreadable)?;
    let length = word.iter().rev().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
    let length = usize::try_from(length).ok().filter(|length| *length <= LONGEST_HEADER);
    let length = length.ok_or_else(|| not_safetensors(SafeTensorError::HeaderTooLarge))?;
    let first = WORD + length;
    if first > size {
        return Err(not_safetensors(SafeTensorError::InvalidHeaderLength));
    }
    let text = bytes.piece(WORD, length, &mut room).map_err(unreadable)?;
    let header: Metadata = serde_json::from_slice(text).map_err(not_safetensors)?;
    let end = header.tensors().values().map(|tensor| tensor.data_offsets.1).max().unwrap_or(0);
    match first.checked_add(end) == Some(size) {
        true => Ok((header, first)),
        false => Err(not_safetensors(SafeTensorError::MetadataIncompleteBuffer)),
    }
}

fn check_format(header: &Metadata) -> Result<(), ModelError> {
    if text(header, "format")? != FORMAT {
        return Err(ModelError::artifact(format!("its format is not \"{FORMAT}\"")));
    }
    match text(header, "format_version")? {
        FORMAT_VERSION => Ok(()),
        other => Err(ModelError::artifact(format!(
            "its format version is {other:?}, and this release reads version \"{FORMAT_VERSION}\" only"
        ))),
    }
}

fn text<'a>(header: &'a Metadata, key: &str) -> Result<&'a str, ModelError> {
    let value = header.metadata().as_ref().and_then(|metadata| metadata.get(key));
    value.map(String::as_str).ok_or_else(|| ModelError::artifact(format!("its header has no \"{key}\"")))
}

fn from_json<T: DeserializeOwned>(header: &Metadata, key: &str) -> Result<T, ModelError> {
    serde_json::from_str(text(header, key)?)
        .map_err(|e| ModelError::artifact(format!("its \"{key}\" cannot be read: {e}")))
}
