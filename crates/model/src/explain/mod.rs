//! Why a row scores as it does: what each column contributes to the difference between the row's score and that of a
//! typical row, the baseline.
//!
//! A network is explained by integrated gradients ([`integrated_gradients`]), a forest by Shapley values
//! ([`Forest::shapley`]). Both start from the same baseline, so that the contributions to a blend are the weighted sums
//! of the contributions to its parts. With both methods, a column that the model does not use, or whose value is that
//! of the baseline, contributes nothing.

mod gradients;
mod input_columns;
mod nearest;
mod similar;
mod values;

use crate::error::ModelError;
use crate::score::forest::{Forest, Players};
use crate::score::network::Network;
use crate::score::predictor::Predictor;
use crate::score::scorer::Scorer;
use crate::stored::artifact::Artifact;
use crate::stored::output::Output;
use crate::stored::recipe::Input;
use input_columns::InputColumns;

pub use gradients::integrated_gradients;
pub use nearest::{Near, Nearest};
pub use similar::Similarity;
pub use values::Values;

/// A model version ready to explain rows.
#[derive(Debug)]
pub struct Explainer {
    columns: InputColumns,
    predictor: Predictor,
    output: Output,
    baseline: Values,
}

/// What one column contributes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contribution {
    /// To the score: a probability, or a quantity. Together they are `score - baseline_score`.
    pub score: f64,
    /// To what [`Scorer::margin`] says, where the contributions are exact.
    pub margin: f64,
}

/// Why a row scores as it does.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    pub score: f64,
    pub baseline_score: f64,
    /// One for each column of the recipe.
    pub columns: Vec<Contribution>,
    /// The part of the difference between the scorer's margins that the contributions did not explain. It comes from
    /// the rounding of 32-bit scoring, and from kinks that were ignored in a very large network. It has been shared
    /// among the contributions in proportion to their sizes.
    pub remainder: f64,
}

impl Explainer {
    /// Prepares a version. An artifact that [`Artifact::check`] refuses is an error.
    pub fn new(artifact: Artifact) -> Result<Self, ModelError> {
        artifact.check()?;
        let Artifact { recipe, predictor, output, .. } = artifact;
        Ok(Self { baseline: Values::typical(&recipe), columns: InputColumns::new(recipe), predictor, output })
    }

    /// The typical row, with which the others are compared.
    pub fn baseline(&self) -> &Values {
        &self.baseline
    }

    /// Explains a row; `scorer` is that of the same version. `pause` is called now and then, so that the caller can give up.
    ///
    /// # Panics
    /// If the values or the scorer are another version's.
    pub fn explain(&self, scorer: &Scorer, values: &Values, pause: &mut dyn FnMut()) -> Explanation {
        let (mut row, mut typical) = (values.row(scorer), self.baseline.row(scorer));
        let (from, to) = (scorer.margin(&mut typical), scorer.margin(&mut row));
        let mut margins = self.margins(values, pause);
        let remainder = (to - from) - margins.iter().sum::<f64>();
        share_out(remainder, &mut margins);
        let slope = self.output.slope(from, to);
        Explanation {
            score: scorer.score(&mut row),
            baseline_score: scorer.score(&mut typical),
            columns: margins
                .into_iter()
                .map(|margin| Contribution { score: margin * slope, margin })
                .collect(),
            remainder,
        }
    }

    /// What each column contributes to the margin, in double precision.
    fn margins(&self, values: &Values, pause: &mut dyn FnMut()) -> Vec<f64> {
        let (slope, _) = self.output.line();
        let mut margins = vec![0.0; self.columns.recipe.columns.len()];
        match &self.predictor {
            Predictor::Networks(members) => self.add_networks(members, slope, values, &mut margins, pause),
            Predictor::Forest(forest) => self.add_forest(forest, slope, values, &mut margins, pause),
            Predictor::Blend(blend) => {
                let weights = blend.weights;
                self.add_networks(&blend.networks, slope * weights.networks, values, &mut margins, pause);
                self.add_forest(&blend.forest, slope * weights.forest, values, &mut margins, pause);
            }
            Predictor::Rates(rates) => {
                let key = self.columns.recipe.columns.iter().position(|column| column.input == Input::Key);
                let difference = rates.of(values.key) - rates.of(self.baseline.key);
                key.into_iter().for_each(|key| margins[key] = slope * difference);
            }
        }
        margins
    }

    fn add_networks(
        &self,
        members: &[Network],
        factor: f64,
        values: &Values,
        margins: &mut [f64],
        pause: &mut dyn FnMut(),
    ) {
        let share = factor / members.len() as f64;
        for network in members {
            let from = self.columns.input(&self.baseline, network);
            let to = self.columns.input(values, network);
            let gradients = integrated_gradients(network, &from, &to, pause);
            let columns = self.columns.inputs.iter().zip(gradients);
            columns.for_each(|(column, contribution)| margins[*column] += share * contribution);
        }
    }

    fn add_forest(
        &self,
        forest: &Forest,
        factor: f64,
        values: &Values,
        margins: &mut [f64],
        pause: &mut dyn FnMut(),
    ) {
        let InputColumns { numbers, categories, .. } = &self.columns;
        let players = Players { count: margins.len(), numbers, categories };
        let (row, baseline) = (values.of_forest(), self.baseline.of_forest());
        let shares =
            forest.shapley(0, (&row, &values.codes), (&baseline, &self.baseline.codes), players, pause);
        margins.iter_mut().zip(shares).for_each(|(margin, share)| *margin += factor * share);
    }
}

/// Adds `rest` to the values, to each in proportion to its size.
fn share_out(rest: f64, values: &mut [f64]) {
    let size: f64 = values.iter().map(|value| value.abs()).sum();
    if size > 0.0 && rest.is_finite() {
        values.iter_mut().for_each(|value| *value += rest * (value.abs() / size));
    }
}
