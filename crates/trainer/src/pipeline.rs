//! The whole training, step by step.

use crate::arguments::Arguments;
use crate::check::{LIBTORCH, VERSION};
use crate::choose::{best, Choice};
use crate::defaults::{grain, Defaults};
use crate::device::{device_name, device_of, processors, warm_up};
use crate::error::TrainerError;
use crate::evaluate::{Measured, Trained};
use crate::importance::importance;
use crate::job::{Job, Units};
use crate::leaks;
use crate::prepare::Encoder;
use crate::refit::{self, Refit};
use crate::report::Reporter;
use crate::rows::input::check_spec;
use crate::rows::prepared::Prepared;
use arrow_array::{Array, Float64Array, RecordBatch};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{DataType, Field, Schema};
use model::drift::Histogram;
use model::protocol::{Event, Profile, Spec};
use model::recipe::{Column, Input};
use model::{Artifact, Params, Task};
use serde::Deserialize;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tch::Device;

/// Runs a training from the spec to the written model.
pub fn run<W: Write>(arguments: &Arguments, reporter: &mut Reporter<W>) -> Result<(), TrainerError> {
    let started = Instant::now();
    let spec = read_spec(&arguments.spec)?;
    check_spec(&spec)?;
    let params = &spec.params;
    let device = device_of(&params.device)?;
    let threads = set_up_libtorch(params);
    reporter.send(&Event::Started {
        trainer: VERSION.into(),
        libtorch: LIBTORCH.into(),
        device: device_name(device),
        threads,
    })?;
    let warm = warm_up(device);

    let rows = read_rows(&arguments.data, &spec, threads, reporter)?;
    let encoder = fit_encoder(&rows, &spec, threads)?;
    warm.wait()?;
    let budget = Some(params.time_budget).filter(|seconds| *seconds > 0.0);
    let deadline = budget.map(|seconds| started + Duration::from_secs_f64(seconds));
    let job = Job { deadline, ..job_of(&rows, &encoder, params, device, threads) };
    warn_of(&job, reporter)?;
    let Choice { best: measured, cut_offs } = best(&spec.algorithms, &rows.earlier, &job, reporter)?;
    let importance = if params.importance { importance(&measured.artifact, &job)? } else { Vec::new() };
    let all = refit::prepare(&measured, &job, reporter)?;
    let again = all.as_ref().map(|all| all.job(&job, &measured.fit.parts));
    let refit = match &again {
        Some(job) => refit::fit(&measured, job, reporter)?,
        None => None,
    };
    save(&measured, refit.as_ref(), &rows, arguments)?;
    let (artifact, encoder) = match (&refit, &all) {
        (Some(refit), Some(all)) => (&refit.artifact, all.encoder()),
        _ => (&measured.artifact, &encoder),
    };
    let Trained { fit, measured: Measured { validation, test, by, scores, parity }, .. } = &measured;
    reporter.send(&Event::Finished {
        algorithm: artifact.algorithm,
        validation: validation.clone(),
        test: test.clone(),
        by: by.clone(),
        best_epoch: fit.best_epoch(),
        parity: refit.as_ref().map_or(*parity, |refit| refit.parity.max(*parity)),
        profiles: profiles(scores.clone(), artifact, encoder),
        importance,
        refit_rows: refit.map(|_| rows.ordered.len() as u64),
        cut_offs,
        defaults: fit
            .parts
            .iter()
            .map(|part| (part.algorithm, job.defaults.taken(params, part.algorithm, part.leaves)))
            .collect(),
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// Reads the rows, and says what they are. An error if nothing can be learned from them.
pub fn read_rows<W: Write>(
    data: &Path,
    spec: &Spec,
    threads: usize,
    reporter: &mut Reporter<W>,
) -> Result<Prepared, TrainerError> {
    let rows = Prepared::read(data, spec, threads)?;
    check_metric(&spec.params, rows.task)?;
    reporter.send(&Event::Data(rows.summary()))?;
    if let Some(warning) = &rows.warning {
        reporter.warn(warning.clone())?;
    }
    rows.check_classes()?;
    Ok(rows)
}

/// The preprocessing, fitted on the training rows.
pub fn fit_encoder<'a>(rows: &'a Prepared, spec: &Spec, threads: usize) -> Result<Encoder<'a>, TrainerError> {
    Encoder::fit(&rows.table, &rows.split.train, &spec.params, grain(spec, rows), threads)
}

/// The training of these rows, without a deadline.
pub fn job_of<'a>(
    rows: &'a Prepared,
    encoder: &'a Encoder<'a>,
    params: &'a Params,
    device: Device,
    threads: usize,
) -> Job<'a> {
    let Prepared { table, ordered, split, task, .. } = rows;
    Job {
        table,
        ordered,
        split,
        encoder,
        task: *task,
        params,
        defaults: Defaults::of(encoder, split.train.len(), *task),
        device,
        threads,
        deadline: None,
        units: match task {
            Task::Binary => Units::NONE,
            Task::Regression => Units::standard(&table.labels.of(&split.train)),
        },
        refit: None,
    }
}

