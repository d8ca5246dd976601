//! Networks and boosted trees together. Their errors differ, so that their weighted sum ranks better than any of them.

use crate::cut_offs::Stretch;
use crate::error::TrainerError;
use crate::evaluate::Trained;
use crate::job::{Fit, Job, Reference};
use crate::mix::Mix;
use model::calibration::{softplus, Platt};
use model::predictor::{Blend, Weights};
use model::{Algorithm, Network, Output, Predictor, Task};
use std::rc::Rc;

/// Each part has as many of so many shares as it was taken times.
const SHARES: usize = 20;

/// A blend, and what it puts out for the validation rows of each earlier stretch.
pub struct Blended<'a> {
    pub fit: Fit<'a>,
    pub earlier: Vec<Vec<f64>>,
    /// How long its parts took to learn.
    pub seconds: f64,
}

/// What all parts put out for the same validation rows.
struct Outputs<'a> {
    parts: Vec<&'a [f64]>,
    /// What brings each part to calibrated logits, or to the label's units.
    lines: Vec<(f64, f64)>,
    labels: Vec<f64>,
}

/// The blend of networks and a forest that is best on the validation rows of every cut-off: by log loss, or by the squared error of
/// the mean. The outputs of each part are first brought to calibrated logits, or to the label's units. Networks of a quantity that do not
/// help are left out, but never the first. `None` if the parts are not networks and a forest, or there are no validation rows.
pub fn fit<'a>(
    networks: &[&Trained<'a>],
    forest: &Trained<'a>,
    stretches: &[Stretch],
    job: &'a Job,
) -> Option<Blended<'a>> {
    let rows = job.stopping_rows();
    if rows.is_empty() || networks.is_empty() {
        return None;
    }
    let parts: Vec<&Trained> = networks.iter().chain([&forest]).copied().collect();
    let of_newest = parts.iter().map(|part| (&part.outputs.validation[..], &part.artifact.output));
    let newest = Outputs::new(of_newest, job.table.labels.of(rows));
    let algorithms: Vec<Algorithm> = parts.iter().map(|part| part.artifact.algorithm).collect();
    let mut all: Vec<Outputs> =
        stretches.iter().map(|stretch| earlier(stretch, &algorithms, job)).collect::<Option<_>>()?;
    all.push(newest);
    let shares = select(&all, job.task);
    let newest = all.pop()?;
    let taken: Vec<usize> = (0..parts.len()).filter(|part| shares[*part] > 0.0).collect();
    let fits: Vec<&Fit> = taken.iter().map(|part| &parts[*part].fit).collect();
    let mix = newest.mix(&shares);
    let factors = taken.iter().map(|part| mix.factors[*part]).collect();
    Some(Blended {
        fit: join(&fits, &Mix { factors, ..mix })?,
        earlier: all.iter().map(|outputs| outputs.mix(&shares).of(&outputs.parts)).collect(),
        seconds: taken.iter().map(|part| parts[*part].seconds).sum(),
    })
}

fn earlier<'a>(stretch: &'a Stretch, algorithms: &[Algorithm], job: &Job) -> Option<Outputs<'a>> {
    let parts: Vec<_> = algorithms.iter().map(|algorithm| stretch.of(*algorithm)).collect::<Option<_>>()?;
    let of_stretch = parts.iter().map(|part| (&part.outputs[..], &part.output));
    Some(Outputs::new(of_stretch, job.table.labels.of(&stretch.split.validation)))
}

/// The share of each part, by ensemble selection (Caruana et al. 2004): some parts are taken once, and then, until all shares are dealt
/// out, always the part with which all that was taken has the least loss. Of a probability all parts are taken first: what the weeks
/// to come will be like is not known from the validation weeks alone, and a part that these do not favour does little harm. Of a
/// quantity it would, as one part can be far off: the first network and the forest, which is the last, are taken.
fn select(all: &[Outputs], task: Task) -> Vec<f64> {
    let parts = all[0].parts.len();
    let first = match task {
        Task::Binary => (0..parts).collect(),
        Task::Regression => vec![0, parts - 1],
    };
    let mut sums: Vec<Sum> = all.iter().map(|outputs| Sum::new(outputs, task)).collect();
    let mut times = vec![0_usize; parts];
    for taken in 0..SHARES {
        let loss = |part: usize| sums.iter().map(|sum| sum.loss_with(part, taken + 1, task)).sum::<f64>();
        let next = first.get(taken).copied().unwrap_or_else(|| {
            let losses: Vec<f64> = (0..parts).map(loss).collect();
            (0..parts).min_by(|a, b| losses[*a].total_cmp(&losses[*b])).unwrap_or(0)
        });
        times[next] += 1;
        sums.iter_mut().for_each(|sum| sum.take(next));
    }
    times.into_iter().map(|times| times as f64 / SHARES as f64).collect()
}

