//! The parameters of `reco.train`: names, defaults, bounds.

use crate::algorithm::{Algorithm, Task};
use crate::error::ModelError;
use crate::stored::transform::TransformChoice;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt::Display;
use std::ops::RangeInclusive;

/// Training parameters. Every field has a default; see [`DESCRIPTIONS`] for meaning and bounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Params {
    pub task: Option<Task>,
    pub metric: Option<Metric>,
    pub calibration: CalibrationChoice,
    pub class_weight: f64,
    pub seed: u64,
    pub device: String,
    pub threads: usize,
    pub time_budget: f64,
    pub importance: bool,
    pub validation_share: f64,
    pub test_share: f64,
    pub min_category_count: u64,
    pub max_categories: usize,
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    /// `None` is the algorithm's own default; see [`Params::learning_rate`].
    pub learning_rate: Option<f64>,
    pub patience: u32,
    pub hidden: Vec<usize>,
    pub crosses: usize,
    pub cross_rank: usize,
    pub epochs: u32,
    pub batch_size: usize,
    pub schedule: Schedule,
    pub weight_decay: f64,
    pub l1: f64,
    pub dropout: f64,
    pub batch_norm: bool,
    pub transform: TransformChoice,
    pub negative_share: f64,
    pub members: usize,
    pub precision: Precision,
    pub trees: usize,
    pub leaves: usize,
    pub min_leaf_rows: usize,
    pub leaf_l2: f64,
    pub row_share: f64,
    pub column_share: f64,
    pub bins: usize,
}

/// What the versions of a model are compared by, on validation rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    Auroc,
    AveragePrecision,
    LogLoss,
    Rmse,
    Mae,
    Pinball,
}

impl Metric {
    /// What a task is judged by where nothing was asked for.
    pub fn default_for(task: Task) -> Self {
        match task {
            Task::Binary => Self::AveragePrecision,
            Task::Regression => Self::Rmse,
        }
    }

    /// As it is told to a reader.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auroc => "AUROC",
            Self::AveragePrecision => "average precision",
            Self::LogLoss => "log loss",
            Self::Rmse => "RMSE",
            Self::Mae => "MAE",
            Self::Pinball => "pinball loss",
        }
    }

    pub fn task(self) -> Task {
        match self {
            Self::Auroc | Self::AveragePrecision | Self::LogLoss => Task::Binary,
            Self::Rmse | Self::Mae | Self::Pinball => Task::Regression,
        }
    }

    /// True if more is better.
    pub fn is_gain(self) -> bool {
        matches!(self, Self::Auroc | Self::AveragePrecision)
    }
}

/// How logits become probabilities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CalibrationChoice {
    /// The better of the others on validation rows that neither was fitted to.
    #[default]
    Auto,
    None,
    Platt,
    Isotonic,
}

/// How the learning rate moves during training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    #[default]
    Constant,
    /// Down to 0 along half a cosine.
    Cosine,
    /// Up for three tenths of the steps, then down to 0 along half a cosine.
    OneCycle,
}

/// In what precision a GPU multiplies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    #[default]
    Float32,
    Tf32,
    Bf16,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            task: None,
            metric: None,
            calibration: CalibrationChoice::default(),
            class_weight: 1.0,
            seed: 42,
            device: "auto".into(),
            threads: 0,
            time_budget: 0.0,
            importance: true,
            validation_share: 0.15,
            test_share: 0.15,
            min_category_count: 5,
            max_categories: 10_000,
            include: Vec::new(),
            exclude: Vec::new(),
            learning_rate: None,
            patience: 10,
            hidden: vec![128],
            crosses: 2,
            cross_rank: 32,
            epochs: 50,
            batch_size: 1024,
            schedule: Schedule::default(),
            weight_decay: 0.0,
            l1: 0.0,
            dropout: 0.0,
            batch_norm: false,
            transform: TransformChoice::default(),
            negative_share: 1.0,
            members: 1,
            precision: Precision::default(),
            trees: 300,
            leaves: 31,
            min_leaf_rows: 20,
            leaf_l2: 1.0,
            row_share: 1.0,
            column_share: 1.0,
            bins: 255,
        }
    }
}

