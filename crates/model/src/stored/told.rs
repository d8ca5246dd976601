//! What the file of a model that was trained elsewhere tells of its training: metrics, lineage, and rows on which its maker's own
//! outputs are compared with those that come out here. Nobody vouches for it: every size and number is checked before use.

use super::artifact::{metadata_of, Artifact};
use super::bytes::Bytes;
use super::moment::Moment;
use super::output::{Output, Shifts};
use crate::algorithm::Task;
use crate::error::ModelError;
use crate::measure::calibration::{sigmoid, Platt};
use crate::measure::metrics::Metrics;
use crate::measure::quality::{Quality, RegressionMetrics};
use crate::protocol::{DataSummary, Evaluation};
use crate::score::scorer::{Row, Scorer};
use crate::tune::params::Params;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The name of the entry in the header's metadata.
const ENTRY: &str = "pg_recommend.training";
/// Most bytes of the entry.
const LONGEST: usize = 32 << 20;
/// Most epochs whose losses are told, most rows that are compared, most names of libraries, and most bytes of a text.
const MOST_LOSSES: usize = 1000;
const MOST_ROWS: usize = 1000;
const MOST_LIBRARIES: usize = 20;
const LONGEST_TEXT: usize = 200;
/// Most bins of a calibration table.
const MOST_BINS: usize = 100;

/// The largest difference from the maker's own outputs: of probabilities, or of quantities in standard deviations of the label,
/// above 1 relative to their size.
pub const PARITY: f64 = 1e-5;

/// The entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    pub parameters: Map<String, Value>,
    /// What was taken of those that are null.
    pub taken: Map<String, Value>,
    pub data: DataSummary,
    pub validation: Option<Evaluation>,
    pub test: Option<Evaluation>,
    /// The epoch whose weights were kept, from 1.
    pub best_epoch: u32,
    pub training: Training,
    /// Epoch, training loss and validation loss.
    pub losses: Vec<(u32, f64, Option<f64>)>,
    /// Names and versions of what computed it.
    pub libraries: Map<String, Value>,
    pub sample: Sample,
}

/// How it was trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    pub processes: u32,
    pub epochs: u32,
    pub seed: u64,
    pub seconds: f64,
}

/// Rows with their raw values, in the recipe's order, and the outputs that the maker's library computed of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub numbers: Vec<Vec<Option<f64>>>,
    pub texts: Vec<Vec<Option<String>>>,
    pub outputs: Vec<Vec<f64>>,
}

impl Told {
    /// What the file tells; `None` if it tells nothing.
    pub fn read(bytes: &dyn Bytes) -> Result<Option<Self>, ModelError> {
        let Some(text) = metadata_of(bytes, ENTRY)? else { return Ok(None) };
        if text.len() > LONGEST {
            return Err(refuse(format!("it has {} bytes, more than {LONGEST}", text.len())));
        }
        serde_json::from_str(&text).map(Some).map_err(|error| refuse(format!("it cannot be read: {error}")))
    }

    /// The parameters, checked as a training's are.
    pub fn params(&self) -> Result<Params, ModelError> {
        Params::default().with(self.parameters.clone())
    }

    /// Checks every bound, and what is told against the model.
    pub fn check(&self, artifact: &Artifact) -> Result<(), ModelError> {
        if !artifact.algorithm.is_network() {
            return Err(refuse("the model is no network"));
        }
        self.params()?.with(self.taken.clone())?;
        let task = artifact.task();
        self.check_data(task)?;
        for (part, evaluation) in [("validation", &self.validation), ("test", &self.test)] {
            let both = evaluation.iter().flat_map(|told| [&told.model, &told.popularity]);
            let fits = |quality: &Quality| quality.task() == task && is_possible(quality);
            if !both.into_iter().all(fits) {
                return Err(refuse(format!("the metrics of its {part} rows are impossible")));
            }
        }
        let Training { processes, epochs, seconds, .. } = &self.training;
        let is_loss = |(_, train, validation): &(u32, f64, Option<f64>)| {
            train.is_finite() && validation.is_none_or(f64::is_finite)
        };
        if *processes == 0 || !(seconds.is_finite() && *seconds >= 0.0) || self.best_epoch > *epochs {
            return Err(refuse("its processes, epochs or seconds are impossible"));
        }
        if self.losses.len() > MOST_LOSSES || !self.losses.iter().all(is_loss) {
            return Err(refuse("its losses are too many or no numbers"));
        }
        let is_short = |value: &Value| value.to_string().len() <= LONGEST_TEXT;
        if self.libraries.len() > MOST_LIBRARIES || !self.libraries.values().all(is_short) {
            return Err(refuse("its libraries are too many or too long"));
        }
        self.sample.check(artifact)
    }

