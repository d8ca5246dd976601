//! What is learned of each column from the training rows, from which the recipe is made.

use super::grain::Grain;
use super::value_keys::ValueKeys;
use crate::error::TrainerError;
use crate::rows::block::Block;
use crate::rows::data::Table;
use crate::rows::values::{Feature, Values, NULL_CODE};
use crate::threads::on_each;
use model::drift::edges::edges_of;
use model::drift::{Bins, Counts, Histogram};
use model::number_bins::NumberBins;
use model::recipe::{Category, CategoryFit, Family, NumberFit, Scaling};
use model::transform::{Transform, TransformChoice};
use model::Params;

/// What is learned of a column from the training rows, block by block.
pub enum ColumnFit {
    /// One fit for each element of an array, whose elements are counted together.
    Numbers {
        fits: Vec<ScalingFit>,
        counts: Counts,
    },
    Category {
        fit: CategoryFit,
        nulls: usize,
    },
}

/// Bytes that the distinct texts of all columns may take where they are counted block by block.
const TEXT_BYTES: usize = 64 << 20;
/// Bytes that the distinct texts of one column may take at least.
const LEAST_TEXT_BYTES: usize = 1 << 20;

/// Most rows from which transforms and bins are chosen and leaks are found.
const SAMPLE: usize = 20_000;

/// Most numbers that the edges of a column's histogram are made from.
const MOST_ELEMENTS: usize = 50_000;

/// Rows evenly spread over the training rows; fewer of a wide table that is read from its file.
pub fn sample(table: &Table, train: &[u32]) -> Vec<u32> {
    let most = if table.stored.is_some() { SAMPLE.min(4 * table.block_rows()) } else { SAMPLE };
    train.iter().step_by(train.len().div_ceil(most).max(1)).copied().collect()
}

/// Fits every column, transforms and bins of each number on a sample and the rest on all training rows.
pub fn column_fits(
    table: &Table,
    train: &[u32],
    params: &Params,
    grain: Grain,
    threads: usize,
) -> Result<Vec<ColumnFit>, TrainerError> {
    let begin = |block: &Block| -> Vec<ColumnFit> {
        let fit = |feature| ColumnFit::new(feature, block.places, params.transform, grain);
        block.features.iter().map(fit).collect()
    };
    let mut fits = table.block(&sample(table, train), begin)?;
    let texts = fits.iter().filter(|fit| matches!(fit, ColumnFit::Category { .. })).count();
    let most = table.stored.as_ref().map(|_| (TEXT_BYTES / texts.max(1)).max(LEAST_TEXT_BYTES));
    table.blocks(train, |block| {
        let mut columns: Vec<_> = fits.iter_mut().zip(block.features).collect();
        on_each(&mut columns, threads, |(fit, feature)| fit.add(&feature.values, block.places, most));
        Ok::<(), TrainerError>(())
    })?;
    if let Some(keys) = table.first_key.as_deref().filter(|_| grain.category_keys > 1) {
        forget_few_keys(&mut fits, keys, grain.category_keys, table, train, params)?;
    }
    Ok(fits)
}

impl ColumnFit {
    /// Chooses transforms and bins of numbers by the values at `places`.
    fn new(feature: &Feature, places: &[u32], choice: TransformChoice, grain: Grain) -> Self {
        let Values::Numbers { width, floats } = &feature.values else {
            return Self::Category { fit: CategoryFit::default(), nulls: 0 };
        };
        let choice = match feature.source.family {
            Family::Number | Family::NumberArray => choice,
            _ => TransformChoice::None,
        };
        let fit = |position| {
            let sample = places.iter().map(|place| floats.get(*place as usize * width + position));
            ScalingFit::new(choice, grain.bins, sample)
        };
        let spread = (places.len() * *width).div_ceil(MOST_ELEMENTS).max(1);
        let sample = places.iter().step_by(spread);
        let elements = sample.flat_map(|place| (0..*width).map(move |n| *place as usize * width + n));
        let edges = edges_of(&mut elements.map(|at| floats.get(at)).collect());
        Self::Numbers { fits: (0..*width).map(fit).collect(), counts: Counts::new(Bins::Edges(edges)) }
    }

