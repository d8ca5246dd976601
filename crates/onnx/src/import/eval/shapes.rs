//! Operators that move values without changing them.

use super::Given;
use crate::import::error::{refuse, Result};
use crate::import::graph::Node;
use crate::import::tensor::{elements, Data, Kind, Tensor};
use crate::import::work::Work;

/// `None` for another operator.
pub fn evaluate(given: &Given, work: &Work) -> Option<Result<Vec<Tensor>>> {
    let one = match given.node.op.as_str() {
        "Identity" | "Dropout" => given.need(0).cloned(),
        "Constant" => constant(given.node),
        "ConstantOfShape" => constant_of_shape(given),
        "Shape" => shape(given),
        "Reshape" => reshape(given),
        "Flatten" => flatten(given),
        "Squeeze" => squeeze(given),
        "Unsqueeze" => unsqueeze(given),
        "Transpose" => transpose(given),
        "Expand" => expand(given, work),
        "Concat" => given.all().and_then(|all| concat(given.node, &all)),
        "Gather" => gather(given),
        "Slice" => slice(given),
        "Split" => return Some(split(given)),
        _ => return None,
    };
    Some(one.map(|tensor| vec![tensor]))
}

/// A dimension that may be counted from the end.
pub fn axis_of(axis: i64, rank: usize) -> Result<usize> {
    let counted = if axis < 0 { axis + rank as i64 } else { axis };
    match usize::try_from(counted) {
        Ok(axis) if axis < rank => Ok(axis),
        _ => refuse(format!("dimension {axis} of a tensor that has {rank}")),
    }
}

fn constant(node: &Node) -> Result<Tensor> {
    if let Some(tensor) = node.tensor("value")? {
        return Ok(tensor);
    }
    let ints = || node.ints("value_ints").iter().map(|value| *value as f64).collect();
    match () {
        () if node.has("value_float") => {
            Tensor::numbers(Vec::new(), Kind::Float, vec![node.float("value_float", 0.0)])
        }
        () if node.has("value_int") => {
            Tensor::numbers(Vec::new(), Kind::Integer, vec![node.int("value_int", 0) as f64])
        }
        () if node.has("value_floats") => Ok(Tensor::list(Kind::Float, node.floats("value_floats"))),
        () if node.has("value_ints") => Ok(Tensor::list(Kind::Integer, ints())),
        () if node.has("value_string") => Tensor::texts(Vec::new(), vec![node.text("value_string", "")]),
        () => {
            let texts = node.strings("value_strings")?;
            Tensor::texts(vec![texts.len()], texts)
        }
    }
}

fn lengths(tensor: &Tensor) -> Result<Vec<usize>> {
    let lengths = tensor.integers()?.into_iter().map(usize::try_from).collect::<std::result::Result<_, _>>();
    lengths.or_else(|_| refuse("a shape has a negative length"))
}

fn constant_of_shape(given: &Given) -> Result<Tensor> {
    let shape = lengths(given.need(0)?)?;
    let count = elements(&shape)?;
    let (kind, value) = match given.node.tensor("value")? {
        Some(tensor) => (tensor.kind()?, tensor.scalar()?),
        None => (Kind::Float, 0.0),
    };
    Tensor::numbers(shape, kind, vec![value; count])
}

fn shape(given: &Given) -> Result<Tensor> {
    let lengths = given.need(0)?.shape.iter().map(|length| *length as f64);
    let (start, end) = (given.node.int("start", 0), given.node.int("end", i64::MAX));
    shape_part(lengths.collect(), start, end)
}

/// A stretch of a shape, as the operator Shape gives it.
pub fn shape_part(lengths: Vec<f64>, start: i64, end: i64) -> Result<Tensor> {
    let rank = lengths.len() as i64;
    let clamped = |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
    let part = lengths.get(clamped(start)..clamped(end)).unwrap_or_default();
    Ok(Tensor::list(Kind::Integer, part.to_vec()))
}

fn reshape(given: &Given) -> Result<Tensor> {
    let tensor = given.need(0)?;
    let wanted = given.need(1)?.integers()?;
    let shape = new_shape(&tensor.shape, &wanted, given.node.int("allowzero", 0) != 0)?;
    tensor.reshaped(shape)
}

/// The shape that Reshape makes: 0 keeps a length, -1 is what is left.
fn new_shape(from: &[usize], wanted: &[i64], zero_is_zero: bool) -> Result<Vec<usize>> {
    let count = elements(from)?;
    let mut shape = Vec::new();
    for (n, length) in wanted.iter().enumerate() {
        shape.push(match *length {
            -1 => 1,
            0 if !zero_is_zero => from.get(n).copied().unwrap_or(0),
            length => usize::try_from(length).or_else(|_| refuse(format!("a shape with {length}")))?,
        });
    }
    let known = elements(&shape)?;
    if let Some(open) = wanted.iter().position(|length| *length == -1) {
        shape[open] = count.checked_div(known).unwrap_or(0);
    }
    Ok(shape)
}

