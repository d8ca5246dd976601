//! The search space: the values from which the parameters of trials are drawn.
//!
//! A space maps names of training parameters to an array of values, of which one is taken, or to a range `{"min": …,
//! "max": …, "log": true}`, from which a number is drawn: uniformly, or with `log` so that its logarithm is uniform.
//! Whether the number is whole depends on the parameter.

use super::params::{check_name, refuse, Parameter, Params};
use crate::algorithm::Algorithm;
use crate::error::ModelError;
use crate::hash;
use serde::Deserialize;
use serde_json::{json, Map, Value};
use std::collections::BTreeMap;

/// Parameters of which some are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    json: Map<String, Value>,
    draws: BTreeMap<String, Draw>,
    /// Whether the first trial changes nothing: where nobody has named values, the defaults are worth a trial.
    defaults_first: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Draw {
    Choice(Vec<Value>),
    Range { min: f64, max: f64, log: bool, whole: bool },
}

/// Parameters that cannot be searched, and why.
const REFUSED: &[(&[&str], &str)] = &[
    (&["epochs", "trees"], "is the budget that the search deals out: set its largest in params"),
    (
        &["task", "metric", "k", "validation_share", "test_share"],
        "cannot be searched: trials are compared by one metric on the same rows",
    ),
    (&["include", "exclude"], "cannot be searched: all trials read the same columns"),
    (&["increasing", "decreasing"], "cannot be searched: it is what is known of the columns"),
    (&["device", "threads", "time_budget", "importance"], "cannot be searched: it makes no model better"),
];

impl Space {
    /// Reads and checks a space. `search` is its JSON object, `None` for the algorithm's own space without what is fixed;
    /// `fixed` are the names that have a value already, and `base` is where they have it. Unknown names, and choices or
    /// ends of ranges that the parameter cannot have, are errors that name it.
    pub fn new(
        search: Option<Value>,
        fixed: &Map<String, Value>,
        base: &Params,
        algorithm: Algorithm,
    ) -> Result<Self, ModelError> {
        let defaults_first = search.is_none();
        let json = match search {
            Some(Value::Object(given)) => given,
            Some(_) => return Err(not_an_object()),
            None => usual(algorithm).into_iter().filter(|(name, _)| !fixed.contains_key(name)).collect(),
        };
        if json.is_empty() {
            return Err(ModelError::Parameter {
                message: "search names no parameter".into(),
                hint: format!("{EXAMPLE} NULL takes the space of the algorithm."),
            });
        }
        let mut draws = BTreeMap::new();
        for (name, value) in &json {
            check_name(name, &[algorithm])?;
            if let Some((_, why)) = REFUSED.iter().find(|(names, _)| names.contains(&name.as_str())) {
                return Err(refuse(name, why));
            }
            if fixed.contains_key(name) {
                return Err(refuse(name, "is in params and in search"));
            }
            draws.insert(name.clone(), Draw::new(name, value, base)?);
        }
        Ok(Self { json, draws, defaults_first })
    }

    /// The space in the form in which it was given.
    pub fn json(&self) -> &Map<String, Value> {
        &self.json
    }

    /// Whether the first trial has the defaults.
    pub fn defaults_first(&self) -> bool {
        self.defaults_first
    }

    /// The values of a trial (from 1). They depend on nothing but the seed, the trial, and each parameter's name and range.
    pub fn draw(&self, seed: u64, trial: u32) -> Map<String, Value> {
        if self.defaults_first && trial == 1 {
            return Map::new();
        }
        let of_trial = hash::chain(hash::mix(seed), u64::from(trial));
        let drawn = |(name, draw): (&String, &Draw)| {
            (name.clone(), draw.at(unit(hash::chain(of_trial, hash::text(name)))))
        };
        self.draws.iter().map(drawn).collect()
    }
}

const EXAMPLE: &str =
    r#"For example {"hidden": [[64], [128]], "learning_rate": {"min": 0.0001, "max": 0.01, "log": true}}."#;

fn not_an_object() -> ModelError {
    ModelError::Parameter { message: "search must be a JSON object".into(), hint: EXAMPLE.into() }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    min: f64,
    max: f64,
    #[serde(default)]
    log: bool,
}

impl Draw {
    fn new(name: &str, value: &Value, base: &Params) -> Result<Self, ModelError> {
        let (draw, extremes) = match value {
            Value::Array(values) if !values.is_empty() => (Self::Choice(values.clone()), values.clone()),
            Value::Object(_) => Self::range(name, value)?,
            _ => return Err(unreadable(name, value)),
        };
        for extreme in extremes {
            base.with(Map::from_iter([(name.to_owned(), extreme)]))?;
        }
        Ok(draw)
    }