/// The first outputs of the parts, calibrated, and the sum of those that were taken.
struct Sum<'a> {
    parts: Vec<Vec<f64>>,
    labels: &'a [f64],
    sum: Vec<f64>,
}

impl<'a> Sum<'a> {
    fn new(outputs: &'a Outputs, task: Task) -> Self {
        let calibrated = |(part, (slope, offset)): (&&[f64], &(f64, f64))| {
            part.iter().step_by(task.outputs()).map(|output| slope * output + offset).collect()
        };
        Self {
            parts: outputs.parts.iter().zip(&outputs.lines).map(calibrated).collect(),
            labels: &outputs.labels,
            sum: vec![0.0; outputs.labels.len()],
        }
    }

    /// The mean log loss, or the mean squared error, of what was taken and one part more, `times` in all.
    fn loss_with(&self, part: usize, times: usize, task: Task) -> f64 {
        let share = 1.0 / times as f64;
        let rows = self.sum.iter().zip(&self.parts[part]).zip(self.labels);
        let loss = |((sum, part), label): ((&f64, &f64), &f64)| {
            let number = share * (sum + part);
            match task {
                Task::Binary => softplus(if *label == 1.0 { -number } else { number }),
                Task::Regression => (number - label).powi(2),
            }
        };
        rows.map(loss).sum::<f64>() / self.labels.len() as f64
    }

    fn take(&mut self, part: usize) {
        self.sum.iter_mut().zip(&self.parts[part]).for_each(|(sum, part)| *sum += part);
    }
}

impl<'a> Outputs<'a> {
    fn new(parts: impl Iterator<Item = (&'a [f64], &'a Output)>, labels: Vec<f64>) -> Self {
        let (outputs, lines) =
            parts.map(|(outputs, output)| (outputs, line(output, outputs, &labels))).unzip();
        Self { parts: outputs, lines, labels }
    }

    fn mix(&self, shares: &[f64]) -> Mix {
        let parts = shares.iter().zip(&self.lines);
        Mix {
            factors: parts.clone().map(|(share, (slope, _))| share * slope).collect(),
            offset: parts.map(|(share, (_, offset))| share * offset).sum(),
        }
    }
}

/// What brings outputs to calibrated logits, or to the label's units. Steps are no line: Platt's takes their place.
fn line(output: &Output, outputs: &[f64], labels: &[f64]) -> (f64, f64) {
    match output {
        Output::Isotonic(_) => {
            let labels: Vec<bool> = labels.iter().map(|label| *label == 1.0).collect();
            Output::Platt(Platt::fit(outputs, &labels)).line()
        }
        _ => output.line(),
    }
}

/// Networks and a forest, which is the last, mixed; `None` if the parts are something else.
pub fn join<'a>(parts: &[&Fit<'a>], mix: &Mix) -> Option<Fit<'a>> {
    let (forest, networks) = parts.split_last()?;
    let (of_forest, of_networks) = mix.factors.split_last()?;
    let Predictor::Forest(trees) = &forest.predictor else { return None };
    let (members, of_members) = members(networks, of_networks)?;
    let weights = Weights { networks: of_members, forest: *of_forest, offset: mix.offset };
    Some(Fit {
        recipe: forest.recipe.clone(),
        predictor: Predictor::Blend(Blend { networks: members, forest: trees.clone(), weights }),
        units: (1.0, 0.0),
        parts: parts.iter().flat_map(|fit| fit.parts.clone()).collect(),
        mix: Some(mix.clone()),
        parameters: parts.iter().map(|fit| fit.parameters).sum(),
        reference: Rc::new(Mixed {
            parts: parts.iter().map(|fit| Rc::clone(&fit.reference)).collect(),
            mix: mix.clone(),
        }),
    })
}