/// Warns of columns that tell nothing or too much, and of validation rows that cannot stop a training.
pub fn warn_of<W: Write>(job: &Job, reporter: &mut Reporter<W>) -> Result<(), TrainerError> {
    let leaks = leaks::warnings(job.table, job.ordered, &job.split.train, job.task)?;
    job.encoder.warnings.iter().chain(&leaks).try_for_each(|warning| reporter.warn(warning.clone()))?;
    if !job.split.validation.is_empty() && job.stopping_rows().is_empty() {
        reporter.warn(
            "All validation rows have the same label: the training cannot stop early and the probabilities are not \
             calibrated.",
        )?;
    }
    Ok(())
}

/// The histograms of the scores and of the columns that the model reads. A key has none: its values are always new.
fn profiles(scores: Option<Histogram>, artifact: &Artifact, encoder: &Encoder) -> Vec<Profile> {
    let of_column = |name: &String| {
        let position = encoder.recipe.columns.iter().position(|column| column.name == *name)?;
        Some(Profile { column: Some(name.clone()), histogram: encoder.histograms[position].clone() })
    };
    let is_input = |column: &&Column| !matches!(column.input, Input::Key);
    let columns = artifact.recipe.columns.iter().filter(is_input);
    let scores = scores.map(|histogram| Profile { column: None, histogram });
    scores.into_iter().chain(columns.filter_map(|column| of_column(&column.name))).collect()
}

/// Writes the model, beside it the one that was measured if another is served, and the training library's own scores of all
/// rows if they are asked for.
fn save(
    measured: &Trained,
    refit: Option<&Refit>,
    rows: &Prepared,
    arguments: &Arguments,
) -> Result<(), TrainerError> {
    let (artifact, fit) = match refit {
        Some(refit) => (&refit.artifact, &refit.fit),
        None => (&measured.artifact, &measured.fit),
    };
    write_model(&arguments.out, artifact)?;
    if let (Some(path), Some(_)) = (&arguments.measured, refit) {
        write_model(path, &measured.artifact)?;
    }
    if let Some(path) = &arguments.scores {
        let outputs = fit.reference.outputs(&rows.as_read())?;
        let scores =
            outputs.chunks_exact(rows.task.outputs()).map(|row| artifact.output.of(row[0])).collect();
        write(path, "write the scores to", |file| write_scores(file, scores).map_err(|e| e.to_string()))?;
    }
    Ok(())
}

pub fn write_model(path: &Path, artifact: &Artifact) -> Result<(), TrainerError> {
    let bytes = artifact.to_bytes()?;
    write(path, "write the model to", |file| file.write_all(&bytes).map_err(|e| e.to_string()))
}

pub fn read_spec(path: &Path) -> Result<Spec, TrainerError> {
    let fail = |reason: String| TrainerError::File {
        action: "read the spec",
        path: path.display().to_string(),
        reason,
    };
    let text = std::fs::read(path).map_err(|e| fail(e.to_string()))?;
    // First of all, since what another version sends may be no spec of this one.
    let Sender { extension } = serde_json::from_slice(&text).map_err(|e| fail(e.to_string()))?;
    if let Some(extension) = extension.filter(|version| version != VERSION) {
        return Err(TrainerError::OtherVersion { extension });
    }
    serde_json::from_slice(&text).map_err(|e| fail(e.to_string()))
}

/// What the specs of all versions have.
#[derive(Deserialize)]
struct Sender {
    #[serde(default)]
    extension: Option<String>,
}

/// Sets libtorch's number of threads and returns it: more than there are processors would only wait for each other.
pub fn set_up_libtorch(params: &Params) -> usize {
    let threads = match params.threads {
        0 => processors(),
        given => given.min(processors()),
    };
    tch::set_num_threads(threads as i32);
    threads
}

fn check_metric(params: &Params, task: Task) -> Result<(), TrainerError> {
    match params.metric {
        Some(metric) if metric.task() != task => Err(TrainerError::spec(
            format!("the metric {} does not measure a {task:?} task", metric.name()).to_lowercase(),
            "A binary task is measured by auroc, average_precision, log_loss or precision_at_k, a regression by rmse, mae \
             or pinball.",
        )),
        _ => Ok(()),
    }
}

/// Writes a file in place. It is not written beside and renamed, since the path may be a descriptor.
pub fn write(
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
