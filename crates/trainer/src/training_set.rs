//! `--prepare`: the rows of a training as its network reads them, in one Arrow IPC file, with all that a trainer elsewhere
//! needs to do what [`crate::pipeline`] does from there on. What it holds is described in docs/elsewhere.md.

use crate::arguments::Files;
use crate::calibrate::later_half;
use crate::check::{LIBTORCH, VERSION};
use crate::error::TrainerError;
use crate::evaluate::baseline;
use crate::job::{Job, Units};
use crate::network::{shape, spread, Shape};
use crate::pipeline::{fit_encoder, job_of, read_rows, read_spec, set_up_libtorch, warn_of, write};
use crate::prepare::{Encoded, RawColumns, RawRow};
use crate::report::Reporter;
use crate::rows::block::Block;
use crate::rows::input::check_spec;
use crate::rows::prepared::Prepared;
use crate::rows::split::Split;
use arrow_array::{
    ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Float64Array, Int32Array, Int8Array,
    RecordBatch,
};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use model::params::Metric;
use model::protocol::{DataSummary, Event, Spec};
use model::recipe::Category;
use model::{Algorithm, Params, Quality, Task};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use tch::Device;

/// The names under which the schema's metadata has what is known besides the rows, as JSON.
const ABOUT: &str = "pg_recommend.training_set";
const RECIPE: &str = "pg_recommend.recipe";
const FORMAT_VERSION: u32 = 1;

/// Bytes of a record batch, and the fewest and most rows in one.
const BATCH_BYTES: usize = 32 << 20;
const BATCH_ROWS: (usize, usize) = (1024, 65_536);
/// Bytes of a row besides its inputs: its part, its label, and whether it is later.
const ROW: usize = 10;
/// Most rows whose raw values are told, fewest of wide ones, and most of their values.
const SAMPLE: (usize, usize) = (16, 256);
const SAMPLE_VALUES: usize = 200_000;
/// A row with more bytes of text is not among them.
const SAMPLE_TEXT: usize = 4096;

/// Everything besides the rows and the recipe.
#[derive(Serialize)]
struct About {
    format_version: u32,
    pg_recommend: &'static str,
    /// The libtorch that this trainer computes with.
    libtorch: &'static str,
    algorithm: Algorithm,
    task: Task,
    params: Params,
    /// What is taken of the parameters that are null.
    taken: BTreeMap<String, Value>,
    network: Layers,
    units: Line,
    /// What no quantity may be predicted below.
    least: Option<f64>,
    /// Whether the validation rows can stop the training and calibrate it.
    stops: bool,
    data: DataSummary,
    /// The metrics of past purchases on the same rows.
    popularity: Baselines,
    sample: Sample,
}

/// The shape of the network, and how its parameters begin.
#[derive(Serialize)]
struct Layers {
    /// The numbers of a row, before the embeddings.
    dense: usize,
    embeddings: Vec<Table>,
    crosses: usize,
    rank: usize,
    hidden: Vec<usize>,
    batch_norm: bool,
    outputs: usize,
}

/// An embedding table.
#[derive(Serialize)]
struct Table {
    rows: usize,
    dimension: usize,
    /// Its standard deviation before training.
    spread: f64,
    /// Whether training rows have NULL; if not, NULL gets the embedding of what was never seen.
    null_seen: bool,
}

/// The target is `(label - mean) / scale`.
#[derive(Serialize)]
struct Line {
    mean: f64,
    scale: f64,
}

#[derive(Serialize)]
struct Baselines {
    validation: Option<Quality>,
    test: Option<Quality>,
}

/// Some rows with their raw values, on which whoever imports the model compares scores.
#[derive(Serialize, Default)]
struct Sample {
    /// Where each stands in the file.
    places: Vec<u32>,
    numbers: Vec<Vec<Option<f64>>>,
    texts: Vec<Vec<Option<String>>>,
}

/// Does what a training does up to the fit, and writes what its network would read.
pub fn prepare<W: Write>(files: &Files, reporter: &mut Reporter<W>) -> Result<(), TrainerError> {
    let spec = read_spec(&files.spec)?;
    check_spec(&spec)?;
    let algorithm = network_of(&spec)?;
    let threads = set_up_libtorch(&spec.params);
    reporter.send(&Event::Started {
        trainer: VERSION.into(),
        libtorch: LIBTORCH.into(),
        device: "cpu".into(),
        threads,
    })?;
    let rows = read_rows(&files.from, &spec, threads, reporter)?;
    let encoder = fit_encoder(&rows, &spec, threads)?;
    let job = job_of(&rows, &encoder, &spec.params, Device::Cpu, threads);
    warn_of(&job, reporter)?;
    let set = TrainingSet { job: &job, rows: &rows, algorithm };
    let schema = Arc::new(set.schema()?);
    reporter.send(&Event::Preparing { bytes: set.bytes(&schema) })?;
    let in_words = |error: TrainerError| error.detail().unwrap_or_else(|| error.to_string());
    write(&files.out, "write the training set to", |file| set.write(file, &schema).map_err(in_words))?;
    reporter.send(&Event::Prepared)
}