/// The networks of all parts, and what the mean of their outputs is multiplied by. What each part has of it is folded into its last
/// layers.
fn members(parts: &[&Fit], factors: &[f64]) -> Option<(Vec<Network>, f64)> {
    let of_part = |fit: &&Fit| match &fit.predictor {
        Predictor::Networks(members) => Some(members.clone()),
        _ => None,
    };
    let mut parts: Vec<Vec<Network>> = parts.iter().map(of_part).collect::<Option<_>>()?;
    if let ([only], [factor]) = (&mut parts[..], factors) {
        return Some((std::mem::take(only), *factor));
    }
    let all: usize = parts.iter().map(Vec::len).sum();
    for (part, factor) in parts.iter_mut().zip(factors) {
        let factor = factor * all as f64 / part.len() as f64;
        part.iter_mut().for_each(|network| network.scale(factor));
    }
    (all > 0).then(|| (parts.concat(), 1.0))
}

/// The mixed outputs of the parts, as their training libraries compute them.
struct Mixed<'a> {
    parts: Vec<Rc<dyn Reference + 'a>>,
    mix: Mix,
}

impl Reference for Mixed<'_> {
    fn outputs(&self, rows: &[u32]) -> Result<Vec<f64>, TrainerError> {
        let parts = self.parts.iter().map(|part| part.outputs(rows)).collect::<Result<Vec<_>, _>>()?;
        Ok(self.mix.of(&parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shares of parts whose outputs are calibrated, on one stretch.
    fn shares(parts: &[&[f64]], labels: &[f64], task: Task) -> Vec<f64> {
        let lines = vec![(1.0, 0.0); parts.len()];
        select(&[Outputs { parts: parts.to_vec(), lines, labels: labels.to_vec() }], task)
    }

    #[test]
    fn parts_whose_errors_cancel_out_share_and_one_that_does_not_help_has_nothing() {
        let labels: Vec<f64> = (0..100).map(f64::from).collect();
        let off = |by: f64| -> Vec<f64> {
            labels.iter().flat_map(|label| [label + by * (label % 7.0 - 3.0), 0.0, 0.0, 0.0]).collect()
        };
        let (above, below, far) = (off(1.0), off(-1.0), off(9.0));
        assert_eq!(shares(&[&above, &far, &below], &labels, Task::Regression), [0.5, 0.0, 0.5]);
        // A network that is three times as far off has a third of what the forest has.
        assert_eq!(shares(&[&off(3.0), &below], &labels, Task::Regression), [0.25, 0.75]);
    }

    #[test]
    fn of_a_probability_all_parts_have_a_share_however_bad_they_are() {
        let labels = [1.0, 0.0, 1.0, 0.0];
        let (right, wrong) = ([4.0, -4.0, 4.0, -4.0], [-4.0, 4.0, -4.0, 4.0]);
        let shares = shares(&[&wrong, &right, &wrong], &labels, Task::Binary);
        assert_eq!(shares, [0.05, 0.9, 0.05]);
    }

    #[test]
    fn a_mix_is_of_calibrated_outputs() {
        let outputs = Outputs {
            parts: vec![&[1.0, 2.0], &[10.0, 20.0]],
            lines: vec![(2.0, 1.0), (0.5, -1.0)],
            labels: vec![0.0, 1.0],
        };
        let mix = outputs.mix(&[0.25, 0.75]);
        // 0.25 · (2 · 1 + 1) + 0.75 · (0.5 · 10 − 1), and so on.
        assert_eq!(mix.of(&outputs.parts), [3.75, 8.0]);
    }

    #[test]
    fn a_part_that_is_calibrated_by_steps_is_mixed_by_a_line() {
        let logits: Vec<f64> = (0..1000).map(|row| f64::from(row % 40) / 10.0 - 2.0).collect();
        let labels: Vec<f64> = (0..1000).map(|row| f64::from(u8::from(row % 40 >= 10))).collect();
        let steps = Output::Isotonic(model::isotonic::Isotonic { points: vec![(-1.0, 0.1), (1.0, 0.9)] });
        let (slope, offset) = line(&steps, &logits, &labels);
        assert!(slope > 1.0 && offset > 1.0, "{slope} {offset}");
        assert_eq!(line(&Output::Platt(Platt { slope: 2.0, offset: 0.5 }), &logits, &labels), (2.0, 0.5));
    }
}
