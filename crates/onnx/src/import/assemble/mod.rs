//! From sums over units to an artifact.
//!
//! | file | makes |
//! | --- | --- |
//! | `forest` | trees: their tests pulled back to the row's own values |
//! | `network` | layers, embeddings and the scaling of inputs |
//! | `crosses` | cross layers |

mod crosses;
mod forest;
mod network;

use super::error::{refuse, ImportError, Result};
use super::tensor::Kind;
use super::units::{Cell, Cells, Exact, Function, Sum, Unit, Units};
use model::calibration::Platt;
use model::conversion::{Conversion, OutputKind};
use model::network::Activation;
use model::predictor::{Blend, Weights};
use model::recipe::{Category, Column, Family, Input, Recipe, Scaling};
use model::{Algorithm, Artifact, Network, Output, Predictor};
use std::collections::BTreeSet;

/// The deviation of a number that the graph does not scale: a power of two, so that weights keep every digit, and so large
/// that the bound of standardized numbers is out of reach.
const UNKNOWN_SCALE: f64 = (1 << 20) as f64;

/// What the score is.
struct Score {
    sum: Sum,
    output: Output,
}

/// The columns that are read, as a recipe.
pub struct Layout<'a> {
    units: &'a Units,
    recipe: Recipe,
    /// For each column its place among the numbers or the categories of the recipe.
    places: Vec<Option<usize>>,
}

/// The artifact of a graph whose output these cells are.
pub fn assemble(units: &Units, cells: &Cells, conversion: &Conversion) -> Result<Artifact> {
    let Score { sum, output } = score(units, cells, conversion.output)?;
    let layout = Layout::new(units, &sum, conversion)?;
    let is_tree = |unit: usize| matches!(units.units[unit], Unit::Trees { .. });
    let (trees, others): (Vec<_>, Vec<_>) = sum.terms.iter().partition(|(unit, _)| is_tree(*unit));
    let trees = Sum { terms: trees, bias: if others.is_empty() { sum.bias } else { 0.0 } };
    let others = Sum { terms: others, bias: sum.bias };
    let (recipe, predictor) = match (trees.terms.is_empty(), others.terms.is_empty()) {
        (false, true) => (layout.recipe.clone(), Predictor::Forest(forest::forest(&layout, &trees)?)),
        (true, _) => {
            let (recipe, network) = network::network(&layout, &others)?;
            (recipe, Predictor::Networks(vec![network]))
        }
        (false, false) => {
            let forest = forest::forest(&layout, &trees)?;
            let (recipe, network) = network::network(&layout, &others)?;
            let weights = Weights { networks: 1.0, forest: 1.0, offset: 0.0 };
            (recipe, Predictor::Blend(Blend { networks: vec![network], forest, weights }))
        }
    };
    let artifact = Artifact { algorithm: algorithm(&predictor), recipe, predictor, output };
    artifact.check()?;
    Ok(artifact)
}

fn algorithm(predictor: &Predictor) -> Algorithm {
    match predictor {
        Predictor::Forest(_) => Algorithm::BoostedTrees,
        Predictor::Blend(_) => Algorithm::Blend,
        Predictor::Rates(_) => Algorithm::Popularity,
        Predictor::Networks(networks) => match networks.first() {
            Some(Network { crosses, .. }) if !crosses.is_empty() => Algorithm::DeepCross,
            Some(Network { layers, .. }) if layers.len() > 1 => Algorithm::Mlp,
            _ => Algorithm::Logistic,
        },
    }
}

/// Of two values the second is the probability of the label; one value is a probability if a sigmoid makes it, unless the
/// caller says what it is.
fn score(units: &Units, cells: &Cells, asked: Option<OutputKind>) -> Result<Score> {
    let sums = cells.cells.iter().map(|cell| match cell {
        Cell::Number { sum, .. } => Ok(sum),
        _ => refuse("the model's output is one of its inputs"),
    });
    let sums = sums.collect::<Result<Vec<_>>>()?;
    let (sum, of_two) = match sums[..] {
        [one] => (one, false),
        [_, second] => (second, true),
        _ => {
            return Err(ImportError::hinted(
                format!("the model's output has {} values", sums.len()),
                "A score is one number, or the probabilities of two classes.",
            ))
        }
    };
    let logit = logit(units, sum);
    let asked = asked.unwrap_or(if of_two || logit.is_some() {
        OutputKind::Probability
    } else {
        OutputKind::Quantity
    });
    let identity = || Output::Platt(Platt { slope: 1.0, offset: 0.0 });
    match (asked, logit) {
        (OutputKind::Probability, Some(sum)) => Ok(Score { sum, output: identity() }),
        (OutputKind::Probability, None) => Ok(Score { sum: sum.clone(), output: Output::Probability }),
        (OutputKind::Logit, None) => Ok(Score { sum: sum.clone(), output: identity() }),
        (OutputKind::Quantity, None) if !of_two => Ok(Score { sum: sum.clone(), output: Output::Mean }),
        (OutputKind::Logit | OutputKind::Quantity, _) => Err(ImportError::hinted(
            "the model's output is a probability",
            "Leave the argument output out, or say output => 'probability'.",
        )),
    }
}

