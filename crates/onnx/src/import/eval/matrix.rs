//! Products of matrices, and what runs along a dimension.

use super::elementwise::broadcast;
use super::shapes::axis_of;
use super::Given;
use crate::import::error::{refuse, Result};
use crate::import::tensor::Tensor;
use crate::import::work::Work;

/// `None` for another operator.
pub fn evaluate(given: &Given, work: &Work) -> Option<Result<Vec<Tensor>>> {
    let made = match given.node.op.as_str() {
        "Gemm" => gemm(given, work),
        "MatMul" => given.need(0).and_then(|a| product(a, given.need(1)?, work)),
        "BatchNormalization" => batch_normalization(given),
        "Softmax" => softmax(given),
        "ReduceSum" => reduce(given, |sum, _| sum),
        "ReduceMean" => reduce(given, |sum, count| sum / count),
        _ => return None,
    };
    Some(made.map(|tensor| vec![tensor]))
}

/// The product of matrices, or of a list of rows and a matrix. Sums are in double precision, rounded at the end.
fn product(a: &Tensor, b: &Tensor, work: &Work) -> Result<Tensor> {
    let (Some((inner, outer)), [rows, columns]) = (a.shape.split_last(), &b.shape[..]) else {
        return refuse(format!("a product of shapes {:?} and {:?}", a.shape, b.shape));
    };
    if inner != rows {
        return refuse(format!("a product of shapes {:?} and {:?}", a.shape, b.shape));
    }
    let count = outer.iter().product::<usize>();
    work.take(&[count, *rows, *columns])?;
    let (kind, x, y) = (a.kind()?, a.values()?, b.values()?);
    let mut values = vec![0.0; count * columns];
    for (row, sums) in x.chunks_exact((*rows).max(1)).zip(values.chunks_exact_mut((*columns).max(1))) {
        for (value, weights) in row.iter().zip(y.chunks_exact((*columns).max(1))) {
            sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += value * weight);
        }
        sums.iter_mut().for_each(|sum| *sum = kind.round(*sum));
    }
    Tensor::numbers(outer.iter().copied().chain([*columns]).collect(), kind, values)
}

/// The matrix with rows and columns exchanged if asked.
pub fn transposed(tensor: &Tensor, transpose: bool) -> Result<Tensor> {
    match tensor.shape[..] {
        [rows, columns] if transpose => {
            let at = (0..rows * columns).map(|n| (n % rows) * columns + n / rows);
            tensor.pick(vec![columns, rows], at)
        }
        [_, _] => Ok(tensor.clone()),
        _ => refuse(format!("a matrix of shape {:?}", tensor.shape)),
    }
}

fn gemm(given: &Given, work: &Work) -> Result<Tensor> {
    let node = given.node;
    let (alpha, beta) = (node.float("alpha", 1.0), node.float("beta", 1.0));
    let a = transposed(given.need(0)?, node.int("transA", 0) != 0)?;
    let b = transposed(given.need(1)?, node.int("transB", 0) != 0)?;
    let kind = a.kind()?;
    let product = product(&a, &b, work)?;
    match given.get(2) {
        Some(c) => broadcast(&product, c, kind, work, |p, c| kind.round(alpha * p + beta * c)),
        None => super::elementwise::map(&product, |p| alpha * p),
    }
}

fn batch_normalization(given: &Given) -> Result<Tensor> {
    let x = given.need(0)?;
    let [scale, bias, mean, variance] = [1, 2, 3, 4].map(|n| given.need(n).and_then(Tensor::values));
    let (scale, bias, mean, variance) = (scale?, bias?, mean?, variance?);
    let epsilon = given.node.float("epsilon", 1e-5);
    let channels = scale.len();
    let fits = [bias.len(), mean.len(), variance.len()].iter().all(|length| *length == channels)
        && x.shape.get(1) == Some(&channels);
    if !fits {
        return refuse(format!("{} has parameters that do not fit its input", given.node));
    }
    let inner: usize = x.shape[2..].iter().product();
    let kind = x.kind()?;
    let values = x.values()?.iter().enumerate().map(|(n, value)| {
        let c = (n / inner.max(1)) % channels;
        kind.round((value - mean[c]) / (variance[c] + epsilon).sqrt() * scale[c] + bias[c])
    });
    Tensor::numbers(x.shape.clone(), kind, values.collect())
}

fn softmax(given: &Given) -> Result<Tensor> {
    let x = given.need(0)?;
    let default = if given.node.version < 13 { 1 } else { -1 };
    let axis = axis_of(given.node.int("axis", default), x.shape.len())?;
    if axis + 1 != x.shape.len() {
        return refuse(format!(
            "{} runs along dimension {axis} of {}; the last is read",
            given.node,
            x.shape.len()
        ));
    }
    let (kind, width) = (x.kind()?, x.shape[axis].max(1));
    let mut values = x.values()?.to_vec();
    for row in values.chunks_exact_mut(width) {
        let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.iter_mut().for_each(|value| *value = (*value - most).exp());
        let sum: f64 = row.iter().sum();
        row.iter_mut().for_each(|value| *value = kind.round(*value / sum));
    }
    Tensor::numbers(x.shape.clone(), kind, values)
}

/// The dimensions that a reduction runs along: an attribute, or an input since operator set 13 or 18.
pub fn reduced_axes(given: &Given, rank: usize) -> Result<Vec<usize>> {
    let axes = match given.get(1) {
        Some(axes) => axes.integers()?,
        None => given.node.ints("axes").to_vec(),
    };
    match axes.is_empty() {
        true => Ok((0..rank).collect()),
        false => axes.iter().map(|axis| axis_of(*axis, rank)).collect(),
    }
}

fn reduce(given: &Given, finish: impl Fn(f64, f64) -> f64) -> Result<Tensor> {
    let x = given.need(0)?;
    let axes = reduced_axes(given, x.shape.len())?;
    let keep = given.node.int("keepdims", 1) != 0;
    let is_reduced = |n: &usize| axes.contains(n);
    let kept: Vec<usize> =
        x.shape.iter().enumerate().map(|(n, length)| if is_reduced(&n) { 1 } else { *length }).collect();
    let count = kept.iter().product::<usize>();
    let mut sums = vec![0.0; count];
    for (n, value) in x.values()?.iter().enumerate() {
        let (mut rest, mut at, mut stride) = (n, 0, 1);
        for d in (0..x.shape.len()).rev() {
            let place = rest % x.shape[d];
            rest /= x.shape[d];
            at += if is_reduced(&d) { 0 } else { place * stride };
            stride *= kept[d];
        }
        sums[at] += value;
    }
    let (kind, each) = (x.kind()?, (x.len() / count.max(1)) as f64);
    let values = sums.into_iter().map(|sum| kind.round(finish(sum, each))).collect();
    let shape = match keep {
        true => kept,
        false => (0..x.shape.len()).filter(|n| !is_reduced(n)).map(|n| x.shape[n]).collect(),
    };
    Tensor::numbers(shape, kind, values)
}
