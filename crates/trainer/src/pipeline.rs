//! The whole training, step by step.

use crate::arguments::Arguments;
use crate::check::LIBTORCH;
use crate::data::{Table, UNLABELLED};
use crate::device::{device_name, device_of, processors, warm_up};
use crate::error::TrainerError;
use crate::evaluate::{calibrate, Evaluator};
use crate::input::{check_schema, check_spec, Input};
use crate::network::Net;
use crate::part::{stream_logits, Part};
use crate::prepare::Encoder;
use crate::report::Reporter;
use crate::split::{split, Split};
use crate::train::train;
use arrow_array::{Array, Float64Array, RecordBatch};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{DataType, Field, Schema};
use model::protocol::{DataSummary, Event, Spec};
use model::{Artifact, Params};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Runs a training from the spec to the written model.
pub fn run<W: Write>(arguments: &Arguments, reporter: &mut Reporter<W>) -> Result<(), TrainerError> {
    let started = Instant::now();
    let spec = read_spec(&arguments.spec)?;
    check_spec(&spec)?;
    let params = &spec.params;
    let device = device_of(&params.device)?;
    let threads = set_up_libtorch(params);
    reporter.send(&Event::Started {
        trainer: env!("CARGO_PKG_VERSION").into(),
        libtorch: LIBTORCH.into(),
        device: device_name(device),
        threads,
    })?;
    let warm = warm_up(device);

    let mut input = Input::open(&arguments.data)?;
    check_schema(input.schema(), &spec.columns)?;
    let table = Table::read(&mut input, &spec.columns)?;
    let ordered = table.ordered_rows();
    check_rows(&table, &ordered)?;
    let (split, warning) = split(&table, &ordered, params);
    reporter.send(&Event::Data(summary(&table, &ordered, &split)))?;
    if let Some(warning) = warning {
        reporter.warn(warning)?;
    }
    check_classes(&table, &split)?;

    let encoder = Encoder::fit(&table, &split.train, params)?;
    for warning in &encoder.warnings {
        reporter.warn(warning.clone())?;
    }
    warm.wait()?;
    let training = Part::new(&encoder, &split.train, &table.labels, device)?;
    let validation = Part::new(&encoder, &split.validation, &table.labels, device)?;
    if validation.len() > 0 && !validation.has_both_classes() {
        reporter.warn(
            "All validation rows have the same label: the training cannot stop early and the probabilities are not \
             calibrated.",
        )?;
    }
    let usable = Some(&validation).filter(|part| part.has_both_classes());

    let mut net = Net::new(&encoder.recipe, &params.hidden, device)?;
    let best_epoch = train(&mut net, &training, usable, params, reporter)?;
    drop(training);
    net.alias_unseen_nulls(&encoder.null_seen)?;
    let artifact = Artifact {
        algorithm: spec.algorithm.clone(),
        recipe: encoder.recipe.clone(),
        network: net.export()?,
        calibration: calibrate(&net, usable)?,
    };
    drop(validation);

    let measured = Evaluator {
        table: &table,
        ordered: &ordered,
        split: &split,
        encoder: &encoder,
        net: &net,
        artifact: &artifact,
    }
    .measure()?;
    let bytes = artifact.to_bytes()?;
    write(&arguments.out, "write the model to", |file| file.write_all(&bytes).map_err(|e| e.to_string()))?;
    if let Some(path) = &arguments.scores {
        let logits = stream_logits(&net, &encoder, &encoder.all_rows())?;
        let scores = logits.into_iter().map(|logit| artifact.calibration.probability(logit)).collect();
        write(path, "write the scores to", |file| write_scores(file, scores).map_err(|e| e.to_string()))?;
    }
    reporter.send(&Event::Finished {
        validation: measured.validation,
        test: measured.test,
        best_epoch,
        parity: measured.parity,
        seconds: started.elapsed().as_secs_f64(),
    })
}

