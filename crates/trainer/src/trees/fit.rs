//! The algorithm: a forest from the parameters of a training.

use super::{grow_forest, matrix, Fitted, Goal, Grown, Round, TreeParams, TreeRows};
use crate::error::TrainerError;
use crate::job::{Fit, Job, Part, Reference};
use crate::memory;
use crate::prepare::TreeInput;
use crate::report::Reporter;
use hessboost::config::Monotone;
use model::algorithm::QUANTILES;
use model::protocol::Event;
use model::recipe::Column;
use model::{Algorithm, Params, Predictor, Task};
use std::io::Write;
use std::rc::Rc;
use std::time::Instant;

/// Rows that hessboost scores at a time.
const BLOCK: usize = 65_536;

/// Grows the trees of each output. Where the caller says nothing of their size, trees of several sizes are grown for the first
/// output, and those of the least validation loss are kept. When the time is up, the trees grown so far are kept.
pub fn fit<'a, W: Write>(job: &'a Job, reporter: &mut Reporter<W>) -> Result<Fit<'a>, TrainerError> {
    let columns = columns(job)?;
    let targets = |rows: &[u32]| job.table.labels.of(rows);
    let (train_targets, held_out) = (targets(&job.split.train), job.stopping_rows());
    let held_out_targets = targets(held_out);
    let training = TreeRows { rows: &job.split.train, targets: &train_targets, weights: None };
    let validation = TreeRows { rows: held_out, targets: &held_out_targets, weights: None };
    let validation = Some(&validation).filter(|part| !part.rows.is_empty());
    let goals = goals(job.task);
    let sizes = sizes(job, validation.is_some());
    let mut progress = Progress::new(job, sizes.len());
    let mut grow = |leaves: usize, goals: &[Goal]| {
        let params = TreeParams { leaves, ..tree_params(job) };
        let mut on_round = |round: Round| {
            reporter.send(&progress.of(round))?;
            Ok(job.deadline.is_none_or(|deadline| Instant::now() < deadline))
        };
        let fitted = grow_forest(&columns, &training, validation, goals, &params, &mut on_round);
        progress.end(goals.len());
        fitted
    };
    let (leaves, Fitted { forest, best_rounds, grown }) = match sizes[..] {
        [leaves] => (leaves, grow(leaves, &goals)?),
        _ => {
            let (leaves, fitted) = best_size(&sizes, job, |leaves| grow(leaves, &goals[..1]))?;
            (leaves, if goals.len() > 1 { grow(leaves, &goals)? } else { fitted })
        }
    };
    Ok(Fit {
        recipe: job.encoder.recipe.clone(),
        units: (1.0, 0.0),
        parts: vec![Part { algorithm: Algorithm::BoostedTrees, lengths: best_rounds, leaves: Some(leaves) }],
        parameters: forest.leaf_count(),
        predictor: Predictor::Forest(forest),
        mix: None,
        reference: Rc::new(Trees { grown, columns }),
    })
}

/// The most leaves of a tree: one number, or several to choose from.
fn sizes(job: &Job, has_validation: bool) -> Vec<usize> {
    let given = job.before(Algorithm::BoostedTrees).and_then(|part| part.leaves).or(job.params.leaves);
    match given {
        Some(leaves) => vec![leaves],
        None if has_validation => job.defaults.sizes().to_vec(),
        None => vec![job.defaults.leaves],
    }
}

/// The size whose trees have the least validation loss, and these trees; the first of equal ones.
fn best_size(
    sizes: &[usize],
    job: &Job,
    mut grow: impl FnMut(usize) -> Result<Fitted, TrainerError>,
) -> Result<(usize, Fitted), TrainerError> {
    let loss = |fitted: &Fitted| fitted.grown[0].loss().unwrap_or(f64::INFINITY);
    let mut best: Option<(usize, Fitted)> = None;
    for leaves in sizes {
        let fitted = grow(*leaves)?;
        if best.as_ref().is_none_or(|(_, least)| loss(&fitted) < loss(least)) {
            best = Some((*leaves, fitted));
        }
        if job.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            break;
        }
    }
    best.ok_or_else(|| TrainerError::internal("no trees were grown"))
}

/// Bytes of a value while trees are grown: once in the matrix, once sorted into bins.
const VALUE: u64 = 4 + 4;
/// Bytes of a row besides its values: label, gradient, curvature, margin, its place in the tree.
const ROW: u64 = 6 * 4;

