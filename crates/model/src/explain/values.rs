//! The values of one row, which explanations and similarities are computed from.

use crate::score::scorer::{Row, Scorer};
use crate::stored::recipe::{Category, Recipe, FIRST_VALUE, NULL, UNSEEN};

/// The values of one row, as a recipe reads them.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// NaN or infinite where a number is missing.
    pub numbers: Vec<f64>,
    /// See [`Scorer::code`].
    pub codes: Vec<u32>,
    /// The key's hash.
    pub key: Option<u64>,
}

impl Values {
    /// A row in which every value of the recipe is missing.
    pub fn missing(recipe: &Recipe) -> Self {
        Self {
            numbers: vec![f64::NAN; recipe.scalings().len()],
            codes: vec![NULL; recipe.categories().len()],
            key: None,
        }
    }

    /// The typical row: the value of each number that standardizes to 0 (the mean, or what becomes the mean of a transformed
    /// number), the first value of each vocabulary, which is the most frequent one (one never seen, where it is empty),
    /// and no key.
    pub fn typical(recipe: &Recipe) -> Self {
        let first = |category: &Category| match category.vocabulary.is_empty() {
            true => UNSEEN,
            false => FIRST_VALUE,
        };
        Self {
            numbers: recipe.scalings().into_iter().map(|s| s.transform.inverse(s.mean)).collect(),
            codes: recipe.categories().into_iter().map(first).collect(),
            key: None,
        }
    }

    /// A row with these values, of the same version's scorer.
    ///
    /// # Panics
    /// If they are another version's.
    pub fn row(&self, scorer: &Scorer) -> Row {
        let mut row = scorer.row();
        self.numbers.iter().enumerate().for_each(|(n, value)| scorer.set_number(&mut row, n, Some(*value)));
        self.codes.iter().enumerate().for_each(|(n, code)| scorer.set_code(&mut row, n, *code));
        scorer.set_key(&mut row, self.key);
        row
    }

    /// Whether a number is there.
    pub(super) fn number(&self, n: usize) -> Option<f64> {
        Some(self.numbers[n]).filter(|value| value.is_finite())
    }

    /// The numbers as a forest reads them.
    pub(super) fn of_forest(&self) -> Vec<f64> {
        (0..self.numbers.len()).map(|n| self.number(n).unwrap_or(f64::NAN)).collect()
    }
}
