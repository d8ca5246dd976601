//! Operators of numbers one by one, with NumPy's broadcasting.

use super::Given;
use crate::import::error::{refuse, Result};
use crate::import::tensor::{elements, Data, Kind, Tensor};
use crate::import::work::Work;

/// Alpha and gamma of Selu.
pub fn selu(given: &crate::import::graph::Node) -> (f64, f64) {
    (given.float("alpha", 1.673_263_2), given.float("gamma", 1.050_701))
}

/// The Gauss error function.
fn erf(value: f64) -> f64 {
    libm::erf(value)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `None` for another operator.
pub fn evaluate(given: &Given, work: &Work) -> Option<Result<Vec<Tensor>>> {
    let node = given.node;
    if let Some(function) = unary(node) {
        let made = given.need(0).and_then(|tensor| {
            work.take(&[tensor.len(), 4])?;
            map(tensor, function)
        });
        return Some(made.map(|tensor| vec![tensor]));
    }
    let made = match node.op.as_str() {
        "Add" | "Sum" => fold(given, work, |a, b| a + b),
        "Sub" => fold(given, work, |a, b| a - b),
        "Mul" => fold(given, work, |a, b| a * b),
        "Div" => divide(given, work),
        "Pow" => fold(given, work, f64::powf),
        "PRelu" => fold(given, work, |x, slope| if x < 0.0 { slope * x } else { x }),
        "Max" => fold(given, work, |a, b| if a.is_nan() || a > b { a } else { b }),
        "Clip" => clip(given, work),
        "Or" => compare(given, work, |a, b| a != 0.0 || b != 0.0),
        "Equal" => equal(given, work),
        "Less" => compare(given, work, |a, b| a < b),
        "Greater" => compare(given, work, |a, b| a > b),
        "IsInf" => compare_one(given, f64::is_infinite),
        "IsNaN" => compare_one(given, f64::is_nan),
        "Not" => compare_one(given, |x| x == 0.0),
        "Cast" => cast(given),
        "Where" => choose(given, work),
        _ => return None,
    };
    Some(made.map(|tensor| vec![tensor]))
}

fn unary(node: &crate::import::graph::Node) -> Option<Box<dyn Fn(f64) -> f64>> {
    let alpha = |default| node.float("alpha", default);
    Some(match node.op.as_str() {
        "Relu" => Box::new(|x: f64| if x.is_nan() { x } else { x.max(0.0) }),
        "LeakyRelu" => {
            let alpha = alpha(0.01);
            Box::new(move |x| if x < 0.0 { alpha * x } else { x })
        }
        "Elu" => {
            let alpha = alpha(1.0);
            Box::new(move |x| if x < 0.0 { alpha * x.exp_m1() } else { x })
        }
        "Selu" => {
            let (alpha, gamma) = selu(node);
            Box::new(move |x| gamma * if x <= 0.0 { alpha * x.exp_m1() } else { x })
        }
        "Gelu" if node.text("approximate", "none") == "tanh" => Box::new(|x: f64| {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            0.5 * x * (1.0 + inner.tanh())
        }),
        "Gelu" => Box::new(|x: f64| 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2))),
        "Tanh" => Box::new(f64::tanh),
        "Sigmoid" => Box::new(sigmoid),
        "Erf" => Box::new(erf),
        "Neg" => Box::new(|x: f64| -x),
        "Sqrt" => Box::new(f64::sqrt),
        "Reciprocal" => Box::new(|x: f64| 1.0 / x),
        "Exp" => Box::new(f64::exp),
        "Log" => Box::new(f64::ln),
        "Abs" => Box::new(f64::abs),
        "Sign" => Box::new(|x: f64| if x == 0.0 { 0.0 } else { x.signum() }),
        _ => return None,
    })
}

/// Applies a function to each number and rounds to the tensor's kind.
pub fn map(tensor: &Tensor, function: impl Fn(f64) -> f64) -> Result<Tensor> {
    let kind = tensor.kind()?;
    let values = tensor.values()?.iter().map(|value| kind.round(function(*value)));
    Tensor::numbers(tensor.shape.clone(), kind, values.collect())
}

fn compare_one(given: &Given, function: impl Fn(f64) -> bool) -> Result<Tensor> {
    let tensor = given.need(0)?;
    let values = tensor.values()?.iter().map(|value| f64::from(u8::from(function(*value))));
    Tensor::numbers(tensor.shape.clone(), Kind::Boolean, values.collect())
}

fn fold(given: &Given, work: &Work, function: impl Fn(f64, f64) -> f64) -> Result<Tensor> {
    let all = given.all()?;
    let Some((first, rest)) = all.split_first() else {
        return refuse(format!("{} has no input", given.node));
    };
    rest.iter().try_fold((*first).clone(), |sum, next| {
        let kind = sum.kind()?;
        broadcast(&sum, next, kind, work, |a, b| kind.round(function(a, b)))
    })
}

fn divide(given: &Given, work: &Work) -> Result<Tensor> {
    if given.need(0)?.kind()? == Kind::Integer && given.need(1)?.values()?.contains(&0.0) {
        return refuse(format!("{} divides by 0", given.node));
    }
    fold(given, work, |a, b| a / b)
}

/// Bounds are inputs since operator set 11, scalars that may be left out.
fn clip(given: &Given, work: &Work) -> Result<Tensor> {
    let bound = |n: usize, name: &str, default: f32| match given.get(n) {
        Some(tensor) => tensor.scalar(),
        None => Ok(given.node.float(name, default)),
    };
    let (low, high) = (bound(1, "min", f32::NEG_INFINITY)?, bound(2, "max", f32::INFINITY)?);
    let tensor = given.need(0)?;
    work.take(&[tensor.len(), 2])?;
    map(tensor, |value| {
        if value < low {
            low
        } else if value > high {
            high
        } else {
            value
        }
    })
}

