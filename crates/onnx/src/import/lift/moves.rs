//! Operators that move values without changing them. The reference itself moves the cells' positions, in a few rows, and the
//! result shows which cell went where, and that no value went to another row.

use super::{Call, Lift, Value};
use crate::import::error::{refuse, Result};
use crate::import::eval::{evaluate, Given};
use crate::import::tensor::{Kind, Tensor};
use crate::import::units::{Cell, Cells};

/// The operators that only move.
pub const MOVES: [&str; 15] = [
    "Identity",
    "Dropout",
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Expand",
    "Concat",
    "Slice",
    "Split",
    "ArrayFeatureExtractor",
    "FeatureVectorizer",
    "ZipMap",
    "Gather",
];

/// Rows whose positions are moved: a length that no other dimension is likely to have.
const ROWS: usize = 3;

impl Lift<'_> {
    pub fn moved(&mut self, call: &Call) -> Result<Vec<Value>> {
        let mut cells: Vec<Cell> = Vec::new();
        let mut kind = None;
        let count: usize = call.inputs.iter().flatten().map(count).sum();
        let mut positions = Vec::new();
        for input in &call.inputs {
            positions.push(match input {
                Some(Value::Cells(own)) => {
                    kind = kind.or(Some(own.kind));
                    let first = cells.len();
                    cells.extend_from_slice(&own.cells);
                    Some(positions_of(own, first, count)?)
                }
                Some(Value::Constant(tensor)) => Some(tensor.clone()),
                None => None,
            });
        }
        if matches!(call.need(0)?, Value::Constant(_)) {
            return refuse("what is picked from a constant depends on the row");
        }
        if call.node.op == "Concat"
            && call.inputs.iter().any(|input| matches!(input, Some(Value::Constant(_))))
        {
            return refuse("a constant is joined to values of the row");
        }
        self.work.take(&[count, ROWS, 4])?;
        let given = Given::new(call.node, positions.iter().map(Option::as_ref).collect());
        let made = evaluate(&given, self.work)?;
        let kind = kind.unwrap_or(Kind::Float);
        made.iter().map(|tensor| taken(tensor, &cells, count, kind).map(Value::Cells)).collect()
    }
}

fn count(value: &Value) -> usize {
    match value {
        Value::Cells(cells) => cells.cells.len(),
        Value::Constant(_) => 0,
    }
}

/// The positions of the cells from `first` on, in each row `apart` further.
fn positions_of(cells: &Cells, first: usize, apart: usize) -> Result<Tensor> {
    let shape = [&[ROWS], &cells.shape[..]].concat();
    let row = |row: usize| (0..cells.cells.len()).map(move |n| (row * apart + first + n) as f64);
    Tensor::numbers(shape, Kind::Integer, (0..ROWS).flat_map(row).collect())
}

fn taken(positions: &Tensor, cells: &[Cell], apart: usize, kind: Kind) -> Result<Cells> {
    let places = positions.integers()?;
    let Some((ROWS, shape)) = positions.shape.split_first().map(|(rows, shape)| (*rows, shape)) else {
        return refuse("the rows are no longer the first dimension");
    };
    let width: usize = shape.iter().product();
    let stays = |n: usize| places[n] as usize == places[n % width] as usize + n / width * apart;
    if !(0..places.len()).all(stays) || places.iter().take(width).any(|place| *place as usize >= apart) {
        return refuse("values of several rows are mixed");
    }
    let cells = places[..width].iter().map(|place| cells[*place as usize].clone()).collect();
    Ok(Cells { shape: shape.to_vec(), cells, kind })
}

/// The shape of what depends on the row, as if there were [`ROWS`] rows.
pub fn shape(call: &Call) -> Result<Vec<Value>> {
    let cells = call.cells(0)?;
    let lengths: Vec<f64> =
        std::iter::once(ROWS).chain(cells.shape.iter().copied()).map(|n| n as f64).collect();
    let (start, end) = (call.node.int("start", 0), call.node.int("end", i64::MAX));
    Ok(vec![Value::Constant(crate::import::eval::shape_part(lengths, start, end)?)])
}
