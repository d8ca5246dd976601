//! Functions of one category: whatever the graph computes from a single text is a value for each text that it knows, and one
//! for all others. The reference computes them. An integer that is encoded or looked up is a category too.

use super::{Call, Lift, Value};
use crate::import::error::{refuse, Result};
use crate::import::eval::{evaluate, label_map, Given, LabelKeys};
use crate::import::graph::Node;
use crate::import::tensor::{elements, Data, Kind, Tensor};
use crate::import::units::{ByText, Cell, Cells, Exact, Sum};

/// A text that no model knows.
const UNSEEN: &str = "\u{1}unseen\u{1}";

/// Whether the node is a function of one category in each of its cells.
pub fn is_of_one_category(lift: &Lift, call: &Call) -> bool {
    let node = call.node;
    let is_lookup = node.op == "Gather" && matches!(call.inputs.first(), Some(Some(Value::Constant(_))));
    let encodes =
        matches!(node.op.as_str(), "OneHotEncoder" | "LabelEncoder" | "CategoryMapper") || is_lookup;
    let Ok(cells) = call.cells(usize::from(is_lookup)) else { return false };
    let is_text = |cell: &Cell| match cell {
        Cell::Text(_) => encodes || matches!(node.op.as_str(), "Equal" | "Cast"),
        Cell::Raw { column, .. } => encodes && !lift.units.columns[*column].is_number,
        Cell::Number { exact: Some(Exact::Text(_)), .. } => {
            encodes || matches!(node.op.as_str(), "Equal" | "Cast" | "Not" | "IsNaN")
        }
        Cell::Number { .. } => false,
    };
    let to_text = node.op == "Cast" && node.int("to", 0) as i32 == crate::import::tensor::TEXT;
    !to_text && !cells.cells.is_empty() && cells.cells.iter().all(is_text)
}

/// What a category is before the node: for each known code a value, then that of all others.
struct Before {
    column: usize,
    codes: Vec<usize>,
    values: Tensor,
    /// Whether the value of all others is only a stand-in, for which the node need not have a result.
    is_open: bool,
}

