//! The parameters of `reco.train`: each is a row of one table, from which come the field, its default, the check of its
//! bounds, and what the user is told. `docs/training.md` has the same rows, which a test compares.

use super::bounds::Bounded;
use super::bounds::Bounds::{self, Above, Columns, Device, Flag, OneOf, Sizes, Whole, Within};
pub use super::choices::{CalibrationChoice, Metric, Precision, Schedule};
use crate::algorithm::{Algorithm, Task};
use crate::error::ModelError;
use crate::stored::transform::TransformChoice;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A parameter, as the user is told of it.
pub struct Parameter {
    pub name: &'static str,
    /// Those that know it.
    pub algorithms: &'static [Algorithm],
    pub bounds: Bounds,
    pub meaning: &'static str,
    /// What one of its values stands for; empty where there is nothing to say.
    pub note: &'static str,
}

macro_rules! parameters {
    ($($name:ident: $type:ty = $default:expr, $algorithms:expr, $bounds:expr, $meaning:literal $(, $note:literal)?;)*) => {
        /// Training parameters. Every field has a default; see [`PARAMETERS`] for meaning and bounds.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Params {
            $(pub $name: $type,)*
        }

        impl Default for Params {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        /// Every parameter, in the order in which they are listed to the user.
        pub const PARAMETERS: &[Parameter] = &[$(
            Parameter {
                name: stringify!($name),
                algorithms: $algorithms,
                bounds: $bounds,
                meaning: $meaning,
                note: concat!($($note)?),
            },
        )*];

        impl Params {
            fn check_bounds(&self) -> Result<(), ModelError> {
                $(check(stringify!($name), self.$name.fits(&$bounds), &self.$name.shown())?;)*
                Ok(())
            }
        }
    };
}

const ALL: &[Algorithm] = &Algorithm::ALL;
const LEARNING: &[Algorithm] =
    &[Algorithm::Logistic, Algorithm::Mlp, Algorithm::DeepCross, Algorithm::BoostedTrees];
const NETWORKS: &[Algorithm] = &Algorithm::NETWORKS;
const LINEAR: &[Algorithm] = &[Algorithm::Logistic];
const HIDDEN: &[Algorithm] = &[Algorithm::Mlp, Algorithm::DeepCross];
const CROSSES: &[Algorithm] = &[Algorithm::DeepCross];
const TREES: &[Algorithm] = &[Algorithm::BoostedTrees];

