//! The popularity baseline as a model: the smoothed mean label of each product, and the overall mean for others.

use crate::baseline::PRIOR_ROWS;
use crate::error::TrainerError;
use crate::job::{Fit, Job, Part, Reference};
use crate::memory;
use model::rates::Rates;
use model::recipe::{Column, Family, Input, Recipe};
use model::{Algorithm, Predictor, Task};
use std::rc::Rc;

/// Bytes that a key takes until the model is written. They are in maps that may be half empty, and in copies of these.
const KEY_BYTES: u64 = 250;

/// Learns from the training rows; an error without a key column.
pub fn fit<'a>(job: &'a Job) -> Result<Fit<'a>, TrainerError> {
    let table = job.table;
    let (Some(column), Some(keys)) = (&table.first_key_column, &table.first_key) else {
        return Err(TrainerError::data(
            "popularity is that of a key, and the source has none",
            "Name the key columns: keys => '{product_id,…}'.",
        ));
    };
    if !matches!(column.family, Family::Text | Family::Number | Family::Boolean) {
        return Err(TrainerError::data(
            format!("popularity cannot be that of column \"{}\" of type {}", column.name, column.sql_type),
            "The first key column must be a text or a number.",
        ));
    }
    let mut distinct: Vec<u64> = job.split.train.iter().map(|row| keys[*row as usize]).collect();
    distinct.sort_unstable();
    distinct.dedup();
    let help = "Or train on fewer products.";
    memory::check("the rates of all products", distinct.len() as u64 * KEY_BYTES, help)?;
    let rows = job.split.train.iter().map(|row| (keys[*row as usize], f64::from(table.labels.get(*row))));
    let as_output = |mean: f64| match job.task {
        Task::Binary => {
            let p = mean.clamp(1e-9, 1.0 - 1e-9);
            (p / (1.0 - p)).ln()
        }
        Task::Regression => mean,
    };
    let rates = Rates::smoothed(rows, PRIOR_ROWS, as_output);
    Ok(Fit {
        recipe: Recipe {
            columns: vec![Column {
                name: column.name.clone(),
                sql_type: column.sql_type.clone(),
                family: column.family,
                input: Input::Key,
            }],
        },
        units: (1.0, 0.0),
        parts: vec![Part { algorithm: Algorithm::Popularity, lengths: Vec::new(), leaves: None }],
        parameters: rates.keys.len() + 1,
        mix: None,
        reference: Rc::new(Lookup { rates: rates.clone(), keys, outputs: job.task.outputs() }),
        predictor: Predictor::Rates(rates),
    })
}

struct Lookup<'a> {
    rates: Rates,
    keys: &'a [u64],
    outputs: usize,
}

impl Reference for Lookup<'_> {
    fn outputs(&self, rows: &[u32]) -> Result<Vec<f64>, TrainerError> {
        let of = |row: &u32| std::iter::repeat_n(self.rates.of(Some(self.keys[*row as usize])), self.outputs);
        Ok(rows.iter().flat_map(of).collect())
    }
}
