//! Layers of a network, its embeddings, and how its inputs are scaled.

use super::crosses::{self, Crossed};
use super::Layout;
use crate::import::error::{refuse, Result};
use crate::import::units::{Function, Sum, Unit};
use model::network::{Activation, Dense, Network, MAX_OUTPUTS};
use model::recipe::{Input, Recipe, FIRST_VALUE};
use ndarray::{Array1, Array2};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Longest embedding that a recipe may have.
const MAX_DIMENSION: usize = 256;

/// The recipe and the network of a sum without trees.
pub fn network(layout: &Layout, sum: &Sum) -> Result<(Recipe, Network)> {
    let crossed = crosses::find(layout.units, sum)?;
    let (of_crossed, rest) = match &crossed {
        Some(crossed) => crossed.split(sum)?,
        None => split_wide(layout, sum),
    };
    let levels = levels(layout, &rest)?;
    // The sums that read the row's own values, which decide how many inputs an embedding needs.
    let first: Vec<&Sum> = match levels.first() {
        Some(level) => level.sums.clone(),
        None => vec![&rest],
    };
    let inputs = match &crossed {
        Some(crossed) => Inputs::of_crossed(layout, crossed, &first)?,
        None => Inputs::new(layout, first.iter().copied().chain(of_crossed.as_ref()), of_crossed.is_none())?,
    };
    let mut network = Network { embeddings: inputs.tables.clone(), ..Network::default() };
    let mut places = inputs.places();
    for level in &levels {
        let is_first = network.layers.is_empty();
        network.layers.push(match is_first {
            true => inputs.dense(&level.sums)?,
            false => dense(&level.sums, &places)?,
        });
        network.activations.push(level.activation);
        places = level.units.iter().copied().zip(0..).collect();
    }
    if network.activations.iter().all(|activation| *activation == Activation::Relu) {
        network.activations.clear();
    }
    let mut last = match levels.is_empty() {
        true => inputs.dense(&[&rest])?,
        false => dense(&[&rest], &places)?,
    };
    if let Some(of_crossed) = &of_crossed {
        network.crosses = match &crossed {
            Some(crossed) => crossed.layers(&inputs.places(), inputs.recipe.width())?,
            None => vec![crosses::nothing(inputs.recipe.width())],
        };
        let wide = inputs.dense(&[of_crossed])?;
        let hidden = if levels.is_empty() { Array2::zeros((1, 0)) } else { last.weight.clone() };
        last.weight = ndarray::concatenate![ndarray::Axis(1), wide.weight, hidden];
        last.bias = &last.bias + &wide.bias;
    }
    network.layers.push(last);
    Ok((inputs.recipe, network))
}

/// A part that reads the row's own values beside hidden layers, apart from these.
fn split_wide(layout: &Layout, sum: &Sum) -> (Option<Sum>, Sum) {
    let is_hidden = |unit: usize| matches!(layout.units.units[unit], Unit::Hidden { .. });
    let (hidden, own): (Vec<_>, Vec<_>) = sum.terms.iter().partition(|(unit, _)| is_hidden(*unit));
    match hidden.is_empty() || own.is_empty() {
        true => (None, sum.clone()),
        false => (Some(Sum { terms: own, bias: 0.0 }), Sum { terms: hidden, bias: sum.bias }),
    }
}

/// Hidden layers side by side, as one layer.
struct Level<'a> {
    activation: Activation,
    units: Vec<usize>,
    sums: Vec<&'a Sum>,
}

