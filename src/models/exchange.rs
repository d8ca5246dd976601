//! The functions `reco.export_model`, `reco.import_model` and `reco.import_onnx`: they take a version out of the catalog as a
//! file, and bring one in.

use super::card::version_or_champion;
use super::conversion::{self, Converted};
use super::told::lineage;
use crate::catalog::change::change;
use crate::catalog::read::{self, VersionRow};
use crate::catalog::rights::Privilege;
use crate::catalog::weights;
use crate::catalog::write::{check_may_train, store_version, NewVersion};
use crate::error::{or_raise, Error};
use crate::pg::call::Call;
use crate::pg::extension::LIBRARY;
use crate::pg::relations;
use crate::pg::two_versions::require_writable;
use crate::pg::values::{given, LARGEST_VALUE};
use crate::scoring::check_columns;
use crate::settings;
use crate::training::request::{check_name, Origin};
use model::{Artifact, ModelError, Scorer};
use onnx::export::{About, ExportError};
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde_json::json;
use std::time::Instant;

/// Declared in sql/models.sql.
#[pg_extern(sql = false)]
fn export_model(model: Option<&str>, version: Option<i32>) -> Vec<u8> {
    or_raise(export(model, version, Format::Safetensors))
}

/// Declared in sql/models.sql.
#[pg_extern(sql = false)]
fn export_model_as(model: Option<&str>, version: Option<i32>, format: Option<&str>) -> Vec<u8> {
    or_raise(Format::of(format).and_then(|format| export(model, version, format)))
}

/// What an exported file is.
#[derive(Clone, Copy, PartialEq)]
enum Format {
    /// Our own: what is stored.
    Safetensors,
    Onnx,
}

impl Format {
    fn of(name: Option<&str>) -> Result<Self, Error> {
        match given(name, "format")? {
            "safetensors" => Ok(Self::Safetensors),
            "onnx" => Ok(Self::Onnx),
            other => Err(Error::InvalidArgument(
                format!("models are not exported in the format \"{other}\""),
                Some("The formats are safetensors and onnx; import_model reads both.".into()),
            )),
        }
    }
}

fn export(model: Option<&str>, version: Option<i32>, format: Format) -> Result<Vec<u8>, Error> {
    let model = given(model, "model")?;
    change(c"reco.export_model()", model, Privilege::Manage, |client, caller| {
        let version = version_or_champion(model, version)?;
        let version = read::version(model, version)?;
        check_exportable(&version)?;
        let detail = match format {
            Format::Safetensors => json!({}),
            Format::Onnx => json!({ "format": "onnx" }),
        };
        caller.did(client, "exported", model, Some(version.number), detail)?;
        let weights = weights::read(&version)?;
        match format {
            Format::Safetensors => Ok(weights),
            Format::Onnx => as_onnx(&version, weights),
        }
    })
}

/// The weights as a graph that other programs run. An interrupt is noticed between its nodes.
fn as_onnx(version: &VersionRow, weights: Vec<u8>) -> Result<Vec<u8>, Error> {
    let artifact = Artifact::from_bytes(&weights)?;
    drop(weights);
    let about = About { model: &version.model, version: version.number, writer: LIBRARY };
    onnx::export::export(&artifact, about, LARGEST_VALUE, &mut || {
        pgrx::check_for_interrupts!();
    })
    .map_err(|error| match error {
        ExportError::Model(error) => error.into(),
        ExportError::Unsupported(_) => Error::NotExported {
            model: version.model.clone(),
            version: version.number,
            reason: error.to_string(),
        },
        ExportError::TooLarge { .. } => Error::Limit {
            message: format!(
                "version {} of model \"{}\" has more bytes as ONNX than a bytea can hold",
                version.number, version.model
            ),
            hint: "It can be exported as safetensors, or trained with fewer trees or categories.".into(),
        },
    })
}