/// The columns, if they and the matrix fit into memory: trees look at all rows at once.
fn columns<'a>(job: &'a Job) -> Result<Vec<TreeInput<'a>>, TrainerError> {
    let columns =
        job.encoder.columns().ok_or_else(|| job.table.must_be_in_memory(Algorithm::BoostedTrees))?;
    let rows = (job.split.train.len() + job.stopping_rows().len()) as u64;
    let needed = rows * (columns.len() as u64 * VALUE + ROW);
    memory::check("boosted_trees", needed, "Networks can be trained on more rows than fit into memory.")?;
    Ok(columns)
}

fn goals(task: Task) -> Vec<Goal> {
    match task {
        Task::Binary => vec![Goal::Binary],
        Task::Regression => [Goal::Mean].into_iter().chain(QUANTILES.map(Goal::Quantile)).collect(),
    }
}

fn tree_params(job: &Job) -> TreeParams {
    let (params, defaults) = (job.params, &job.defaults);
    TreeParams {
        trees: params.trees.unwrap_or(defaults.trees) as u32,
        lengths: job.before(Algorithm::BoostedTrees).map(|part| part.lengths.clone()),
        leaves: defaults.leaves,
        learning_rate: params.learning_rate(Algorithm::BoostedTrees),
        min_leaf_rows: params.min_leaf_rows.unwrap_or(defaults.min_leaf_rows) as f64,
        l2: params.leaf_l2,
        row_sample: params.row_share,
        column_sample: params.column_share.unwrap_or(defaults.column_share),
        bins: params.bins,
        directions: directions(job),
        patience: params.patience.unwrap_or(defaults.tree_patience),
        class_weight: params.class_weight,
        seed: params.seed,
        threads: job.threads,
    }
}

/// Of each column that trees read, numbers first.
fn directions(job: &Job) -> Vec<Monotone> {
    let Params { increasing, decreasing, .. } = job.params;
    if increasing.is_empty() && decreasing.is_empty() {
        return Vec::new();
    }
    let recipe = &job.encoder.recipe;
    let of = |column: &Column| match (increasing.contains(&column.name), decreasing.contains(&column.name)) {
        (true, _) => Monotone::Increasing,
        (_, true) => Monotone::Decreasing,
        _ => Monotone::None,
    };
    let numbers = recipe.columns.iter().flat_map(|column| vec![of(column); column.numbers()]);
    numbers.chain(recipe.categories().iter().map(|_| Monotone::None)).collect()
}

/// What is told of each tree. The trees of all sizes and outputs are numbered one after the other.
struct Progress {
    /// Most trees of each output.
    most: Vec<u32>,
    /// Most trees of the forests grown so far, and of all.
    before: u32,
    all: u32,
    refit: bool,
    began: Instant,
}

impl Progress {
    fn new(job: &Job, sizes: usize) -> Self {
        let params = tree_params(job);
        let most: Vec<u32> = (0..goals(job.task).len()).map(|output| params.most(output)).collect();
        // Of several sizes the first output is grown for each, and then all outputs of a quantity.
        let all = match (sizes, most.len()) {
            (1, _) => most.iter().sum(),
            (_, 1) => most[0] * sizes as u32,
            _ => most[0] * sizes as u32 + most.iter().sum::<u32>(),
        };
        Self { most, before: 0, all, refit: job.refit.is_some(), began: Instant::now() }
    }

    fn of(&mut self, round: Round) -> Event {
        let seconds = self.began.elapsed().as_secs_f64();
        self.began = Instant::now();
        Event::Epoch {
            algorithm: Algorithm::BoostedTrees,
            epoch: self.before + self.most[..round.output].iter().sum::<u32>() + round.round,
            epochs: self.all,
            train_loss: round.train_loss,
            validation_loss: round.validation_loss,
            validation_auroc: round.validation_auroc,
            seconds,
            refit: self.refit,
        }
    }

    /// The trees of so many outputs are grown.
    fn end(&mut self, outputs: usize) {
        self.before += self.most[..outputs].iter().sum::<u32>();
    }
}

/// The reference: hessboost's own estimates.
struct Trees<'a> {
    grown: Vec<Grown>,
    columns: Vec<TreeInput<'a>>,
}

impl Reference for Trees<'_> {
    fn outputs(&self, rows: &[u32]) -> Result<Vec<f64>, TrainerError> {
        let mut all = Vec::with_capacity(rows.len() * self.grown.len());
        for block in rows.chunks(BLOCK) {
            let matrix = matrix::build(&self.columns, block)?;
            let outputs =
                self.grown.iter().map(|grown| grown.estimates(&matrix)).collect::<Result<Vec<_>, _>>()?;
            all.extend((0..block.len()).flat_map(|row| outputs.iter().map(move |output| output[row])));
        }
        Ok(all)
    }
}