/// The hidden layers, first to last, that lead to a sum.
fn levels<'a>(layout: &Layout<'a>, sum: &Sum) -> Result<Vec<Level<'a>>> {
    let units = layout.units;
    let mut levels: Vec<Level> = Vec::new();
    let mut read: BTreeSet<usize> = sum.terms.iter().map(|(unit, _)| *unit).collect();
    loop {
        let hidden = |unit: &usize| match units.units[*unit] {
            Unit::Hidden { layer } => Some(layer),
            _ => None,
        };
        let layers: BTreeSet<Option<usize>> = read.iter().map(hidden).collect();
        if !layers.iter().any(Option::is_some) {
            break;
        }
        let functions: Vec<Function> =
            layers.iter().flatten().map(|layer| units.layers[*layer].function).collect();
        let activation = match functions[..] {
            _ if layers.contains(&None) => {
                return refuse("a layer reads both another layer and the row's own values, or trees");
            }
            [Function::Activation(activation), ref others @ ..]
                if others.iter().all(|other| *other == Function::Activation(activation)) =>
            {
                activation
            }
            [Function::Erf, ..] => return refuse("Erf is read as a part of Gelu only"),
            _ => return refuse("layers side by side have different activations"),
        };
        if read.len() > MAX_OUTPUTS {
            return refuse(format!("a layer has {} units, more than {MAX_OUTPUTS}", read.len()));
        }
        let sum_of = |unit: &usize| {
            let layer = hidden(unit).map(|layer| &units.layers[layer]);
            layer.map(|layer| &layer.sums[unit - layer.first_unit])
        };
        let sums: Vec<&Sum> = read.iter().filter_map(sum_of).collect();
        let next = sums.iter().flat_map(|sum| sum.terms.iter().map(|(unit, _)| *unit)).collect();
        levels.push(Level {
            activation,
            units: std::mem::replace(&mut read, next).into_iter().collect(),
            sums,
        });
        if levels.len() >= model::network::MAX_LAYERS {
            return refuse(format!("the network has more than {} layers", model::network::MAX_LAYERS));
        }
    }
    levels.reverse();
    Ok(levels)
}

/// A layer whose sums read the units at these places.
fn dense(sums: &[&Sum], places: &HashMap<usize, usize>) -> Result<Dense> {
    let mut weight = Array2::zeros((sums.len(), places.len()));
    for (row, sum) in sums.iter().enumerate() {
        for (unit, value) in &sum.terms {
            let Some(place) = places.get(unit) else {
                return refuse("a layer reads both another layer and the row's own values, or trees");
            };
            weight[(row, *place)] = *value as f32;
        }
    }
    Ok(Dense { weight, bias: Array1::from_iter(sums.iter().map(|sum| sum.bias as f32)) })
}

/// How a unit goes into the network: as the input at `place`, which is `(unit - center) / scale`.
#[derive(Debug, Clone, Copy)]
struct Place {
    at: usize,
    center: f64,
    scale: f64,
}

/// The inputs of a network.
pub struct Inputs {
    pub recipe: Recipe,
    pub tables: Vec<Array2<f32>>,
    units: HashMap<usize, Place>,
    /// Categories whose embeddings hold what they add to each sum of the first layer: by unit the values by row, and where
    /// the embedding begins.
    folded: HashMap<usize, (usize, usize)>,
}

