//! Permutation importance: how much worse a model's metric becomes when a column's values are shuffled among the rows
//! (Breiman 2001, Fisher et al. 2019).

use crate::error::TrainerError;
use crate::evaluate::{Raw, Served};
use crate::job::Job;
use crate::prepare::RawColumns;
use crate::rows::block::Block;
use model::params::Metric;
use model::protocol::Importance;
use model::{Artifact, Scorer, Task};
use rand::seq::SliceRandom;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Rows that are scored at most, over all columns.
const MOST_SCORED: usize = 2_000_000;
/// Fewest and most rows that are scored for one column.
const ROWS: std::ops::RangeInclusive<usize> = 500..=20_000;

/// How much the metric loses without each column, the largest loss first, on a sample of the validation rows. Empty if
/// the metric is not defined on them.
pub fn importance(artifact: &Artifact, job: &Job) -> Result<Vec<Importance>, TrainerError> {
    let columns = &artifact.recipe.columns;
    let mut random = ChaCha8Rng::seed_from_u64(job.params.seed);
    let all = job.stopping_rows();
    let wanted = (MOST_SCORED / columns.len()).clamp(*ROWS.start(), *ROWS.end()).min(all.len());
    let mut rows = all.to_vec();
    rows.shuffle(&mut random);
    rows.truncate(wanted);
    if job.table.stored.is_some() {
        rows.sort_unstable();
    }
    let scorer = Scorer::new(artifact)?;
    job.table.block(&rows, |block| losses(&scorer, job, block, &mut random))
}

/// The losses on the rows of a block.
fn losses(scorer: &Scorer, job: &Job, block: &Block, random: &mut ChaCha8Rng) -> Vec<Importance> {
    let metric = metric(job);
    let source = RawColumns::new(scorer.recipe(), job.table, block);
    let mut raw = Raw { scorer, row: scorer.row() };
    let mut value = |shuffled: Option<(usize, &[usize])>| {
        let score = |n: usize| {
            source.raw_row(n, &mut raw);
            if let Some((column, others)) = shuffled {
                source.raw_value(column, others[n], &mut raw);
            }
            scorer.score(&mut raw.row)
        };
        let scores = (0..block.rows.len()).map(score).collect();
        let quality = Served { scores, quantiles: None }.quality(job, block.rows)?;
        quality.value(metric).map(|value| if metric.is_gain() { value } else { -value })
    };
    let Some(whole) = value(None) else { return Vec::new() };
    let mut losses = Vec::new();
    for (n, column) in scorer.recipe().columns.iter().enumerate() {
        let mut others: Vec<usize> = (0..block.rows.len()).collect();
        others.shuffle(random);
        let loss = value(Some((n, &others))).map_or(0.0, |value| whole - value);
        losses.push(Importance { column: column.name.clone(), loss });
    }
    losses.sort_by(|a, b| b.loss.total_cmp(&a.loss));
    losses
}

/// The metric that was asked for, if single numbers and a part of the rows can be judged by it: the best of a part of a list
/// are not those of the list.
fn metric(job: &Job) -> Metric {
    match (job.params.metric, job.task) {
        (Some(Metric::PrecisionAtK), _) => Metric::AveragePrecision,
        (Some(metric), _) if metric != Metric::Pinball => metric,
        (_, Task::Binary) => Metric::Auroc,
        (_, Task::Regression) => Metric::Rmse,
    }
}
