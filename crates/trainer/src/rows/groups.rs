//! The region of each row: the second key, for whose values the holdout sets are measured one by one, too.

use super::column::texts;
use super::values::reorder;
use crate::error::TrainerError;
use crate::memory::grow;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type};
use arrow_array::Array;
use arrow_schema::DataType;
use std::collections::HashMap;

/// A column with more distinct values than this holds no regions.
const MOST_VALUES: usize = 10_000;
/// Nor does a column whose distinct values have more bytes than this together.
const MOST_BYTES: usize = 1 << 20;
/// Most groups that are measured; they are those with the most rows.
const MOST_GROUPS: usize = 100;

const NULL: u16 = u16::MAX;

/// A column of texts or whole numbers as codes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Groups {
    pub column: String,
    /// The text of each code.
    names: Vec<String>,
    codes_of: HashMap<String, u16>,
    bytes: usize,
    /// One for each row.
    codes: Vec<u16>,
}

impl Groups {
    /// Groups by a column of this type; `None` if values of the type name no groups.
    pub fn new(column: &str, data_type: &DataType) -> Option<Self> {
        matches!(data_type, DataType::Utf8 | DataType::Int16 | DataType::Int32 | DataType::Int64)
            .then(|| Self { column: column.to_owned(), ..Self::default() })
    }

    /// Takes a batch; false once there are too many values.
    pub fn extend(&mut self, array: &dyn Array) -> Result<bool, TrainerError> {
        grow(&mut self.codes, array.len());
        Ok(match array.data_type() {
            DataType::Int16 => self.add_all(array.as_primitive::<Int16Type>().iter()),
            DataType::Int32 => self.add_all(array.as_primitive::<Int32Type>().iter()),
            DataType::Int64 => self.add_all(array.as_primitive::<Int64Type>().iter()),
            _ => self.add_all(texts(array)?.iter()),
        })
    }

    fn add_all<T: ToString>(&mut self, values: impl Iterator<Item = Option<T>>) -> bool {
        for value in values {
            let code = match value {
                Some(value) => self.code(value.to_string()),
                None => Some(NULL),
            };
            let Some(code) = code else { return false };
            self.codes.push(code);
        }
        true
    }

    fn code(&mut self, name: String) -> Option<u16> {
        if let Some(code) = self.codes_of.get(&name) {
            return Some(*code);
        }
        self.bytes += name.len();
        if self.names.len() == MOST_VALUES || self.bytes > MOST_BYTES {
            return None;
        }
        let code = self.names.len() as u16;
        self.names.push(name.clone());
        self.codes_of.insert(name, code);
        Some(code)
    }

    /// What the rows of one region have in common: the same for all of them, and for all rows without one.
    pub fn code_of(&self, row: u32) -> u16 {
        self.codes[row as usize]
    }

    /// Brings the rows into another order.
    pub fn reorder(&mut self, rows: &[u32]) {
        reorder(&mut self.codes, 1, rows);
    }

    /// Positions in `rows` of each of the largest groups, with its name, the largest first. Rows without a value are in none.
    pub fn largest(&self, rows: &[u32]) -> Vec<(&str, Vec<u32>)> {
        let mut positions = vec![Vec::new(); self.names.len()];
        for (position, row) in (0..).zip(rows) {
            if let Some(group) = positions.get_mut(usize::from(self.codes[*row as usize])) {
                group.push(position);
            }
        }
        let names = self.names.iter().map(String::as_str);
        let mut groups: Vec<_> = names.zip(positions).filter(|(_, rows)| !rows.is_empty()).collect();
        groups.sort_by(|(a, rows), (b, others)| others.len().cmp(&rows.len()).then_with(|| a.cmp(b)));
        groups.truncate(MOST_GROUPS);
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Int32Array, StringArray};

    #[test]
    fn rows_are_grouped_by_the_text_of_their_value() {
        let mut groups = Groups::new("region", &DataType::Utf8).unwrap();
        let batch = StringArray::from(vec![Some("b"), Some("a"), None, Some("b")]);
        assert!(groups.extend(&batch).unwrap());
        assert!(groups.extend(&StringArray::from(vec!["c", "a"])).unwrap());
        groups.reorder(&[5, 4, 3, 2, 1, 0]);
        // a c b NULL a b
        assert_eq!(groups.largest(&[0, 1, 3, 4, 5]), [("a", vec![0, 3]), ("b", vec![4]), ("c", vec![1])]);
        let mut numbers = Groups::new("store", &DataType::Int32).unwrap();
        assert!(numbers.extend(&Int32Array::from(vec![7, -1, 7])).unwrap());
        assert_eq!(numbers.largest(&[0, 1, 2]), [("7", vec![0, 2]), ("-1", vec![1])]);
        assert_eq!(Groups::new("at", &DataType::Date32), None);
    }

    #[test]
    fn what_has_too_many_values_is_no_region_and_the_largest_are_measured() {
        let mut groups = Groups::new("customer", &DataType::Int32).unwrap();
        let values: Int32Array = (0..MOST_VALUES as i32).chain(0..150).collect();
        assert!(groups.extend(&values).unwrap());
        let all: Vec<u32> = (0..values.len() as u32).collect();
        let largest = groups.largest(&all);
        assert_eq!(largest.len(), MOST_GROUPS);
        assert!(largest.iter().all(|(name, rows)| rows.len() == 2 && name.parse::<i32>().unwrap() < 150));
        assert!(!groups.extend(&Int32Array::from(vec![-1])).unwrap());
        let mut long = Groups::new("text", &DataType::Utf8).unwrap();
        assert!(!long.extend(&StringArray::from(vec!["x".repeat(MOST_BYTES + 1)])).unwrap());
    }
}
