//! Parses the JSON in a version's row, or names the column that is damaged. `reco.check_setup()` reads every version with
//! the same code.

use crate::error::Error;
use model::protocol::Importance;
use model::stored::moment::Moment;
use model::{Params, Recipe, Task};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A value that was read, or what is wrong with it. The words do not repeat the value, because not everybody may see it.
type Read<T> = Result<T, &'static str>;

/// The version that an error names.
#[derive(Clone, Copy)]
pub struct Of<'a> {
    pub model: &'a str,
    pub version: i32,
}

impl Of<'_> {
    pub fn damaged(self, column: &str, how: &str) -> Error {
        let Self { model, version } = self;
        Error::Damaged(format!(
            "column \"{column}\" of version {version} of model \"{model}\" is damaged: {how}"
        ))
    }

    /// Reads the text of a column with `read`; an error names the column.
    pub fn read<T>(self, column: &str, text: &str, read: fn(&str) -> Read<T>) -> Result<T, Error> {
        read(text).map_err(|how| self.damaged(column, how))
    }
}

/// The metrics of a version.
#[derive(Debug)]
pub struct Metrics {
    pub all: Map<String, Value>,
    /// The importance of each column; empty if it is not known.
    pub importance: Vec<Importance>,
}

/// What is recorded of the data that a version was trained on.
#[derive(Debug)]
pub struct Data {
    pub all: Map<String, Value>,
    pub task: Option<Task>,
    pub test_from: Option<Moment>,
    pub time_to: Option<Moment>,
    /// How many rows the version learned from in its refit, which are all labelled ones; `None` if there was none.
    pub refit_rows: Option<u64>,
}

impl Data {
    /// The first day, in days since 2000-01-01, of which the version that is served has seen no row; `None` if that is not
    /// known. After a refit it is the day after its last row.
    pub fn unseen_from(&self) -> Option<i32> {
        match self.refit_rows {
            Some(_) => self.after_last(),
            None => self.measured_from(),
        }
    }

    /// The first day of which the fit that was measured has seen no row. It is the day on which its test rows begin, or else
    /// the day after its last row.
    pub fn measured_from(&self) -> Option<i32> {
        // If the test rows begin within a day, rows of that day may have been trained on, so the next day counts.
        let test_from = self.test_from.map(|from| from.day.saturating_add(i32::from(from.in_day)));
        test_from.or_else(|| self.after_last())
    }

    fn after_last(&self) -> Option<i32> {
        self.time_to.map(|to| to.day.saturating_add(1))
    }
}

/// The names of the key columns, which are stored as a JSON array.
pub fn keys(text: &str) -> Read<Vec<String>> {
    serde_json::from_str(text).map_err(|_| "it is no list of names")
}

/// Any JSON value. It is an error if a number is out of a double's range: PostgreSQL's numbers have no such bounds.
fn value(text: &str) -> Read<Value> {
    serde_json::from_str(text).map_err(|_| "a number is out of range, or it is too deep")
}

pub fn object(text: &str) -> Read<Map<String, Value>> {
    match value(text)? {
        Value::Object(object) => Ok(object),
        _ => Err("it is no JSON object"),
    }
}

/// A field of an object; `None` if it is missing or null.
fn field<T: DeserializeOwned>(object: &Map<String, Value>, name: &str, how: &'static str) -> Read<Option<T>> {
    let given = object.get(name).filter(|value| !value.is_null());
    given.map(|value| T::deserialize(value)).transpose().map_err(|_| how)
}

/// The metrics by which versions are listed and compared.
const FIGURES: [&str; 11] = [
    "auroc",
    "average_precision",
    "log_loss",
    "rmse",
    "mae",
    "pinball",
    "k",
    "precision_at_k",
    "recall_at_k",
    "expected_at_k",
    "positives_at_k",
];

pub fn metrics(text: &str) -> Read<Metrics> {
    const PART: &str = "a part is no JSON object";
    let all = object(text)?;
    for part in ["validation", "test"] {
        let part: Option<Map<String, Value>> = field(&all, part, PART)?;
        for who in ["model", "popularity"] {
            let measured: Option<Map<String, Value>> = match &part {
                Some(part) => field(part, who, PART)?,
                None => None,
            };
            for figure in FIGURES {
                measured
                    .iter()
                    .try_for_each(|m| field::<f64>(m, figure, "a figure is no number").map(drop))?;
            }
        }
    }
    field::<Map<String, Value>>(&all, "by", "the groups are no JSON object")?;
    let importance = field(&all, "importance", "the importance is no list of columns and their losses")?;
    Ok(Metrics { all, importance: importance.unwrap_or_default() })
}

pub fn data(text: &str) -> Read<Data> {
    let all = object(text)?;
    for count in ["rows", "unlabelled", "positives", "train", "validation", "test"] {
        field::<u64>(&all, count, "a number of rows is none")?;
    }
    for words in ["digest", "definition"] {
        field::<String>(&all, words, "digest or definition is no text")?;
    }
    Ok(Data {
        task: field(&all, "task", "the task is unknown")?,
        test_from: moment(&all, "test_from")?,
        time_to: moment(&all, "time_to")?,
        refit_rows: field(&all, "refit_rows", "a number of rows is none")?,
        all,
    })
}

/// An event time; `None` if it is not known, or is a number and not a date.
fn moment(data: &Map<String, Value>, name: &str) -> Read<Option<Moment>> {
    const HOW: &str = "a time is none";
    let text: Option<String> = field(data, name, HOW)?;
    match text.as_deref() {
        None => Ok(None),
        Some(text) if text.parse::<i64>().is_ok() || text.parse::<f64>().is_ok_and(f64::is_finite) => {
            Ok(None)
        }
        Some(text) => Moment::parse(text).map(Some).ok_or(HOW),
    }
}

pub fn parameters(text: &str) -> Read<Params> {
    Params::default().with(object(text)?).map_err(|_| "a training would not take it")
}

pub fn recipe(text: &str) -> Read<Recipe> {
    serde_json::from_value(value(text)?).map_err(|_| "it is no recipe")
}
