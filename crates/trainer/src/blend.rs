//! Networks and boosted trees together. Their errors differ, so that their sum ranks better than either.

use crate::error::TrainerError;
use crate::evaluate::Trained;
use crate::job::{Fit, Job, Reference};
use model::calibration::softplus;
use model::predictor::{Blend, Weights};
use model::{Predictor, Task};
use std::rc::Rc;

/// Shares of the networks that are tried; the rest is the trees'.
const SHARES: [f64; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/// The blend that is best on the validation rows: by log loss, or by the squared error. The outputs of each part are
/// first brought to calibrated logits, or to the label's units. `None` if the parts are not networks and a forest, or
/// there are no validation rows.
pub fn fit<'a>(networks: &Trained<'a>, forest: &Trained<'a>, job: &'a Job) -> Option<Fit<'a>> {
    let lines = [networks, forest].map(|part| part.artifact.output.line());
    let parts = [networks, forest].map(|part| &part.outputs.validation[..]);
    let (networks, forest) = (&networks.fit, &forest.fit);
    let rows = job.stopping_rows();
    if rows.is_empty() {
        return None;
    }
    let labels = job.table.labels.of(rows);
    let mut best: Option<(f64, Weights)> = None;
    for share in SHARES {
        let weights = weights(share, lines[0], lines[1]);
        let loss = loss(job.task, parts, weights, &labels);
        if best.is_none_or(|(least, _)| loss < least) {
            best = Some((loss, weights));
        }
    }
    best.and_then(|(_, weights)| join(networks, forest, weights))
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

fn weights(share: f64, networks: (f64, f64), forest: (f64, f64)) -> Weights {
    Weights {
        networks: share * networks.0,
        forest: (1.0 - share) * forest.0,
        offset: share * networks.1 + (1.0 - share) * forest.1,
    }
}

/// Mean log loss, or mean squared error of the mean.
fn loss(task: Task, parts: [&[f64]; 2], weights: Weights, labels: &[f64]) -> f64 {
    let width = task.outputs();
    let first = parts[0].chunks_exact(width).zip(parts[1].chunks_exact(width));
    let numbers = first.map(|(networks, forest)| weights.of(networks[0], forest[0])).zip(labels);
    let of = |(number, label): (f64, &f64)| match task {
        Task::Binary => softplus(if *label == 1.0 { -number } else { number }),
        Task::Regression => (number - label).powi(2),
    };
    numbers.map(of).sum::<f64>() / labels.len() as f64
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
