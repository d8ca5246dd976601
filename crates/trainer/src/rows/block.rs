//! The values of chosen rows: from memory, or read again from the record batches of the file that hold them.

use super::data::Table;
use super::values::{Feature, Values};
use crate::error::TrainerError;
use model::Algorithm;
use std::ops::Range;

/// Most values that are read from the file at a time.
const VALUES: usize = 1 << 20;
/// Fewest and most rows that are read from the file at a time.
const ROWS: (usize, usize) = (1024, 65_536);
/// The length of a run of rows in memory, where reading neighbours together is no faster.
const RUN: usize = 256;

/// Some rows and the columns that hold their values.
pub struct Block<'a> {
    pub features: &'a [Feature],
    /// The rows' numbers in the table.
    pub rows: &'a [u32],
    /// Where each of them stands in `features`.
    pub places: &'a [u32],
}

impl<'a> Block<'a> {
    /// Cuts the block into blocks of this many rows; the last may have fewer.
    pub fn pieces(&self, rows: usize) -> impl Iterator<Item = Block<'a>> + use<'a> {
        let features = self.features;
        let parts = self.rows.chunks(rows).zip(self.places.chunks(rows));
        parts.map(move |(rows, places)| Block { features, rows, places })
    }
}

impl Table {
    /// Hands the values of `rows`, in any order, to `f` as one block.
    pub fn block<T>(&self, rows: &[u32], f: impl FnOnce(&Block) -> T) -> Result<T, TrainerError> {
        let Some(stored) = &self.stored else {
            return Ok(f(&Block { features: &self.features, rows, places: rows }));
        };
        // In the order of the file, so that each record batch is read once.
        let mut by_place: Vec<u32> = (0..rows.len() as u32).collect();
        by_place.sort_unstable_by_key(|n| rows[*n as usize]);
        let ascending: Vec<u32> = by_place.iter().map(|n| rows[*n as usize]).collect();
        let features = stored.read(&self.features, &ascending)?;
        let mut places = vec![0; rows.len()];
        (0..).zip(&by_place).for_each(|(place, n)| places[*n as usize] = place);
        Ok(f(&Block { features: &features, rows, places: &places }))
    }

    /// Hands the values of `rows` to `f`, in their order: as one block from memory, as several from the file.
    pub fn blocks<E>(
        &self,
        rows: &[u32],
        mut f: impl FnMut(&Block) -> Result<(), E>,
    ) -> Result<(), TrainerError>
    where
        TrainerError: From<E>,
    {
        let most = if self.stored.is_some() { self.block_rows() } else { rows.len().max(1) };
        rows.chunks(most).try_for_each(|rows| Ok(self.block(rows, &mut f)??))
    }

    /// The error of an algorithm that cannot read values from the file.
    pub fn must_be_in_memory(&self, algorithm: Algorithm) -> TrainerError {
        let length = self.stored.as_ref().and_then(|stored| stored.input.borrow().length());
        let megabytes = length.unwrap_or(0) >> 20;
        TrainerError::Memory {
            message: format!(
                "{algorithm} needs the values of all rows in memory: about {megabytes} MB, in half of what may be used"
            ),
            hint: "Raise reco.max_training_memory, or train a network: it can read rows by the pool.".into(),
        }
    }

    /// How many rows are handled at a time where all would take too much memory.
    pub fn block_rows(&self) -> usize {
        (VALUES / self.width().max(1)).clamp(ROWS.0, ROWS.1)
    }

    /// Cuts `rows` into runs that are best read together. If the rows lie in a file, they must ascend.
    pub fn runs(&self, rows: &[u32]) -> Vec<Range<usize>> {
        match &self.stored {
            Some(stored) => stored.runs(rows),
            None => (0..rows.len()).step_by(RUN).map(|at| at..(at + RUN).min(rows.len())).collect(),
        }
    }

    /// Most bytes of a row's raw numbers.
    pub fn raw_row_bytes(&self) -> usize {
        8 * self.width()
    }

