//! What the backend and the trainer say to each other.
//!
//! The backend hands over a [`Spec`] (JSON) and an Arrow IPC file with one Arrow column for each
//! [`SourceColumn`], in the same order and under the same name. The trainer answers on its standard
//! output with one [`Event`] a line, and writes the artifact (see [`crate::artifact`]) to its output
//! file before it says [`Event::Finished`].
//!
//! Arrow types of the columns: `Int16`, `Int32`, `Int64`, `Float32`, `Float64` (SQL `numeric` too),
//! `Boolean`, `Utf8` (text and enums), `Date32`, `Timestamp(Microsecond)` (with or without time zone),
//! and `List` of a number for SQL arrays. All are nullable.

use crate::algorithm::{Algorithm, Task};
use crate::drift::Histogram;
use crate::measure::quality::Quality;
use crate::stored::recipe::Family;
use crate::tune::params::{Metric, Params};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Days from 1970-01-01, from which Arrow counts, to 2000-01-01, from which PostgreSQL does.
pub const EPOCH_DAYS: i32 = 10_957;
pub const MICROSECONDS_A_DAY: i64 = 86_400_000_000;
/// The same as [`EPOCH_DAYS`] in microseconds, for timestamps.
pub const EPOCH_MICROSECONDS: i64 = EPOCH_DAYS as i64 * MICROSECONDS_A_DAY;

/// What either process says to one of another version.
pub fn other_version(trainer: &str, extension: &str) -> String {
    format!("the trainer is version {trainer}, the extension {extension}")
}

pub const OTHER_VERSION_HINT: &str =
    "Install both of the same version (packages, or make install), and connect anew: \
                                      a session keeps the extension that it began with.";

/// What a column of the source is to the training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// An input of the model.
    Feature,
    /// What is predicted: a boolean or a number; NULL where it is unknown.
    Label,
    /// Part of the entity key, in key order. Orders and identifies rows; no input.
    Key,
    /// The event time. Splits the rows; no input.
    Time,
    /// A key or time column that is an input as well, because the caller asked.
    KeyAndFeature,
    TimeAndFeature,
}

impl Role {
    pub fn is_feature(self) -> bool {
        matches!(self, Role::Feature | Role::KeyAndFeature | Role::TimeAndFeature)
    }
    pub fn is_key(self) -> bool {
        matches!(self, Role::Key | Role::KeyAndFeature)
    }
    pub fn is_time(self) -> bool {
        matches!(self, Role::Time | Role::TimeAndFeature)
    }
}

/// One column of the training data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceColumn {
    pub name: String,
    /// The type as SQL writes it, for messages: `integer`, `text`, `real[]`.
    pub sql_type: String,
    pub family: Family,
    pub role: Role,
}

/// Everything the trainer is told, besides the data.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spec {
    /// The version of the extension that asks; `None` where the trainer is run by hand.
    #[serde(default)]
    pub extension: Option<String>,
    /// The logical name of the model, for messages.
    pub model: String,
    /// What to train; of several the best is kept.
    pub algorithms: Vec<Algorithm>,
    pub params: Params,
    pub columns: Vec<SourceColumn>,
}

/// How many rows went where.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DataSummary {
    pub task: Option<Task>,
    pub rows: u64,
    /// Rows whose label is NULL: not used.
    pub unlabelled: u64,
    /// Rows whose label is true; `None` in a regression.
    pub positives: Option<u64>,
    pub train: u64,
    pub validation: u64,
    pub test: u64,
    /// The first and last event time of the labelled rows, and where validation and test begin; ISO 8601.
    pub time_from: Option<String>,
    pub time_to: Option<String>,
    pub validation_from: Option<String>,
    pub test_from: Option<String>,
    /// A digest of all rows and columns (hex), the same whatever the order of the rows.
    pub digest: String,
}

/// The metrics of one held-out part, of the model and of the popularity baseline on the same rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    pub model: Quality,
    pub popularity: Quality,
}

/// The metrics of rows by the values of a column: the column, then the value as text.
pub type ByGroup = BTreeMap<String, BTreeMap<String, Quality>>;

/// What a model loses when one of its columns is shuffled among the rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Importance {
    pub column: String,
    /// By how much the metric gets worse; below 0 where shuffling did no harm.
    pub loss: f64,
}

/// The values of a column over the training rows, or the scores of the test rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// `None` of the scores.
    pub column: Option<String>,
    pub histogram: Histogram,
}

