//! What each algorithm learns from the training rows.

use crate::error::TrainerError;
use crate::job::{Fit, Job};
use crate::report::Reporter;
use crate::{network, popularity, trees};
use model::Algorithm;
use std::io::Write;

/// Trains one algorithm on the training rows.
pub fn learn<'a, W: Write>(
    algorithm: Algorithm,
    job: &'a Job,
    reporter: &mut Reporter<W>,
) -> Result<Fit<'a>, TrainerError> {
    match algorithm {
        Algorithm::Popularity => popularity::fit(job),
        Algorithm::BoostedTrees => trees::fit(job, reporter),
        Algorithm::Logistic | Algorithm::Mlp | Algorithm::DeepCross => network::fit(algorithm, job, reporter),
        Algorithm::Blend => Err(TrainerError::internal("a blend is made of what others have learned")),
    }
}