/// A parameter: its name, the algorithms that know it (none: all do), and its meaning.
pub struct Description {
    pub name: &'static str,
    pub algorithms: &'static [Algorithm],
    pub meaning: &'static str,
}

const ALL: &[Algorithm] = &[];
const NETWORKS: &[Algorithm] = &Algorithm::NETWORKS;
const HIDDEN: &[Algorithm] = &[Algorithm::Mlp, Algorithm::DeepCross];
const TREES: &[Algorithm] = &[Algorithm::BoostedTrees];
const LEARNING: &[Algorithm] =
    &[Algorithm::Logistic, Algorithm::Mlp, Algorithm::DeepCross, Algorithm::BoostedTrees];

const fn about(name: &'static str, algorithms: &'static [Algorithm], meaning: &'static str) -> Description {
    Description { name, algorithms, meaning }
}

/// Every parameter, in the order in which they are listed to the user.
pub const DESCRIPTIONS: &[Description] = &[
    about("task", ALL, "binary or regression; null takes binary if the label is a boolean or only 0 and 1"),
    about(
        "metric",
        ALL,
        "what candidates are compared by on validation rows: auroc, average_precision or log_loss; of a regression rmse, \
         mae or pinball",
    ),
    about("calibration", ALL, "auto, none, platt or isotonic; auto takes what does best on validation rows"),
    about("class_weight", LEARNING, "weight of a positive row's loss, above 0 and up to 1000000"),
    about("seed", ALL, "seed of everything random, a whole number from 0"),
    about("device", ALL, "auto, cpu, cuda or cuda:N"),
    about("threads", ALL, "CPU threads, 0 to 1024, at most one for each core; 0 takes the setting reco.training_threads"),
    about("time_budget", ALL, "seconds after which training ends with the best it has, 0 to 1000000; 0 has no end"),
    about("importance", ALL, "whether the importance of every column is measured, true or false"),
    about("validation_share", ALL, "share of the weeks (or rows) held out to stop and to calibrate, 0 to 0.9"),
    about("test_share", ALL, "share of the newest weeks (or of the rows) held out to measure, 0 to 0.9"),
    about("min_category_count", ALL, "a category seen in fewer training rows counts as never seen, 1 or more"),
    about("max_categories", ALL, "most frequent categories kept for a column, 1 to 1000000"),
    about("include", ALL, "key or time columns that are inputs too, an array of names"),
    about("exclude", ALL, "columns that are no inputs, an array of names"),
    about("learning_rate", LEARNING, "size of a step, above 0 and up to 10; null takes 0.001, of one_cycle 0.003, of boosted_trees 0.05"),
    about(
        "patience",
        LEARNING,
        "epochs, or trees, without a better validation loss before training stops, 0 to 100000; 0 never stops early",
    ),
    about("hidden", HIDDEN, "sizes of the hidden layers, an array of up to 8 numbers from 1 to 4096"),
    about("crosses", &[Algorithm::DeepCross], "cross layers, 1 to 8"),
    about("cross_rank", &[Algorithm::DeepCross], "rank of a cross layer's matrix, 1 to 4096"),
    about("epochs", NETWORKS, "passes over the training rows, 1 to 100000"),
    about("batch_size", NETWORKS, "rows in a gradient step, 1 to 1000000000; 0 takes all rows in every step"),
    about("schedule", NETWORKS, "how the learning rate moves: constant, cosine or one_cycle"),
    about("weight_decay", NETWORKS, "L2 penalty on the weights, 0 to 10"),
    about("l1", &[Algorithm::Logistic], "L1 penalty on the weights, 0 to 10; makes some exactly 0"),
    about("dropout", HIDDEN, "share of hidden units dropped in training, 0 to 0.95"),
    about("batch_norm", HIDDEN, "whether what comes out of a hidden layer is normalized over the batch, true or false"),
    about("transform", NETWORKS, "how numbers with heavy tails are calmed: auto, none, signed_log or quantile"),
    about(
        "negative_share",
        NETWORKS,
        "share of the negative rows that an epoch sees, above 0 and up to 1; the probabilities are corrected",
    ),
    about("members", NETWORKS, "networks trained from different seeds and averaged, 1 to 32"),
    about("precision", NETWORKS, "how a GPU multiplies: float32, tf32 or bf16"),
    about("trees", TREES, "most trees, 1 to 10000"),
    about("leaves", TREES, "most leaves of a tree, 2 to 4096"),
    about("min_leaf_rows", TREES, "fewest training rows in a leaf, 1 to 1000000000"),
    about("leaf_l2", TREES, "L2 penalty on the leaves' values, 0 to 1000000"),
    about("row_share", TREES, "share of the rows that a tree sees, above 0 and up to 1"),
    about("column_share", TREES, "share of the columns that a tree sees, above 0 and up to 1"),
    about("bins", TREES, "bins that a column's numbers are sorted into, 2 to 255"),
];

