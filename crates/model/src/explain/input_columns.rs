//! Which column each input belongs to.

use super::values::Values;
use crate::score::network::Network;
use crate::stored::number_bins::MOST_BINS;
use crate::stored::recipe::{Recipe, Slot};

/// A recipe, and the column that each of its numbers, categories and inputs comes from.
#[derive(Debug)]
pub struct InputColumns {
    pub recipe: Recipe,
    /// The column of each number.
    pub numbers: Vec<usize>,
    /// The column of each category.
    pub categories: Vec<usize>,
    /// The column of each input of a network.
    pub inputs: Vec<usize>,
}

impl InputColumns {
    pub fn new(recipe: Recipe) -> Self {
        let (mut numbers, mut categories) = (Vec::new(), Vec::new());
        for (column, slot) in recipe.slots().into_iter().enumerate() {
            match slot {
                Slot::Numbers { count, .. } => numbers.extend(std::iter::repeat_n(column, count)),
                Slot::Category { .. } => categories.push(column),
                Slot::Key => {}
            }
        }
        let mut inputs = vec![0; recipe.width()];
        inputs[..numbers.len()].copy_from_slice(&numbers);
        for ((column, indicator), second) in numbers.iter().zip(recipe.indicators()).zip(recipe.seconds()) {
            let second = second.map(|(_, position)| position);
            indicator.into_iter().chain(second).for_each(|position| inputs[position] = *column);
        }
        for (column, bins) in numbers.iter().zip(recipe.bins()) {
            if let Some((bins, first)) = bins {
                inputs[first..first + bins.count()].fill(*column);
            }
        }
        let mut next = recipe.dense_width();
        for (category, column) in recipe.categories().into_iter().zip(&categories) {
            inputs[next..next + category.dimension].fill(*column);
            next += category.dimension;
        }
        Self { recipe, numbers, categories, inputs }
    }

    /// The input of a network: as in [`Network::outputs`], in double precision.
    pub fn input(&self, values: &Values, network: &Network) -> Vec<f64> {
        let recipe = &self.recipe;
        let mut input = vec![0.0; recipe.dense_width()];
        let numbers = recipe.scalings().into_iter().zip(recipe.indicators()).zip(recipe.seconds());
        for (n, ((scaling, indicator), second)) in numbers.enumerate() {
            let value = values.numbers[n];
            input[n] = f64::from(scaling.standardize(value));
            if let Some(position) = indicator.filter(|_| !value.is_finite()) {
                input[position] = 1.0;
            }
            if let Some((second, position)) = second {
                input[position] = f64::from(second.standardize(value));
            }
        }
        let mut in_bins = [0.0; MOST_BINS];
        for (value, bins) in values.numbers.iter().zip(recipe.bins()) {
            if let Some((bins, first)) = bins {
                let in_bins = &mut in_bins[..bins.count()];
                bins.encode(*value, in_bins);
                input[first..].iter_mut().zip(in_bins).for_each(|(input, bin)| *input = f64::from(*bin));
            }
        }
        for (table, code) in network.embeddings.iter().zip(&values.codes) {
            input.extend(table.row(*code as usize).iter().map(|weight| f64::from(*weight)));
        }
        input
    }
}