/// The result of one algorithm where several are compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    pub algorithm: Algorithm,
    /// `None` where it failed; then `error` says why.
    pub validation: Option<Quality>,
    pub test: Option<Quality>,
    pub best_epoch: u32,
    /// How many numbers were fitted.
    pub parameters: u64,
    pub seconds: f64,
    pub error: Option<String>,
}

/// How good an algorithm is that has learned from the rows before an earlier stretch of validation rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CutOff {
    pub algorithm: Algorithm,
    /// Where the stretch begins, ISO 8601; `None` without times.
    pub validation_from: Option<String>,
    /// Without tables.
    pub validation: Quality,
    pub seconds: f64,
}

/// The mean of a metric over the newest validation rows and those of the earlier cut-offs; `None` where one of them has no value.
pub fn mean(newest: Option<&Evaluation>, cut_offs: &[CutOff], metric: Metric) -> Option<f64> {
    let all = newest
        .map(|newest| &newest.model)
        .into_iter()
        .chain(cut_offs.iter().map(|cut_off| &cut_off.validation));
    let values = all.map(|quality| quality.value(metric)).collect::<Option<Vec<f64>>>()?;
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The cause of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// What was asked for cannot be done.
    Arguments,
    /// The rows cannot give a model.
    Data,
    /// The numbers became infinite: other parameters may do better on the same rows.
    Diverged,
    /// The trainer, libtorch or the machine failed.
    Trainer,
}

/// What a training would run on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    pub trainer: String,
    pub libtorch: String,
    /// Processors that the trainer may use.
    pub threads: usize,
    /// The processor's widest vectors: `AVX2`.
    pub instructions: String,
    /// The GPUs that the NVIDIA driver knows; the position is the N of `cuda:N`.
    pub gpus: Vec<Gpu>,
    /// Why libtorch can use no GPU; `None` where it can.
    pub no_gpu: Option<String>,
    /// What can be done so that libtorch can use a GPU; `None` also without a driver, since then nothing can be done.
    pub hint: Option<String>,
}

/// A GPU of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    pub name: String,
    pub memory_bytes: u64,
    /// `None` if libtorch did not use it.
    pub free_bytes: Option<u64>,
    /// How libtorch failed to use it.
    pub problem: Option<String>,
}

/// How well the converted model agrees with the original.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    pub rows: u64,
    /// The largest difference of two scores; of quantities above 1 relative to their size.
    pub worst: f64,
    /// Rows of which the original has no score: values are missing that it does not expect.
    pub without_score: u64,
}

