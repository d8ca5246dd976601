//! What is to be predicted, one number for each row.

use super::values::reorder;
use crate::error::TrainerError;
use crate::memory::grow;
use arrow_array::Array;
use model::Task;

/// The labels of all rows; NaN where a row has none.
#[derive(Debug, Default)]
pub struct Labels {
    values: Vec<f32>,
    /// A label that is neither 0 nor 1, if there is one.
    quantity: Option<f64>,
}

impl Labels {
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Takes a batch: `numbers` are the values of `array`, NaN where it is NULL.
    pub fn extend(&mut self, array: &dyn Array, numbers: &[f64], name: &str) -> Result<(), TrainerError> {
        grow(&mut self.values, numbers.len());
        for (row, number) in numbers.iter().enumerate() {
            if !number.is_finite() && !array.is_null(row) {
                return Err(TrainerError::data(
                    format!("label column \"{name}\" holds the value {number}"),
                    "A label must be a finite number, true, false or NULL.",
                ));
            }
            if ![0.0, 1.0].contains(number) && number.is_finite() {
                self.quantity.get_or_insert(*number);
            }
            self.values.push(*number as f32);
        }
        Ok(())
    }

    /// What can be predicted: probabilities if every label is 0 or 1 and nothing else was asked for.
    pub fn task(&self, asked: Option<Task>, name: &str) -> Result<Task, TrainerError> {
        match (asked, self.quantity) {
            (Some(Task::Binary), Some(value)) => Err(TrainerError::data(
                format!("label column \"{name}\" holds the value {value}"),
                "The label of a binary task must be true, false, 1, 0 or NULL.",
            )),
            (Some(task), _) => Ok(task),
            (None, Some(_)) => Ok(Task::Regression),
            (None, None) => Ok(Task::Binary),
        }
    }

    pub fn is_known(&self, row: u32) -> bool {
        !self.get(row).is_nan()
    }

    pub fn is_positive(&self, row: u32) -> bool {
        self.get(row) == 1.0
    }

    pub fn get(&self, row: u32) -> f32 {
        self.values[row as usize]
    }

    /// Takes the rows into another order.
    pub fn reorder(&mut self, rows: &[u32]) {
        reorder(&mut self.values, 1, rows);
    }

    /// Rows without a label.
    pub fn unknown(&self) -> usize {
        self.values.iter().filter(|value| value.is_nan()).count()
    }

    pub fn positives(&self, rows: &[u32]) -> usize {
        rows.iter().filter(|row| self.is_positive(**row)).count()
    }

    /// Whether both outcomes of a binary task occur among the rows.
    pub fn has_both(&self, rows: &[u32]) -> bool {
        (1..rows.len()).contains(&self.positives(rows))
    }

    /// Whether the rows have two labels that differ.
    pub fn differ(&self, rows: &[u32]) -> bool {
        let first = rows.first().map(|row| self.get(*row));
        rows.iter().any(|row| Some(self.get(*row)) != first)
    }

    pub fn of(&self, rows: &[u32]) -> Vec<f64> {
        rows.iter().map(|row| self.get(*row).into()).collect()
    }

    pub fn positive(&self, rows: &[u32]) -> Vec<bool> {
        rows.iter().map(|row| self.is_positive(*row)).collect()
    }
}

impl From<Vec<f32>> for Labels {
    fn from(values: Vec<f32>) -> Self {
        let quantity = values.iter().map(|v| f64::from(*v)).find(|v| ![0.0, 1.0].contains(v) && !v.is_nan());
        Self { values, quantity }
    }
}