fn compare(given: &Given, work: &Work, holds: impl Fn(f64, f64) -> bool) -> Result<Tensor> {
    let function = |a, b| f64::from(u8::from(holds(a, b)));
    broadcast(given.need(0)?, given.need(1)?, Kind::Boolean, work, function)
}

fn equal(given: &Given, work: &Work) -> Result<Tensor> {
    match (&given.need(0)?.data, &given.need(1)?.data) {
        (Data::Texts(texts), Data::Texts(one)) if one.len() == 1 => {
            let same = texts.iter().map(|text| f64::from(u8::from(*text == one[0])));
            Tensor::numbers(given.need(0)?.shape.clone(), Kind::Boolean, same.collect())
        }
        (Data::Texts(_), _) | (_, Data::Texts(_)) => {
            refuse(format!("{} compares texts with several", given.node))
        }
        _ => compare(given, work, |a, b| a == b),
    }
}

fn cast(given: &Given) -> Result<Tensor> {
    let (tensor, to) = (given.need(0)?, given.node.int("to", 0) as i32);
    let node = given.node;
    match (&tensor.data, Kind::of(to)) {
        (Data::Numbers(_, values), Some(kind)) => {
            let values = values.iter().map(|value| kind.round(*value));
            Tensor::numbers(tensor.shape.clone(), kind, values.collect())
        }
        (Data::Texts(_), None) if to == crate::import::tensor::TEXT => Ok(tensor.clone()),
        (Data::Numbers(Kind::Integer, values), None) if to == crate::import::tensor::TEXT => {
            Tensor::texts(tensor.shape.clone(), values.iter().map(|value| format!("{value}")).collect())
        }
        (Data::Texts(texts), Some(kind)) => {
            let numbers = texts.iter().map(|text| text.trim().parse::<f64>().unwrap_or(f64::NAN));
            Tensor::numbers(tensor.shape.clone(), kind, numbers.map(|value| kind.round(value)).collect())
        }
        _ => refuse(format!("{node} casts to element type {to}, which is not supported")),
    }
}

fn choose(given: &Given, work: &Work) -> Result<Tensor> {
    let (which, yes, no) = (given.need(0)?, given.need(1)?, given.need(2)?);
    if let (Data::Texts(_), _) | (_, Data::Texts(_)) = (&yes.data, &no.data) {
        return choose_texts(which, yes, no);
    }
    let kind = yes.kind()?;
    // The condition is broadcast with each side in turn: where it holds, the other side's value is not looked at.
    let yes = broadcast(which, yes, kind, work, |which, yes| if which != 0.0 { yes } else { 0.0 })?;
    let no = broadcast(which, no, kind, work, |which, no| if which != 0.0 { 0.0 } else { no })?;
    // Of the two, the side that was not chosen is 0 by now.
    broadcast(&yes, &no, kind, work, |yes, no| if no == 0.0 { yes } else { no })
}

fn choose_texts(which: &Tensor, yes: &Tensor, no: &Tensor) -> Result<Tensor> {
    let (Data::Texts(yes), Data::Texts(no)) = (&yes.data, &no.data) else {
        return refuse("Where chooses between texts and numbers");
    };
    let pick = |texts: &[String], n: usize| texts.get(if texts.len() == 1 { 0 } else { n }).cloned();
    let chosen = which.values()?.iter().enumerate().map(|(n, which)| {
        let from = if *which != 0.0 { pick(yes, n) } else { pick(no, n) };
        from.ok_or_else(|| {
            crate::import::error::ImportError::new("Where chooses between texts of other shapes")
        })
    });
    Tensor::texts(which.shape.clone(), chosen.collect::<Result<_>>()?)
}

/// A function of two tensors whose shapes are broadcast.
pub fn broadcast(
    a: &Tensor,
    b: &Tensor,
    kind: Kind,
    work: &Work,
    function: impl Fn(f64, f64) -> f64,
) -> Result<Tensor> {
    let shape = broadcast_shape(&a.shape, &b.shape)?;
    let count = elements(&shape)?;
    work.take(&[count, 2])?;
    let (x, y) = (a.values()?, b.values()?);
    if a.shape == b.shape {
        return Tensor::numbers(shape, kind, x.iter().zip(y).map(|(x, y)| function(*x, *y)).collect());
    }
    let (of_a, of_b) = (strides(&a.shape, &shape), strides(&b.shape, &shape));
    let at = |n: usize, strides: &[usize]| {
        let mut rest = n;
        let mut at = 0;
        for (length, stride) in shape.iter().zip(strides).rev() {
            at += (rest % length) * stride;
            rest /= length;
        }
        at
    };
    let values = (0..count).map(|n| function(x[at(n, &of_a)], y[at(n, &of_b)]));
    Tensor::numbers(shape.clone(), kind, values.collect())
}

fn broadcast_shape(a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let of = |shape: &[usize], n: usize| {
        (n + shape.len()).checked_sub(rank).and_then(|n| shape.get(n)).copied().unwrap_or(1)
    };
    (0..rank)
        .map(|n| match (of(a, n), of(b, n)) {
            (a, b) if a == b || b == 1 => Ok(a),
            (1, b) => Ok(b),
            _ => refuse(format!("shapes {a:?} and {b:?} do not fit together")),
        })
        .collect()
}

/// How far apart the elements of a tensor lie along each dimension of a shape that it is broadcast to.
fn strides(own: &[usize], shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![0; shape.len()];
    let mut stride = 1;
    for (n, length) in own.iter().enumerate().rev() {
        if *length != 1 {
            strides[shape.len() - own.len() + n] = stride;
        }
        stride *= length;
    }
    strides
}
