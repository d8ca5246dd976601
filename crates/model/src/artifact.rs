//! A model version as bytes and back: weights as safetensors, the rest as JSON in the header's metadata.
//!
//! | tensor (F32) | shape |
//! | --- | --- |
//! | `embedding.{i}` | (rows, dimension) of the recipe's i-th category |
//! | `layer.{k}.weight` | (outputs, inputs) |
//! | `layer.{k}.bias` | (outputs) |
//!
//! The metadata has `format`, `format_version`, `algorithm`, and as JSON `recipe` and `calibration`.

use crate::calibration::Platt;
use crate::error::ModelError;
use crate::network::{Dense, Network, MAX_LAYERS};
use crate::recipe::Recipe;
use ndarray::{Array1, Array2};
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensors};
use serde::de::DeserializeOwned;
use serde::Serialize;
use std::collections::BTreeMap;

const FORMAT: &str = "pg_recommend";
const FORMAT_VERSION: &str = "1";
/// Longest name of an algorithm.
const MAX_ALGORITHM: usize = 64;
/// A safetensors file begins with its header's length in this many bytes; the header is padded with spaces to a
/// multiple of it.
const WORD: usize = 8;

/// A model version: everything scoring needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    /// `mlp`.
    pub algorithm: String,
    pub recipe: Recipe,
    pub network: Network,
    pub calibration: Platt,
}

impl Artifact {
    /// Checks every bound: the recipe, the network against the recipe, the calibration.
    pub fn check(&self) -> Result<(), ModelError> {
        if self.algorithm.is_empty() || self.algorithm.len() > MAX_ALGORITHM {
            return Err(ModelError::artifact("the name of its algorithm"));
        }
        if !self.calibration.is_valid() {
            return Err(ModelError::artifact("the calibration is not a positive slope and a finite offset"));
        }
        self.recipe.check()?;
        self.network.check(&self.recipe)
    }

    /// The artifact as safetensors bytes. The same artifact always gives the same bytes. An artifact that
    /// [`Artifact::check`] refuses is an error.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        self.check()?;
        let mut data = Vec::new();
        let mut tensors = BTreeMap::new();
        for (i, table) in self.network.embeddings.iter().enumerate() {
            append(&mut tensors, &mut data, format!("embedding.{i}"), table.shape(), table.iter());
        }
        for (k, layer) in self.network.layers.iter().enumerate() {
            let (weight, bias) = (&layer.weight, &layer.bias);
            append(&mut tensors, &mut data, format!("layer.{k}.weight"), weight.shape(), weight.iter());
            append(&mut tensors, &mut data, format!("layer.{k}.bias"), bias.shape(), bias.iter());
        }
        let metadata = BTreeMap::from([
            ("format", FORMAT.to_owned()),
            ("format_version", FORMAT_VERSION.to_owned()),
            ("algorithm", self.algorithm.clone()),
            ("recipe", to_json(&self.recipe)?),
            ("calibration", to_json(&self.calibration)?),
        ]);
        let mut header = to_json(&Header { metadata, tensors })?.into_bytes();
        header.resize(header.len().next_multiple_of(WORD), b' ');
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.append(&mut header);
        bytes.append(&mut data);
        Ok(bytes)
    }

    /// Reads bytes that may come from anywhere: every length, shape, type and number is checked before use,
    /// and whatever does not fit is an error.
    pub fn from_bytes(bytes: &[u8]) -> Result<Artifact, ModelError> {
        let (length, header) = SafeTensors::read_metadata(bytes).map_err(not_safetensors)?;
        let data = bytes.get(WORD + length..).unwrap_or_default();
        check_format(&header)?;
        let recipe: Recipe = from_json(&header, "recipe")?;
        recipe.check()?;
        let artifact = Artifact {
            algorithm: text(&header, "algorithm")?.to_owned(),
            network: read_network(&header, data, recipe.categories().len())?,
            calibration: from_json(&header, "calibration")?,
            recipe,
        };
        artifact.check()?;
        Ok(artifact)
    }
}

/// The header of a safetensors file. The crate's own writer puts the metadata in the order of a hash map, which
/// differs from run to run; here every map is sorted.
#[derive(Serialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    metadata: BTreeMap<&'static str, String>,
    #[serde(flatten)]
    tensors: BTreeMap<String, TensorInfo>,
}

fn append<'a>(
    tensors: &mut BTreeMap<String, TensorInfo>,
    data: &mut Vec<u8>,
    name: String,
    shape: &[usize],
    values: impl Iterator<Item = &'a f32>,
) {
    let start = data.len();
    data.extend(values.flat_map(|value| value.to_le_bytes()));
    let data_offsets = (start, data.len());
    tensors.insert(name, TensorInfo { dtype: Dtype::F32, shape: shape.to_vec(), data_offsets });
}

fn to_json(value: &impl Serialize) -> Result<String, ModelError> {
    serde_json::to_string(value).map_err(|e| ModelError::artifact(format!("it cannot be written: {e}")))
}

fn not_safetensors(error: safetensors::SafeTensorError) -> ModelError {
    ModelError::artifact(format!("it is not a safetensors file: {error}"))
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

fn read_network(header: &Metadata, data: &[u8], categories: usize) -> Result<Network, ModelError> {
    let count = header.tensors().len();
    let layers = count.saturating_sub(categories) / 2;
    if count != categories + 2 * layers || !(1..=MAX_LAYERS).contains(&layers) {
        return Err(ModelError::artifact(format!("{count} tensors for {categories} categories")));
    }
    let tables = (0..categories).map(|i| matrix(header, data, &format!("embedding.{i}")));
    let embeddings = tables.collect::<Result<_, _>>()?;
    let layers = (0..layers).map(|k| {
        let weight = matrix(header, data, &format!("layer.{k}.weight"))?;
        let (_, bias) = floats(header, data, &format!("layer.{k}.bias"), 1)?;
        Ok(Dense { weight, bias: Array1::from_vec(bias) })
    });
    Ok(Network { embeddings, layers: layers.collect::<Result<_, ModelError>>()? })
}

fn matrix(header: &Metadata, data: &[u8], name: &str) -> Result<Array2<f32>, ModelError> {
    let (shape, values) = floats(header, data, name, 2)?;
    Array2::from_shape_vec((shape[0], shape[1]), values)
        .map_err(|e| ModelError::artifact(format!("tensor \"{name}\": {e}")))
}

/// Shape and values of a tensor of 32-bit floats with this many dimensions.
fn floats<'a>(
    header: &'a Metadata,
    data: &[u8],
    name: &str,
    dimensions: usize,
) -> Result<(&'a [usize], Vec<f32>), ModelError> {
    let info =
        header.info(name).ok_or_else(|| ModelError::artifact(format!("there is no tensor \"{name}\"")))?;
    let TensorInfo { dtype, shape, data_offsets: (start, end) } = info;
    if *dtype != Dtype::F32 || shape.len() != dimensions {
        return Err(ModelError::artifact(format!("tensor \"{name}\" is {dtype:?} of shape {shape:?}")));
    }
    let bytes = data.get(*start..*end).unwrap_or_default();
    let values = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    Ok((shape, values.collect()))
}