impl Lift<'_> {
    pub fn of_category(&mut self, call: &Call) -> Result<Vec<Value>> {
        let input = usize::from(call.node.op == "Gather");
        let cells = call.cells(input)?.clone();
        let mut made = Vec::new();
        let mut tail = None;
        let mut kind = Kind::Float;
        for cell in &cells.cells {
            let before = self.before(call, cell)?;
            let after = self.after(call, input, &before)?;
            let shape = after.shape.get(1..).unwrap_or_default().to_vec();
            if tail.get_or_insert(shape.clone()) != &shape {
                return refuse("categories become vectors of different lengths");
            }
            if let Data::Numbers(of_values, _) = after.data {
                kind = of_values;
            }
            self.append(&before, &after, elements(&shape)?, &mut made)?;
        }
        let shape = [&cells.shape[..], &tail.unwrap_or_default()].concat();
        Ok(vec![Value::Cells(Cells { shape, cells: made, kind })])
    }

    fn before(&mut self, call: &Call, cell: &Cell) -> Result<Before> {
        match cell {
            Cell::Text(ByText { column, other: None, .. }) => {
                let mut texts = keys(call)?;
                let codes = texts.iter().map(|text| self.units.code(*column, text)).collect::<Result<_>>()?;
                texts.push(UNSEEN.to_owned());
                let values = Tensor::texts(vec![texts.len()], texts)?;
                Ok(Before { column: *column, codes, values, is_open: false })
            }
            Cell::Text(ByText { column, known, other: Some(other) }) => {
                let texts =
                    known.iter().map(|(_, text)| text.clone().unwrap_or_default()).chain([other.clone()]);
                let values = Tensor::texts(vec![known.len() + 1], texts.collect())?;
                let codes = known.iter().map(|(code, _)| *code).collect();
                Ok(Before { column: *column, codes, values, is_open: false })
            }
            Cell::Raw { column, .. } => {
                let mut numbers = number_keys(call)?;
                let texts = numbers.iter().map(|number| format!("{number}"));
                let codes = texts.map(|text| self.units.code(*column, &text)).collect::<Result<_>>()?;
                let is_open = call.node.op == "Gather";
                let unseen = numbers.iter().copied().fold(0.0, f64::max) + 1.0;
                numbers.push(if is_open { 0.0 } else { unseen });
                Ok(Before { column: *column, codes, values: Tensor::list(Kind::Integer, numbers), is_open })
            }
            Cell::Number { exact: Some(Exact::Text(ByText { column, known, other })), .. } => {
                let numbers = known.iter().map(|(_, value)| *value).chain([*other]).collect();
                let codes = known.iter().map(|(code, _)| *code).collect();
                let values = Tensor::list(Kind::Double, numbers);
                Ok(Before { column: *column, codes, values, is_open: false })
            }
            Cell::Number { .. } => refuse("it is not the function of one category"),
        }
    }

    /// What the node makes of each of the values.
    fn after(&self, call: &Call, input: usize, before: &Before) -> Result<Tensor> {
        let tensors = call.inputs.iter().enumerate().map(|(n, other)| match other {
            _ if n == input => Ok(Some(&before.values)),
            Some(Value::Constant(tensor)) => Ok(Some(tensor)),
            Some(Value::Cells(_)) => refuse("two values of the row are read"),
            None => Ok(None),
        });
        let given = Given::new(call.node, tensors.collect::<Result<_>>()?);
        Ok(evaluate(&given, self.work)?.remove(0))
    }

    /// Adds one cell for each of the `width` values that a category has become.
    fn append(&mut self, before: &Before, after: &Tensor, width: usize, made: &mut Vec<Cell>) -> Result<()> {
        let rows = before.codes.len();
        self.work.take(&[rows + 1, width])?;
        let (column, codes) = (before.column, &before.codes);
        match &after.data {
            Data::Texts(texts) if width == 1 => {
                let known = codes.iter().copied().zip(texts.iter().cloned().map(Some)).collect();
                made.push(Cell::Text(ByText { column, known, other: texts.last().cloned() }));
            }
            Data::Texts(_) => return refuse("a category becomes several texts"),
            Data::Numbers(_, values) => {
                for n in 0..width {
                    let other = if before.is_open { 0.0 } else { values[rows * width + n] };
                    let of = |row: usize| (codes[row], values[row * width + n]);
                    let known = (0..rows).map(of).filter(|(_, value)| value.to_bits() != other.to_bits());
                    let exact = ByText { column, known: known.collect(), other };
                    let sum = Sum::unit(self.units.by_text(exact.clone())?);
                    made.push(Cell::Number { sum, exact: Some(Exact::Text(exact)) });
                }
            }
        }
        Ok(())
    }
}

/// The texts that a node knows.
fn keys(call: &Call) -> Result<Vec<String>> {
    let node: &Node = call.node;
    let mut texts = match node.op.as_str() {
        "OneHotEncoder" => node.strings("cats_strings")?,
        "Equal" => match &call.constant(1)?.data {
            Data::Texts(texts) => texts.clone(),
            Data::Numbers(..) => return refuse("a text is compared with a number"),
        },
        "LabelEncoder" | "CategoryMapper" => match label_map(node, true)?.0 {
            LabelKeys::Texts(texts) => texts,
            LabelKeys::Numbers(_) => return refuse("a text is looked up among numbers"),
        },
        _ => return refuse("a text is read as a number"),
    };
    let mut seen = std::collections::HashSet::new();
    texts.retain(|text| seen.insert(text.clone()));
    Ok(texts)
}

/// The numbers that a node knows.
fn number_keys(call: &Call) -> Result<Vec<f64>> {
    let node = call.node;
    let numbers = match node.op.as_str() {
        "OneHotEncoder" => node.ints("cats_int64s").iter().map(|number| *number as f64).collect(),
        "Gather" => {
            let axis = node.int("axis", 0);
            let Some(rows) = call.constant(0)?.shape.first().filter(|_| axis == 0) else {
                return refuse("a table of embeddings is read along another dimension than its first");
            };
            (0..*rows).map(|row| row as f64).collect()
        }
        _ => match label_map(node, false)?.0 {
            LabelKeys::Numbers(numbers) => numbers,
            LabelKeys::Texts(_) => return refuse("a number is looked up among texts"),
        },
    };
    Ok(numbers.into_iter().filter(|number: &f64| number.is_finite()).collect())
}