impl Params {
    /// Reads and checks a JSON object. Unknown names, names that none of the algorithms knows, and values out of bounds
    /// are errors that say what is allowed.
    pub fn from_json(json: &str, algorithms: &[Algorithm]) -> Result<Self, ModelError> {
        let value: Value =
            serde_json::from_str(json).map_err(|e| refuse("params", &format!("is not valid JSON: {e}")))?;
        let Value::Object(given) = value else {
            return Err(ModelError::Parameter {
                message: "params must be a JSON object".into(),
                hint: r#"For example {"hidden": [128], "epochs": 50}."#.into(),
            });
        };
        given.keys().try_for_each(|name| check_name(name, algorithms))?;
        Self::default().with(given)
    }

    /// The same with some other values, checked. Each field is read alone, so that an error names the parameter.
    pub fn with(&self, given: Map<String, Value>) -> Result<Self, ModelError> {
        let mut all = match serde_json::to_value(self) {
            Ok(Value::Object(all)) => all,
            _ => Map::new(),
        };
        for (name, value) in given {
            let shown = value.to_string();
            let one = Map::from_iter([(name.clone(), value.clone())]);
            serde_json::from_value::<Self>(Value::Object(one))
                .map_err(|_| refuse(&name, &format!("cannot be {shown}")))?;
            all.insert(name, value);
        }
        let changed: Self = serde_json::from_value(Value::Object(all))
            .map_err(|e| refuse("params", &format!("cannot be read: {e}")))?;
        changed.check()?;
        Ok(changed)
    }

    /// The size of a step of an algorithm.
    pub fn learning_rate(&self, algorithm: Algorithm) -> f64 {
        self.learning_rate.unwrap_or(match algorithm {
            Algorithm::BoostedTrees => 0.05,
            _ if self.schedule == Schedule::OneCycle => 0.003,
            _ => 0.001,
        })
    }

    /// Checks every bound.
    pub fn check(&self) -> Result<(), ModelError> {
        self.check_all()?;
        self.check_networks()?;
        self.check_trees()
    }

