//! Activations, and the products that are an activation's other half.

use super::{numbers, Call, Lift, Value};
use crate::import::error::{refuse, Result};
use crate::import::eval::selu;
use crate::import::units::{Cells, Function, Sum, Unit};
use model::network::Activation;

pub fn is_activation(op: &str) -> bool {
    const OPS: [&str; 9] = ["Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Gelu", "Tanh", "Sigmoid", "Erf"];
    OPS.contains(&op)
}

impl Lift<'_> {
    pub fn activation(&mut self, call: &Call) -> Result<Vec<Value>> {
        let node = call.node;
        let cells = call.cells(0)?;
        let alpha = |default| node.float("alpha", default) as f32;
        let (function, factor) = match node.op.as_str() {
            "Relu" => (Function::Activation(Activation::Relu), 1.0),
            "LeakyRelu" => (Function::Activation(Activation::LeakyRelu { slope: alpha(0.01) }), 1.0),
            "PRelu" => (Function::Activation(Activation::LeakyRelu { slope: one_slope(call)? }), 1.0),
            "Elu" => (Function::Activation(Activation::Elu { alpha: alpha(1.0) }), 1.0),
            "Selu" => {
                let (alpha, gamma) = selu(node);
                (Function::Activation(Activation::Elu { alpha: alpha as f32 }), gamma)
            }
            "Gelu" if node.text("approximate", "none") == "tanh" => {
                (Function::Activation(Activation::GeluTanh), 1.0)
            }
            "Gelu" => (Function::Activation(Activation::Gelu), 1.0),
            "Tanh" => (Function::Activation(Activation::Tanh), 1.0),
            "Sigmoid" => (Function::Activation(Activation::Sigmoid), 1.0),
            _ => (Function::Erf, 1.0),
        };
        let sums = self.sums(cells)?;
        let units = self.units.layer(function, sums)?;
        let units = units.iter().map(|unit| unit.line(factor, 0.0)).collect();
        Ok(vec![numbers(cells.shape.clone(), cells.kind, units)])
    }

    /// Softmax of two: the sigmoid of their difference, and what is left.
    pub fn softmax(&mut self, call: &Call) -> Result<Vec<Value>> {
        let cells = call.cells(0)?;
        let sums = self.sums(cells)?;
        Ok(vec![self.softmax_of(cells, sums)?])
    }

    pub fn softmax_of(&mut self, cells: &Cells, sums: Vec<Sum>) -> Result<Value> {
        let [first, second] = &sums[..] else {
            return refuse(format!("Softmax of {} values; two are supported", sums.len()));
        };
        let difference = Sum::of([(1.0, second), (-1.0, first)].into_iter(), 0.0, self.work)?;
        let unit = self.units.layer(Function::Activation(Activation::Sigmoid), vec![difference])?.remove(0);
        Ok(numbers(cells.shape.clone(), cells.kind, vec![unit.line(-1.0, 1.0), unit]))
    }

    /// Products of two values of a row: halves of Gelu and SiLU, or a cross layer's.
    pub fn product(&mut self, pairs: Vec<(Sum, Sum)>) -> Result<Vec<Sum>> {
        for (function, activation) in
            [(Function::Erf, Activation::Gelu), (Function::Activation(Activation::Sigmoid), Activation::Silu)]
        {
            let halves =
                pairs.iter().map(|(a, b)| self.half(a, b, function).or_else(|| self.half(b, a, function)));
            if let Some(halves) = halves.collect::<Option<Vec<_>>>() {
                let (sums, factors): (Vec<Sum>, Vec<f64>) = halves.into_iter().unzip();
                let units = self.units.layer(Function::Activation(activation), sums)?;
                return Ok(units.iter().zip(factors).map(|(unit, factor)| unit.line(factor, 0.0)).collect());
            }
        }
        self.units.products(pairs)
    }

    /// Whether `whole` times `half` is an activation of `whole`: `whole · (erf(whole / √2) + 1)` is twice its Gelu, and
    /// `whole · sigmoid(whole)` its SiLU. Returns what goes into the activation, and the factor of its output.
    fn half(&self, whole: &Sum, half: &Sum, function: Function) -> Option<(Sum, f64)> {
        let [(unit, weight)] = half.terms[..] else { return None };
        let Unit::Hidden { layer } = self.units.units[unit] else { return None };
        let layer = &self.units.layers[layer];
        if layer.function != function {
            return None;
        }
        let inner = &layer.sums[unit - layer.first_unit];
        let (scale, offset) = match function {
            Function::Erf => (std::f64::consts::SQRT_2, weight),
            _ => (1.0, 0.0),
        };
        let input = inner.line(scale, 0.0);
        let ratio = ratio(whole, &input)?;
        let factor = if function == Function::Erf { 2.0 * weight } else { weight };
        (near(half.bias, offset)).then_some((input, factor * ratio))
    }
}

/// The factor between two sums that are multiples of each other, but for rounding.
fn ratio(a: &Sum, b: &Sum) -> Option<f64> {
    let largest = |sum: &Sum| sum.terms.iter().copied().max_by(|x, y| x.1.abs().total_cmp(&y.1.abs()));
    let ((unit, weight), (other, by)) = (largest(a)?, largest(b)?);
    let ratio = weight / by;
    let same = unit == other
        && a.terms.len() == b.terms.len()
        && a.terms
            .iter()
            .zip(&b.terms)
            .all(|(x, y)| x.0 == y.0 && (x.1 - ratio * y.1).abs() <= 1e-6 * weight.abs())
        && (a.bias - ratio * b.bias).abs() <= 1e-6 * a.bias.abs().max(weight.abs());
    same.then_some(ratio)
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * b.abs().max(1e-6)
}

/// The slope of PRelu, if it is the same for all.
fn one_slope(call: &Call) -> Result<f32> {
    let slopes = call.constant(1)?.values()?;
    match slopes.split_first() {
        Some((first, rest)) if rest.iter().all(|slope| slope == first) => Ok(*first as f32),
        _ => refuse("PRelu has different slopes; one is supported"),
    }
}