/// The one network that is asked for.
fn network_of(spec: &Spec) -> Result<Algorithm, TrainerError> {
    let algorithm = match spec.algorithms.as_slice() {
        [algorithm] if algorithm.is_network() => *algorithm,
        _ => return Err(TrainerError::spec("only one network is trained elsewhere", "")),
    };
    match spec.params.metric {
        Some(Metric::PrecisionAtK) => Err(TrainerError::spec(
            "the metric precision_at_k cannot stop a training elsewhere",
            "A training set does not say which list a row is in: auroc, average_precision and log_loss can.",
        )),
        _ => Ok(algorithm),
    }
}

struct TrainingSet<'a> {
    job: &'a Job<'a>,
    rows: &'a Prepared,
    algorithm: Algorithm,
}

impl TrainingSet<'_> {
    /// The columns: `part` (0 training, 1 validation, 2 test), `label`, `later` (of a validation row, whether it belongs to the
    /// later half), `dense`, and the embedding row of each category.
    fn schema(&self) -> Result<Schema, TrainerError> {
        let mut fields = vec![
            Field::new("part", DataType::Int8, false),
            Field::new("label", DataType::Float64, false),
            Field::new("later", DataType::Boolean, true),
        ];
        if let Some(dense) = self.dense_type() {
            fields.push(Field::new("dense", dense, false));
        }
        let categories = self.job.encoder.null_seen.len();
        fields.extend((0..categories).map(|n| Field::new(format!("category_{n}"), DataType::Int32, false)));
        let metadata = HashMap::from([
            (ABOUT.to_owned(), to_json(&self.about()?)?),
            (RECIPE.to_owned(), to_json(&self.job.encoder.recipe)?),
        ]);
        Ok(Schema::new(fields).with_metadata(metadata))
    }

    fn dense_type(&self) -> Option<DataType> {
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        let width = self.job.encoder.dense_width();
        (width > 0).then_some(DataType::FixedSizeList(item, width as i32))
    }

    /// About how many bytes the file will have.
    fn bytes(&self, schema: &Schema) -> u64 {
        let about: usize = schema.metadata().values().map(String::len).sum();
        // The schema stands at the beginning of the file and at its end.
        (self.order().len() * (self.job.encoder.row_bytes() + ROW) + 2 * about) as u64
    }

    /// All rows, part by part.
    fn order(&self) -> Vec<u32> {
        self.parts().concat()
    }

    fn parts(&self) -> [&[u32]; 3] {
        let Split { train, validation, test, .. } = self.job.split;
        [train, validation, test]
    }

    fn about(&self) -> Result<About, TrainerError> {
        let Self { job, rows, algorithm } = *self;
        let Units { mean, scale } = job.units;
        let labels = &job.table.labels;
        let never_negative = || job.split.train.iter().all(|row| labels.get(*row) >= 0.0);
        Ok(About {
            format_version: FORMAT_VERSION,
            pg_recommend: VERSION,
            libtorch: LIBTORCH,
            algorithm,
            task: job.task,
            params: job.params.clone(),
            taken: job.defaults.taken(job.params, algorithm, None),
            network: self.layers(),
            units: Line { mean, scale },
            least: (job.task == Task::Regression && never_negative()).then_some(0.0),
            stops: !job.stopping_rows().is_empty(),
            data: rows.summary(),
            popularity: Baselines {
                validation: baseline(job, &job.split.validation),
                test: baseline(job, &job.split.test),
            },
            sample: self.sample()?,
        })
    }

    fn layers(&self) -> Layers {
        let Shape { crosses, rank, hidden, batch_norm, outputs, training_rows } =
            shape(self.algorithm, self.job);
        let encoder = self.job.encoder;
        let table = |(category, null_seen): (&Category, &bool)| Table {
            rows: category.rows(),
            dimension: category.dimension,
            spread: spread(category, training_rows),
            null_seen: *null_seen,
        };
        let categories = encoder.recipe.categories().into_iter().zip(&encoder.null_seen);
        let embeddings = categories.map(table).collect();
        Layers { dense: encoder.dense_width(), embeddings, crosses, rank, hidden, batch_norm, outputs }
    }

    /// Rows evenly spread over those that are held out, or over all where none are.
    fn sample(&self) -> Result<Sample, TrainerError> {
        let (order, recipe) = (self.order(), &self.job.encoder.recipe);
        let values = recipe.scalings().len() + recipe.categories().len();
        let most = (SAMPLE_VALUES / values.max(1)).clamp(SAMPLE.0, SAMPLE.1);
        let first = Some(self.job.split.train.len()).filter(|train| *train < order.len()).unwrap_or(0);
        let places = (first..order.len()).step_by((order.len() - first).div_ceil(most).max(1));
        let (places, rows): (Vec<u32>, Vec<u32>) = places.map(|place| (place as u32, order[place])).unzip();
        self.job.table.block(&rows, |block| {
            let raw = RawColumns::new(recipe, self.job.table, block);
            let mut sample = Sample::default();
            for (n, place) in places.into_iter().enumerate() {
                let mut values = RawValues::default();
                raw.raw_row(n, &mut values);
                if values.texts.iter().flatten().map(String::len).sum::<usize>() <= SAMPLE_TEXT {
                    sample.places.push(place);
                    sample.numbers.push(values.numbers);
                    sample.texts.push(values.texts);
                }
            }
            sample
        })
    }

    fn write(&self, file: &mut File, schema: &Arc<Schema>) -> Result<(), TrainerError> {
        let mut writer = FileWriter::try_new_buffered(file, schema).map_err(not_arrow)?;
        let later = later_half(self.job, &self.job.split.validation);
        let batch_rows = (BATCH_BYTES / self.job.encoder.row_bytes()).clamp(BATCH_ROWS.0, BATCH_ROWS.1);
        for (part, rows) in (0_i8..).zip(self.parts()) {
            let mut later = later.iter().filter(|_| part == 1).flatten();
            self.job.table.blocks(rows, |block| {
                for piece in block.pieces(batch_rows) {
                    let later = piece.rows.iter().map(|_| later.next().copied()).collect();
                    writer.write(&self.batch(schema, part, &piece, later)?).map_err(not_arrow)?;
                }
                Ok::<(), TrainerError>(())
            })?;
        }
        writer.finish().map_err(not_arrow)
    }

    fn batch(
        &self,
        schema: &Arc<Schema>,
        part: i8,
        rows: &Block,
        later: BooleanArray,
    ) -> Result<RecordBatch, TrainerError> {
        let count = rows.rows.len();
        let Encoded { dense, ids } = self.job.encoder.inputs().of(rows);
        let labels = rows.rows.iter().map(|row| f64::from(self.job.table.labels.get(*row)));
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int8Array::from(vec![part; count])),
            Arc::new(labels.collect::<Float64Array>()),
            Arc::new(later),
        ];
        if let Some(DataType::FixedSizeList(item, width)) = self.dense_type() {
            let values = Arc::new(Float32Array::from(dense));
            columns
                .push(Arc::new(FixedSizeListArray::try_new(item, width, values, None).map_err(not_arrow)?));
        }
        columns
            .extend(ids.chunks_exact(count).map(|ids| Arc::new(Int32Array::from(ids.to_vec())) as ArrayRef));
        RecordBatch::try_new(Arc::clone(schema), columns).map_err(not_arrow)
    }
}

/// Collects the raw values of a row.
#[derive(Default)]
struct RawValues {
    numbers: Vec<Option<f64>>,
    texts: Vec<Option<String>>,
}

impl RawRow for RawValues {
    fn number(&mut self, number: usize, value: Option<f64>) {
        self.numbers.resize(self.numbers.len().max(number + 1), None);
        self.numbers[number] = value;
    }

    fn category(&mut self, category: usize, value: Option<&str>) {
        self.texts.resize(self.texts.len().max(category + 1), None);
        self.texts[category] = value.map(str::to_owned);
    }

    fn key(&mut self, _: u64) {}
}

fn to_json(value: &impl Serialize) -> Result<String, TrainerError> {
    let not_json = |error| TrainerError::internal(format!("the training set as JSON: {error}"));
    serde_json::to_string(value).map_err(not_json)
}

fn not_arrow(error: ArrowError) -> TrainerError {
    TrainerError::internal(error.to_string())
}
