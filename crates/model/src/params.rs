//! The parameters of `reco.train`: names, defaults, bounds.

use crate::error::ModelError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Training parameters. Every field has a default; see [`DESCRIPTIONS`] for meaning and bounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Params {
    pub hidden: Vec<usize>,
    pub epochs: u32,
    pub batch_size: usize,
    pub learning_rate: f64,
    pub weight_decay: f64,
    pub dropout: f64,
    pub class_weight: f64,
    pub patience: u32,
    pub seed: u64,
    pub device: String,
    pub threads: usize,
    pub validation_share: f64,
    pub test_share: f64,
    pub min_category_count: u64,
    pub max_categories: usize,
    pub include: Vec<String>,
    pub exclude: Vec<String>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            hidden: vec![128],
            epochs: 50,
            batch_size: 1024,
            learning_rate: 0.001,
            weight_decay: 0.0,
            dropout: 0.0,
            class_weight: 1.0,
            patience: 10,
            seed: 42,
            device: "auto".into(),
            threads: 0,
            validation_share: 0.15,
            test_share: 0.15,
            min_category_count: 5,
            max_categories: 10_000,
            include: Vec::new(),
            exclude: Vec::new(),
        }
    }
}

/// Name and meaning of each parameter, in the order in which they are listed to the user.
pub const DESCRIPTIONS: &[(&str, &str)] = &[
    (
        "hidden",
        "sizes of the hidden layers, an array of up to 8 numbers from 1 to 4096; [] is logistic regression",
    ),
    ("epochs", "passes over the training rows, 1 to 100000"),
    ("batch_size", "rows in a gradient step, 1 to 1000000000; 0 takes all rows in every step"),
    ("learning_rate", "Adam's step size, above 0 and up to 10"),
    ("weight_decay", "L2 penalty on the weights, 0 to 10"),
    ("dropout", "share of hidden units dropped in training, 0 to 0.95"),
    ("class_weight", "weight of a positive row's loss, above 0 and up to 1000000"),
    (
        "patience",
        "epochs without a better validation loss before training stops, 0 to 100000; 0 never stops early",
    ),
    ("seed", "seed of everything random, a whole number from 0"),
    ("device", "auto, cpu, cuda or cuda:N"),
    ("threads", "CPU threads, 0 to 1024; 0 takes the setting reco.training_threads"),
    ("validation_share", "share of the weeks (or rows) held out to stop and to calibrate, 0 to 0.9"),
    ("test_share", "share of the newest weeks (or of the rows) held out to measure, 0 to 0.9"),
    ("min_category_count", "a category seen in fewer training rows counts as never seen, 1 or more"),
    ("max_categories", "most frequent categories kept for a column, 1 to 1000000"),
    ("include", "key or time columns that are inputs too, an array of names"),
    ("exclude", "columns that are no inputs, an array of names"),
];

impl Params {
    /// Reads and checks a JSON object. Unknown names and values out of bounds are errors that say what is allowed.
    pub fn from_json(json: &str) -> Result<Self, ModelError> {
        let value: Value =
            serde_json::from_str(json).map_err(|e| refuse("params", &format!("is not valid JSON: {e}")))?;
        let Value::Object(given) = value else {
            return Err(ModelError::Parameter {
                message: "params must be a JSON object".into(),
                hint: r#"For example {"hidden": [128], "epochs": 50}."#.into(),
            });
        };
        for name in given.keys() {
            if !DESCRIPTIONS.iter().any(|(known, _)| known == name) {
                return Err(unknown(name));
            }
        }
        let params = Self::from_known(given)?;
        params.check()?;
        Ok(params)
    }

