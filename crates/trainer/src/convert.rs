//! `--convert`: makes an artifact of a model in ONNX, which may come from anywhere. It runs here, apart from the database and
//! under the limits of a training, because nobody vouches for the bytes.

use crate::arguments::Files;
use crate::check::VERSION;
use crate::error::TrainerError;
use crate::pipeline::write_model;
use crate::report::Reporter;
use model::conversion::Conversion;
use model::protocol::Event;
use std::io::Write;
use std::path::Path;

/// Reads, converts and compares. Nothing is written unless both agree.
pub fn convert<W: Write>(files: &Files, reporter: &mut Reporter<W>) -> Result<(), TrainerError> {
    let text = read(&files.spec, "read the spec")?;
    let conversion: Conversion = serde_json::from_slice(&text)
        .map_err(|error| TrainerError::spec(error.to_string(), "The spec is JSON of a conversion."))?;
    if let Some(extension) = conversion.extension.clone().filter(|version| version != VERSION) {
        return Err(TrainerError::OtherVersion { extension });
    }
    let bytes = read(&files.from, "read the model")?;
    let (artifact, comparison) = onnx::import::convert(&bytes, &conversion)?;
    write_model(&files.out, &artifact)?;
    reporter.send(&Event::Converted { trainer: VERSION.into(), algorithm: artifact.algorithm, comparison })
}

fn read(path: &Path, action: &'static str) -> Result<Vec<u8>, TrainerError> {
    std::fs::read(path).map_err(|error| TrainerError::File {
        action,
        path: path.display().to_string(),
        reason: error.to_string(),
    })
}