// name: type = default, the algorithms that know it, bounds, meaning, note
parameters! {
    task: Option<Task> = None, ALL, OneOf(&["binary", "regression"]),
        "what is predicted", "null takes binary if the label is a boolean or only 0 and 1";
    metric: Option<Metric> = None, ALL, OneOf(&["auroc", "average_precision", "log_loss", "precision_at_k", "rmse", "mae", "pinball"]),
        "what candidates are compared by on validation rows", "the last three of a regression";
    k: usize = 10, ALL, Whole(1, 10_000),
        "rows in a list, one for each region and week, that precision_at_k and its like are measured on";
    calibration: CalibrationChoice = CalibrationChoice::Auto, ALL, OneOf(&["auto", "none", "platt", "isotonic"]),
        "how scores become probabilities", "auto takes what does best on validation rows";
    class_weight: f64 = 1.0, LEARNING, Above(0.0, 1e6), "weight of a positive row's loss";
    seed: u64 = 42, ALL, Whole(0, i64::MAX as u64), "seed of everything random";
    device: String = "auto".into(), ALL, Device, "where it trains";
    threads: usize = 0, ALL, Whole(0, 1024), "CPU threads, at most one for each core", "0 takes the setting reco.training_threads";
    time_budget: f64 = 0.0, ALL, Within(0.0, 1e6),
        "seconds after which training ends with the best it has", "0 has no end";
    refit: bool = true, ALL, Flag,
        "whether what is stored is trained once more on all labelled rows, validation and test rows too";
    importance: bool = true, ALL, Flag, "whether the importance of every column is measured";
    validation_share: f64 = 0.15, ALL, Within(0.0, 0.9),
        "share of the weeks (or rows) held out to stop and to calibrate";
    test_share: f64 = 0.15, ALL, Within(0.0, 0.9),
        "share of the newest weeks (or of the rows) held out to measure";
    cut_offs: usize = 1, ALL, Whole(1, 20),
        "stretches of validation weeks, one before the other, over which what is compared is averaged",
        "each takes a training on the weeks before it";
    min_category_count: u64 = 5, ALL, Whole(1, u64::MAX),
        "a category seen in fewer training rows counts as never seen";
    min_category_keys: Option<usize> = None, ALL, Whole(1, 10_000),
        "a category seen with fewer first keys, such as products, counts as never seen",
        "null takes the training rows of a key on average, but no more than 50 and one of 100 keys, and 1 where the keys held out are known ones";
    max_categories: usize = 10_000, ALL, Whole(1, 1_000_000), "most frequent categories kept for a column";
    include: Vec<String> = Vec::new(), ALL, Columns, "key or time columns that are inputs too";
    exclude: Vec<String> = Vec::new(), ALL, Columns, "columns that are no inputs";
    learning_rate: Option<f64> = None, LEARNING, Above(0.0, 10.0),
        "size of a step", "null takes 0.001, of one_cycle 0.003, of boosted_trees 0.05";
    patience: Option<u32> = None, LEARNING, Whole(0, 100_000),
        "epochs, or trees, without a better validation loss before training stops",
        "0 never stops early, null takes 10, from 100,000 rows on 5, from a million on 3, of boosted_trees 30, and of those of quantities 100";
    hidden: Vec<usize> = vec![128], HIDDEN, Sizes(8, 1, 4096), "sizes of the hidden layers";
    crosses: usize = 2, CROSSES, Whole(1, 8), "cross layers";
    cross_rank: usize = 32, CROSSES, Whole(1, 4096), "rank of a cross layer's matrix";
    epochs: u32 = 50, NETWORKS, Whole(1, 100_000), "passes over the training rows";
    batch_size: Option<usize> = None, NETWORKS, Whole(0, 1_000_000_000),
        "rows in a gradient step", "0 takes all rows in every step, null 1024, of fewer than 50,000 training rows 256, than 10,000 64";
    schedule: Schedule = Schedule::Constant, NETWORKS, OneOf(&["constant", "cosine", "one_cycle"]),
        "how the learning rate moves";
    weight_decay: f64 = 0.0, NETWORKS, Within(0.0, 10.0), "L2 penalty on the weights";
    l1: f64 = 0.0, LINEAR, Within(0.0, 10.0), "L1 penalty on the weights", "makes some exactly 0";
    dropout: Option<f64> = None, HIDDEN, Within(0.0, 0.95),
        "share of hidden units dropped in training", "null takes 0.2 of probabilities learned from 50,000 rows or more, else 0";
    batch_norm: bool = false, HIDDEN, Flag,
        "whether what comes out of a hidden layer is normalized over the batch";
    transform: TransformChoice = TransformChoice::Auto, NETWORKS, OneOf(&["auto", "none", "signed_log", "quantile"]),
        "how numbers with heavy tails are calmed";
    number_bins: Option<usize> = None, NETWORKS, Whole(0, 64),
        "bins of each number that a network reads besides it",
        "null takes 16, of quantities 32, but 0 from 300,000 training rows on, for quantities of fewer than 10,000, and out of memory";
    negative_share: f64 = 1.0, NETWORKS, Above(0.0, 1.0),
        "share of the negative rows that an epoch sees", "the probabilities are corrected";
    members: usize = 1, NETWORKS, Whole(1, 32), "networks trained from different seeds and averaged";
    precision: Precision = Precision::Float32, NETWORKS, OneOf(&["float32", "tf32", "bf16"]),
        "how a GPU multiplies";
    trees: Option<usize> = None, TREES, Whole(1, 10_000), "most trees", "null takes 500, of quantities 2000";
    leaves: Option<usize> = None, TREES, Whole(2, 4096),
        "most leaves of a tree", "null takes what is best of 8, 31 and 63 on validation rows, from 500,000 training rows on 63";
    min_leaf_rows: Option<usize> = None, TREES, Whole(1, 1_000_000_000),
        "fewest training rows in a leaf", "null takes one of 800, but 20 to 2000, and 20 for quantities or rare values";
    leaf_l2: f64 = 1.0, TREES, Within(0.0, 1e6), "L2 penalty on the leaves' values";
    row_share: f64 = 1.0, TREES, Above(0.0, 1.0), "share of the rows that a tree sees";
    column_share: Option<f64> = None, TREES, Above(0.0, 1.0),
        "share of the columns that a tree sees", "null takes all of few, half of 6 or more, 0.4 of 20 or more";
    increasing: Vec<String> = Vec::new(), TREES, Columns, "columns of which more never means a lower prediction",
        "of the algorithms of auto only those are tried that keep to it";
    decreasing: Vec<String> = Vec::new(), TREES, Columns, "columns of which more never means a higher prediction", "likewise";
    bins: usize = 255, TREES, Whole(2, 255), "bins that a column's numbers are sorted into";
}

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

    /// Most trees where the caller says nothing: those of quantities get better for longer, the outer quantiles' longest.
    pub const fn most_trees(task: Task) -> usize {
        match task {
            Task::Binary => 500,
            Task::Regression => 2000,
        }
    }

    /// Whether a direction of a column is given.
    pub fn is_directed(&self) -> bool {
        !(self.increasing.is_empty() && self.decreasing.is_empty())
    }

    /// Checks every bound, and what two parameters say together.
    pub fn check(&self) -> Result<(), ModelError> {
        self.check_bounds()?;
        if let (Some(task), Some(metric)) = (self.task, self.metric) {
            check("metric", metric.task() == task, &format!("{} for this task", self.metric.shown()))?;
        }
        let both = format!("{} with a validation_share of {}", self.test_share, self.validation_share);
        check("test_share", self.validation_share + self.test_share < 0.95, &both)
    }
}