    /// Takes the values at `places`. Of the texts only the most frequent are remembered once they take more than
    /// `most_bytes`.
    fn add(&mut self, values: &Values, places: &[u32], most_bytes: Option<usize>) {
        match (self, values) {
            (Self::Numbers { fits, counts }, Values::Numbers { width, floats }) => {
                for place in places {
                    let first = *place as usize * width;
                    for (position, fit) in fits.iter_mut().enumerate() {
                        let value = floats.get(first + position);
                        fit.add(value);
                        counts.number(value);
                    }
                }
            }
            (Self::Category { fit, nulls }, Values::Category(dictionary)) => {
                let mut counts = vec![0; dictionary.texts.len()];
                for place in places {
                    match dictionary.codes[*place as usize] {
                        NULL_CODE => *nulls += 1,
                        code => counts[code as usize] += 1,
                    }
                }
                let seen = dictionary.texts.iter().zip(&counts).filter(|(_, count)| **count > 0);
                seen.for_each(|(text, count)| fit.add(text, *count));
                if let Some(most) = most_bytes {
                    fit.forget_rare(most);
                }
            }
            _ => unreachable!("a column's values are of one kind in every block"),
        }
    }
}

/// Goes through the rows once more, since only now it is known which values may become part of a vocabulary, and forgets those that were
/// seen with fewer than `enough` keys. Keys that are inputs too were asked for, and keep all their values.
fn forget_few_keys(
    fits: &mut [ColumnFit],
    keys: &[u64],
    enough: usize,
    table: &Table,
    train: &[u32],
    params: &Params,
) -> Result<(), TrainerError> {
    let mut categories: Vec<(usize, &mut CategoryFit, ValueKeys)> = Vec::new();
    for (at, (fit, feature)) in fits.iter_mut().zip(&table.features).enumerate() {
        if let (ColumnFit::Category { fit, .. }, false) = (fit, feature.source.role.is_key()) {
            let known = fit.finish(params.min_category_count, params.max_categories);
            categories.push((at, fit, ValueKeys::new(enough, known.vocabulary)));
        }
    }
    if categories.is_empty() {
        return Ok(());
    }
    table.blocks(train, |block| {
        for (at, _, seen) in &mut categories {
            if let Values::Category(dictionary) = &block.features[*at].values {
                seen.add(dictionary, block, keys);
            }
        }
        Ok::<(), TrainerError>(())
    })?;
    categories.into_iter().for_each(|(_, fit, seen)| seen.forget_few(fit));
    Ok(())
}

/// The histogram of a category's training rows. What was forgotten while it was counted has no value that is known.
pub fn histogram(fit: &CategoryFit, category: &Category, nulls: usize, rows: usize) -> Histogram {
    let mut counts = Counts::new(Bins::of_values(category.vocabulary.iter()));
    let mut counted = 0;
    for (value, rows) in fit.counts() {
        counts.text(value, category.vocabulary.position(value).is_some(), rows);
        counted += rows;
    }
    counts.nulls(nulls as u64);
    counts.unseen((rows - nulls) as u64 - counted.min((rows - nulls) as u64));
    counts.into_histogram()
}

/// A number's scaling while it is fitted.
pub struct ScalingFit {
    transform: Transform,
    number: NumberFit,
    second: Option<(Transform, NumberFit)>,
    bins: NumberBins,
}

impl ScalingFit {
    /// How many values were missing.
    pub fn missing(&self) -> u64 {
        self.number.missing()
    }

    /// Transforms and bins are chosen by a sample.
    fn new(choice: TransformChoice, bins: usize, sample: impl Iterator<Item = f64>) -> Self {
        let mut sample: Vec<f64> = sample.filter(|value| value.is_finite()).collect();
        let (transform, second) = Transform::fit(choice, &mut sample);
        let second = second.map(|transform| (transform, NumberFit::default()));
        // Sorted by the fit of the transform.
        let bins = NumberBins::fit(&sample, bins);
        Self { transform, number: NumberFit::default(), second, bins }
    }

    fn add(&mut self, value: f64) {
        self.number.add(if value.is_finite() { self.transform.apply(value) } else { value });
        if let Some((transform, fit)) = self.second.as_mut().filter(|_| value.is_finite()) {
            fit.add(transform.apply(value));
        }
    }

    pub fn finish(self) -> Scaling {
        let second = self.second.map(|(transform, fit)| Box::new(Scaling { transform, ..fit.finish() }));
        Scaling { transform: self.transform, second, bins: self.bins, ..self.number.finish() }
    }
}