    fn check_data(&self, task: Task) -> Result<(), ModelError> {
        let DataSummary { rows, unlabelled, positives, train, validation, test, digest, .. } = &self.data;
        let parts = [*unlabelled, *train, *validation, *test];
        let sum = parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(*part));
        let times =
            [&self.data.time_from, &self.data.time_to, &self.data.validation_from, &self.data.test_from];
        let fits = self.data.task == Some(task)
            && sum == Some(*rows)
            && positives.is_none_or(|positives| positives <= *rows)
            && digest.len() <= LONGEST_TEXT
            && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
            && times
                .into_iter()
                .flatten()
                .all(|time| Moment::parse(time).is_some() && time.len() <= LONGEST_TEXT);
        match fits {
            true => Ok(()),
            false => Err(refuse("its numbers of rows, task or digest do not fit together")),
        }
    }
}

impl Sample {
    fn check(&self, artifact: &Artifact) -> Result<(), ModelError> {
        let Self { numbers, texts, outputs } = self;
        let (recipe, width) = (&artifact.recipe, artifact.output.outputs());
        let (wanted, categories) = (recipe.scalings().len(), recipe.categories().len());
        let rows = outputs.len();
        let fits = (1..=MOST_ROWS).contains(&rows)
            && width == artifact.task().outputs()
            && numbers.len() == rows
            && texts.len() == rows
            && numbers.iter().all(|row| row.len() == wanted)
            && texts.iter().all(|row| row.len() == categories)
            && outputs.iter().all(|row| row.len() == width && row.iter().all(|output| output.is_finite()));
        match fits {
            true => Ok(()),
            false => Err(refuse(format!("it has to show 1 to {MOST_ROWS} rows of the model's columns"))),
        }
    }

    /// The largest difference between the outputs that are told and those that come out here. The calibration is left out, whose
    /// steps may be steep. An error, which names the worst row, if it is larger than [`PARITY`].
    pub fn parity(&self, artifact: &Artifact) -> Result<f64, ModelError> {
        let plain = match artifact.task() {
            Task::Binary => Output::Platt(Platt::IDENTITY),
            Task::Regression => {
                Output::Quantity { mean: 0.0, scale: 1.0, least: None, shifts: Shifts::default() }
            }
        };
        let scorer = Scorer::new(&Artifact { output: plain, ..artifact.clone() })?;
        let (mut worst, mut at, mut row) = (0.0, 0, scorer.row());
        for (n, told) in self.outputs.iter().enumerate() {
            self.fill(n, &scorer, &mut row);
            let difference = difference(&scorer, &mut row, told);
            if difference > worst || difference.is_nan() {
                (worst, at) = (difference, n);
            }
            if difference.is_nan() {
                break;
            }
        }
        match worst <= PARITY {
            true => Ok(worst),
            false => Err(ModelError::artifact(format!(
                "of the rows that \"{ENTRY}\" shows, row {} comes out here {worst:.1e} away from what it says, and {PARITY:e} is allowed",
                at + 1
            ))),
        }
    }

    fn fill(&self, n: usize, scorer: &Scorer, row: &mut Row) {
        for (number, value) in self.numbers[n].iter().enumerate() {
            scorer.set_number(row, number, *value);
        }
        for (category, text) in self.texts[n].iter().enumerate() {
            scorer.set_category(row, category, text.as_deref());
        }
    }
}

fn difference(scorer: &Scorer, row: &mut Row, told: &[f64]) -> f64 {
    let score = scorer.score(row);
    let apart = |here: f64, told: f64| (here - told).abs() / told.abs().max(1.0);
    let (Some(quantiles), [mean, of_quantiles @ ..]) = (scorer.quantiles(row), told) else {
        return (score - sigmoid(told[0])).abs();
    };
    let mut told = of_quantiles.to_vec();
    told.sort_unstable_by(f64::total_cmp);
    let of_quantiles = quantiles.iter().zip(&told).map(|(here, told)| apart(*here, *told));
    // Unlike `max`, this does not lose a difference that is not a number.
    of_quantiles
        .fold(apart(score, *mean), |worst, next| if next > worst || next.is_nan() { next } else { worst })
}