/// Refuses weights that do not fit into one value, since stored weights can have more.
fn check_exportable(version: &VersionRow) -> Result<(), Error> {
    match weights::summary(version)?.size {
        ..=LARGEST_VALUE => Ok(()),
        size => Err(Error::Limit {
            message: format!(
                "version {} of model \"{}\" has {size} bytes, more than a bytea can hold",
                version.number, version.model
            ),
            hint: "It can be taken elsewhere in a dump.".into(),
        }),
    }
}

/// Declared in sql/models.sql.
#[pg_extern(sql = false)]
fn import_model(fcinfo: pg_sys::FunctionCallInfo) -> i32 {
    require_writable(c"reco.import_model()");
    // SAFETY: Postgres calls this with the arguments that its SQL declares.
    store(Import::read(unsafe { &Call::new(fcinfo) }))
}

/// Declared in sql/models.sql.
#[pg_extern(sql = false)]
fn import_onnx(fcinfo: pg_sys::FunctionCallInfo) -> i32 {
    require_writable(c"reco.import_onnx()");
    // SAFETY: Postgres calls this with the arguments that its SQL declares.
    store(Import::read_onnx(unsafe { &Call::new(fcinfo) }))
}

fn store(import: Result<Import, Error>) -> i32 {
    let stored = import.and_then(Import::store);
    if let Err(Error::Interrupted) = stored {
        pgrx::check_for_interrupts!();
    }
    or_raise(stored)
}

/// The arguments of an import.
struct Import<'a> {
    began: Instant,
    model: String,
    bytes: &'a [u8],
    source: Option<pg_sys::Oid>,
    keys: Option<Vec<String>>,
    time_column: Option<String>,
    label: Option<String>,
    promote: bool,
    /// Of a model in ONNX: the columns of its values, and what its output is.
    columns: Option<Vec<String>>,
    output: Option<String>,
}

impl<'call> Import<'call> {
    fn read(call: &'call Call) -> Result<Self, Error> {
        let began = Instant::now();
        // The size is checked before the artifact is detoasted into memory.
        check_size(given(call.size(1), "artifact")?)?;
        Ok(Self {
            began,
            model: given(call.text(0), "model")?,
            bytes: given(call.bytes(1), "artifact")?,
            source: call.oid(2),
            keys: call.names(3)?,
            time_column: call.name(4),
            label: call.name(5),
            promote: given(call.boolean(6), "promote")?,
            columns: None,
            output: None,
        })
    }

    /// The arguments of `import_onnx`, which has two more.
    fn read_onnx(call: &'call Call) -> Result<Self, Error> {
        let import = Self { columns: call.names(7)?, output: call.text(8), ..Self::read(call)? };
        match conversion::is_onnx(import.bytes) {
            true => Ok(import),
            false => Err(Error::BadArtifact("the bytes do not begin as a model in ONNX does".into())),
        }
    }

    /// Checks the arguments and the artifact, and stores the version.
    fn store(self) -> Result<i32, Error> {
        check_name(&self.model)?;
        check_may_train(&self.model, self.promote)?;
        let converted = self.converted()?;
        let bytes = converted.as_ref().map_or(self.bytes, |converted| converted.artifact.as_slice());
        let artifact = read_artifact(bytes)?;
        let told = match &converted {
            Some(_) => None,
            None => lineage(bytes, &artifact)?,
        };
        let bytes = told.as_ref().map_or(bytes, |told| told.artifact.as_slice());
        let origin = self.origin()?;
        if let (Some(source), Some(origin)) = (self.source, &origin) {
            check_columns(&self.model, &artifact.recipe, source)?;
            let inputs = artifact.recipe.columns.iter().map(|column| &column.name);
            let others = origin.keys.iter().chain(&origin.time_column).chain(&self.label);
            may_select(source, &inputs.chain(others).map(String::as_str).collect::<Vec<_>>())?;
        }
        let stored = store_version(&NewVersion {
            model: &self.model,
            action: "imported",
            run_id: None,
            algorithm: artifact.algorithm.name(),
            source: origin.as_ref().map(|origin| &origin.source),
            keys: origin.as_ref().map_or(&[], |origin| &origin.keys),
            time_column: origin.as_ref().and_then(|origin| origin.time_column.as_deref()),
            label: self.label.as_deref(),
            parameters: told.as_ref().map_or("{}".into(), |told| told.parameters.to_string()),
            recipe: serde_json::to_string(&artifact.recipe)?,
            metrics: told.as_ref().map_or("{}".into(), |told| told.metrics.to_string()),
            data: match (&converted, &told) {
                (Some(converted), _) => json!({
                    "task": artifact.task(), "converted_from": "onnx", "comparison": converted.comparison,
                }),
                (None, Some(told)) => told.data.clone(),
                (None, None) => json!({ "task": artifact.task() }),
            }
            .to_string(),
            libraries: match &told {
                Some(told) => told.libraries.to_string(),
                None => json!({ "pg_recommend": LIBRARY }).to_string(),
            },
            seconds: self.began.elapsed().as_secs_f64(),
            artifact: &bytes,
            measured: None,
            // The file has none, so that the version is monitored without drift.
            profiles: &[],
            promote: self.promote,
        })?;
        Ok(stored.version)
    }