fn flatten(given: &Given) -> Result<Tensor> {
    let tensor = given.need(0)?;
    let axis = given.node.int("axis", 1);
    let rank = tensor.shape.len();
    let axis = if axis == rank as i64 { rank } else { axis_of(axis, rank)? };
    let (before, after) = tensor.shape.split_at(axis);
    tensor.reshaped(vec![before.iter().product(), after.iter().product()])
}

/// The dimensions that Squeeze and Unsqueeze name: an attribute, or an input since operator set 13.
fn named_axes(given: &Given) -> Result<Vec<i64>> {
    match given.get(1) {
        Some(axes) => axes.integers(),
        None => Ok(given.node.ints("axes").to_vec()),
    }
}

fn squeeze(given: &Given) -> Result<Tensor> {
    let tensor = given.need(0)?;
    let axes = named_axes(given)?;
    let axes: Vec<usize> =
        axes.iter().map(|axis| axis_of(*axis, tensor.shape.len())).collect::<Result<_>>()?;
    let goes = |n: usize, length: usize| length == 1 && (axes.is_empty() || axes.contains(&n));
    let kept = tensor.shape.iter().enumerate().filter(|(n, length)| !goes(*n, **length));
    tensor.reshaped(kept.map(|(_, length)| *length).collect())
}

fn unsqueeze(given: &Given) -> Result<Tensor> {
    let tensor = given.need(0)?;
    let axes = named_axes(given)?;
    tensor.reshaped(unsqueezed(&tensor.shape, &axes)?)
}

fn unsqueezed(shape: &[usize], axes: &[i64]) -> Result<Vec<usize>> {
    let rank = shape.len() + axes.len();
    let axes: Vec<usize> = axes.iter().map(|axis| axis_of(*axis, rank)).collect::<Result<_>>()?;
    let mut old = shape.iter();
    Ok((0..rank).map(|n| if axes.contains(&n) { 1 } else { old.next().copied().unwrap_or(1) }).collect())
}

