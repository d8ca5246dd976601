//! `ai.onnx.ml`: scaling, imputation, linear models, trees.

use super::{numbers, Call, Lift, Value};
use crate::import::error::{refuse, Result};
use crate::import::eval::{impute_value, of_column, unsupported};
use crate::import::tensor::{Data, Kind, Tensor};
use crate::import::trees::{Branch, Ensemble, Post};
use crate::import::units::{Cell, Cells, Exact, Function, Step, Sum, Trees, Unit};
use model::network::Activation;

impl Lift<'_> {
    pub fn classical(&mut self, call: &Call) -> Result<Vec<Value>> {
        match call.node.op.as_str() {
            "Scaler" => self.scaler(call),
            "Imputer" => self.imputer(call),
            "LinearRegressor" => {
                let targets = usize::try_from(call.node.int("targets", 1)).unwrap_or(0);
                Ok(vec![self.linear(call, targets)?])
            }
            "LinearClassifier" => self.linear_classifier(call),
            "TreeEnsembleRegressor" | "TreeEnsembleClassifier" | "TreeEnsemble" => self.trees(call),
            _ => Err(unsupported(call.node)),
        }
    }

    fn scaler(&mut self, call: &Call) -> Result<Vec<Value>> {
        let cells = call.cells(0)?;
        let (offsets, scales) = (call.node.floats("offset"), call.node.floats("scale"));
        let mut made = Vec::new();
        for (n, cell) in cells.cells.iter().enumerate() {
            let (Some(offset), Some(scale)) = (of_column(&offsets, n, 0.0), of_column(&scales, n, 1.0))
            else {
                return refuse("the lists do not fit the input");
            };
            let (sum, exact) = self.number(cell)?;
            if let (Some(Exact::Number { column, .. }), true) = (&exact, scale > 0.0) {
                self.units.columns[*column].scaling.get_or_insert((offset, 1.0 / scale));
            }
            let float = Step::Round(Kind::Float);
            let exact = exact
                .map(|exact| exact.then(Step::Add(-offset)).then(float).then(Step::Times(scale)).then(float));
            made.push(Cell::Number { sum: sum.line(scale, -offset * scale), exact });
        }
        Ok(vec![Value::Cells(Cells { shape: cells.shape.clone(), cells: made, kind: Kind::Float })])
    }

    fn imputer(&mut self, call: &Call) -> Result<Vec<Value>> {
        let cells = call.cells(0)?;
        let is_missing = call.node.floats("imputed_value_floats").is_empty()
            || call.node.float("replaced_value_float", 0.0).is_nan();
        if !is_missing || cells.kind == Kind::Integer {
            return refuse("it replaces another value than NaN");
        }
        let mut made = Vec::new();
        for (n, cell) in cells.cells.iter().enumerate() {
            let imputed = impute_value(call.node, n, f64::NAN)?;
            made.push(self.imputed(cell, imputed)?);
        }
        Ok(vec![Value::Cells(Cells { cells: made, ..cells.clone() })])
    }

    fn imputed(&mut self, cell: &Cell, imputed: f64) -> Result<Cell> {
        match cell {
            Cell::Raw { column, steps } if imputed.is_finite() => {
                let unit = self.units.number(*column, Some(imputed))?;
                let steps = steps.iter().copied().chain([Step::Impute(imputed)]).collect();
                Ok(Cell::Number {
                    sum: Sum::unit(unit),
                    exact: Some(Exact::Number { column: *column, steps }),
                })
            }
            _ => refuse("a value that was computed already is imputed"),
        }
    }

    /// Whether a number is missing.
    pub fn is_missing(&mut self, call: &Call) -> Result<Vec<Value>> {
        let cells = call.cells(0)?;
        let missing = cells.cells.iter().map(|cell| match cell {
            Cell::Raw { column, .. } => {
                self.units.number(*column, None)?;
                let unit = self.units.add(Unit::Missing { column: *column })?;
                Ok(Cell::Number { sum: Sum::unit(unit), exact: None })
            }
            _ => refuse("IsNaN of a value that was computed already"),
        });
        let made = missing.collect::<Result<_>>()?;
        Ok(vec![Value::Cells(Cells { shape: cells.shape.clone(), cells: made, kind: Kind::Boolean })])
    }

    /// `Where(IsNaN(x), constant, x)`: an imputation.
    pub fn imputed_where(&mut self, call: &Call) -> Result<Vec<Value>> {
        let (which, values, constant) = (call.cells(0)?, call.cells(2)?, call.constant(1)?);
        let imputed = constant.values()?;
        if which.cells.len() != values.cells.len() || imputed.is_empty() {
            return refuse("it is no imputation");
        }
        let mut made = Vec::new();
        for (n, (which, cell)) in which.cells.iter().zip(&values.cells).enumerate() {
            let is_own = match (which, cell) {
                (Cell::Number { sum, .. }, Cell::Raw { column, .. }) => matches!(
                    sum.terms[..],
                    [(unit, 1.0)] if matches!(self.units.units[unit], Unit::Missing { column: of } if of == *column)
                ),
                _ => false,
            };
            match of_column(imputed, n, 0.0).filter(|_| is_own) {
                Some(imputed) => made.push(self.imputed(cell, imputed)?),
                None => return refuse("it is no imputation: Where(IsNaN(x), constant, x)"),
            }
        }
        Ok(vec![Value::Cells(Cells { cells: made, ..values.clone() })])
    }

    fn linear(&mut self, call: &Call, targets: usize) -> Result<Value> {
        let cells = call.cells(0)?;
        let (coefficients, intercepts) = (call.node.floats("coefficients"), call.node.floats("intercepts"));
        let width = cells.cells.len();
        let fits = targets > 0
            && targets.checked_mul(width) == Some(coefficients.len())
            && (intercepts.is_empty() || intercepts.len() == targets);
        if !fits {
            return refuse("the coefficients do not fit the input");
        }
        let own = self.sums(cells)?;
        let sum = |target: usize| {
            let weights = coefficients[target * width..][..width].iter().copied();
            let bias = intercepts.get(target).copied().unwrap_or(0.0);
            Sum::of(weights.zip(&own), bias, self.work)
        };
        let sums = (0..targets).map(sum).collect::<Result<_>>()?;
        Ok(numbers(vec![targets], Kind::Float, sums))
    }

    fn linear_classifier(&mut self, call: &Call) -> Result<Vec<Value>> {
        let width = call.cells(0)?.cells.len();
        let classes = call.node.floats("coefficients").len() / width.max(1);
        if classes > 2 {
            return refuse(format!("it tells {classes} classes apart; two are supported"));
        }
        let Value::Cells(cells) = self.linear(call, classes)? else { return refuse("a sum is a constant") };
        let sums = self.sums(&cells)?;
        let scores = self.scores(sums, Post::of(call.node)?, classes == 1, false)?;
        Ok(vec![no_label(), scores])
    }

    /// As the reference's `of_scores`, for sums.
    fn scores(&mut self, sums: Vec<Sum>, post: Post, one_sided: bool, all_positive: bool) -> Result<Value> {
        let width = if one_sided { 2 } else { sums.len() };
        let cells = |sums| numbers(vec![width], Kind::Float, sums);
        let sigmoid = Function::Activation(Activation::Sigmoid);
        let both = |sum: &Sum| vec![sum.line(-1.0, if all_positive { 1.0 } else { 0.0 }), sum.clone()];
        let one_sum = sums.first().cloned().unwrap_or_default();
        match (post, one_sided) {
            (Post::None, false) => Ok(cells(sums)),
            (Post::None, true) => Ok(cells(both(&one_sum))),
            (Post::Logistic, false) => Ok(cells(self.units.layer(sigmoid, sums)?)),
            (Post::Softmax, false) => {
                let own = Cells { shape: vec![width], cells: Vec::new(), kind: Kind::Float };
                self.softmax_of(&own, sums)
            }
            (Post::Logistic | Post::Softmax, true) => {
                let factor = if post == Post::Softmax { 2.0 } else { 1.0 };
                let unit = self.units.layer(sigmoid, vec![one_sum.line(factor, 0.0)])?.remove(0);
                Ok(cells(vec![unit.line(-1.0, 1.0), unit]))
            }
        }
    }

    fn trees(&mut self, call: &Call) -> Result<Vec<Value>> {
        let ensemble = Ensemble::read(call.node)?;
        let cells = call.cells(0)?;
        let mut used = vec![(false, false); cells.cells.len()];
        for branch in ensemble.trees.iter().flatten() {
            let Branch::Test { feature, mode, .. } = branch else { continue };
            match used.get_mut(*feature) {
                Some((ordered, _)) if mode.is_ordered() => *ordered = true,
                Some((_, picked)) => *picked = true,
                None => return refuse(format!("a tree reads feature {feature} of {}", cells.cells.len())),
            }
        }
        let mut features = Vec::new();
        for (n, (cell, used)) in cells.cells.iter().zip(&used).enumerate() {
            features.push(match (used, cell) {
                ((false, false), _) => None,
                ((false, true), Cell::Raw { column, .. }) if !self.units.columns[*column].is_number => {
                    Some(self.category_of_trees(*column, n, &ensemble)?)
                }
                _ => self.number(cell)?.1,
            });
            if *used != (false, false) && features.last().is_some_and(Option::is_none) {
                return refuse(format!("its trees read feature {n}, which is computed from several columns"));
            }
        }
        let Ensemble { targets, post, one_sided, all_positive, .. } = ensemble;
        let n = self.units.trees.len();
        self.units.trees.push(Trees { ensemble, features });
        let unit = |target| self.units.add(Unit::Trees { ensemble: n, target }).map(Sum::unit);
        let sums = (0..targets).map(unit).collect::<Result<Vec<_>>>()?;
        if call.node.op == "TreeEnsembleClassifier" {
            return Ok(vec![no_label(), self.scores(sums, post, one_sided, all_positive)?]);
        }
        Ok(vec![self.scores(sums, post, false, false)?])
    }

    /// A number that trees only compare for equality is a category of the numbers that they name.
    fn category_of_trees(&mut self, column: usize, feature: usize, ensemble: &Ensemble) -> Result<Exact> {
        let mut known: Vec<(usize, f64)> = Vec::new();
        for branch in ensemble.trees.iter().flatten() {
            let Branch::Test { feature: of, mode, .. } = branch else { continue };
            for value in mode.named().iter().filter(|value| *of == feature && value.is_finite()) {
                let code = self.units.code(column, &format!("{value}"))?;
                if !known.iter().any(|(seen, _)| *seen == code) {
                    known.push((code, *value));
                }
            }
        }
        Ok(Exact::Text(crate::import::units::ByText { column, known, other: f64::MAX }))
    }
}

/// What stands for a classifier's label, which no score needs.
fn no_label() -> Value {
    Value::Constant(Tensor { shape: vec![0], data: Data::Numbers(Kind::Integer, Vec::new()) })
}
