//! The values of one input column: numbers at the width they were given, categories as codes of a dictionary.

use super::column::{lists, texts, Cells};
use super::hash;
use crate::error::TrainerError;
use crate::memory::grow;
use arrow_array::Array;
use arrow_schema::DataType;
use model::protocol::SourceColumn;
use model::recipe::MAX_INPUTS;
use std::collections::HashMap;
use std::sync::Arc;

/// The code of NULL in a [`Dictionary`].
pub const NULL_CODE: u32 = u32::MAX;

/// Floats in four bytes where that loses nothing, else in eight.
#[derive(Debug)]
pub enum Floats {
    Single(Vec<f32>),
    Double(Vec<f64>),
}

impl Floats {
    /// Floats that are wide enough for every value of an Arrow type.
    fn fit_for(data_type: &DataType) -> Self {
        match data_type {
            DataType::Int16 | DataType::Float32 | DataType::Boolean => Self::Single(Vec::new()),
            _ => Self::Double(Vec::new()),
        }
    }

    pub fn get(&self, index: usize) -> f64 {
        match self {
            Self::Single(values) => values[index].into(),
            Self::Double(values) => values[index],
        }
    }

    /// An empty collection with floats of the same width.
    fn like(&self) -> Self {
        match self {
            Self::Single(_) => Self::Single(Vec::new()),
            Self::Double(_) => Self::Double(Vec::new()),
        }
    }

    fn extend(&mut self, numbers: &[f64]) {
        match self {
            Self::Single(values) => {
                grow(values, numbers.len());
                values.extend(numbers.iter().map(|v| *v as f32));
            }
            Self::Double(values) => {
                grow(values, numbers.len());
                values.extend(numbers);
            }
        }
    }

    fn extend_missing(&mut self, count: usize) {
        match self {
            Self::Single(values) => {
                grow(values, count);
                values.resize(values.len() + count, f32::NAN);
            }
            Self::Double(values) => {
                grow(values, count);
                values.resize(values.len() + count, f64::NAN);
            }
        }
    }
}

/// Takes the values of all rows, `width` each, into another order. The reordered copy is written back to where the
/// values were, and freed: the values keep their memory.
pub fn reorder<T: Copy>(values: &mut [T], width: usize, rows: &[u32]) {
    let picked: Vec<T> = match width {
        1 => rows.iter().map(|row| values[*row as usize]).collect(),
        _ => rows.iter().flat_map(|row| &values[*row as usize * width..][..width]).copied().collect(),
    };
    values.copy_from_slice(&picked);
}

/// The values of one column, row after row.
#[derive(Debug)]
pub enum Values {
    /// `width` numbers a row, NaN where missing. An array column whose arrays are all NULL or empty has width 0.
    Numbers { width: usize, floats: Floats },
    /// One code a row.
    Category(Dictionary),
}

impl Values {
    /// Collects further values of the same column; `is_array` says whether it is one of arrays.
    pub fn builder(&self, is_array: bool) -> Builder {
        match self {
            Self::Category(_) => Builder::Text(Dictionary::default()),
            Self::Numbers { floats, .. } if !is_array => Builder::Number(floats.like()),
            Self::Numbers { width, floats } => {
                Builder::Array { width: (*width > 0).then_some(*width), rows: 0, floats: floats.like() }
            }
        }
    }
}

impl Values {
    /// Takes the rows into another order.
    pub fn reorder(&mut self, rows: &[u32]) {
        match self {
            Self::Numbers { width, floats: Floats::Single(values) } => reorder(values, *width, rows),
            Self::Numbers { width, floats: Floats::Double(values) } => reorder(values, *width, rows),
            Self::Category(dictionary) => reorder(&mut dictionary.codes, 1, rows),
        }
    }
}

/// An input column of the source and its values, one for each row.
#[derive(Debug)]
pub struct Feature {
    pub source: SourceColumn,
    pub values: Values,
}

/// Texts stored once each, in order of first appearance.
#[derive(Debug, Default)]
pub struct Dictionary {
    /// Index into `texts`, or [`NULL_CODE`].
    pub codes: Vec<u32>,
    pub texts: Vec<Arc<str>>,
    hashes: Vec<u64>,
    lookup: HashMap<Arc<str>, u32>,
}

impl Dictionary {
    /// Takes the text of the next row and returns its hash.
    fn push(&mut self, text: Option<&str>) -> u64 {
        let Some(text) = text else {
            self.codes.push(NULL_CODE);
            return hash::NULL;
        };
        let code = match self.lookup.get(text) {
            Some(code) => *code,
            None => {
                // The number fits, since the reader refuses more than u32::MAX rows.
                let code = self.texts.len() as u32;
                let shared: Arc<str> = text.into();
                self.texts.push(shared.clone());
                self.hashes.push(hash::text(text));
                self.lookup.insert(shared, code);
                code
            }
        };
        self.codes.push(code);
        self.hashes[code as usize]
    }

    /// Frees the memory that is only needed while the dictionary is filled.
    fn seal(mut self) -> Self {
        self.lookup = HashMap::new();
        self.hashes = Vec::new();
        self
    }
}

/// Collects the values of one column batch by batch.
#[derive(Debug)]
pub enum Builder {
    Number(Floats),
    Array { width: Option<usize>, rows: usize, floats: Floats },
    Text(Dictionary),
}