    /// What the trainer makes of a model in ONNX; `None` for a safetensors file.
    fn converted(&self) -> Result<Option<Converted>, Error> {
        if !conversion::is_onnx(self.bytes) {
            return Ok(None);
        }
        conversion::convert(self.bytes, self.source, self.columns.clone(), self.output.as_deref()).map(Some)
    }

    /// The relation in which `recommend` finds its rows, if a source was named.
    fn origin(&self) -> Result<Option<Origin>, Error> {
        match self.source {
            Some(source) => {
                let (keys, time) = (self.keys.clone(), self.time_column.clone());
                Origin::of(source, keys, time, self.label.as_deref()).map(Some)
            }
            None if self.keys.is_some() || self.time_column.is_some() => {
                Err(Error::invalid("keys and time_column are columns of a source, and none is named"))
            }
            None => Ok(None),
        }
    }
}

/// Refuses a caller who may not read the rows that the model would be scored from. Whoever uses the model takes it
/// for a model of these rows.
fn may_select(source: pg_sys::Oid, columns: &[&str]) -> Result<(), Error> {
    let sql = "SELECT pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE') AND ( \
                   pg_catalog.has_table_privilege(c.oid, 'SELECT') OR NOT EXISTS ( \
                       SELECT FROM pg_catalog.unnest($2) AS u (name) \
                       WHERE NOT pg_catalog.has_column_privilege(c.oid, u.name, 'SELECT'))) \
               FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) $1";
    let names: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
    match Spi::get_one_with_args::<bool>(sql, &[source.into(), names.into()])? {
        Some(true) => Ok(()),
        _ => Err(Error::Privilege {
            message: format!("permission denied for relation {}", relations::qualified_name(source)?),
            hint: Some("A model is imported for a source by those who may SELECT from it.".into()),
        }),
    }
}

/// Parses the artifact. It is an error if something in it is wrong or it cannot score.
fn read_artifact(bytes: &[u8]) -> Result<Artifact, Error> {
    let refuse = |error| match error {
        ModelError::Artifact(reason) => Error::BadArtifact(reason),
        other => other.into(),
    };
    let artifact = Artifact::from_bytes(bytes).map_err(refuse)?;
    let scorer = Scorer::new(&artifact).map_err(refuse)?;
    // Each weight is finite, but a sum of weights may overflow.
    match scorer.score(&mut scorer.row()).is_finite() {
        true => Ok(artifact),
        false => Err(Error::BadArtifact("its weights are so large that their sums overflow".into())),
    }
}

fn check_size(bytes: usize) -> Result<(), Error> {
    let most = settings::max_import_size();
    if bytes <= most {
        return Ok(());
    }
    Err(Error::InvalidArgument(
        format!("the artifact has {bytes} bytes, more than {most}"),
        Some("The setting reco.max_import_size is the limit.".into()),
    ))
}
