//! From the nodes of a graph to sums over units (see [`super::units`]).
//!
//! | file | operators |
//! | --- | --- |
//! | `moves` | what moves values |
//! | `linear` | sums, products with constants, matrices |
//! | `activations` | activations; the patterns that are activations |
//! | `texts` | functions of one category |
//! | `classical` | `ai.onnx.ml` |

mod activations;
mod classical;
mod linear;
mod moves;
mod texts;

use super::error::{refuse, Result};
use super::eval::{evaluate, unsupported, Given};
use super::graph::{Graph, Node, ML};
use super::tensor::{Kind, Tensor};
use super::units::{read_inputs, ByText, Cell, Cells, Exact, Step, Sum, Units};
use super::work::Work;
use std::collections::HashMap;

/// The value of a name.
#[derive(Debug, Clone)]
pub enum Value {
    Constant(Tensor),
    Cells(Cells),
}

/// A graph on its way to sums over units.
pub struct Lift<'a> {
    pub units: Units,
    pub work: &'a Work,
}

/// What a node is given.
pub struct Call<'a> {
    pub node: &'a Node,
    pub inputs: Vec<Option<Value>>,
}

/// The units of a graph, and the cells of its output.
pub fn lift(graph: &Graph, names: Option<&[String]>, work: &Work) -> Result<(Units, Cells)> {
    let (columns, cells) = read_inputs(&graph.inputs, names)?;
    let mut lift = Lift { units: Units::new(columns), work };
    let inputs = graph.inputs.iter().map(|input| input.name.clone());
    let mut values: HashMap<String, Value> = inputs.zip(cells.into_iter().map(Value::Cells)).collect();
    values
        .extend(graph.constants.iter().map(|(name, tensor)| (name.clone(), Value::Constant(tensor.clone()))));
    for node in &graph.nodes {
        let inputs = node.inputs.iter().map(|name| values.get(name).cloned()).collect();
        let made = lift.node(&Call { node, inputs }).map_err(|mut error| {
            if !error.message.contains(&node.to_string()) {
                error.message = format!("{node}: {}", error.message);
            }
            error
        })?;
        values.extend(node.outputs.iter().cloned().zip(made).filter(|(name, _)| !name.is_empty()));
    }
    match values.remove(&graph.output) {
        Some(Value::Cells(cells)) => Ok((lift.units, cells)),
        _ => refuse("the model's output does not depend on its inputs"),
    }
}

impl Call<'_> {
    pub fn need(&self, n: usize) -> Result<&Value> {
        match self.inputs.get(n) {
            Some(Some(value)) => Ok(value),
            _ => refuse(format!("input {n} is missing")),
        }
    }

    pub fn cells(&self, n: usize) -> Result<&Cells> {
        match self.need(n)? {
            Value::Cells(cells) => Ok(cells),
            Value::Constant(_) => refuse(format!("input {n} is a constant")),
        }
    }

    pub fn constant(&self, n: usize) -> Result<&Tensor> {
        match self.need(n)? {
            Value::Constant(tensor) => Ok(tensor),
            Value::Cells(_) => refuse(format!("input {n} must be a constant, and depends on the row")),
        }
    }
}

impl Lift<'_> {
    fn node(&mut self, call: &Call) -> Result<Vec<Value>> {
        let node = call.node;
        let constants = call.inputs.iter().map(|input| match input {
            Some(Value::Constant(tensor)) => Some(Some(tensor)),
            Some(Value::Cells(_)) => None,
            None => Some(None),
        });
        if let Some(constants) = constants.collect::<Option<Vec<_>>>() {
            let made = evaluate(&Given::new(node, constants), self.work)?;
            return Ok(made.into_iter().map(Value::Constant).collect());
        }
        if texts::is_of_one_category(self, call) {
            return self.of_category(call);
        }
        match (node.domain.as_str(), node.op.as_str()) {
            (_, op) if moves::MOVES.contains(&op) => self.moved(call),
            ("", "Shape") => moves::shape(call),
            ("", "Cast") => self.cast(call),
            ("", op) if activations::is_activation(op) => self.activation(call),
            ("", "Softmax") => self.softmax(call),
            ("", "Add" | "Sub" | "Mul" | "Div" | "Neg" | "Sum") => self.arithmetic(call),
            ("", "Gemm") => self.gemm(call),
            ("", "MatMul") => self.matmul(call),
            ("", "BatchNormalization") => self.batch_normalization(call),
            ("", "ReduceSum" | "ReduceMean") => self.reduced(call),
            ("", "IsNaN") => self.is_missing(call),
            ("", "Where") => self.imputed_where(call),
            (ML, _) => self.classical(call),
            _ => Err(unsupported(node)),
        }
    }

    /// The sum of a cell and, if it depends on one column, how. A raw number is known to be one from then on.
    pub fn number(&mut self, cell: &Cell) -> Result<(Sum, Option<Exact>)> {
        match cell {
            Cell::Raw { column, steps } => {
                let unit = self.units.number(*column, None)?;
                Ok((Sum::unit(unit), Some(Exact::Number { column: *column, steps: steps.clone() })))
            }
            Cell::Number { sum, exact } => Ok((sum.clone(), exact.clone())),
            Cell::Text(_) => refuse("a text is read as a number"),
        }
    }

    pub fn sums(&mut self, cells: &Cells) -> Result<Vec<Sum>> {
        cells.cells.iter().map(|cell| Ok(self.number(cell)?.0)).collect()
    }

    /// Casts to another kind of number; a cast of what has no fraction changes nothing.
    fn cast(&mut self, call: &Call) -> Result<Vec<Value>> {
        let mut cells = call.cells(0)?.clone();
        let to = call.node.int("to", 0) as i32;
        let Some(kind) = Kind::of(to) else {
            let is_text = cells.cells.iter().all(|cell| matches!(cell, Cell::Text(_)));
            return match to == super::tensor::TEXT && is_text {
                true => Ok(vec![Value::Cells(cells)]),
                false => refuse(format!("a cast to element type {to}")),
            };
        };
        let loses = |from: Kind| {
            matches!(kind, Kind::Integer | Kind::Boolean) && matches!(from, Kind::Float | Kind::Double)
        };
        let from = cells.kind;
        for cell in &mut cells.cells {
            match cell {
                Cell::Raw { steps, .. } => steps.push(Step::Round(kind)),
                Cell::Number { exact: Some(exact), .. } if !loses(from) => {
                    *exact = exact.then(Step::Round(kind))
                }
                Cell::Number { exact: None, .. } if !loses(from) => {}
                _ => return refuse("a cast that changes the value"),
            }
        }
        Ok(vec![Value::Cells(Cells { kind, ..cells })])
    }
}

impl Exact {
    /// With one more step. Of a text, each value takes it.
    pub fn then(&self, step: Step) -> Self {
        match self {
            Self::Number { column, steps } => {
                let steps = steps.iter().copied().chain([step]).collect();
                Self::Number { column: *column, steps }
            }
            Self::Text(ByText { column, known, other }) => Self::Text(ByText {
                column: *column,
                known: known.iter().map(|(code, value)| (*code, step.apply(*value))).collect(),
                other: step.apply(*other),
            }),
        }
    }
}

/// One value from cells of numbers.
pub fn numbers(shape: Vec<usize>, kind: Kind, sums: Vec<Sum>) -> Value {
    let cells = sums.into_iter().map(|sum| Cell::Number { sum, exact: None }).collect();
    Value::Cells(Cells { shape, cells, kind })
}
