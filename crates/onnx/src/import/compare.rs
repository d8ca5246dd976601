//! The original graph and the converted model on the same rows.

use super::error::{ImportError, Result};
use super::eval;
use super::graph::Graph;
use super::tensor::{Kind, Tensor};
use super::units::Column;
use super::work::Work;
use model::conversion::{self, Conversion, OutputKind};
use model::forest::Step;
use model::protocol::Comparison;
use model::recipe::Scaling;
use model::transform::Transform;
use model::{Artifact, Output, Predictor, Scorer};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;

/// How far a score may be from the original's; of quantities, relative to their size where that is above 1.
pub const TOLERANCE: f64 = 1e-5;
/// Rows: the given ones, and random ones where there are not so many.
const ROWS: usize = 2000;
/// Rows that are scored together.
const TOGETHER: usize = 100;
const SEED: u64 = 20;

/// What the graph reads: its columns in the order of its inputs, and the text that stands for NULL among its texts.
pub struct Inputs<'a> {
    pub columns: &'a [Column],
    pub null_text: &'a str,
}

/// A value of a column.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    /// NaN where it is missing.
    Number(f64),
    /// `None` where it is NULL.
    Text(Option<String>),
}

/// An error names the worst row if the two do not agree.
pub fn compare(
    graph: &Graph,
    inputs: &Inputs,
    artifact: &Artifact,
    conversion: &Conversion,
    work: &Work,
) -> Result<Comparison> {
    let scorer = Scorer::new(artifact)?;
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut comparison = Comparison { rows: 0, worst: 0.0, without_score: 0 };
    let mut worst_row = String::new();
    let full = work.left();
    let marks = marks(artifact);
    for first in (0..ROWS).step_by(TOGETHER) {
        // After the first rows, as many as there is time for.
        let spent = full - work.left();
        if first > 0 && spent / (first / TOGETHER) as u64 > work.left() {
            break;
        }
        let columns: Vec<Vec<Value>> = inputs
            .columns
            .iter()
            .map(|column| {
                match conversion.rows.get(&column.name).and_then(|v| v.get(first..first + TOGETHER)) {
                    Some(values) => {
                        values.iter().map(|value| of_row(column, value.as_ref(), inputs)).collect()
                    }
                    None => {
                        let near = marks.get(&column.name).map_or(&[][..], Vec::as_slice);
                        (0..TOGETHER).map(|n| random_value(column, near, n % 4 == 0, &mut random)).collect()
                    }
                }
            })
            .collect();
        let original =
            original_scores(graph, &columns, inputs.null_text, (artifact, conversion.output), work)?;
        let mut row = scorer.row();
        for (n, original) in original.into_iter().enumerate() {
            set_row(&scorer, &mut row, inputs, &columns, n);
            let converted = scorer.score(&mut row);
            comparison.rows += 1;
            if !original.is_finite() {
                comparison.without_score += 1;
                continue;
            }
            let difference = match (converted - original).abs() / original.abs().max(1.0) {
                difference if difference.is_nan() => f64::INFINITY,
                difference => difference,
            };
            if difference > comparison.worst {
                comparison.worst = difference;
                worst_row = describe(inputs, artifact, &columns, n, original, converted);
            }
        }
    }
    match comparison.worst <= TOLERANCE {
        true => Ok(comparison),
        false => Err(ImportError::hinted(
            format!("the converted model differs from the original by {:e}", comparison.worst),
            worst_row,
        )),
    }
}

/// Where the two may differ: the thresholds with which trees compare each column, and where its transforms and bins bend.
fn marks(artifact: &Artifact) -> HashMap<String, Vec<f64>> {
    let columns = &artifact.recipe.columns;
    let names: Vec<&String> =
        columns.iter().flat_map(|column| vec![&column.name; column.numbers()]).collect();
    let mut marks: HashMap<String, Vec<f64>> = HashMap::new();
    let scalings = artifact.recipe.scalings();
    for (name, scaling) in names.iter().zip(scalings) {
        let own = bends(scaling).chain(scaling.second.iter().flat_map(|second| bends(second)));
        marks.entry((*name).clone()).or_default().extend(own);
    }
    let forest = match &artifact.predictor {
        Predictor::Forest(forest) => forest,
        Predictor::Blend(blend) => &blend.forest,
        Predictor::Networks(_) | Predictor::Rates(_) => return marks,
    };
    for step in (0..forest.outputs()).flat_map(|output| forest.trees(output)).flatten() {
        match step {
            // The graph takes what 32 bits cannot hold for infinite.
            Step::Number { input, threshold, .. } if threshold.abs() < f64::from(f32::MAX) / 2.0 => {
                marks.entry(names[input].clone()).or_default().push(threshold);
            }
            _ => {}
        }
    }
    marks
}

/// Where a reading of a number bends; of a logarithm, some numbers on both sides of its mean.
fn bends(scaling: &Scaling) -> impl Iterator<Item = f64> + '_ {
    let of_transform: Vec<f64> = match &scaling.transform {
        Transform::Identity => Vec::new(),
        Transform::SignedLog { unit } => [-2.0, -1.0, 0.0, 1.0, 2.0]
            .map(|deviations| scaling.mean + deviations * scaling.scale)
            .map(|logarithm| logarithm.signum() * unit * logarithm.abs().exp_m1())
            .to_vec(),
        Transform::Quantile { points } => points.iter().map(|[value, _]| *value).collect(),
    };
    of_transform.into_iter().chain(scaling.bins.edges().iter().copied())
}