fn transpose(given: &Given) -> Result<Tensor> {
    let tensor = given.need(0)?;
    let rank = tensor.shape.len();
    let order: Vec<usize> = match given.node.ints("perm") {
        [] => (0..rank).rev().collect(),
        order => order.iter().map(|axis| axis_of(*axis, rank)).collect::<Result<_>>()?,
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted != (0..rank).collect::<Vec<_>>() {
        return refuse(format!("{} has an order of dimensions that is none", given.node));
    }
    let shape: Vec<usize> = order.iter().map(|axis| tensor.shape[*axis]).collect();
    let strides: Vec<usize> = (0..rank).map(|n| tensor.shape[n + 1..].iter().product()).collect();
    let at = |n: usize| {
        let mut rest = n;
        shape.iter().zip(&order).rev().fold(0, |at, (length, axis)| {
            let place = rest % length;
            rest /= length;
            at + place * strides[*axis]
        })
    };
    tensor.pick(shape.clone(), (0..tensor.len()).map(at))
}

fn expand(given: &Given, work: &Work) -> Result<Tensor> {
    let (tensor, shape) = (given.need(0)?, lengths(given.need(1)?)?);
    let kind = tensor.kind()?;
    let ones = Tensor::numbers(shape.clone(), kind, vec![1.0; elements(&shape)?])?;
    super::elementwise::broadcast(tensor, &ones, kind, work, |value, _| value)
}

/// Tensors one after the other along a dimension.
fn concat(node: &Node, tensors: &[&Tensor]) -> Result<Tensor> {
    let Some(first) = tensors.first() else { return refuse(format!("{node} has no input")) };
    let rank = first.shape.len();
    let axis = axis_of(node.int("axis", 0), rank)?;
    let others =
        |shape: &[usize]| (0..shape.len()).filter(|n| *n != axis).map(|n| shape[n]).collect::<Vec<_>>();
    if tensors.iter().any(|t| t.shape.len() != rank || others(&t.shape) != others(&first.shape)) {
        return refuse(format!("{node} joins shapes that do not fit together"));
    }
    let mut shape = first.shape.clone();
    shape[axis] = tensors.iter().map(|tensor| tensor.shape[axis]).sum();
    elements(&shape)?;
    let outer: usize = shape[..axis].iter().product();
    let stretch = |tensor: &Tensor| tensor.shape[axis..].iter().product::<usize>();
    if let Data::Texts(_) = first.data {
        let mut texts = Vec::new();
        for n in 0..outer {
            for tensor in tensors {
                let Data::Texts(own) = &tensor.data else {
                    return refuse(format!("{node} mixes texts and numbers"));
                };
                texts.extend_from_slice(&own[n * stretch(tensor)..][..stretch(tensor)]);
            }
        }
        return Tensor::texts(shape, texts);
    }
    let mut values = Vec::new();
    for n in 0..outer {
        for tensor in tensors {
            values.extend_from_slice(&tensor.values()?[n * stretch(tensor)..][..stretch(tensor)]);
        }
    }
    Tensor::numbers(shape, first.kind()?, values)
}

fn gather(given: &Given) -> Result<Tensor> {
    let (tensor, indices) = (given.need(0)?, given.need(1)?);
    let axis = axis_of(given.node.int("axis", 0), tensor.shape.len())?;
    let length = tensor.shape[axis];
    let places = indices.integers()?.into_iter().map(|index| axis_of(index, length));
    let places: Vec<usize> = places.collect::<Result<_>>()?;
    let (outer, inner) = (&tensor.shape[..axis], &tensor.shape[axis + 1..]);
    let shape = [outer, &indices.shape, inner].concat();
    elements(&shape)?;
    let (outer, inner): (usize, usize) = (outer.iter().product(), inner.iter().product());
    let at = (0..outer).flat_map(|o| {
        places.iter().flat_map(move |place| (0..inner).map(move |i| (o * length + place) * inner + i))
    });
    tensor.pick(shape, at)
}

/// For each dimension the first position, the step, and how many there are; `None` where it is taken whole.
fn slice_ranges(given: &Given, shape: &[usize]) -> Result<Vec<(usize, i64, usize)>> {
    let list = |n: usize, name: &str| match given.get(n) {
        Some(tensor) => tensor.integers(),
        None => Ok(given.node.ints(name).to_vec()),
    };
    let (starts, ends, axes, steps) =
        (list(1, "starts")?, list(2, "ends")?, list(3, "axes")?, list(4, "steps")?);
    let mut ranges: Vec<(usize, i64, usize)> = shape.iter().map(|length| (0, 1, *length)).collect();
    for (n, (start, end)) in starts.iter().zip(&ends).enumerate() {
        let axis = axis_of(axes.get(n).copied().unwrap_or(n as i64), shape.len())?;
        let (length, step) = (shape[axis] as i64, steps.get(n).copied().unwrap_or(1));
        if step == 0 {
            return refuse(format!("{} has a step of 0", given.node));
        }
        let from_end = |at: i64| if at < 0 { at.saturating_add(length) } else { at };
        let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
        let first = from_end(*start).clamp(low.max(0), high.max(0));
        let last = from_end(*end).clamp(low, high);
        let distance = if step > 0 { last - first } else { first - last };
        let count = distance.max(0).div_euclid(step.abs()) + i64::from(distance.max(0) % step.abs() != 0);
        ranges[axis] = (first as usize, step, count as usize);
    }
    Ok(ranges)
}

fn slice(given: &Given) -> Result<Tensor> {
    let tensor = given.need(0)?;
    let ranges = slice_ranges(given, &tensor.shape)?;
    let shape: Vec<usize> = ranges.iter().map(|(_, _, count)| *count).collect();
    let at = |n: usize| {
        let (mut rest, mut at, mut stride) = (n, 0, 1);
        for ((first, step, count), length) in ranges.iter().zip(&tensor.shape).rev() {
            let place = (rest % count) as i64;
            rest /= count;
            at += (*first as i64 + place * step) as usize * stride;
            stride *= length;
        }
        at
    };
    let count = elements(&shape)?;
    tensor.pick(shape.clone(), (0..count).map(at))
}

/// The lengths of the parts along a dimension of this length.
fn split_lengths(given: &Given, length: usize) -> Result<Vec<usize>> {
    let parts = given.node.outputs.len().max(1);
    let stated = match given.get(1) {
        Some(tensor) => tensor.integers()?,
        None => given.node.ints("split").to_vec(),
    };
    let stated: Vec<usize> =
        stated.into_iter().map(|part| usize::try_from(part).unwrap_or(usize::MAX)).collect();
    let lengths = match stated.is_empty() {
        true => {
            let each = length.div_ceil(parts);
            (0..parts).map(|n| each.min(length.saturating_sub(n * each))).collect()
        }
        false => stated,
    };
    match lengths.iter().try_fold(0_usize, |sum, part| sum.checked_add(*part)) == Some(length) {
        true => Ok(lengths),
        false => refuse(format!("{} splits {length} values into {lengths:?}", given.node)),
    }
}

fn split(given: &Given) -> Result<Vec<Tensor>> {
    let tensor = given.need(0)?;
    let axis = axis_of(given.node.int("axis", 0), tensor.shape.len())?;
    let length = tensor.shape[axis];
    let outer: usize = tensor.shape[..axis].iter().product();
    let inner: usize = tensor.shape[axis + 1..].iter().product();
    let mut first = 0;
    let parts = split_lengths(given, length)?.into_iter().map(|part| {
        let mut shape = tensor.shape.clone();
        shape[axis] = part;
        let begin = first;
        first += part;
        let at =
            (0..outer).flat_map(move |o| (0..part * inner).map(move |i| (o * length + begin) * inner + i));
        tensor.pick(shape, at)
    });
    parts.collect()
}