    /// Numbers and categories of a row.
    fn width(&self) -> usize {
        let width = |feature: &Feature| match &feature.values {
            Values::Numbers { width, .. } => *width,
            Values::Category(_) => 1,
        };
        self.features.iter().map(width).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::input::Input;
    use super::*;
    use crate::prepare::{Encoder, Grain};
    use arrow_array::types::Float32Type;
    use arrow_array::{
        new_null_array, ArrayRef, BooleanArray, Float32Array, Int32Array, ListArray, RecordBatch, StringArray,
    };
    use arrow_ipc::writer::FileWriter;
    use arrow_schema::DataType;
    use model::protocol::{Role, SourceColumn};
    use model::recipe::Family;
    use model::Params;
    use std::fs::File;
    use std::sync::Arc;

    const ROWS: u32 = 1000;

    fn columns() -> Vec<SourceColumn> {
        use Family::{Boolean, Number, NumberArray, Text};
        let all = [
            ("label", Boolean, Role::Label),
            ("small", Number, Role::Feature),
            ("large", Number, Role::Feature),
            ("lags", NumberArray, Role::Feature),
            ("gone", NumberArray, Role::Feature),
            ("brand", Text, Role::Feature),
            ("product", Number, Role::Key),
        ];
        let column = |(name, family, role): (&str, Family, Role)| SourceColumn {
            name: name.into(),
            sql_type: "any".into(),
            family,
            role,
        };
        all.map(column).to_vec()
    }

    /// A file of several record batches, one of them empty, in which arrays are NULL until the second.
    fn input() -> (tempfile::TempDir, Input) {
        let rows = 0..ROWS;
        let known = |row: u32| row % 7 != 3;
        let lags = |row: u32| (row > 400).then(|| vec![Some(row as f32), None]);
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(rows.clone().map(|row| Some(row % 3 == 0)).collect::<BooleanArray>()),
            Arc::new(
                rows.clone().map(|row| known(row).then_some(row as f32 / 8.0)).collect::<Float32Array>(),
            ),
            Arc::new(rows.clone().map(|row| Some(row as i32 * 1000)).collect::<Int32Array>()),
            Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows.clone().map(lags))),
            new_null_array(&DataType::new_list(DataType::Float32, true), ROWS as usize),
            Arc::new(
                rows.clone()
                    .map(|row| known(row).then(|| format!("brand {}", row % 11)))
                    .collect::<StringArray>(),
            ),
            // The first four brands have two products each.
            Arc::new(
                rows.map(|row| if row % 11 < 4 { row % 22 } else { row } as i32).collect::<Int32Array>(),
            ),
        ];
        let names = columns().into_iter().map(|column| column.name);
        let whole = RecordBatch::try_from_iter(names.zip(arrays)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.arrow");
        let mut writer = FileWriter::try_new(File::create(&path).unwrap(), &whole.schema()).unwrap();
        for (at, rows) in [(0, 300), (300, 0), (300, 300), (600, 400)] {
            writer.write(&whole.slice(at, rows)).unwrap();
        }
        writer.finish().unwrap();
        let input = Input::open(&path).unwrap();
        (folder, input)
    }

    /// The same rows, in memory and left in their file.
    fn tables() -> (Table, Table, tempfile::TempDir) {
        let ((folder, first), (_, second)) = (input(), input());
        let little = first.length().unwrap();
        let stored = Table::read(first, &columns(), Some(u64::from(ROWS) * 64)).unwrap();
        assert!(little > u64::from(ROWS) * 32 && stored.stored.is_some());
        (Table::read(second, &columns(), None).unwrap(), stored, folder)
    }

    /// Every number and text of the rows.
    fn values(block: &Block) -> Vec<String> {
        let one = |place: u32| {
            let of = |feature: &Feature| match &feature.values {
                Values::Numbers { width, floats } => {
                    let at = place as usize * width;
                    format!("{:?}", (at..at + width).map(|at| floats.get(at)).collect::<Vec<_>>())
                }
                Values::Category(dictionary) => {
                    format!("{:?}", dictionary.texts.get(dictionary.codes[place as usize] as usize))
                }
            };
            block.features.iter().map(of).collect::<String>()
        };
        block.places.iter().map(|place| one(*place)).collect()
    }

    #[test]
    fn the_file_gives_the_values_that_memory_has() {
        let (memory, file, _folder) = tables();
        let spread: Vec<u32> = (0..ROWS).step_by(3).collect();
        let scattered: Vec<u32> = (0..ROWS).map(|n| n * 377 % ROWS).collect();
        let (backward, twice): (Vec<u32>, Vec<u32>) = (300..600).map(|row| (899 - row, row / 2 * 2)).unzip();
        for rows in [&[][..], &[999], &[299, 300, 599, 600], &spread, &scattered, &backward, &twice] {
            assert_eq!(file.block(rows, values).unwrap(), memory.block(rows, values).unwrap());
        }
        assert_eq!(memory.digest, file.digest);
    }

    #[test]
    fn a_recipe_fitted_on_the_file_is_that_of_memory() {
        let (memory, file, _folder) = tables();
        let train: Vec<u32> = (0..ROWS).filter(|row| row % 5 > 0).collect();
        let (params, grain) = (Params::default(), Grain { bins: 8, category_keys: 3 });
        let (ours, theirs) = (
            Encoder::fit(&file, &train, &params, grain, 2).unwrap(),
            Encoder::fit(&memory, &train, &params, grain, 1).unwrap(),
        );
        assert_eq!(ours.recipe, theirs.recipe);
        assert_eq!(ours.recipe.categories()[0].vocabulary.len(), 7);
        assert_eq!(ours.warnings, theirs.warnings);
        let all: Vec<u32> = (0..ROWS).collect();
        let encoded = |encoder: &Encoder| {
            let encoded = encoder.table().block(&all, |block| encoder.inputs().of(block)).unwrap();
            (encoded.dense, encoded.ids)
        };
        assert_eq!(encoded(&ours), encoded(&theirs));
    }

    #[test]
    fn runs_are_the_rows_of_one_record_batch() {
        let (memory, file, _folder) = tables();
        assert_eq!(file.runs(&[0, 299, 300, 700, 701]), [0..2, 2..3, 3..5]);
        assert_eq!(memory.runs(&(0..300).collect::<Vec<_>>()), [0..256, 256..300]);
    }
}