impl Builder {
    pub fn new(data_type: &DataType) -> Self {
        match data_type {
            DataType::Utf8 => Self::Text(Dictionary::default()),
            DataType::List(item) => {
                Self::Array { width: None, rows: 0, floats: Floats::fit_for(item.data_type()) }
            }
            other => Self::Number(Floats::fit_for(other)),
        }
    }

    /// Takes a batch of column `name` and leaves the rows' hashes in `cells`.
    pub fn append(&mut self, array: &dyn Array, name: &str, cells: &mut Cells) -> Result<(), TrainerError> {
        match self {
            Self::Number(floats) => {
                cells.read_numbers(array)?;
                floats.extend(&cells.numbers);
            }
            Self::Array { width, rows, floats } => append_lists(array, name, width, rows, floats, cells)?,
            Self::Text(dictionary) => {
                cells.hashes.clear();
                grow(&mut dictionary.codes, array.len());
                for text in texts(array)? {
                    cells.hashes.push(dictionary.push(text));
                }
            }
        }
        Ok(())
    }

    /// Drops all values, but keeps what was learned about the column.
    pub fn forget(&mut self) {
        match self {
            Self::Number(floats) => *floats = floats.like(),
            Self::Array { rows, floats, .. } => (*rows, *floats) = (0, floats.like()),
            Self::Text(dictionary) => *dictionary = Dictionary::default(),
        }
    }

    pub fn finish(self) -> Values {
        match self {
            Self::Number(floats) => Values::Numbers { width: 1, floats },
            Self::Array { width, floats, .. } => Values::Numbers { width: width.unwrap_or(0), floats },
            Self::Text(dictionary) => Values::Category(dictionary.seal()),
        }
    }
}

/// The first array that is not NULL says how long all of them must be.
fn append_lists(
    array: &dyn Array,
    name: &str,
    width: &mut Option<usize>,
    rows: &mut usize,
    floats: &mut Floats,
    cells: &mut Cells,
) -> Result<(), TrainerError> {
    let lists = lists(array)?;
    let offsets = lists.value_offsets();
    cells.read_numbers(lists.values())?;
    let items = std::mem::take(&mut cells.hashes);
    for row in 0..lists.len() {
        if lists.is_null(row) {
            cells.hashes.push(hash::NULL);
            floats.extend_missing(width.unwrap_or(0));
            *rows += 1;
            continue;
        }
        let range = offsets[row] as usize..offsets[row + 1] as usize;
        let expected = match *width {
            Some(expected) => expected,
            None => {
                check_width(range.len(), name)?;
                floats.extend_missing(*rows * range.len());
                *width.insert(range.len())
            }
        };
        if range.len() != expected {
            return Err(TrainerError::data(
                format!("array column \"{name}\" holds arrays of {expected} and of {} elements", range.len()),
                "All arrays of an input column must have the same length.",
            ));
        }
        floats.extend(&cells.numbers[range.clone()]);
        cells.push_list(items.get(range), expected);
        *rows += 1;
    }
    Ok(())
}

fn check_width(width: usize, name: &str) -> Result<(), TrainerError> {
    if width <= MAX_INPUTS {
        return Ok(());
    }
    Err(TrainerError::data(
        format!("array column \"{name}\" holds arrays of {width} elements"),
        format!("A model takes at most {MAX_INPUTS} numbers."),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::types::Float32Type;
    use arrow_array::ListArray;

    fn list(rows: Vec<Option<Vec<f32>>>) -> ListArray {
        let items = rows.into_iter().map(|row| row.map(|values| values.into_iter().map(Some)));
        ListArray::from_iter_primitive::<Float32Type, _, _>(items)
    }

    #[test]
    fn null_arrays_take_the_width_of_the_others_wherever_they_stand() {
        let batches = [
            list(vec![None, None]),
            list(vec![None, Some(vec![1.0, 2.0]), None]),
            list(vec![None, Some(vec![3.0, 4.0])]),
        ];
        let mut builder = Builder::new(batches[0].data_type());
        let mut cells = Cells::default();
        for batch in &batches {
            builder.append(batch, "a", &mut cells).unwrap();
            assert_eq!(cells.hashes.len(), batch.len());
        }
        let Values::Numbers { width: 2, floats: Floats::Single(values) } = builder.finish() else {
            panic!("two singles a row");
        };
        let missing = [0, 1, 2, 4, 5];
        for row in 0..7 {
            assert_eq!(values[2 * row].is_nan(), missing.contains(&row), "row {row}");
        }
        assert_eq!((values[6], values[7], values[12], values[13]), (1.0, 2.0, 3.0, 4.0));
    }

    #[test]
    fn a_slice_of_a_list_array_reads_its_own_rows() {
        let whole = list(vec![Some(vec![1.0]), Some(vec![2.0]), Some(vec![3.0])]);
        let mut builder = Builder::new(whole.data_type());
        builder.append(&whole.slice(1, 2), "a", &mut Cells::default()).unwrap();
        let Values::Numbers { floats, .. } = builder.finish() else { panic!("numbers") };
        assert_eq!((floats.get(0), floats.get(1)), (2.0, 3.0));
    }

    #[test]
    fn arrays_of_two_lengths_are_refused_with_both_lengths() {
        let mixed = list(vec![Some(vec![1.0]), Some(vec![2.0, 3.0])]);
        let mut builder = Builder::new(mixed.data_type());
        let error = builder.append(&mixed, "clicks", &mut Cells::default()).unwrap_err();
        assert_eq!(error.to_string(), "array column \"clicks\" holds arrays of 1 and of 2 elements");
    }
}
