//! The whole training, step by step.

use crate::arguments::Arguments;
use crate::check::LIBTORCH;
use crate::choose::{best, Trained};
use crate::device::{device_name, device_of, processors, warm_up};
use crate::error::TrainerError;
use crate::importance::importance;
use crate::job::Job;
use crate::leaks;
use crate::memory;
use crate::prepare::Encoder;
use crate::report::Reporter;
use crate::rows::data::Table;
use crate::rows::input::{check_schema, check_spec, Input};
use crate::rows::split::{split, Split};
use arrow_array::{Array, Float64Array, RecordBatch};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{DataType, Field, Schema};
use model::protocol::{DataSummary, Event, Role, Spec};
use model::{Params, Task};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

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

    let input = Input::open(&arguments.data)?;
    check_schema(input.schema(), &spec.columns)?;
    let mut table = Table::read(input, &spec.columns, memory::left())?;
    let mut ordered = table.ordered_rows();
    check_rows(&table, &ordered)?;
    let before = table.put_in_order(&ordered, threads);
    if before.is_some() {
        ordered = (0..ordered.len() as u32).collect();
    }
    let label = spec.columns.iter().find(|column| column.role == Role::Label);
    let task = table.labels.task(params.task, label.map_or("", |column| &column.name))?;
    check_metric(params, task)?;
    let (mut split, warning) = split(&table, &ordered, params);
    table.forget_hashes();
    if table.stored.is_some() {
        split.in_order_of_reading();
    }
    reporter.send(&Event::Data(summary(&table, &ordered, &split, task)))?;
    if let Some(warning) = warning {
        reporter.warn(warning)?;
    }
    check_classes(&table, &split, task)?;

    let encoder = Encoder::fit(&table, &split.train, params, threads)?;
    warm.wait()?;
    let leaks = leaks::warnings(&table, &ordered, &split.train, task)?;
    encoder.warnings.iter().chain(&leaks).try_for_each(|warning| reporter.warn(warning.clone()))?;
    let budget = Some(params.time_budget).filter(|seconds| *seconds > 0.0);
    let job = Job {
        table: &table,
        ordered: &ordered,
        split: &split,
        encoder: &encoder,
        task,
        params,
        device,
        threads,
        deadline: budget.map(|seconds| started + Duration::from_secs_f64(seconds)),
    };
    if !split.validation.is_empty() && job.stopping_rows().is_empty() {
        reporter.warn(
            "All validation rows have the same label: the training cannot stop early and the probabilities are not \
             calibrated.",
        )?;
    }
    let Trained { artifact, fit, measured, .. } = best(&spec.algorithms, &job, reporter)?;
    let bytes = artifact.to_bytes()?;
    write(&arguments.out, "write the model to", |file| file.write_all(&bytes).map_err(|e| e.to_string()))?;
    if let Some(path) = &arguments.scores {
        let outputs = fit.reference.outputs(&as_read(before, table.rows()))?;
        let scores = outputs.chunks_exact(task.outputs()).map(|row| artifact.output.of(row[0])).collect();
        write(path, "write the scores to", |file| write_scores(file, scores).map_err(|e| e.to_string()))?;
    }
    reporter.send(&Event::Finished {
        algorithm: artifact.algorithm,
        validation: measured.validation,
        test: measured.test,
        by: measured.by,
        best_epoch: fit.best_epoch,
        parity: measured.parity,
        importance: if params.importance { importance(&artifact, &job)? } else { Vec::new() },
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// All rows in the order in which they were read. `before` are the numbers that they had then, if they have changed.
fn as_read(before: Option<Vec<u32>>, rows: usize) -> Vec<u32> {
    let mut now: Vec<u32> = (0..rows as u32).collect();
    for (row, old) in before.iter().flatten().enumerate() {
        now[*old as usize] = row as u32;
    }
    now
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

fn check_metric(params: &Params, task: Task) -> Result<(), TrainerError> {
    match params.metric {
        Some(metric) if metric.task() != task => Err(TrainerError::spec(
            format!("the metric {metric:?} does not measure a {task:?} task").to_lowercase(),
            "A binary task is measured by auroc, average_precision or log_loss, a regression by rmse, mae or pinball.",
        )),
        _ => Ok(()),
    }
}

/// Training needs rows, and both outcomes or two quantities.
fn check_classes(table: &Table, split: &Split, task: Task) -> Result<(), TrainerError> {
    let Some(first) = split.train.first().map(|row| table.labels.get(*row)) else {
        return Err(TrainerError::data(
            "no row is left for training",
            "All rows went to the validation and test parts: lower \"validation_share\" and \"test_share\".",
        ));
    };
    if split.train.iter().any(|row| table.labels.get(*row) != first) {
        return Ok(());
    }
    let label = match (task, first == 1.0) {
        (Task::Binary, true) => "true (1)".to_owned(),
        (Task::Binary, false) => "false (0)".to_owned(),
        (Task::Regression, _) => first.to_string(),
    };
    Err(TrainerError::data(
        format!("the label is {label} in all {} training rows", split.train.len()),
        "A model learns from rows of different outcomes: check the label, or lower \"validation_share\" and \
         \"test_share\" if other outcomes occur only in held-out rows.",
    ))
}

fn summary(table: &Table, ordered: &[u32], split: &Split, task: Task) -> DataSummary {
    let written = |time: Option<i64>| match (&table.times, time) {
        (Some((unit, _)), Some(time)) => Some(unit.format(time)),
        _ => None,
    };
    let time_of = |row: Option<&u32>| match (&table.times, row) {
        (Some((_, times)), Some(row)) => Some(times[*row as usize]),
        _ => None,
    };
    DataSummary {
        task: Some(task),
        rows: table.rows() as u64,
        unlabelled: table.labels.unknown() as u64,
        positives: (task == Task::Binary).then(|| table.labels.positives(ordered) as u64),
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