fn read_spec(path: &Path) -> Result<Spec, TrainerError> {
    let fail = |reason: String| TrainerError::File {
        action: "read the spec",
        path: path.display().to_string(),
        reason,
    };
    let text = std::fs::read(path).map_err(|e| fail(e.to_string()))?;
    serde_json::from_slice(&text).map_err(|e| fail(e.to_string()))
}

/// Returns the number of threads.
fn set_up_libtorch(params: &Params) -> usize {
    let threads = match params.threads {
        0 => processors(),
        given => given,
    };
    tch::set_num_threads(threads as i32);
    tch::manual_seed(params.seed as i64);
    threads
}

fn check_rows(table: &Table, labelled: &[u32]) -> Result<(), TrainerError> {
    if table.rows() == 0 {
        return Err(TrainerError::data(
            "the source has no rows",
            "Check the source, and your rights to its rows.",
        ));
    }
    if labelled.is_empty() {
        return Err(TrainerError::data(
            format!("none of the {} rows has a label", table.rows()),
            "The label is NULL in every row: train on rows whose outcome is known.",
        ));
    }
    Ok(())
}

/// Training needs both outcomes.
fn check_classes(table: &Table, split: &Split) -> Result<(), TrainerError> {
    let positives = count_positives(table, &split.train);
    let rows = split.train.len();
    if rows == 0 {
        return Err(TrainerError::data(
            "no row is left for training",
            "All rows went to the validation and test parts: lower \"validation_share\" and \"test_share\".",
        ));
    }
    if positives > 0 && positives < rows as u64 {
        return Ok(());
    }
    let label = if positives == 0 { "false (0)" } else { "true (1)" };
    Err(TrainerError::data(
        format!("the label is {label} in all {rows} training rows"),
        "A model learns from rows of both outcomes: check the label, or lower \"validation_share\" and \
         \"test_share\" if the other outcome occurs only in held-out rows.",
    ))
}

fn count_positives(table: &Table, rows: &[u32]) -> u64 {
    rows.iter().filter(|row| table.labels[**row as usize] == 1).count() as u64
}

fn summary(table: &Table, ordered: &[u32], split: &Split) -> DataSummary {
    let written = |time: Option<i64>| match (&table.times, time) {
        (Some((unit, _)), Some(time)) => Some(unit.format(time)),
        _ => None,
    };
    let time_of = |row: Option<&u32>| match (&table.times, row) {
        (Some((_, times)), Some(row)) => Some(times[*row as usize]),
        _ => None,
    };
    DataSummary {
        rows: table.rows() as u64,
        unlabelled: table.labels.iter().filter(|label| **label == UNLABELLED).count() as u64,
        positives: count_positives(table, ordered),
        train: split.train.len() as u64,
        validation: split.validation.len() as u64,
        test: split.test.len() as u64,
        time_from: written(time_of(ordered.first())),
        time_to: written(time_of(ordered.last())),
        validation_from: written(split.validation_from),
        test_from: written(split.test_from),
        digest: table.digest.clone(),
    }
}

/// Opens a file for writing, never beside and renamed, since the path may be a descriptor.
fn write(
    path: &Path,
    action: &'static str,
    content: impl FnOnce(&mut File) -> Result<(), String>,
) -> Result<(), TrainerError> {
    let fail = |reason: String| TrainerError::File { action, path: path.display().to_string(), reason };
    let mut file = File::create(path).map_err(|e| fail(e.to_string()))?;
    content(&mut file).map_err(fail)?;
    file.flush().map_err(|e| TrainerError::File {
        action,
        path: path.display().to_string(),
        reason: e.to_string(),
    })
}

fn write_scores(file: &mut File, scores: Vec<f64>) -> Result<(), arrow_schema::ArrowError> {
    let schema = Arc::new(Schema::new(vec![Field::new("score", DataType::Float64, false)]));
    let column: Arc<dyn Array> = Arc::new(Float64Array::from(scores));
    let mut writer = FileWriter::try_new_buffered(file, &schema)?;
    writer.write(&RecordBatch::try_new(schema.clone(), vec![column])?)?;
    writer.finish()
}