/// Whether rows can have these metrics. JSON has no numbers but finite ones.
fn is_possible(quality: &Quality) -> bool {
    let share = |value: Option<f64>| value.is_none_or(|value| (0.0..=1.0).contains(&value));
    match quality {
        Quality::Binary(Metrics {
            rows,
            positives,
            auroc,
            average_precision,
            log_loss,
            brier,
            calibration,
            lists,
        }) => {
            let bins = calibration.iter().all(|bin| {
                bin.rows <= *rows && share(Some(bin.mean_score)) && share(Some(bin.positive_rate))
            });
            positives <= rows
                && share(*auroc)
                && share(*average_precision)
                && share(Some(*brier))
                && *log_loss >= 0.0
                && bins
                && calibration.len() <= MOST_BINS
                && lists
                    .as_ref()
                    .is_none_or(|lists| share(Some(lists.precision_at_k)) && share(lists.recall_at_k))
        }
        Quality::Regression(RegressionMetrics { rmse, mae, r2, pinball, coverage, .. }) => {
            *rmse >= 0.0
                && *mae >= 0.0
                && r2.is_none_or(|r2| r2 <= 1.0)
                && pinball.is_none_or(|pinball| pinball >= 0.0)
                && share(*coverage)
        }
    }
}

fn refuse(reason: impl std::fmt::Display) -> ModelError {
    ModelError::artifact(format!("its \"{ENTRY}\" is refused: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::Algorithm;
    use crate::score::network::{Dense, Network};
    use crate::score::predictor::Predictor;
    use crate::stored::recipe::{Category, Column, Family, Input, Recipe, Scaling};
    use ndarray::{arr2, Array1, Array2};
    use serde_json::json;

    /// A linear model of a number, standardized by 5 and 2, and a text.
    fn artifact(task: Task) -> Artifact {
        let column =
            |name: &str, family, input| Column { name: name.into(), sql_type: "any".into(), family, input };
        let scaling = Scaling { mean: 5.0, scale: 2.0, ..Scaling::default() };
        let category = Category { vocabulary: ["a", "b"].into_iter().collect(), dimension: 1 };
        let columns = vec![
            column("price", Family::Number, Input::Numbers(vec![scaling])),
            column("brand", Family::Text, Input::Category(category)),
        ];
        let outputs = task.outputs();
        let layer = Dense {
            weight: Array2::from_shape_fn((outputs, 2), |(output, input)| (1 + output + input) as f32),
            bias: Array1::from_elem(outputs, 0.5),
        };
        let embeddings = vec![arr2(&[[0.0], [-1.0], [0.25], [0.75]])];
        let network = Network { activations: vec![], embeddings, crosses: vec![], layers: vec![layer] };
        let output = match task {
            Task::Binary => Output::Platt(Platt { slope: 0.5, offset: -1.0 }),
            Task::Regression => Output::Quantity {
                mean: 10.0,
                scale: 3.0,
                least: Some(0.0),
                shifts: Shifts([0.5, 0.0, -0.5]),
            },
        };
        let predictor = Predictor::Networks(vec![network]);
        Artifact { algorithm: Algorithm::Logistic, recipe: Recipe { columns }, predictor, output }
    }

    /// What the model's arithmetic gives of two rows.
    fn sample(task: Task) -> Sample {
        let outputs = |price: f64, brand: f64| {
            let of = |output: usize| (1 + output) as f64 * price + (2 + output) as f64 * brand + 0.5;
            (0..task.outputs()).map(of).collect()
        };
        Sample {
            numbers: vec![vec![Some(6.0)], vec![None]],
            texts: vec![vec![Some("b".into())], vec![None]],
            outputs: vec![outputs(0.5, 0.75), outputs(0.0, -1.0)],
        }
    }

    fn told(task: Task) -> Told {
        let quality = match task {
            Task::Binary => Metrics::of(&[0.2, 0.7], &[false, true]).map(Quality::Binary),
            Task::Regression => {
                RegressionMetrics::of(&[1.0, 2.0], None, &[1.5, 2.5]).map(Quality::Regression)
            }
        };
        let evaluation = quality.map(|quality| Evaluation { model: quality.clone(), popularity: quality });
        Told {
            parameters: json!({"epochs": 7}).as_object().unwrap().clone(),
            taken: json!({"dropout": 0.1}).as_object().unwrap().clone(),
            data: DataSummary {
                task: Some(task),
                rows: 10,
                unlabelled: 1,
                train: 5,
                validation: 2,
                test: 2,
                time_to: Some("2024-05-06".into()),
                digest: "00ff".into(),
                ..DataSummary::default()
            },
            validation: evaluation.clone(),
            test: evaluation,
            best_epoch: 3,
            training: Training { processes: 2, epochs: 7, seed: 42, seconds: 1.5 },
            losses: vec![(1, 0.7, Some(0.6)), (2, 0.6, None)],
            libraries: json!({"torch": "2.13.0"}).as_object().unwrap().clone(),
            sample: sample(task),
        }
    }

    const TASKS: [Task; 2] = [Task::Binary, Task::Regression];

    #[test]
    fn outputs_that_come_out_here_are_taken_whatever_the_calibration() {
        for task in TASKS {
            told(task).check(&artifact(task)).unwrap();
            let parity = told(task).sample.parity(&artifact(task)).unwrap();
            assert!(parity < 1e-6, "{task:?} {parity}");
        }
    }

    #[test]
    fn the_worst_row_is_named() {
        for task in TASKS {
            for output in 0..task.outputs() {
                let mut sample = sample(task);
                sample.outputs[1][output] += 1e-2;
                let error = sample.parity(&artifact(task)).unwrap_err().to_string();
                assert!(error.contains("row 2 comes out here"), "{error}");
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        type Change = fn(&mut Told);
        let changes: [(&str, Change); 13] = [
            ("parameter", |told| drop(told.parameters.insert("epochs".into(), 0.into()))),
            ("parameter", |told| drop(told.taken.insert("dropout".into(), 2.into()))),
            ("rows", |told| told.data.train = u64::MAX),
            ("rows", |told| told.data.positives = Some(11)),
            ("digest", |told| told.data.digest = "no".into()),
            ("do not fit", |told| told.data.time_to = Some("yesterday".into())),
            ("processes", |told| told.training.processes = 0),
            ("epochs", |told| told.best_epoch = 8),
            ("losses", |told| told.losses = vec![(1, 0.5, None); MOST_LOSSES + 1]),
            ("losses", |told| told.losses[0].1 = f64::NAN),
            ("libraries", |told| drop(told.libraries.insert("torch".into(), "2".repeat(300).into()))),
            ("rows of the model's columns", |told| told.sample.numbers[0].push(None)),
            ("rows of the model's columns", |told| told.sample = Sample::default()),
        ];
        for task in TASKS {
            for (words, change) in changes {
                let mut told = told(task);
                change(&mut told);
                let error = told.check(&artifact(task)).unwrap_err().to_string();
                assert!(error.contains(words), "{words}: {error}");
            }
            let mut other = told(task);
            std::mem::swap(&mut other.test, &mut told(TASKS[usize::from(task == TASKS[0])]).test);
            assert!(other
                .check(&artifact(task))
                .unwrap_err()
                .to_string()
                .contains("test rows are impossible"));
        }
        let mut told = told(Task::Binary);
        let Some(Evaluation { model: Quality::Binary(metrics), .. }) = &mut told.validation else { panic!() };
        metrics.auroc = Some(1.5);
        let error = told.check(&artifact(Task::Binary)).unwrap_err().to_string();
        assert!(error.contains("validation rows are impossible"), "{error}");
    }

    #[test]
    fn what_is_written_is_read_and_a_file_may_tell_nothing() {
        let plain = artifact(Task::Binary).to_bytes().unwrap();
        assert_eq!(Told::read(&plain.as_slice()).unwrap(), None);
        let told = told(Task::Regression);
        let length = u64::from_le_bytes(plain[..8].try_into().unwrap()) as usize;
        let mut header: Value = serde_json::from_slice(&plain[8..8 + length]).unwrap();
        let mut with = |entry: String| {
            header["__metadata__"][ENTRY] = entry.into();
            let header = header.to_string();
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.bytes());
            bytes.extend(&plain[8 + length..]);
            bytes
        };
        let bytes = with(serde_json::to_string(&told).unwrap());
        assert_eq!(Told::read(&bytes.as_slice()).unwrap(), Some(told));
        assert_eq!(Artifact::from_bytes(&bytes).unwrap(), artifact(Task::Binary));
        for wrong in ["", "{}", r#"{"best_epoch": 1e999}"#] {
            let error = Told::read(&with(wrong.into()).as_slice()).unwrap_err().to_string();
            assert!(error.contains("cannot be read"), "{error}");
        }
        assert!(Told::read(&with(" ".repeat(LONGEST + 1)).as_slice()).is_err());
    }

    #[test]
    fn what_is_no_network_tells_nothing() {
        let forest = Artifact { algorithm: Algorithm::Popularity, ..artifact(Task::Binary) };
        assert!(told(Task::Binary).check(&forest).unwrap_err().to_string().contains("no network"));
    }
}