    fn check_all(&self) -> Result<(), ModelError> {
        if let (Some(task), Some(metric)) = (self.task, self.metric) {
            let shown = serde_json::to_string(&metric).unwrap_or_default();
            check("metric", metric.task() == task, &format!("{shown} for this task"))?;
        }
        above("class_weight", self.class_weight, 1e6)?;
        within("seed", self.seed, 0..=i64::MAX as u64)?;
        check("device", device_is_known(&self.device), &format!("{:?}", self.device))?;
        within("threads", self.threads, 0..=1024)?;
        within("time_budget", self.time_budget, 0.0..=1e6)?;
        within("validation_share", self.validation_share, 0.0..=0.9)?;
        within("test_share", self.test_share, 0.0..=0.9)?;
        let both = format!("{} with a validation_share of {}", self.test_share, self.validation_share);
        check("test_share", self.validation_share + self.test_share < 0.95, &both)?;
        within("min_category_count", self.min_category_count, 1..=u64::MAX)?;
        within("max_categories", self.max_categories, 1..=1_000_000)?;
        self.learning_rate.map_or(Ok(()), |rate| above("learning_rate", rate, 10.0))?;
        within("patience", self.patience, 0..=100_000)
    }

    fn check_networks(&self) -> Result<(), ModelError> {
        let hidden = serde_json::to_string(&self.hidden).unwrap_or_default();
        let sizes_fit = self.hidden.iter().all(|h| (1..=4096).contains(h));
        check("hidden", self.hidden.len() <= 8 && sizes_fit, &hidden)?;
        within("crosses", self.crosses, 1..=8)?;
        within("cross_rank", self.cross_rank, 1..=4096)?;
        within("epochs", self.epochs, 1..=100_000)?;
        within("batch_size", self.batch_size, 0..=1_000_000_000)?;
        within("weight_decay", self.weight_decay, 0.0..=10.0)?;
        within("l1", self.l1, 0.0..=10.0)?;
        within("dropout", self.dropout, 0.0..=0.95)?;
        above("negative_share", self.negative_share, 1.0)?;
        within("members", self.members, 1..=32)
    }

    fn check_trees(&self) -> Result<(), ModelError> {
        within("trees", self.trees, 1..=10_000)?;
        within("leaves", self.leaves, 2..=4096)?;
        within("min_leaf_rows", self.min_leaf_rows, 1..=1_000_000_000)?;
        within("leaf_l2", self.leaf_l2, 0.0..=1e6)?;
        above("row_share", self.row_share, 1.0)?;
        above("column_share", self.column_share, 1.0)?;
        within("bins", self.bins, 2..=255)
    }
}

fn check(name: &str, fits: bool, value: &dyn Display) -> Result<(), ModelError> {
    match fits {
        true => Ok(()),
        false => Err(refuse(name, &format!("cannot be {value}"))),
    }
}

fn within<T: PartialOrd + Display>(
    name: &str,
    value: T,
    bounds: RangeInclusive<T>,
) -> Result<(), ModelError> {
    check(name, bounds.contains(&value), &value)
}

/// Above 0 and at most `most`.
fn above(name: &str, value: f64, most: f64) -> Result<(), ModelError> {
    check(name, value > 0.0 && value <= most, &value)
}

fn device_is_known(device: &str) -> bool {
    match device {
        "auto" | "cpu" | "cuda" => true,
        other => other.strip_prefix("cuda:").is_some_and(|n| n.parse::<u8>().is_ok()),
    }
}

/// The error that says what is wrong with a parameter, and what it means.
pub(crate) fn refuse(name: &str, problem: &str) -> ModelError {
    let found = DESCRIPTIONS.iter().find(|known| known.name == name);
    ModelError::Parameter {
        message: format!("training parameter \"{name}\" {problem}"),
        hint: found.map_or(String::new(), |found| format!("{}: {}.", found.name, found.meaning)),
    }
}