    /// Reads each field alone, so that an error names the parameter.
    fn from_known(given: Map<String, Value>) -> Result<Self, ModelError> {
        let mut all = match serde_json::to_value(Self::default()) {
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
        serde_json::from_value(Value::Object(all))
            .map_err(|e| refuse("params", &format!("cannot be read: {e}")))
    }

    /// Checks every bound.
    pub fn check(&self) -> Result<(), ModelError> {
        let in_range = |name: &str, ok: bool, value: &dyn std::fmt::Display| {
            if ok {
                Ok(())
            } else {
                Err(refuse(name, &format!("cannot be {value}")))
            }
        };
        let hidden = serde_json::to_string(&self.hidden).unwrap_or_default();
        let sizes_fit = self.hidden.iter().all(|h| (1..=4096).contains(h));
        in_range("hidden", self.hidden.len() <= 8 && sizes_fit, &hidden)?;
        in_range("epochs", (1..=100_000).contains(&self.epochs), &self.epochs)?;
        in_range("batch_size", self.batch_size <= 1_000_000_000, &self.batch_size)?;
        in_range(
            "learning_rate",
            self.learning_rate > 0.0 && self.learning_rate <= 10.0,
            &self.learning_rate,
        )?;
        in_range("weight_decay", (0.0..=10.0).contains(&self.weight_decay), &self.weight_decay)?;
        in_range("dropout", (0.0..=0.95).contains(&self.dropout), &self.dropout)?;
        in_range("class_weight", self.class_weight > 0.0 && self.class_weight <= 1e6, &self.class_weight)?;
        in_range("patience", self.patience <= 100_000, &self.patience)?;
        in_range("seed", self.seed <= i64::MAX as u64, &self.seed)?;
        in_range("device", device_is_known(&self.device), &format!("{:?}", self.device))?;
        in_range("threads", self.threads <= 1024, &self.threads)?;
        in_range("validation_share", (0.0..=0.9).contains(&self.validation_share), &self.validation_share)?;
        in_range("test_share", (0.0..=0.9).contains(&self.test_share), &self.test_share)?;
        let held_out = self.validation_share + self.test_share;
        in_range(
            "test_share",
            held_out < 0.95,
            &format!("{} with a validation_share of {}", self.test_share, self.validation_share),
        )?;
        in_range("min_category_count", self.min_category_count >= 1, &self.min_category_count)?;
        in_range("max_categories", (1..=1_000_000).contains(&self.max_categories), &self.max_categories)
    }
}

fn device_is_known(device: &str) -> bool {
    match device {
        "auto" | "cpu" | "cuda" => true,
        other => other.strip_prefix("cuda:").is_some_and(|n| n.parse::<u8>().is_ok()),
    }
}

fn refuse(name: &str, problem: &str) -> ModelError {
    let meaning = DESCRIPTIONS.iter().find(|(known, _)| *known == name);
    ModelError::Parameter {
        message: format!("training parameter \"{name}\" {problem}"),
        hint: meaning.map_or(String::new(), |(name, text)| format!("{name}: {text}.")),
    }
}

fn unknown(name: &str) -> ModelError {
    let names: Vec<&str> = DESCRIPTIONS.iter().map(|(known, _)| *known).collect();
    ModelError::Parameter {
        message: format!("unknown training parameter \"{name}\""),
        hint: format!("The parameters are: {}.", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_object_gives_the_defaults() {
        assert_eq!(Params::from_json("{}").unwrap(), Params::default());
    }

    #[test]
    fn every_parameter_is_described() {
        let value = serde_json::to_value(Params::default()).unwrap();
        let mut fields: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        let mut described: Vec<_> = DESCRIPTIONS.iter().map(|(n, _)| n.to_string()).collect();
        fields.sort();
        described.sort();
        assert_eq!(fields, described);
    }

    #[test]
    fn an_unknown_parameter_is_refused_with_the_list() {
        let error = Params::from_json(r#"{"epoch": 3}"#).unwrap_err();
        assert_eq!(error.to_string(), "unknown training parameter \"epoch\"");
        assert!(error.hint().unwrap().contains("hidden, epochs, batch_size"));
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
            let error = Params::from_json(json).unwrap_err();
            assert!(error.to_string().contains(name), "{json}: {error}");
        }
    }

    #[test]
    fn given_values_are_kept_and_the_others_are_defaults() {
        let params =
            Params::from_json(r#"{"hidden": [], "device": "cuda:1", "include": ["region"]}"#).unwrap();
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
            assert!(Params::from_json(json).is_ok(), "{json}");
        }
    }

    #[test]
    fn what_is_not_an_object_is_refused_with_an_example() {
        for json in ["", "[]", "null", "{", "3"] {
            assert!(Params::from_json(json).is_err(), "{json}");
        }
        assert!(Params::from_json("[]").unwrap_err().hint().unwrap().contains("hidden"));
    }
}
