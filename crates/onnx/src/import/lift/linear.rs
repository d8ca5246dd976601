//! Sums and products with constants, and matrices.

use super::{numbers, Call, Lift, Value};
use crate::import::error::{refuse, Result};
use crate::import::eval::{broadcast, evaluate, reduced_axes, transposed, Given};
use crate::import::tensor::{Kind, Tensor};
use crate::import::units::{Cell, Cells, Exact, Step, Sum, Unit};

impl Lift<'_> {
    /// Add, Sub, Mul, Div, Neg, Sum.
    pub fn arithmetic(&mut self, call: &Call) -> Result<Vec<Value>> {
        let op = call.node.op.as_str();
        if op == "Neg" {
            let minus_one = Tensor::numbers(Vec::new(), call.cells(0)?.kind, vec![-1.0])?;
            return Ok(vec![self.with_constant("Mul", call.cells(0)?, &minus_one, false)?]);
        }
        let mut inputs = call.inputs.iter().flatten();
        let Some(first) = inputs.next() else { return refuse("there is no input") };
        let mut value = first.clone();
        for next in inputs {
            value = match (&value, next) {
                (Value::Cells(a), Value::Constant(b)) => self.with_constant(op, a, b, false)?,
                (Value::Constant(a), Value::Cells(b)) => self.with_constant(op, b, a, true)?,
                (Value::Cells(a), Value::Cells(b)) => self.of_cells(op, a, b)?,
                (Value::Constant(a), Value::Constant(b)) => {
                    let given = Given::new(call.node, vec![Some(a), Some(b)]);
                    Value::Constant(evaluate(&given, self.work)?.remove(0))
                }
            };
        }
        Ok(vec![value])
    }

    /// Cells and a constant; `constant_first` is its place.
    fn with_constant(
        &mut self,
        op: &str,
        cells: &Cells,
        constant: &Tensor,
        constant_first: bool,
    ) -> Result<Value> {
        let (shape, of_cells, of_constant) = aligned(cells, constant.shape.clone(), self)?;
        let values = constant.values()?;
        let mut made = Vec::with_capacity(of_cells.len());
        for (cell, value) in of_cells.into_iter().zip(of_constant) {
            let (sum, exact) = self.number(&cells.cells[cell])?;
            let c = values[value];
            let (factor, addend, step) = match (op, constant_first) {
                ("Add" | "Sum", _) => (1.0, c, Step::Add(c)),
                ("Sub", false) => (1.0, -c, Step::Add(-c)),
                ("Sub", true) => (-1.0, c, Step::SubtractFrom(c)),
                ("Mul", _) => (c, 0.0, Step::Times(c)),
                ("Div", false) if c != 0.0 => (1.0 / c, 0.0, Step::Over(c)),
                _ => return refuse(format!("{op} of a constant by values of the row, or by 0")),
            };
            self.note_scaling(&exact, op, c);
            let exact = exact.map(|exact| exact.then(step).then(Step::Round(cells.kind)));
            made.push(Cell::Number { sum: sum.line(factor, addend), exact });
        }
        Ok(Value::Cells(Cells { shape, cells: made, kind: cells.kind }))
    }

    /// Remembers the mean and the deviation of a column that is scaled first of all.
    fn note_scaling(&mut self, exact: &Option<Exact>, op: &str, c: f64) {
        let Some(Exact::Number { column, steps }) = exact else { return };
        if !matches!(op, "Div" | "Mul") {
            return;
        }
        let mut before = steps.iter().filter(|step| !matches!(step, Step::Round(_) | Step::Impute(_)));
        let scaling = &mut self.units.columns[*column].scaling;
        match (before.next(), before.next(), op) {
            (Some(Step::Add(mean)), None, "Div") if c > 0.0 => *scaling = Some((-mean, c)),
            (Some(Step::Add(mean)), None, "Mul") if c > 0.0 => *scaling = Some((-mean, 1.0 / c)),
            _ => {}
        }
    }

    fn of_cells(&mut self, op: &str, a: &Cells, b: &Cells) -> Result<Value> {
        let (shape, of_a, of_b) = aligned(a, [&[1], &b.shape[..]].concat(), self)?;
        let mut pairs = Vec::with_capacity(of_a.len());
        for (x, y) in of_a.into_iter().zip(of_b) {
            pairs.push((self.number(&a.cells[x])?.0, self.number(&b.cells[y])?.0));
        }
        let factor = match op {
            "Add" | "Sum" => 1.0,
            "Sub" => -1.0,
            "Mul" => {
                let sums = self.product(pairs)?;
                return Ok(numbers(shape, a.kind, sums));
            }
            _ => return refuse("values of the row are divided by each other"),
        };
        let sums = pairs.iter().map(|(x, y)| Sum::of([(1.0, x), (factor, y)].into_iter(), 0.0, self.work));
        Ok(numbers(shape, a.kind, sums.collect::<Result<_>>()?))
    }

    pub fn gemm(&mut self, call: &Call) -> Result<Vec<Value>> {
        let node = call.node;
        if node.int("transA", 0) != 0 {
            return refuse("values of the row are transposed");
        }
        let weights = transposed(call.constant(1)?, node.int("transB", 0) != 0)?;
        let (alpha, beta) = (node.float("alpha", 1.0), node.float("beta", 1.0));
        let cells = call.cells(0)?;
        let product = self.product_with(cells, &weights, alpha)?;
        match call.inputs.get(2).cloned().flatten() {
            None => Ok(vec![product]),
            Some(Value::Constant(bias)) => {
                let Value::Cells(product) = product else { return refuse("a product is a constant") };
                let kind = bias.kind()?;
                let factor = Tensor::numbers(Vec::new(), kind, vec![beta])?;
                let bias = broadcast(&bias, &factor, kind, self.work, |bias, beta| bias * beta)?;
                Ok(vec![self.with_constant("Add", &product, &bias, false)?])
            }
            Some(Value::Cells(_)) => refuse("the bias depends on the row"),
        }
    }

    pub fn matmul(&mut self, call: &Call) -> Result<Vec<Value>> {
        Ok(vec![self.product_with(call.cells(0)?, call.constant(1)?, 1.0)?])
    }

    /// The last dimension of the cells times a matrix.
    pub fn product_with(&mut self, cells: &Cells, weights: &Tensor, factor: f64) -> Result<Value> {
        let (Some((inner, outer)), [rows, columns]) = (cells.shape.split_last(), &weights.shape[..]) else {
            return refuse(format!("a product of shapes {:?} and {:?}", cells.shape, weights.shape));
        };
        if inner != rows {
            return refuse(format!("a product of {inner} values and a matrix of {rows} rows"));
        }
        let (own, values) = (self.sums(cells)?, weights.values()?);
        let mut sums = Vec::new();
        for part in own.chunks((*inner).max(1)) {
            for column in 0..*columns {
                let weight = |row: usize| factor * values[row * columns + column];
                sums.push(Sum::of(
                    part.iter().enumerate().map(|(row, sum)| (weight(row), sum)),
                    0.0,
                    self.work,
                )?);
            }
        }
        Ok(numbers([outer, &[*columns]].concat(), cells.kind, sums))
    }

    pub fn batch_normalization(&mut self, call: &Call) -> Result<Vec<Value>> {
        let cells = call.cells(0)?;
        let list = |n: usize| call.constant(n).and_then(|tensor| Ok(tensor.values()?.to_vec()));
        let (scale, bias, mean, variance) = (list(1)?, list(2)?, list(3)?, list(4)?);
        let epsilon = call.node.float("epsilon", 1e-5);
        let inner: usize = cells.shape.iter().skip(1).product::<usize>().max(1);
        let mut sums = Vec::new();
        for (n, sum) in self.sums(cells)?.iter().enumerate() {
            let c = n / inner;
            let (Some(scale), Some(bias), Some(mean), Some(variance)) =
                (scale.get(c), bias.get(c), mean.get(c), variance.get(c))
            else {
                return refuse("the parameters do not fit the input");
            };
            let deviation = (variance + epsilon).sqrt();
            if let [(unit, factor)] = sum.terms[..] {
                if let (Unit::Number { column, .. }, true) = (&self.units.units[unit], factor == 1.0) {
                    self.units.columns[*column].scaling.get_or_insert((mean - sum.bias, deviation));
                }
            }
            let factor = scale / deviation;
            sums.push(sum.line(factor, bias - mean * factor));
        }
        Ok(vec![numbers(cells.shape.clone(), cells.kind, sums)])
    }

    pub fn reduced(&mut self, call: &Call) -> Result<Vec<Value>> {
        let cells = call.cells(0)?;
        let axes_input = match call.inputs.get(1) {
            Some(Some(Value::Constant(axes))) => Some(axes),
            _ => None,
        };
        let given = Given::new(call.node, vec![None, axes_input]);
        let axes = reduced_axes(&given, cells.shape.len() + 1)?;
        if axes != [cells.shape.len()] {
            return refuse("only the last dimension can be reduced");
        }
        let (Some((length, outer)), keep) = (cells.shape.split_last(), call.node.int("keepdims", 1) != 0)
        else {
            return refuse("there is no dimension to reduce");
        };
        let factor = if call.node.op == "ReduceMean" { 1.0 / (*length).max(1) as f64 } else { 1.0 };
        let own = self.sums(cells)?;
        let sums = own
            .chunks((*length).max(1))
            .map(|part| Sum::of(part.iter().map(|sum| (factor, sum)), 0.0, self.work))
            .collect::<Result<_>>()?;
        let shape = if keep { [outer, &[1]].concat() } else { outer.to_vec() };
        Ok(vec![numbers(shape, cells.kind, sums)])
    }
}