/// What the trainer says, one JSON object a line.
// Events are handled one at a time, so that the size of the largest does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Started {
        trainer: String,
        libtorch: String,
        device: String,
        threads: usize,
    },
    Data(DataSummary),
    /// The answer to `--check`, and the only line of it.
    Setup(Setup),
    /// The answer to `--convert`: the artifact is written.
    Converted {
        trainer: String,
        algorithm: Algorithm,
        comparison: Comparison,
    },
    /// The answer to `--prepare` before the training set is written: about how many bytes it will have.
    Preparing {
        bytes: u64,
    },
    /// The training set is written.
    Prepared,
    /// Something the user should know that does not stop the training.
    Warning {
        message: String,
    },
    Epoch {
        algorithm: Algorithm,
        /// The epoch from 1, or the tree of boosted trees. Where several networks are averaged, the count goes on from
        /// one to the next.
        epoch: u32,
        epochs: u32,
        train_loss: f64,
        /// NULL metrics where the validation part is empty or has one class only.
        validation_loss: Option<f64>,
        validation_auroc: Option<f64>,
        seconds: f64,
        /// Whether this is the refit, which measures nothing.
        #[serde(default)]
        refit: bool,
    },
    /// One of several algorithms is done.
    Candidate(Candidate),
    /// An algorithm was measured on an earlier stretch of validation rows.
    CutOff(CutOff),
    Finished {
        /// The algorithm of the best model.
        algorithm: Algorithm,
        /// Of the held-out parts that have rows.
        validation: Option<Evaluation>,
        test: Option<Evaluation>,
        /// Of the test rows, or of the validation rows where there are none, by region: the model's metrics, without tables.
        by: ByGroup,
        /// The epoch whose weights were kept (from 1).
        best_epoch: u32,
        /// The largest difference between the training library's score and this crate's, over the held-out rows
        /// (over the training rows where none are held out); of quantities in standard deviations of the label.
        parity: f64,
        /// What the metric of the validation rows loses without each column, the largest first.
        importance: Vec<Importance>,
        /// The scores, and the columns of the recipe in its order.
        #[serde(default)]
        profiles: Vec<Profile>,
        /// The rows that the served model has learned from in a refit; `None` if the measured fit is served.
        #[serde(default)]
        refit_rows: Option<u64>,
        /// What rolling validation says of each algorithm, the newest stretch first.
        #[serde(default)]
        cut_offs: Vec<CutOff>,
        /// What each algorithm that is part of the model took of its parameters that are null.
        #[serde(default)]
        defaults: BTreeMap<Algorithm, BTreeMap<String, Value>>,
        seconds: f64,
    },
    /// The last line of a training that failed.
    Error {
        cause: Cause,
        message: String,
        detail: Option<String>,
        hint: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::metrics::Metrics;

    fn cut_off(first: f64) -> CutOff {
        let metrics = Metrics::of(&[first, 0.3, 0.7], &[false, true, true]).unwrap();
        let validation = Quality::Binary(metrics);
        CutOff {
            algorithm: Algorithm::Mlp,
            validation_from: Some("2024-01-01".into()),
            validation,
            seconds: 0.5,
        }
    }

    #[test]
    fn the_mean_is_of_every_cut_off_or_of_none() {
        let (perfect, half) = (cut_off(0.1), cut_off(0.5));
        let newest = Evaluation { model: half.validation.clone(), popularity: half.validation.clone() };
        let auroc = |newest, cut_offs: &[CutOff]| mean(newest, cut_offs, Metric::Auroc);
        assert_eq!(auroc(Some(&newest), &[perfect.clone(), perfect.clone()]), Some(2.5 / 3.0));
        assert_eq!(auroc(Some(&newest), &[]), Some(0.5));
        assert_eq!(auroc(None, &[]), None);
        assert_eq!(mean(Some(&newest), &[perfect], Metric::PrecisionAtK), None);
    }

    #[test]
    fn every_event_is_one_line_and_reads_back_the_same() {
        let metrics = Metrics::of(&[0.1, 0.3, 0.7], &[false, true, true]).map(Quality::Binary);
        let evaluation = metrics.map(|m| Evaluation { model: m.clone(), popularity: m });
        let text = "a \"line\"\nand another".to_owned();
        for event in [
            Event::Started {
                trainer: "0.1.0".into(),
                libtorch: "2.13.0".into(),
                device: "cpu".into(),
                threads: 2,
            },
            Event::Data(DataSummary { rows: 3, digest: "00ff".into(), ..DataSummary::default() }),
            Event::Setup(Setup {
                trainer: "0.1.0".into(),
                libtorch: "2.13.0".into(),
                threads: 2,
                instructions: "AVX2".into(),
                gpus: vec![Gpu {
                    name: text.clone(),
                    memory_bytes: u64::MAX,
                    free_bytes: None,
                    problem: None,
                }],
                no_gpu: Some(text.clone()),
                hint: None,
            }),
            Event::Warning { message: text.clone() },
            Event::Epoch {
                algorithm: Algorithm::Mlp,
                epoch: 1,
                epochs: 50,
                train_loss: 0.1 + 0.2,
                validation_loss: Some(1.0 / 3.0),
                validation_auroc: None,
                seconds: 1e-9,
                refit: true,
            },
            Event::Finished {
                algorithm: Algorithm::BoostedTrees,
                validation: evaluation.clone(),
                test: None,
                by: evaluation
                    .map(|e| ("region".into(), [(text.clone(), e.model)].into()))
                    .into_iter()
                    .collect(),
                best_epoch: 7,
                parity: 1e-7,
                importance: vec![Importance { column: "price".into(), loss: -0.25 }],
                profiles: vec![Profile {
                    column: Some(text.clone()),
                    histogram: Histogram::of_numbers(&[0.1 + 0.2, 1.0 / 3.0]),
                }],
                refit_rows: Some(17),
                cut_offs: vec![cut_off(0.1 + 0.2), cut_off(0.4)],
                defaults: [(Algorithm::Mlp, [("dropout".into(), 0.2.into())].into())].into(),
                seconds: 3.25,
            },
            Event::CutOff(cut_off(0.5)),
            Event::Error { cause: Cause::Data, message: text, detail: None, hint: Some(String::new()) },
        ] {
            let line = serde_json::to_string(&event).unwrap();
            assert!(!line.contains('\n'), "{line}");
            let back: Event = serde_json::from_str(&line).unwrap();
            assert_eq!(format!("{back:?}"), format!("{event:?}"));
        }
    }
}