    fn range(name: &str, value: &Value) -> Result<(Self, Vec<Value>), ModelError> {
        let Range { min, max, log } =
            serde_json::from_value(value.clone()).map_err(|_| unreadable(name, value))?;
        let Some(whole) = Parameter::find(name).and_then(|known| known.bounds.is_whole()) else {
            return Err(refuse(name, "is no number: search it in an array of values"));
        };
        let problem = if min > max {
            "cannot be searched in a range whose min is above its max"
        } else if log && min <= 0.0 {
            "cannot be searched on a logarithmic scale from 0 or below"
        } else if whole && (min.fract() != 0.0 || max.fract() != 0.0) {
            "is a whole number: so are the ends of its range"
        } else {
            let draw = Self::Range { min, max, log, whole };
            return Ok((draw, vec![number(min, whole), number(max, whole)]));
        };
        Err(refuse(name, problem))
    }

    /// The value at a place of the range, from 0 to below 1.
    fn at(&self, place: f64) -> Value {
        let (min, max, log, whole) = match self {
            Self::Choice(values) => return values[(place * values.len() as f64) as usize].clone(),
            Self::Range { min, max, log, whole } => (*min, *max, *log, *whole),
        };
        // A whole number has the interval up to the next one.
        let end = if whole { max + 1.0 } else { max };
        let drawn = match log {
            true => (min.ln() + place * (end.ln() - min.ln())).exp(),
            false => min + place * (end - min),
        };
        let rounded = if whole { drawn.floor() } else { to_four_digits(drawn) };
        number(rounded.clamp(min, max), whole)
    }
}

fn unreadable(name: &str, value: &Value) -> ModelError {
    ModelError::Parameter {
        message: format!("training parameter \"{name}\" cannot be searched in {value}"),
        hint:
            r#"Give an array of values, or {"min": …, "max": …}, for a logarithmic scale with "log": true."#
                .into(),
    }
}

fn number(value: f64, whole: bool) -> Value {
    if whole {
        json!(value as i64)
    } else {
        json!(value)
    }
}

