//! Out-of-core rows: their values stay in the file, and are read again from the record batches that hold them.

use super::column::Cells;
use super::input::Input;
use super::values::{Builder, Feature};
use crate::error::TrainerError;
use arrow_array::UInt32Array;
use arrow_select::take::take;
use model::recipe::Family;
use std::cell::RefCell;
use std::ops::Range;

/// A file whose values are read when they are wanted.
pub struct StoredRows {
    pub input: RefCell<Input>,
    /// One for each record batch: the row after its last.
    pub ends: Vec<u32>,
    /// Where the features stand among the columns of a record batch.
    pub positions: Vec<usize>,
}

impl StoredRows {
    /// The record batch that holds a row.
    fn batch_of(&self, row: u32) -> usize {
        self.ends.partition_point(|end| *end <= row)
    }

    /// The first row of a record batch.
    fn start_of(&self, batch: usize) -> u32 {
        if batch == 0 {
            0
        } else {
            self.ends[batch - 1]
        }
    }

    /// Runs of neighbouring rows that lie in one record batch.
    pub fn runs(&self, rows: &[u32]) -> Vec<Range<usize>> {
        let mut runs = Vec::new();
        let mut start = 0;
        while start < rows.len() {
            let batch = self.batch_of(rows[start]);
            let (first, end) = (self.start_of(batch), self.ends[batch]);
            let inside = |row: &&u32| (first..end).contains(*row);
            let length = rows[start..].iter().take_while(inside).count();
            runs.push(start..start + length);
            start += length;
        }
        runs
    }

    /// Columns with the values of `rows` and no others, in their order. Rows that ascend are read fastest: a record batch is
    /// read again for each run of rows in it.
    pub fn read(&self, features: &[Feature], rows: &[u32]) -> Result<Vec<Feature>, TrainerError> {
        let is_array = |feature: &Feature| feature.source.family == Family::NumberArray;
        let mut builders: Vec<Builder> =
            features.iter().map(|feature| feature.values.builder(is_array(feature))).collect();
        let mut cells = Cells::without_hashes();
        for run in self.runs(rows) {
            let number = self.batch_of(rows[run.start]);
            let batch = self.input.borrow_mut().read_again(number)?;
            let first = self.start_of(number);
            let wanted: UInt32Array = rows[run].iter().map(|row| row - first).collect();
            let is_whole = wanted.values().iter().copied().eq(0..batch.num_rows() as u32);
            for ((builder, feature), position) in builders.iter_mut().zip(features).zip(&self.positions) {
                let all = batch.column(*position);
                let array = match is_whole {
                    true => all.clone(),
                    false => take(all, &wanted, None).map_err(|e| TrainerError::internal(e.to_string()))?,
                };
                builder.append(&array, &feature.source.name, &mut cells)?;
            }
        }
        let feature = |(builder, feature): (Builder, &Feature)| Feature {
            source: feature.source.clone(),
            values: builder.finish(),
        };
        Ok(builders.into_iter().zip(features).map(feature).collect())
    }
}