impl Inputs {
    /// The inputs that these sums read. Where `may_fold`, a category of more units than there are sums has an embedding of
    /// what it adds to each sum.
    fn new<'s>(layout: &Layout, sums: impl Iterator<Item = &'s Sum> + Clone, may_fold: bool) -> Result<Self> {
        let count = sums.clone().count();
        let mut inputs = Self::without_categories(layout, sums.clone(), None)?;
        let by_column = categories(layout, sums.clone());
        let mut next = inputs.recipe.dense_width();
        for (column, units) in by_column {
            let rows = layout.rows(column);
            let table = if may_fold && units.len() > count {
                inputs.folded.extend(units.iter().map(|unit| (*unit, (next, count))));
                folded(layout, &units, sums.clone(), rows)
            } else {
                let at = (next..).map(|at| Place { at, center: 0.0, scale: 1.0 });
                inputs.units.extend(units.iter().copied().zip(at));
                own(layout, &units, rows, &|_| (0.0, 1.0))
            };
            next += inputs.add_table(layout, column, table)?;
        }
        Ok(inputs)
    }

    /// The inputs of cross layers, which are what is crossed, one by one.
    fn of_crossed(layout: &Layout, crossed: &Crossed, first: &[&Sum]) -> Result<Self> {
        let all = crossed.inputs().iter().chain(first.iter().copied());
        let mut inputs = Self::without_categories(layout, all.clone(), Some(crossed))?;
        let mut next = inputs.recipe.dense_width();
        for (column, units) in categories(layout, all) {
            let line = |unit: usize| crossed.line(unit).unwrap_or((0.0, 1.0));
            for (unit, at) in units.iter().zip(next..) {
                let (center, scale) = line(*unit);
                inputs.units.insert(*unit, Place { at, center, scale });
            }
            next += inputs.add_table(layout, column, own(layout, &units, layout.rows(column), &line))?;
        }
        Ok(inputs)
    }

    fn without_categories<'s>(
        layout: &Layout,
        sums: impl Iterator<Item = &'s Sum>,
        crossed: Option<&Crossed>,
    ) -> Result<Self> {
        let units: BTreeSet<usize> = sums.flat_map(|sum| sum.terms.iter().map(|(unit, _)| *unit)).collect();
        let mut recipe = layout.recipe.clone();
        for unit in &units {
            match &layout.units.units[*unit] {
                Unit::Number { column, .. } => {
                    let scaling = scaling(layout, &mut recipe, *column)?;
                    if let Some((center, scale)) = crossed.and_then(|crossed| crossed.line(*unit)) {
                        if scale <= 0.0
                            || scaling.mean != center && crossed.is_some_and(|_| is_imputed(layout, *unit))
                        {
                            return refuse("a number is crossed in a way that its scaling cannot follow");
                        }
                        (scaling.mean, scaling.scale) = (center, scale);
                    }
                }
                Unit::Missing { column } => {
                    scaling(layout, &mut recipe, *column)?.indicator = true;
                }
                Unit::Text(_) => {}
                _ => return refuse("a layer reads both another layer and the row's own values, or trees"),
            }
        }
        let indicators = recipe.indicators();
        let mut places = HashMap::new();
        for unit in &units {
            match &layout.units.units[*unit] {
                Unit::Number { column, .. } => {
                    let at = layout.place(*column)?;
                    let scaling = recipe.scalings()[at];
                    places.insert(*unit, Place { at, center: scaling.mean, scale: scaling.scale });
                }
                Unit::Missing { column } => {
                    let at = indicators[layout.place(*column)?].unwrap_or_default();
                    places.insert(*unit, Place { at, center: 0.0, scale: 1.0 });
                }
                _ => {}
            }
        }
        Ok(Self { recipe, tables: Vec::new(), units: places, folded: HashMap::new() })
    }

    /// Adds the embeddings of a category; returns their length.
    fn add_table(&mut self, layout: &Layout, column: usize, table: Array2<f32>) -> Result<usize> {
        let dimension = table.ncols();
        if dimension > MAX_DIMENSION {
            let name = &layout.units.columns[column].name;
            return refuse(format!(
                "category \"{name}\" becomes {dimension} numbers, more than {MAX_DIMENSION}"
            ));
        }
        let place = layout.place(column)?;
        let categories = self.recipe.columns.iter_mut().filter_map(|column| match &mut column.input {
            Input::Category(category) => Some(category),
            _ => None,
        });
        if let Some(category) = categories.into_iter().nth(place) {
            category.dimension = dimension;
        }
        self.tables.push(table);
        Ok(dimension)
    }

    pub fn places(&self) -> HashMap<usize, usize> {
        self.units.iter().map(|(unit, place)| (*unit, place.at)).collect()
    }

    /// A layer that reads the inputs.
    pub fn dense(&self, sums: &[&Sum]) -> Result<Dense> {
        let mut weight = Array2::zeros((sums.len(), self.recipe.width()));
        let mut bias = Array1::zeros(sums.len());
        for (row, sum) in sums.iter().enumerate() {
            let mut exact = sum.bias;
            for (unit, value) in &sum.terms {
                if let Some((first, count)) = self.folded.get(unit) {
                    debug_assert_eq!(*count, sums.len());
                    weight[(row, first + row)] = 1.0;
                    continue;
                }
                let Some(Place { at, center, scale }) = self.units.get(unit) else {
                    return refuse("a layer reads both another layer and the row's own values, or trees");
                };
                weight[(row, *at)] += (value * scale) as f32;
                exact += value * center;
            }
            bias[row] = exact as f32;
        }
        Ok(Dense { weight, bias })
    }
}

