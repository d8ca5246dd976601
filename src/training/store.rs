//! Stores the result of a training as a version.

use super::attempt::{Outcome, Trained};
use super::request::Request;
use crate::catalog::write::{store_version, NewVersion, StoredVersion};
use crate::error::Error;
use model::params::Metric;
use model::protocol::Evaluation;
use model::{Artifact, Params, Quality, Task};
use serde_json::json;
use std::time::Instant;

/// Stores the artifact with all that is known about it. `params` are the parameters that it was trained with, and `began`
/// is the moment at which the procedure was called.
pub fn store(
    request: &Request,
    params: &Params,
    trained: &Trained,
    began: Instant,
) -> Result<StoredVersion, Error> {
    let bytes = trained.artifact();
    // The artifact is parsed first, so that nothing is stored that could not score. The parsed weights are freed before the
    // bytes are stored.
    let Artifact { algorithm, recipe, .. } = Artifact::from_pieces(bytes)?;
    let outcome = &trained.outcome;
    let metrics = json!({
        "validation": outcome.validation, "test": outcome.test, "by": outcome.by,
        "best_epoch": outcome.best_epoch, "parity": outcome.parity, "importance": outcome.importance,
        "cut_offs": outcome.cut_offs_of(algorithm),
    });
    let mut data = serde_json::to_value(outcome.data.clone().unwrap_or_default())?;
    data["definition"] = json!(request.definition);
    data["refit_rows"] = json!(outcome.refit_rows);
    data["defaults"] = json!(outcome.defaults);
    trained.run.add_cut_offs(&outcome.cut_offs)?;
    store_version(&NewVersion {
        model: &request.spec.model,
        action: "trained",
        run_id: Some(trained.run.id),
        algorithm: algorithm.name(),
        source: Some(&request.version_source()),
        keys: &request.keys,
        time_column: request.time_column.as_deref(),
        label: Some(&request.label),
        parameters: serde_json::to_string(params)?,
        recipe: serde_json::to_string(&recipe)?,
        metrics: metrics.to_string(),
        data: data.to_string(),
        libraries: outcome.libraries.to_string(),
        seconds: began.elapsed().as_secs_f64(),
        artifact: bytes,
        measured: trained.measured(),
        profiles: &outcome.profiles,
        promote: request.promote,
    })
}

/// Tells the client how good the version is.
pub fn announce(request: &Request, outcome: &Outcome, stored: &StoredVersion, began: Instant) {
    let model = &request.spec.model;
    let measured = |evaluation: &Evaluation| {
        let metric = if evaluation.model.task() == Task::Binary { Metric::Auroc } else { Metric::Rmse };
        let shown = |quality: &Quality| {
            quality.value(metric).map_or("none".to_owned(), |value| format!("{value:.3}"))
        };
        let (ours, baseline) = (shown(&evaluation.model), shown(&evaluation.popularity));
        format!(", test {} {ours} (popularity: {baseline})", metric.name())
    };
    if let Some(data) = outcome.data.as_ref().filter(|data| data.unlabelled > 0) {
        say!("{model}: {} of {} rows have no label and were not used", data.unlabelled, data.rows);
    }
    let test = outcome.test.as_ref().map_or(String::new(), measured);
    let champion = if stored.champion { ", champion" } else { "" };
    let seconds = began.elapsed().as_secs_f64();
    let best = match request.spec.algorithms.len() {
        1 => String::new(),
        _ => outcome.algorithm.map_or(String::new(), |algorithm| format!(", {algorithm}")),
    };
    say!("{model}: version {}{best} trained in {seconds:.1} s{test}{champion}", stored.version);
}