impl Parameter {
    /// The parameter of that name.
    pub fn find(name: &str) -> Option<&'static Self> {
        PARAMETERS.iter().find(|known| known.name == name)
    }

    fn is_known_to(&self, algorithms: &[Algorithm]) -> bool {
        self.algorithms.iter().any(|algorithm| algorithms.contains(algorithm))
    }

    /// What a user is told where a value is refused.
    fn hint(&self) -> String {
        let Self { name, bounds, meaning, note, .. } = self;
        let before = if matches!(bounds, OneOf(_) | Device) { ": " } else { ", " };
        let after = if note.is_empty() { "" } else { "; " };
        format!("{name}: {meaning}{before}{bounds}{after}{note}.")
    }
}

fn check(name: &str, fits: bool, value: &str) -> Result<(), ModelError> {
    match fits {
        true => Ok(()),
        false => Err(refuse(name, &format!("cannot be {value}"))),
    }
}

/// The error that says what is wrong with a parameter, and what it means.
pub(crate) fn refuse(name: &str, problem: &str) -> ModelError {
    ModelError::Parameter {
        message: format!("training parameter \"{name}\" {problem}"),
        hint: Parameter::find(name).map_or(String::new(), Parameter::hint),
    }
}

/// A parameter must exist, and one of the algorithms must know it.
pub(crate) fn check_name(name: &str, algorithms: &[Algorithm]) -> Result<(), ModelError> {
    let found = Parameter::find(name);
    if found.is_some_and(|found| found.is_known_to(algorithms)) {
        return Ok(());
    }
    let known = PARAMETERS.iter().filter(|known| known.is_known_to(algorithms));
    let names: Vec<&str> = known.map(|known| known.name).collect();
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
    fn what_the_bounds_name_is_read() {
        let mut names = 0;
        for known in PARAMETERS {
            let OneOf(values) = known.bounds else { continue };
            for value in values {
                let given = Map::from_iter([(known.name.to_owned(), Value::from(*value))]);
                Params::default()
                    .with(given)
                    .unwrap_or_else(|error| panic!("{} {value}: {error}", known.name));
                names += 1;
            }
        }
        assert!(names > 20, "{names}");
    }

    #[test]
    fn the_bounds_that_are_told_are_those_that_are_checked() {
        for known in PARAMETERS {
            let (inside, outside) = match known.bounds {
                Whole(least, most) => {
                    (vec![Value::from(least), Value::from(most)], vec![most.checked_add(1).map(Value::from)])
                }
                Within(least, most) => (
                    vec![least.into(), most.into()],
                    vec![Some((least - 1e-9).into()), Some((most * 1.001).into())],
                ),
                Above(least, most) => {
                    (vec![most.into()], vec![Some(least.into()), Some((most * 1.001).into())])
                }
                _ => continue,
            };
            let base = Params { validation_share: 0.0, test_share: 0.0, ..Params::default() };
            let with = |value: Value| base.with(Map::from_iter([(known.name.to_owned(), value)]));
            for value in inside {
                assert!(with(value.clone()).is_ok(), "{} {value}", known.name);
            }
            for value in outside.into_iter().flatten() {
                let hint = with(value).unwrap_err().hint().unwrap().to_owned();
                assert!(hint.contains(&known.bounds.to_string()), "{hint}");
            }
        }
    }

    #[test]
    fn a_hint_says_meaning_bounds_and_what_a_value_stands_for() {
        for (name, hint) in [
            ("threads", "threads: CPU threads, at most one for each core, 0 to 1024; 0 takes the setting reco.training_threads."),
            ("learning_rate", "learning_rate: size of a step, above 0 and up to 10; null takes 0.001, of one_cycle 0.003, of boosted_trees 0.05."),
            ("hidden", "hidden: sizes of the hidden layers, an array of up to 8 numbers from 1 to 4096."),
            ("precision", "precision: how a GPU multiplies: float32, tf32 or bf16."),
            ("min_category_count", "min_category_count: a category seen in fewer training rows counts as never seen, 1 or more."),
        ] {
            assert_eq!(Parameter::find(name).unwrap().hint(), hint);
        }
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