/// The shape that cells take together with a tensor, and for each place of it the cell and the element.
fn aligned(cells: &Cells, other: Vec<usize>, lift: &Lift) -> Result<(Vec<usize>, Vec<usize>, Vec<usize>)> {
    // A constant that has a row for each of a few rows, as Expand or ConstantOfShape makes it, has the same in all.
    let other = match other.split_first() {
        Some((3, rest)) if rest.len() == cells.shape.len() && !rest.is_empty() => [&[1], rest].concat(),
        _ => other,
    };
    let positions = |shape: Vec<usize>| {
        let count = shape.iter().product::<usize>();
        Tensor::numbers(shape, Kind::Integer, (0..count).map(|n| n as f64).collect())
    };
    let (a, b) = (positions([&[1], &cells.shape[..]].concat())?, positions(other)?);
    let first = broadcast(&a, &b, Kind::Integer, lift.work, |a, _| a)?;
    let second = broadcast(&a, &b, Kind::Integer, lift.work, |_, b| b)?;
    match first.shape.split_first() {
        Some((1, shape))
            if first.shape.len() == cells.shape.len().max(b.shape.len().saturating_sub(1)) + 1 =>
        {
            Ok((shape.to_vec(), places(&first)?, places(&second)?))
        }
        _ => refuse("values of several rows are mixed"),
    }
}

fn places(tensor: &Tensor) -> Result<Vec<usize>> {
    Ok(tensor.values()?.iter().map(|n| *n as usize).collect())
}
