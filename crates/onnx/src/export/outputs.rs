//! From what a predictor puts out to the score and the quantiles.

use super::graph::{int, Graph, Value};
use super::lines::broken_lines;
use super::ExportError;
use model::algorithm::QUANTILES;
use model::calibration::Platt;
use model::isotonic::Isotonic;
use model::output::Shifts;
use model::predictor::Blend;
use model::{Artifact, Output, Predictor, Task};

/// Adds the outputs. `numbers` is what the predictor puts out, shape `(rows, outputs)`.
pub fn write(artifact: &Artifact, numbers: &Value, graph: &mut Graph) -> Result<(), ExportError> {
    let (slope, offset) = artifact.output.line();
    let slope = graph.scalar("line/slope", slope)?;
    let offset = graph.scalar("line/offset", offset)?;
    let sloped = graph.node("Mul", "line/sloped", &[numbers, &slope], vec![]);
    let lined = graph.node("Add", "line", &[&sloped, &offset], vec![]);
    let overflow = match has_crosses(&artifact.predictor) {
        true => Some(overflow(numbers, graph)?),
        false => None,
    };
    let finished = match &artifact.output {
        Output::Platt(Platt { .. }) => graph.node("Sigmoid", "probability", &[&lined], vec![]),
        Output::Isotonic(isotonic) => calibrated(isotonic, &lined, graph)?,
        Output::Quantity { least, .. } => at_least("quantity", &lined, *least, graph)?,
        Output::Probability => {
            let (least, most) =
                (graph.scalar("probability/least", 0.0)?, graph.scalar("probability/most", 1.0)?);
            graph.node("Clip", "probability", &[&lined, &least, &most], vec![])
        }
        Output::Mean => lined,
    };
    let told = match overflow {
        Some(overflow) => graph.node("Add", "told", &[&finished, &overflow], vec![]),
        None => finished,
    };
    let Output::Quantity { least, shifts, .. } = &artifact.output else {
        let score = one_column("scores", &told, 0, graph)?;
        let meaning = match artifact.task() {
            Task::Binary => "the calibrated probability",
            Task::Regression => "the mean of the quantity",
        };
        graph.output("score", None, &score, meaning);
        return Ok(());
    };
    let mean = one_column("mean", &told, 0, graph)?;
    graph.output("score", None, &mean, "the mean of the quantity");
    let quantiles = quantiles(&told, *least, shifts, graph)?;
    graph.output(
        "quantiles",
        Some(QUANTILES.len()),
        &quantiles,
        "the 10 %, 50 % and 90 % quantiles of the quantity",
    );
    Ok(())
}

/// Sums of cross layers alone can leave the range of floats.
fn has_crosses(predictor: &Predictor) -> bool {
    match predictor {
        Predictor::Networks(networks) | Predictor::Blend(Blend { networks, .. }) => {
            networks.iter().any(|network| !network.crosses.is_empty())
        }
        Predictor::Forest(_) | Predictor::Rates(_) => false,
    }
}

/// 0 where a number is finite, NaN where it is not.
fn overflow(numbers: &Value, graph: &mut Graph) -> Result<Value, ExportError> {
    let zero = graph.scalar("overflow/zero", 0.0_f64)?;
    Ok(graph.node("Mul", "overflow", &[numbers, &zero], vec![]))
}

/// Values none of which is below the least.
fn at_least(name: &str, values: &Value, least: Option<f64>, graph: &mut Graph) -> Result<Value, ExportError> {
    let Some(least) = least else { return Ok(values.clone()) };
    let least = graph.scalar(&format!("{name}/least"), least)?;
    Ok(graph.node("Max", name, &[values, &least], vec![]))
}

/// As [`Isotonic::probability`]: a broken line between the first and the last point, and beyond them a sigmoid that meets it.
fn calibrated(isotonic: &Isotonic, logits: &Value, graph: &mut Graph) -> Result<Value, ExportError> {
    let points = &isotonic.points;
    let (Some((first, at_first)), Some((last, at_last))) = (points.first(), points.last()) else {
        return Err(ExportError::unsupported("its calibration has no points"));
    };
    let within = broken_lines("isotonic", logits, std::slice::from_ref(points), graph)?;
    let below = beyond("isotonic/below", logits, (*first, *at_first), graph)?;
    let above = beyond("isotonic/above", logits, (*last, *at_last), graph)?;
    let first = graph.scalar("isotonic/below/logit", *first)?;
    let last = graph.scalar("isotonic/above/logit", *last)?;
    let is_below = graph.node("Less", "isotonic/is_below", &[logits, &first], vec![]);
    let is_above = graph.node("Greater", "isotonic/is_above", &[logits, &last], vec![]);
    let upward = graph.node("Where", "isotonic/upward", &[&is_above, &above, &within], vec![]);
    Ok(graph.node("Where", "probability", &[&is_below, &below, &upward], vec![]))
}

/// `sigmoid(log-odds of the point + logit - its logit)`.
fn beyond(
    name: &str,
    logits: &Value,
    (logit, probability): (f64, f64),
    graph: &mut Graph,
) -> Result<Value, ExportError> {
    let shift = graph.scalar(&format!("{name}/shift"), (probability / (1.0 - probability)).ln() - logit)?;
    let shifted = graph.node("Add", &format!("{name}/shifted"), &[logits, &shift], vec![]);
    Ok(graph.node("Sigmoid", name, &[&shifted], vec![]))
}

/// One column as a list, shape `(rows)`.
fn one_column(name: &str, values: &Value, column: i64, graph: &mut Graph) -> Result<Value, ExportError> {
    let place = graph.scalar(&format!("{name}/place"), column)?;
    Ok(graph.node("Gather", name, &[values, &place], vec![int("axis", 1)]))
}

/// As [`Output::quantiles`]: shifted, not below the least, ascending.
fn quantiles(
    told: &Value,
    least: Option<f64>,
    shifts: &Shifts,
    graph: &mut Graph,
) -> Result<Value, ExportError> {
    let outputs = 1 + QUANTILES.len();
    let places: Vec<usize> = (1..outputs).collect();
    let values = graph.columns("quantiles/values", told, outputs, &places)?;
    let shifts = graph.constant("quantiles/shifts", &[shifts.0.len()], shifts.0)?;
    let shifted = graph.node("Add", "quantiles/shifted", &[&values, &shifts], vec![]);
    let bounded = at_least("quantiles/bounded", &shifted, least, graph)?;
    let count = graph.constant("quantiles/count", &[1], [QUANTILES.len() as i64])?;
    let settings = vec![int("axis", 1), int("largest", 0)];
    let ascending = graph.node("TopK", "quantiles/ascending", &[&bounded, &count], settings);
    graph.spare_output("quantiles/places");
    Ok(ascending)
}
