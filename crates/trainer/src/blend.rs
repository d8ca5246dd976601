//! Networks and boosted trees together. Their errors differ, so that their sum ranks better than either.

use crate::cut_offs::Stretch;
use crate::error::TrainerError;
use crate::evaluate::Trained;
use crate::job::{Fit, Job, Reference};
use model::calibration::softplus;
use model::predictor::{Blend, Weights};
use model::{Algorithm, Predictor, Task};
use std::rc::Rc;

/// Shares of the networks that are tried; the rest is the trees'.
const SHARES: [f64; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/// A blend, and what it puts out for the validation rows of each earlier stretch.
pub struct Blended<'a> {
    pub fit: Fit<'a>,
    pub earlier: Vec<Vec<f64>>,
}

/// What networks and a forest put out for the same validation rows.
struct Outputs<'a> {
    parts: [&'a [f64]; 2],
    /// What brings each part to calibrated logits, or to the label's units.
    lines: [(f64, f64); 2],
    labels: Vec<f64>,
}

/// The blend that is best on the validation rows of every cut-off: by log loss, or by the squared error. The outputs of each part
/// are first brought to calibrated logits, or to the label's units. `None` if the parts are not networks and a forest, or
/// there are no validation rows.
pub fn fit<'a>(
    networks: &Trained<'a>,
    forest: &Trained<'a>,
    stretches: &[Stretch],
    job: &'a Job,
) -> Option<Blended<'a>> {
    let rows = job.stopping_rows();
    if rows.is_empty() {
        return None;
    }
    let newest = Outputs {
        parts: [networks, forest].map(|part| &part.outputs.validation[..]),
        lines: [networks, forest].map(|part| part.artifact.output.line()),
        labels: job.table.labels.of(rows),
    };
    let algorithms = [networks, forest].map(|part| part.artifact.algorithm);
    let earlier: Vec<Outputs> =
        stretches.iter().map(|stretch| earlier(stretch, algorithms, job)).collect::<Option<_>>()?;
    let loss = |share| earlier.iter().chain([&newest]).map(|outputs| outputs.loss(share, job.task)).sum();
    let losses: [f64; SHARES.len()] = SHARES.map(loss);
    let best = (0..SHARES.len()).min_by(|a, b| losses[*a].total_cmp(&losses[*b]))?;
    let share = SHARES[best];
    Some(Blended {
        fit: join(&networks.fit, &forest.fit, newest.weights(share))?,
        earlier: earlier.iter().map(|outputs| outputs.blended(share).collect()).collect(),
    })
}

fn earlier<'a>(stretch: &'a Stretch, algorithms: [Algorithm; 2], job: &Job) -> Option<Outputs<'a>> {
    let [networks, forest] = algorithms.map(|algorithm| stretch.of(algorithm));
    let both = [networks?, forest?];
    Some(Outputs {
        parts: both.map(|part| &part.outputs[..]),
        lines: both.map(|part| part.output.line()),
        labels: job.table.labels.of(&stretch.split.validation),
    })
}

/// Networks and a forest with given weights; `None` if the parts are something else.
pub fn join<'a>(networks: &Fit<'a>, forest: &Fit<'a>, weights: Weights) -> Option<Fit<'a>> {
    let (Predictor::Networks(members), Predictor::Forest(trees)) = (&networks.predictor, &forest.predictor)
    else {
        return None;
    };
    Some(Fit {
        recipe: networks.recipe.clone(),
        predictor: Predictor::Blend(Blend { networks: members.clone(), forest: trees.clone(), weights }),
        units: (1.0, 0.0),
        parts: [&networks.parts[..], &forest.parts[..]].concat(),
        parameters: networks.parameters + forest.parameters,
        reference: Rc::new(Both { parts: [networks, forest].map(|fit| Rc::clone(&fit.reference)), weights }),
    })
}

impl Outputs<'_> {
    fn weights(&self, share: f64) -> Weights {
        let [networks, forest] = self.lines;
        Weights {
            networks: share * networks.0,
            forest: (1.0 - share) * forest.0,
            offset: share * networks.1 + (1.0 - share) * forest.1,
        }
    }

    fn blended(&self, share: f64) -> impl Iterator<Item = f64> + '_ {
        let weights = self.weights(share);
        self.parts[0].iter().zip(self.parts[1]).map(move |(networks, forest)| weights.of(*networks, *forest))
    }

    /// Mean log loss, or mean squared error of the mean.
    fn loss(&self, share: f64, task: Task) -> f64 {
        let numbers = self.blended(share).step_by(task.outputs()).zip(&self.labels);
        let of = |(number, label): (f64, &f64)| match task {
            Task::Binary => softplus(if *label == 1.0 { -number } else { number }),
            Task::Regression => (number - label).powi(2),
        };
        numbers.map(of).sum::<f64>() / self.labels.len() as f64
    }
}

/// The weighted sum of both parts' outputs, as their training libraries compute them.
struct Both<'a> {
    parts: [Rc<dyn Reference + 'a>; 2],
    weights: Weights,
}

impl Reference for Both<'_> {
    fn outputs(&self, rows: &[u32]) -> Result<Vec<f64>, TrainerError> {
        let [networks, forest] = &self.parts;
        let (networks, forest) = (networks.outputs(rows)?, forest.outputs(rows)?);
        Ok(networks.iter().zip(forest).map(|(networks, forest)| self.weights.of(*networks, forest)).collect())
    }
}