fn describe(
    inputs: &Inputs,
    artifact: &Artifact,
    columns: &[Vec<Value>],
    n: usize,
    original: f64,
    converted: f64,
) -> String {
    let read = |name: &str| artifact.recipe.columns.iter().any(|column| column.name == name);
    let values = inputs.columns.iter().zip(columns).filter(|(column, _)| read(&column.name));
    let shown = values.take(40).map(|(column, values)| match &values[n] {
        Value::Number(number) if number.is_nan() => format!("{} NULL", column.name),
        Value::Number(number) => format!("{} {number}", column.name),
        Value::Text(None) => format!("{} NULL", column.name),
        Value::Text(Some(text)) => format!("{} {text:?}", column.name),
    });
    let shown: Vec<String> = shown.collect();
    format!("The worst row scores {converted}, not {original}: {}.", shown.join(", "))
}

/// A value of a given row as the column needs it. A category of integers that the model does not know has no meaning for the
/// original; the first one stands for it.
fn of_row(column: &Column, value: Option<&conversion::Value>, inputs: &Inputs) -> Value {
    match (value, &column.texts) {
        (Some(conversion::Value::Text(text)), Some(_)) if text == inputs.null_text => Value::Text(None),
        (Some(conversion::Value::Text(text)), Some(texts))
            if column.kind.is_none() || texts.contains(text) =>
        {
            Value::Text(Some(text.clone()))
        }
        (_, Some(texts)) if column.kind.is_some() => Value::Text(texts.first().cloned()),
        (_, Some(_)) => Value::Text(None),
        (Some(conversion::Value::Number(number)), None) => Value::Number(*number),
        (_, None) => Value::Number(f64::NAN),
    }
}

/// A number within the scaler's range, a text that the model knows or does not; in some rows it may be missing. A category of integers is
/// one of those that the model knows, since others have no meaning for the original.
fn random_value(column: &Column, marks: &[f64], may_miss: bool, random: &mut ChaCha8Rng) -> Value {
    let missing = may_miss && random.random_bool(0.2);
    match &column.texts {
        Some(texts) if !texts.is_empty() && (column.kind.is_some() || random.random_bool(0.9)) => {
            Value::Text(Some(texts[random.random_range(0..texts.len())].clone()))
        }
        Some(_) if missing => Value::Text(None),
        Some(_) => Value::Text(Some("a text that no model knows".to_owned())),
        None if missing && column.kind.is_some_and(|kind| matches!(kind, Kind::Float | Kind::Double)) => {
            Value::Number(f64::NAN)
        }
        None => {
            let (mean, deviation) = column.scaling.unwrap_or((0.0, 3.0));
            if !marks.is_empty() && random.random_bool(0.8) {
                let near = marks[random.random_range(0..marks.len())];
                let value = [near, near.next_down(), near + 1e-3 * near.abs(), near - 1e-3 * near.abs()];
                return Value::Number(value[random.random_range(0..4)]);
            }
            // Sums of uniform numbers: nearly normal, within four deviations and a half.
            let normal: f64 = (0..7).map(|_| random.random_range(-1.0..1.0)).sum::<f64>() * 0.65;
            let value = mean + deviation * normal;
            Value::Number(if column.kind == Some(Kind::Integer) { value.trunc() } else { value })
        }
    }
}

fn set_row(scorer: &Scorer, row: &mut model::Row, inputs: &Inputs, columns: &[Vec<Value>], n: usize) {
    let (mut number, mut category) = (0, 0);
    for read in &scorer.recipe().columns {
        let own = inputs.columns.iter().zip(columns).filter(|(column, _)| column.name == read.name);
        for (_, values) in own {
            match &values[n] {
                Value::Number(value) => {
                    scorer.set_number(row, number, Some(*value));
                    number += 1;
                }
                Value::Text(text) => {
                    scorer.set_category(row, category, text.as_deref());
                    category += 1;
                }
            }
        }
    }
}

/// The original's score of each row, as the converted model's are.
fn original_scores(
    graph: &Graph,
    columns: &[Vec<Value>],
    null_text: &str,
    (artifact, asked): (&Artifact, Option<OutputKind>),
    work: &Work,
) -> Result<Vec<f64>> {
    let rows = TOGETHER;
    let mut inputs = HashMap::new();
    let mut next = 0;
    let unnamed = graph.inputs.len() == 1;
    for input in &graph.inputs {
        let width = input.width.unwrap_or(if unnamed { columns.len() } else { 1 });
        let own = &columns[next..next + width];
        next += width;
        let shape = match input.rank {
            0 => vec![rows],
            rank => [&[rows], &vec![1; rank - 1][..], &[width]].concat(),
        };
        inputs.insert(input.name.clone(), tensor(own, shape, input.kind, null_text)?);
    }
    let output = eval::run(graph, inputs, work)?;
    let width = (output.len() / rows.max(1)).max(1);
    let scores = output.values()?.chunks(width).map(|row| {
        let last = row[row.len() - 1];
        match (asked, &artifact.output) {
            (Some(OutputKind::Logit), _) => 1.0 / (1.0 + (-last).exp()),
            (_, Output::Probability) => last.clamp(0.0, 1.0),
            _ => last,
        }
    });
    Ok(scores.collect())
}

fn tensor(columns: &[Vec<Value>], shape: Vec<usize>, kind: Option<Kind>, null_text: &str) -> Result<Tensor> {
    let cells = (0..TOGETHER).flat_map(|row| columns.iter().map(move |column| &column[row]));
    match kind {
        None => {
            let texts = cells.map(|value| match value {
                Value::Text(text) => text.clone().unwrap_or_else(|| null_text.to_owned()),
                Value::Number(number) => number.to_string(),
            });
            Tensor::texts(shape, texts.collect())
        }
        Some(kind) => {
            let numbers = cells.map(|value| match value {
                Value::Number(number) => kind.round(*number),
                Value::Text(text) => text.as_deref().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN),
            });
            Tensor::numbers(shape, kind, numbers.collect())
        }
    }
}
