//! The networks of one algorithm.

use super::examples::Examples;
use super::net::{Net, Shape};
use super::on_device::stream_outputs;
use super::plan::TrainingPlan;
use super::room::fits_whole;
use super::train::{train, Epoch, Validation};
use crate::error::TrainerError;
use crate::job::{Fit, Job, Part, Reference};
use crate::prepare::Encoder;
use crate::report::Reporter;
use crate::rows::lists::Lists;
use model::params::Metric;
use model::protocol::Event;
use model::{Algorithm, Network, Predictor, Task};
use std::io::Write;
use std::rc::Rc;

/// Trains as many networks as are to be averaged.
pub fn fit<'a, W: Write>(
    algorithm: Algorithm,
    job: &'a Job,
    reporter: &mut Reporter<W>,
) -> Result<Fit<'a>, TrainerError> {
    let Job { table, split, encoder, params, device, .. } = *job;
    let labels = &table.labels;
    let units = job.units;
    let shape = shape(algorithm, job);
    let whole = fits_whole(job, &shape)?;
    if !whole && job.refit.is_none() {
        reporter.warn(format!(
            "{algorithm}: the rows do not fit into memory (reco.max_training_memory) and are prepared anew in every epoch."
        ))?;
    }
    let training = Examples::new(job, &split.train, units, whole)?;
    let held_out = job.stopping_rows();
    let validation = Examples::new(job, held_out, units, whole)?;
    let targets: Vec<f64> = labels.of(held_out).into_iter().map(|label| units.of(label)).collect();
    let lists = (params.metric == Some(Metric::PrecisionAtK)).then(|| Lists::of(table, held_out, params.k));
    let positives =
        (job.task == Task::Binary && params.negative_share < 1.0).then(|| labels.positive(&split.train));
    let mut nets = Vec::new();
    let before = job.before(algorithm).map(|part| &part.lengths[..]);
    let all_epochs = before.map_or(params.epochs * params.members as u32, |lengths| lengths.iter().sum());
    let (mut lengths, mut told) = (Vec::new(), 0);
    for member in 0..params.members {
        let seed = params.seed.wrapping_add(member as u64);
        let mut net = Net::new(&encoder.recipe, &shape, seed, device)?;
        let plan = TrainingPlan {
            task: job.task,
            params,
            epochs: before.map_or(params.epochs, |lengths| lengths[member]),
            learning_rate: params.learning_rate(algorithm),
            batch_size: params.batch_size.unwrap_or(job.defaults.batch_size),
            dropout: params.dropout.unwrap_or(job.defaults.dropout),
            patience: params.patience.unwrap_or(job.defaults.patience),
            seed,
            threads: job.threads,
            deadline: job.deadline,
            positives: positives.as_deref(),
            l1: if algorithm == Algorithm::Logistic { params.l1 } else { 0.0 },
        };
        let mut tell = |epoch: Epoch| {
            reporter.send(&Event::Epoch {
                algorithm,
                epoch: told + epoch.number,
                epochs: all_epochs,
                train_loss: epoch.train_loss,
                validation_loss: epoch.validation_loss,
                validation_auroc: epoch.validation_auroc,
                seconds: epoch.seconds,
                refit: before.is_some(),
            })
        };
        let validation = (!held_out.is_empty()).then_some(Validation {
            examples: &validation,
            targets: &targets,
            lists: lists.as_ref(),
        });
        lengths.push(train(&mut net, &training, validation, &plan, &mut tell)?);
        told += plan.epochs;
        net.alias_unseen_nulls(&encoder.null_seen)?;
        nets.push(net);
    }
    let networks = nets.iter().map(Net::export).collect::<Result<Vec<Network>, _>>()?;
    Ok(Fit {
        recipe: encoder.recipe.clone(),
        predictor: Predictor::Networks(networks),
        units: (units.scale, units.mean),
        parts: vec![Part { algorithm, lengths, leaves: None }],
        parameters: nets.iter().map(Net::parameters).sum(),
        mix: None,
        reference: Rc::new(Networks { nets, encoder }),
    })
}

/// The shape of the networks of an algorithm.
pub fn shape(algorithm: Algorithm, job: &Job) -> Shape {
    let params = job.params;
    let (crosses, hidden) = match algorithm {
        Algorithm::DeepCross => (params.crosses, params.hidden.clone()),
        Algorithm::Mlp => (0, params.hidden.clone()),
        _ => (0, Vec::new()),
    };
    Shape {
        crosses,
        rank: params.cross_rank,
        hidden,
        batch_norm: params.batch_norm,
        outputs: job.task.outputs(),
        training_rows: job.defaults.training_rows,
    }
}

/// libtorch's own outputs.
struct Networks<'a> {
    nets: Vec<Net>,
    encoder: &'a Encoder<'a>,
}

impl Reference for Networks<'_> {
    fn outputs(&self, rows: &[u32]) -> Result<Vec<f64>, TrainerError> {
        let mut mean: Vec<f64> = Vec::new();
        let share = 1.0 / self.nets.len() as f64;
        for net in &self.nets {
            let outputs = stream_outputs(net, self.encoder, rows)?;
            mean.resize(outputs.len(), 0.0);
            mean.iter_mut().zip(outputs).for_each(|(mean, output)| *mean += share * output);
        }
        Ok(mean)
    }
}