impl Layout<'_> {
    /// The rows of a category's embeddings, as codes; the last of all others and, where no text is empty, of NULL.
    fn rows(&self, column: usize) -> usize {
        self.units.columns[column].texts.as_ref().map_or(0, Vec::len) + FIRST_VALUE as usize
    }

    /// A text unit's value in each row of an embedding.
    fn by_row(&self, unit: usize, rows: usize) -> Vec<f64> {
        let Unit::Text(values) = &self.units.units[unit] else { return vec![0.0; rows] };
        let mut by_row = vec![values.other; rows];
        values.known.iter().for_each(|(code, value)| by_row[code + FIRST_VALUE as usize] = *value);
        let texts = self.units.columns[values.column].texts.as_deref().unwrap_or_default();
        if let Some(empty) = texts.iter().position(|text| text.is_empty()) {
            by_row[model::recipe::NULL as usize] = by_row[empty + FIRST_VALUE as usize];
        }
        by_row
    }
}

fn is_imputed(layout: &Layout, unit: usize) -> bool {
    matches!(layout.units.units[unit], Unit::Number { imputed: Some(_), .. })
}

fn scaling<'r>(
    layout: &Layout,
    recipe: &'r mut Recipe,
    column: usize,
) -> Result<&'r mut model::recipe::Scaling> {
    let place = layout.place(column)?;
    let scalings = recipe.columns.iter_mut().filter_map(|column| match &mut column.input {
        Input::Numbers(scalings) => scalings.first_mut(),
        _ => None,
    });
    match scalings.into_iter().nth(place) {
        Some(scaling) => Ok(scaling),
        None => refuse("a number has no place"),
    }
}

/// The text units that sums read, by column in the order of the recipe. Every category of the recipe is there: one that no
/// sum reads has an embedding of one 0.
fn categories<'s>(layout: &Layout, sums: impl Iterator<Item = &'s Sum>) -> Vec<(usize, Vec<usize>)> {
    let mut by_column: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (column, place) in layout.places.iter().enumerate() {
        if place.is_some() && layout.units.columns[column].texts.is_some() {
            by_column.insert(column, BTreeSet::new());
        }
    }
    for (unit, _) in sums.flat_map(|sum| &sum.terms) {
        if let Unit::Text(values) = &layout.units.units[*unit] {
            by_column.entry(values.column).or_default().insert(*unit);
        }
    }
    by_column.into_iter().map(|(column, units)| (column, units.into_iter().collect())).collect()
}

/// The embeddings whose numbers are the units' own, each on its line.
fn own(layout: &Layout, units: &[usize], rows: usize, line: &dyn Fn(usize) -> (f64, f64)) -> Array2<f32> {
    let mut table = Array2::zeros((rows, units.len().max(1)));
    for (n, unit) in units.iter().enumerate() {
        let (center, scale) = line(*unit);
        for (row, value) in layout.by_row(*unit, rows).into_iter().enumerate() {
            table[(row, n)] = ((value - center) / scale) as f32;
        }
    }
    table
}

/// The embeddings of what units add to each sum.
fn folded<'s>(
    layout: &Layout,
    units: &[usize],
    sums: impl Iterator<Item = &'s Sum> + Clone,
    rows: usize,
) -> Array2<f32> {
    let mut table: Array2<f64> = Array2::zeros((rows, sums.clone().count()));
    for unit in units {
        let by_row = layout.by_row(*unit, rows);
        for (n, sum) in sums.clone().enumerate() {
            let weight = sum.terms.binary_search_by_key(unit, |(unit, _)| *unit);
            let Ok(weight) = weight.map(|at| sum.terms[at].1) else { continue };
            by_row.iter().enumerate().for_each(|(row, value)| table[(row, n)] += weight * value);
        }
    }
    table.mapv(|value| value as f32)
}