/// The value with four digits: they tell trials apart, are easy to read, and hardly depend on the library that computes
/// logarithms.
fn to_four_digits(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// A hash as a number from 0 to below 1.
fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

/// Where an algorithm's good values usually lie.
fn usual(algorithm: Algorithm) -> Map<String, Value> {
    let networks = json!({
        "learning_rate": {"min": 0.0003, "max": 0.03, "log": true},
        "weight_decay": {"min": 1e-7, "max": 1e-2, "log": true},
        "batch_size": [256, 512, 1024, 2048],
        "schedule": ["constant", "cosine", "one_cycle"],
        "number_bins": [0, 16],
    });
    let layers = json!({
        "hidden": [[32], [64], [128], [256], [64, 32], [128, 64], [256, 128]],
        "dropout": {"min": 0.0, "max": 0.5},
        "batch_norm": [false, true],
    });
    let parts = match algorithm {
        Algorithm::Popularity | Algorithm::Blend => vec![],
        Algorithm::Logistic => vec![networks, json!({"l1": [0, 1e-5, 1e-4, 1e-3]})],
        Algorithm::Mlp => vec![networks, layers],
        Algorithm::DeepCross => {
            let crosses =
                json!({"crosses": {"min": 1, "max": 4}, "cross_rank": {"min": 8, "max": 128, "log": true}});
            vec![networks, layers, crosses]
        }
        Algorithm::BoostedTrees => vec![json!({
            "learning_rate": {"min": 0.01, "max": 0.3, "log": true},
            "leaves": {"min": 7, "max": 255, "log": true},
            "min_leaf_rows": {"min": 5, "max": 500, "log": true},
            "leaf_l2": {"min": 0.01, "max": 100, "log": true},
            "row_share": {"min": 0.5, "max": 1.0},
            "column_share": {"min": 0.3, "max": 1.0},
        })],
    };
    let objects = parts.into_iter().filter_map(|part| match part {
        Value::Object(part) => Some(part),
        _ => None,
    });
    objects.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(json: &str) -> Result<Space, ModelError> {
        let search = serde_json::from_str(json).unwrap();
        Space::new(Some(search), &Map::new(), &Params::default(), Algorithm::Mlp)
    }

    #[test]
    fn what_is_drawn_lies_in_its_range_and_has_the_parameters_type() {
        let space = space(
            r#"{"learning_rate": {"min": 0.0001, "max": 0.01, "log": true}, "dropout": {"min": 0, "max": 0.5},
                "batch_size": {"min": 16, "max": 19}, "members": {"min": 1, "max": 32, "log": true},
                "hidden": [[64, 32], []], "schedule": ["cosine", "constant"]}"#,
        )
        .unwrap();
        let mut seen = BTreeMap::<String, std::collections::BTreeSet<String>>::new();
        for trial in 1..=2000 {
            let drawn = space.draw(7, trial);
            let params = Params::default().with(drawn.clone()).unwrap();
            assert!((0.0001..=0.01).contains(&params.learning_rate.unwrap()), "{drawn:?}");
            assert!(
                (0.0..=0.5).contains(&params.dropout.unwrap())
                    && (16..=19).contains(&params.batch_size.unwrap())
            );
            assert!((1..=32).contains(&params.members), "{drawn:?}");
            for (name, value) in drawn {
                seen.entry(name).or_default().insert(value.to_string());
            }
        }
        let counts: Vec<_> =
            ["batch_size", "members", "hidden", "schedule"].map(|name| seen[name].len()).into();
        assert_eq!(counts, [4, 32, 2, 2], "every whole number and every choice comes up");
    }

    #[test]
    fn a_logarithmic_range_has_as_many_draws_in_each_decade() {
        let space = space(r#"{"learning_rate": {"min": 0.0001, "max": 0.01, "log": true}}"#).unwrap();
        let below = (1..=4000).filter(|trial| space.draw(1, *trial)["learning_rate"].as_f64() < Some(0.001));
        assert!((1850..2150).contains(&below.count()));
        let space = self::space(r#"{"dropout": {"min": 0.2, "max": 0.4}}"#).unwrap();
        let mean =
            (1..=4000).map(|trial| space.draw(1, trial)["dropout"].as_f64().unwrap()).sum::<f64>() / 4000.0;
        assert!((mean - 0.3).abs() < 0.005, "{mean}");
    }

    #[test]
    fn draws_depend_on_seed_trial_and_name_alone() {
        let one = space(r#"{"dropout": {"min": 0, "max": 0.5}}"#).unwrap();
        let two = space(r#"{"batch_size": [1, 2, 3], "dropout": {"min": 0, "max": 0.5}}"#).unwrap();
        assert_eq!(one.draw(3, 5)["dropout"], two.draw(3, 5)["dropout"]);
        assert_ne!(one.draw(3, 5), one.draw(3, 6));
        assert_ne!(one.draw(3, 5), one.draw(4, 5));
        assert!(one.draw(3, 5)["dropout"].to_string().len() <= 7, "four digits");
    }

    #[test]
    fn what_cannot_be_searched_is_refused_by_name() {
        for (json, words) in [
            (r#"{"depth": [1]}"#, "unknown training parameter \"depth\""),
            (r#"{"leaves": [7]}"#, "\"leaves\" means nothing to mlp"),
            (r#"{"epochs": [5, 10]}"#, "\"epochs\" is the budget"),
            (r#"{"metric": ["auroc"]}"#, "\"metric\" cannot be searched"),
            (r#"{"k": [1, 5]}"#, "\"k\" cannot be searched"),
            (r#"{"exclude": [["price"]]}"#, "\"exclude\" cannot be searched"),
            (r#"{"threads": [1, 2]}"#, "\"threads\" cannot be searched"),
            (r#"{"dropout": []}"#, "\"dropout\" cannot be searched in []"),
            (r#"{"dropout": 0.5}"#, "\"dropout\" cannot be searched in 0.5"),
            (r#"{"dropout": {"min": 0}}"#, "\"dropout\" cannot be searched in"),
            (r#"{"dropout": {"min": 0, "max": 1, "step": 1}}"#, "\"dropout\" cannot be searched in"),
            (r#"{"dropout": {"min": 0, "max": 1}}"#, "\"dropout\" cannot be 1"),
            (r#"{"dropout": [0.1, 2]}"#, "\"dropout\" cannot be 2"),
            (
                r#"{"dropout": {"min": 0.5, "max": 0.1}}"#,
                "\"dropout\" cannot be searched in a range whose min",
            ),
            (
                r#"{"learning_rate": {"min": 0, "max": 1, "log": true}}"#,
                "\"learning_rate\" cannot be searched on",
            ),
            (r#"{"batch_size": {"min": 0.5, "max": 10}}"#, "\"batch_size\" is a whole number"),
            (r#"{"batch_size": {"min": -1, "max": 10}}"#, "\"batch_size\" cannot be -1"),
            (r#"{"hidden": {"min": 8, "max": 64}}"#, "\"hidden\" is no number"),
            (r#"{"schedule": {"min": 8, "max": 64}}"#, "\"schedule\" is no number"),
            ("[]", "search must be a JSON object"),
            ("{}", "search names no parameter"),
        ] {
            let error = space(json).unwrap_err();
            assert!(error.to_string().contains(words), "{json}: {error}");
        }
    }

    #[test]
    fn fixed_parameters_are_not_drawn() {
        let fixed = Map::from_iter([("hidden".to_owned(), json!([8]))]);
        let of = |search| Space::new(search, &fixed, &Params::default(), Algorithm::Mlp);
        let usual = of(None).unwrap();
        assert!(!usual.json().contains_key("hidden") && usual.json().contains_key("dropout"));
        let error = of(Some(json!({"hidden": [[8], [16]]}))).unwrap_err();
        assert!(error.to_string().contains("\"hidden\" is in params and in search"), "{error}");
    }

    #[test]
    fn every_algorithm_but_popularity_has_a_space_and_begins_with_the_defaults() {
        for algorithm in Algorithm::TRAINED {
            let space = Space::new(None, &Map::new(), &Params::default(), algorithm);
            if algorithm == Algorithm::Popularity {
                assert!(space.is_err());
                continue;
            }
            let space = space.unwrap();
            assert!(space.draw(1, 1).is_empty() && !space.draw(1, 2).is_empty());
            for trial in 1..200 {
                Params::default().with(space.draw(1, trial)).unwrap();
            }
        }
        assert!(!space(r#"{"dropout": [0.1]}"#).unwrap().draw(1, 1).is_empty());
    }
}