/// A parameter must exist, and one of the algorithms must know it.
pub(crate) fn check_name(name: &str, algorithms: &[Algorithm]) -> Result<(), ModelError> {
    let knows = |known: &&Description| {
        known.algorithms.is_empty() || known.algorithms.iter().any(|a| algorithms.contains(a))
    };
    let found = DESCRIPTIONS.iter().find(|known| known.name == name);
    if found.as_ref().is_some_and(knows) {
        return Ok(());
    }
    let names: Vec<&str> = DESCRIPTIONS.iter().filter(knows).map(|known| known.name).collect();
    let asked: Vec<&str> = algorithms.iter().map(|algorithm| algorithm.name()).collect();
    Err(ModelError::Parameter {
        message: match found {
            Some(_) => format!("training parameter \"{name}\" means nothing to {}", asked.join(", ")),
            None => format!("unknown training parameter \"{name}\""),
        },
        hint: format!("The parameters are: {}.", names.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_json(json: &str) -> Result<Params, ModelError> {
        Params::from_json(json, &Algorithm::ALL)
    }

    #[test]
    fn an_empty_object_gives_the_defaults() {
        assert_eq!(from_json("{}").unwrap(), Params::default());
    }

    #[test]
    fn every_parameter_is_described() {
        let value = serde_json::to_value(Params::default()).unwrap();
        let mut fields: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        let mut described: Vec<_> = DESCRIPTIONS.iter().map(|known| known.name.to_string()).collect();
        fields.sort();
        described.sort();
        assert_eq!(fields, described);
    }

    #[test]
    fn an_unknown_parameter_is_refused_with_the_list() {
        let error = from_json(r#"{"epoch": 3}"#).unwrap_err();
        assert_eq!(error.to_string(), "unknown training parameter \"epoch\"");
        assert!(error.hint().unwrap().contains("hidden, crosses, cross_rank, epochs"));
    }

    #[test]
    fn values_out_of_bounds_name_the_parameter() {
        for (json, name) in [
            (r#"{"epochs": 0}"#, "epochs"),
            (r#"{"epochs": -1}"#, "epochs"),
            (r#"{"epochs": "many"}"#, "epochs"),
            (r#"{"hidden": [0]}"#, "hidden"),
            (r#"{"hidden": 128}"#, "hidden"),
            (r#"{"hidden": [1,1,1,1,1,1,1,1,1]}"#, "hidden"),
            (r#"{"learning_rate": 0}"#, "learning_rate"),
            (r#"{"learning_rate": 1e400}"#, "params"),
            (r#"{"dropout": 1}"#, "dropout"),
            (r#"{"class_weight": 0}"#, "class_weight"),
            (r#"{"device": "tpu"}"#, "device"),
            (r#"{"device": "cuda:x"}"#, "device"),
            (r#"{"test_share": 0.5, "validation_share": 0.5}"#, "test_share"),
            (r#"{"seed": -1}"#, "seed"),
            (r#"{"include": "region"}"#, "include"),
        ] {
            let error = from_json(json).unwrap_err();
            assert!(error.to_string().contains(name), "{json}: {error}");
        }
    }

    #[test]
    fn given_values_are_kept_and_the_others_are_defaults() {
        let params = from_json(r#"{"hidden": [], "device": "cuda:1", "include": ["region"]}"#).unwrap();
        let expected = Params {
            hidden: vec![],
            device: "cuda:1".into(),
            include: vec!["region".into()],
            ..Params::default()
        };
        assert_eq!(params, expected);
    }

    #[test]
    fn the_bounds_themselves_are_allowed() {
        for json in [
            r#"{"hidden": [1, 4096, 1, 1, 1, 1, 1, 1], "epochs": 1, "batch_size": 0, "learning_rate": 10}"#,
            r#"{"epochs": 100000, "batch_size": 1000000000, "dropout": 0.95, "weight_decay": 10}"#,
            r#"{"class_weight": 1000000, "patience": 0, "seed": 9223372036854775807, "threads": 1024}"#,
            r#"{"validation_share": 0, "test_share": 0.9, "min_category_count": 1, "max_categories": 1000000}"#,
        ] {
            assert!(from_json(json).is_ok(), "{json}");
        }
    }

    #[test]
    fn what_is_not_an_object_is_refused_with_an_example() {
        for json in ["", "[]", "null", "{", "3"] {
            assert!(from_json(json).is_err(), "{json}");
        }
        assert!(from_json("[]").unwrap_err().hint().unwrap().contains("hidden"));
    }
}
