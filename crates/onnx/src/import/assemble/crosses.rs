//! Cross layers (DCN-v2): `x' = x₀ ⊙ (W · x + b) + x`. In sums over units each is a layer of products `x₀ · (…)`, and what it
//! puts out is the sum of x₀ and all products so far.

use crate::import::error::{refuse, Result};
use crate::import::units::{Sum, Unit, Units};
use model::network::{Cross, MAX_CROSSES};
use ndarray::{Array1, Array2};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The cross layers of a model.
pub struct Crossed {
    /// What is crossed: each a line of one of the row's own values.
    x0: Vec<Sum>,
    layers: Vec<Products>,
}

struct Products {
    /// One for each of x₀, in its order.
    units: Vec<usize>,
    /// What x₀ is multiplied with.
    inner: Vec<Sum>,
}

/// A cross layer that changes nothing: after it the last layer reads the inputs beside the hidden layers.
pub fn nothing(width: usize) -> Cross {
    Cross { down: Array2::zeros((1, width)), up: Array2::zeros((width, 1)), bias: Array1::zeros(width) }
}

/// The cross layers that a sum reads, first to last; `None` if it reads no product.
pub fn find(units: &Units, sum: &Sum) -> Result<Option<Crossed>> {
    let mut by_layer: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let read: BTreeSet<usize> = sum
        .terms
        .iter()
        .filter_map(|(unit, _)| match units.units[*unit] {
            Unit::Product { layer, .. } => Some(layer),
            _ => None,
        })
        .collect();
    for (unit, is) in units.units.iter().enumerate() {
        match is {
            Unit::Product { layer, .. } if read.contains(layer) => {
                by_layer.entry(*layer).or_default().push(unit)
            }
            _ => {}
        }
    }
    if by_layer.is_empty() {
        return Ok(None);
    }
    if by_layer.len() > MAX_CROSSES {
        return refuse(format!("the network has more than {MAX_CROSSES} cross layers"));
    }
    let mut x0: Option<Vec<Sum>> = None;
    let mut layers = Vec::new();
    for own in by_layer.into_values() {
        let pairs = own.iter().filter_map(|unit| match &units.units[*unit] {
            Unit::Product { factors, .. } => Some((**factors).clone()),
            _ => None,
        });
        let (first, second): (Vec<Sum>, Vec<Sum>) = pairs.unzip();
        let is_x0 = |sums: &[Sum]| x0.as_deref().map_or_else(|| are_lines(units, sums), |x0| x0 == sums);
        let (crossed, inner) = match (is_x0(&first), is_x0(&second)) {
            (true, _) => (first, second),
            (_, true) => (second, first),
            _ => return refuse("values of the row are multiplied in a way that is no cross layer"),
        };
        x0.get_or_insert(crossed);
        layers.push(Products { units: own, inner });
    }
    Ok(x0.map(|x0| Crossed { x0, layers }))
}

/// Whether each is a line of another one of the row's own values.
fn are_lines(units: &Units, sums: &[Sum]) -> bool {
    let mut seen = BTreeSet::new();
    sums.iter().all(|sum| match sum.terms[..] {
        [(unit, factor)] => {
            let is_own =
                matches!(units.units[unit], Unit::Number { .. } | Unit::Text(_) | Unit::Missing { .. });
            is_own && factor > 0.0 && seen.insert(unit)
        }
        _ => false,
    })
}

impl Crossed {
    pub fn inputs(&self) -> &[Sum] {
        &self.x0
    }

    /// The center and the scale by which a unit becomes what is crossed.
    pub fn line(&self, unit: usize) -> Option<(f64, f64)> {
        let line = self.x0.iter().find(|sum| sum.terms[0].0 == unit)?;
        let (_, factor) = line.terms[0];
        Some((-line.bias / factor, 1.0 / factor))
    }

    /// The part of a sum that reads what the cross layers put out, over what is crossed, and the rest.
    pub fn split(&self, sum: &Sum) -> Result<(Option<Sum>, Sum)> {
        let weights = self.weights(sum, self.layers.len())?;
        let own: BTreeMap<usize, f64> = self.own(&weights);
        let bias: f64 = self.x0.iter().zip(&weights).map(|(x0, weight)| x0.bias * weight).sum();
        let products: BTreeSet<usize> =
            self.layers.iter().flat_map(|layer| layer.units.iter().copied()).collect();
        let rest = sum.terms.iter().filter(|(unit, _)| !own.contains_key(unit) && !products.contains(unit));
        let rest = Sum { terms: rest.copied().collect(), bias: sum.bias - bias };
        Ok((Some(Sum { terms: own.into_iter().collect(), bias }), rest))
    }

    fn own(&self, weights: &[f64]) -> BTreeMap<usize, f64> {
        let of = |(x0, weight): (&Sum, &f64)| (x0.terms[0].0, x0.terms[0].1 * weight);
        self.x0.iter().zip(weights).map(of).collect()
    }

    /// The weights of what the first so many layers put out; an error if the sum reads x₀ and the products in other shares.
    fn weights(&self, sum: &Sum, layers: usize) -> Result<Vec<f64>> {
        let by_unit: HashMap<usize, f64> = sum.terms.iter().copied().collect();
        let of = |unit: &usize| by_unit.get(unit).copied().unwrap_or(0.0);
        let misfit = || refuse("what cross layers put out is read in parts");
        let Some(last) = layers.checked_sub(1).map(|last| &self.layers[last]) else {
            return Ok(self.x0.iter().map(|x0| of(&x0.terms[0].0) / x0.terms[0].1).collect());
        };
        let weights: Vec<f64> = last.units.iter().map(of).collect();
        let largest = weights.iter().fold(1e-12, |most: f64, weight| most.max(weight.abs()));
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-5 * largest;
        for (n, weight) in weights.iter().enumerate() {
            let (unit, factor) = self.x0[n].terms[0];
            let products = self.layers[..layers].iter().map(|layer| of(&layer.units[n]));
            if !products.chain([of(&unit) / factor]).all(|other| near(other, *weight)) {
                return misfit();
            }
        }
        Ok(weights)
    }

    /// The cross layers, over so many inputs of the network, of which each unit has its place.
    pub fn layers(&self, places: &HashMap<usize, usize>, width: usize) -> Result<Vec<Cross>> {
        let at: Vec<usize> = self.x0.iter().map(|x0| places[&x0.terms[0].0]).collect();
        self.layers
            .iter()
            .enumerate()
            .map(|(before, layer)| {
                let count = layer.inner.len();
                let mut down = Array2::zeros((count, width));
                let mut up = Array2::zeros((width, count));
                let mut bias = Array1::zeros(width);
                for (n, inner) in layer.inner.iter().enumerate() {
                    let weights = self.weights(inner, before)?;
                    let own = self.own(&weights);
                    let known = |unit: &usize| {
                        own.contains_key(unit)
                            || self.layers[..before].iter().any(|layer| layer.units.contains(unit))
                    };
                    if !inner.terms.iter().all(|(unit, _)| known(unit)) {
                        return refuse("a cross layer reads what is not crossed");
                    }
                    let shift: f64 = self.x0.iter().zip(&weights).map(|(x0, weight)| x0.bias * weight).sum();
                    weights.iter().zip(&at).for_each(|(weight, at)| down[(n, *at)] = *weight as f32);
                    up[(at[n], n)] = 1.0;
                    bias[at[n]] = (inner.bias - shift) as f32;
                }
                Ok(Cross { down, up, bias })
            })
            .collect()
    }
}