/// The log-odds of a sum that is one sigmoid, or 1 less one.
fn logit(units: &Units, sum: &Sum) -> Option<Sum> {
    let [(unit, weight)] = sum.terms[..] else { return None };
    let Unit::Hidden { layer } = units.units[unit] else { return None };
    let layer = &units.layers[layer];
    let is_sigmoid = layer.function == Function::Activation(Activation::Sigmoid);
    let inner = &layer.sums[unit - layer.first_unit];
    match (weight, sum.bias) {
        (1.0, 0.0) if is_sigmoid => Some(inner.clone()),
        (-1.0, 1.0) if is_sigmoid => Some(inner.line(-1.0, 0.0)),
        _ => None,
    }
}

/// The columns that a sum reads.
fn columns_of(units: &Units, sum: &Sum) -> BTreeSet<usize> {
    let mut columns = BTreeSet::new();
    let mut seen = vec![false; units.units.len()];
    let mut open: Vec<usize> = sum.terms.iter().map(|(unit, _)| *unit).collect();
    while let Some(unit) = open.pop() {
        if std::mem::replace(&mut seen[unit], true) {
            continue;
        }
        match &units.units[unit] {
            Unit::Number { column, .. } | Unit::Missing { column } => columns.extend([*column]),
            Unit::Text(values) => columns.extend([values.column]),
            Unit::Hidden { layer } => {
                let layer = &units.layers[*layer];
                open.extend(layer.sums[unit - layer.first_unit].terms.iter().map(|(unit, _)| *unit));
            }
            Unit::Product { factors, .. } => {
                let both = factors.0.terms.iter().chain(&factors.1.terms);
                open.extend(both.map(|(unit, _)| *unit));
            }
            Unit::Trees { ensemble, .. } => {
                for exact in units.trees[*ensemble].features.iter().flatten() {
                    columns.insert(match exact {
                        Exact::Number { column, .. } => *column,
                        Exact::Text(values) => values.column,
                    });
                }
            }
        }
    }
    columns
}

impl<'a> Layout<'a> {
    fn new(units: &'a Units, sum: &Sum, conversion: &Conversion) -> Result<Self> {
        let mut places = vec![None; units.columns.len()];
        let (mut columns, mut numbers, mut categories) = (Vec::new(), 0, 0);
        let imputed = imputed(units)?;
        for column in columns_of(units, sum) {
            let known = &units.columns[column];
            let next = if known.texts.is_some() { &mut categories } else { &mut numbers };
            places[column] = Some(*next);
            *next += 1;
            let input = match &known.texts {
                Some(texts) => Input::Category(Category { vocabulary: texts.iter().collect(), dimension: 1 }),
                None => {
                    let (mean, scale) = known.scaling.unwrap_or((0.0, UNKNOWN_SCALE));
                    let mean = imputed[column].unwrap_or(mean);
                    Input::Numbers(vec![Scaling { mean, scale, ..Scaling::default() }])
                }
            };
            let (sql_type, family) = type_of(conversion, &known.name, known.texts.is_some(), known.kind)?;
            columns.push(Column { name: known.name.clone(), sql_type, family, input });
        }
        if columns.is_empty() {
            return refuse("the model's output does not depend on its inputs");
        }
        Ok(Self { units, recipe: Recipe { columns }, places })
    }

    fn place(&self, column: usize) -> Result<usize> {
        match self.places[column] {
            Some(place) => Ok(place),
            None => refuse(format!(
                "column \"{}\" is read in no way that is known",
                self.units.columns[column].name
            )),
        }
    }
}

/// What stands for a missing number of each column; an error if it differs from place to place.
fn imputed(units: &Units) -> Result<Vec<Option<f64>>> {
    let mut imputed: Vec<Option<f64>> = vec![None; units.columns.len()];
    for unit in &units.units {
        let Unit::Number { column, imputed: Some(value) } = unit else { continue };
        if imputed[*column].is_some_and(|before| before != *value) {
            let name = &units.columns[*column].name;
            return refuse(format!("a missing number of column \"{name}\" becomes different numbers"));
        }
        imputed[*column] = Some(*value);
    }
    Ok(imputed)
}

/// The SQL type and family of a column: those of the source, or what suits the graph.
fn type_of(
    conversion: &Conversion,
    name: &str,
    is_text: bool,
    kind: Option<Kind>,
) -> Result<(String, Family)> {
    let Some(columns) = &conversion.columns else {
        return Ok(match (is_text, kind) {
            (true, _) => ("text".to_owned(), Family::Text),
            (false, Some(Kind::Boolean)) => ("boolean".to_owned(), Family::Boolean),
            (false, _) => ("double precision".to_owned(), Family::Number),
        });
    };
    let Some(column) = columns.iter().find(|column| column.name == name) else {
        return Err(ImportError::hinted(
            format!("the source has no column \"{name}\", which the model reads"),
            "Name its columns in the order of the model's values: columns => '{…}'.",
        ));
    };
    match (is_text, column.family) {
        (true, Family::Text) => Ok((column.sql_type.clone(), column.family)),
        (true, _) => Err(ImportError::hinted(
            format!(
                "column \"{name}\" is {}, and the model reads it as a category",
                column.family.describe()
            ),
            "Give it as text: score from a view that casts it.",
        )),
        (false, Family::Text | Family::NumberArray) => Err(ImportError::new(format!(
            "column \"{name}\" is {}, and the model reads it as a number",
            column.family.describe()
        ))),
        (false, family) => Ok((column.sql_type.clone(), family)),
    }
}
