//! The training data: for each row its label, event time and hashes, and one compact column for each input. Columns that
//! do not fit into memory stay in the file; see [`crate::rows::block`].

use super::column::{read_times, texts, Cells, TimeUnit, NO_TIME};
use super::groups::Groups;
use super::hash::{self, Digest};
use super::input::Input;
use super::labels::Labels;
use super::stored::StoredRows;
use super::values::{reorder, Builder, Feature};
use crate::error::TrainerError;
use crate::memory::{self, grow};
use crate::threads::on_each;
use arrow_array::{Array, RecordBatch};
use model::protocol::{Role, SourceColumn};
use std::cell::RefCell;

/// All rows. Rows in memory are in the order of [`Table::put_in_order`], rows in a file in the order in which they are
/// read.
#[derive(Default)]
pub struct Table {
    /// The input columns, in the order of the source.
    pub features: Vec<Feature>,
    /// The file that holds the values, if they are not in `features`.
    pub stored: Option<StoredRows>,
    pub labels: Labels,
    /// Event times as sortable numbers, and their unit; `None` without a time column.
    pub times: Option<(TimeUnit, Vec<i64>)>,
    /// A hash of all values of a row.
    pub row_hashes: Vec<u64>,
    /// A hash of the row's key, or of its inputs where there is no key: rows that share it must not be split.
    pub unit_hashes: Vec<u64>,
    /// The first key column; `None` without keys.
    pub first_key_column: Option<SourceColumn>,
    /// A hash of the first key column's value; `None` without keys.
    pub first_key: Option<Vec<u64>>,
    /// The second key, if its values can be told one by one: the region.
    pub regions: Option<Groups>,
    /// Identifies the data, whatever the order of the rows.
    pub digest: String,
}

impl Table {
    /// Reads all batches. The columns must have been checked against the schema of `input`. Values that take more than
    /// half of `room`, the bytes that may be allocated, are not kept, if the input can be read again.
    pub fn read(mut input: Input, columns: &[SourceColumn], room: Option<u64>) -> Result<Self, TrainerError> {
        let mut reader = TableReader::new(columns, &input);
        let half = room.unwrap_or(u64::MAX) / 2;
        reader.keeps_values = input.length().is_none_or(|length| length <= half);
        while let Some(batch) = input.next_batch()? {
            reader.add(&batch)?;
            check_room(reader.table.rows() as u64, room)?;
            if memory::left().is_some_and(|left| left < half) {
                check_is_file(&input)?;
                reader.keeps_values = false;
            }
            if !reader.keeps_values {
                reader.builders.iter_mut().flatten().for_each(Builder::forget);
            }
        }
        reader.finish(input)
    }

    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// A time in ISO 8601.
    pub fn written(&self, time: Option<i64>) -> Option<String> {
        let (unit, _) = self.times.as_ref()?;
        time.map(|time| unit.format(time))
    }

    /// The labelled rows, ordered by time and then by their values: the same rows in any order of reading give the
    /// same sequence (rows equal in everything are interchangeable).
    pub(super) fn ordered_rows(&self) -> Vec<u32> {
        let mut rows: Vec<u32> = (0..self.rows() as u32).filter(|row| self.labels.is_known(*row)).collect();
        let hash = |row: u32| self.row_hashes[row as usize];
        match &self.times {
            Some((_, times)) => rows.sort_unstable_by_key(|row| (times[*row as usize], hash(*row))),
            None => rows.sort_unstable_by_key(|row| hash(*row)),
        }
        rows
    }

    /// Brings the rows into the order of `ordered`, with all others behind them, so that whoever takes them in that
    /// order reads memory from its beginning to its end. Returns the number that each row had before. Rows in a file
    /// stay where they are and keep their numbers; then the result is `None`.
    pub(super) fn put_in_order(&mut self, ordered: &[u32], threads: usize) -> Option<Vec<u32>> {
        if self.stored.is_some() {
            return None;
        }
        let others = (0..self.rows() as u32).filter(|row| !self.labels.is_known(*row));
        let rows: Vec<u32> = ordered.iter().copied().chain(others).collect();
        on_each(&mut self.features, threads, |feature| feature.values.reorder(&rows));
        self.labels.reorder(&rows);
        if let Some((_, times)) = &mut self.times {
            reorder(times, 1, &rows);
        }
        if let Some(keys) = &mut self.first_key {
            reorder(keys, 1, &rows);
        }
        if let Some(regions) = &mut self.regions {
            regions.reorder(&rows);
        }
        reorder(&mut self.unit_hashes, 1, &rows);
        self.row_hashes = Vec::new();
        Some(rows)
    }

    /// Frees the hashes, which only ordering and splitting need.
    pub(super) fn forget_hashes(&mut self) {
        (self.row_hashes, self.unit_hashes) = (Vec::new(), Vec::new());
    }
}

/// Most bytes that a row takes besides its values, order and split included.
const ROW_BYTES: u64 = 64;

/// Refuses rows that would not fit even without their values.
fn check_room(rows: u64, room: Option<u64>) -> Result<(), TrainerError> {
    match room {
        Some(room) if rows * ROW_BYTES > room => {
            let what = format!("the labels, times and keys of {rows} rows and more");
            Err(memory::too_little(&what, rows * ROW_BYTES, room, "Or train on fewer rows."))
        }
        _ => Ok(()),
    }
}

/// Refuses a stream, since only a file can be read again.
fn check_is_file(input: &Input) -> Result<(), TrainerError> {
    match input.length() {
        Some(_) => Ok(()),
        None => Err(TrainerError::Memory {
            message: "the stream of data does not fit into half of the memory that may be used".into(),
            hint: "Raise reco.max_training_memory, or give the trainer an Arrow file: it can be read again."
                .into(),
        }),
    }
}

/// Fills a table batch by batch.
struct TableReader<'a> {
    columns: &'a [SourceColumn],
    has_keys: bool,
    builders: Vec<Option<Builder>>,
    cells: Cells,
    digest: Digest,
    table: Table,
    /// One for each batch: the row after its last.
    ends: Vec<u32>,
    /// Whether the values stay in memory.
    keeps_values: bool,
}

impl<'a> TableReader<'a> {
    fn new(columns: &'a [SourceColumn], input: &Input) -> Self {
        let mut digest = Digest::new();
        let mut table = Table::default();
        let mut builders = Vec::new();
        for (column, field) in columns.iter().zip(input.schema().fields()) {
            digest.column(&column.name, &column.sql_type);
            builders.push(column.role.is_feature().then(|| Builder::new(field.data_type())));
            if column.role.is_time() {
                table.times = Some((TimeUnit::of(field.data_type()), Vec::new()));
            }
        }
        let mut keys = columns.iter().zip(input.schema().fields()).filter(|(column, _)| column.role.is_key());
        table.first_key_column = keys.next().map(|(column, _)| column.clone());
        table.regions = keys.next().and_then(|(column, field)| Groups::new(&column.name, field.data_type()));
        let has_keys = table.first_key_column.is_some();
        table.first_key = has_keys.then(Vec::new);
        let (cells, ends) = (Cells::default(), Vec::new());
        Self { columns, has_keys, builders, cells, digest, table, ends, keeps_values: true }
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<(), TrainerError> {
        let first = self.table.rows();
        let rows = first + batch.num_rows();
        if u32::try_from(rows).is_err() {
            let message = format!("the data have more than {} rows", u32::MAX);
            return Err(TrainerError::data(message, "Train on a sample of the rows."));
        }
        self.ends.push(rows as u32);
        for hashes in [&mut self.table.row_hashes, &mut self.table.unit_hashes] {
            grow(hashes, batch.num_rows());
            hashes.resize(rows, 0);
        }
        let mut wants_first_key = self.has_keys;
        let columns = self.columns;
        for (position, (column, array)) in columns.iter().zip(batch.columns()).enumerate() {
            self.read_column(position, column, array)?;
            self.read_region(column, array)?;
            let hashes = &self.cells.hashes;
            // The position keeps equal values of two columns apart.
            let salted = hashes.iter().map(|h| h.wrapping_add(position as u64));
            fold(&mut self.table.row_hashes[first..], salted.clone());
            let identifies = if self.has_keys { column.role.is_key() } else { column.role.is_feature() };
            if identifies {
                fold(&mut self.table.unit_hashes[first..], salted);
            }
            if wants_first_key && column.role.is_key() {
                wants_first_key = false;
                if let Some(keys) = &mut self.table.first_key {
                    grow(keys, hashes.len());
                    keys.extend(hashes);
                }
            }
        }
        self.table.row_hashes[first..].iter().for_each(|hash| self.digest.row(*hash));
        Ok(())
    }

    /// Takes the column's values if they are the regions.
    fn read_region(&mut self, column: &SourceColumn, array: &dyn Array) -> Result<(), TrainerError> {
        let regions = &mut self.table.regions;
        if let Some(found) = regions.as_mut().filter(|regions| regions.column == column.name) {
            if !found.extend(array)? {
                *regions = None;
            }
        }
        Ok(())
    }

    /// Leaves the hashes of the column in `self.cells` and its values where its role wants them.
    fn read_column(
        &mut self,
        position: usize,
        column: &SourceColumn,
        array: &dyn Array,
    ) -> Result<(), TrainerError> {
        match &mut self.builders[position] {
            Some(builder) => builder.append(array, &column.name, &mut self.cells)?,
            None if column.family == model::recipe::Family::Text => {
                self.cells.hashes.clear();
                let values = texts(array)?.iter();
                self.cells.hashes.extend(values.map(|v| v.map_or(hash::NULL, hash::text)));
            }
            None => self.cells.read_numbers(array)?,
        }
        if column.role == Role::Label {
            self.table.labels.extend(array, &self.cells.numbers, &column.name)?;
        }
        if let (true, Some((_, times))) = (column.role.is_time(), &mut self.table.times) {
            read_times(array, times)?;
        }
        Ok(())
    }

    fn finish(mut self, input: Input) -> Result<Table, TrainerError> {
        let mut positions = Vec::new();
        for (position, (column, builder)) in self.columns.iter().zip(self.builders).enumerate() {
            if let Some(builder) = builder {
                let feature = Feature { source: column.clone(), values: builder.finish() };
                self.table.features.push(feature);
                positions.push(position);
            }
        }
        if !self.keeps_values {
            self.table.stored = Some(StoredRows { input: RefCell::new(input), ends: self.ends, positions });
        }
        self.table.digest = self.digest.finish();
        self.table.check_times(self.columns)?;
        Ok(self.table)
    }
}

impl Table {
    /// A labelled row without a time can stand on neither side of a split by time.
    fn check_times(&self, columns: &[SourceColumn]) -> Result<(), TrainerError> {
        let (Some((_, times)), Some(column)) = (&self.times, columns.iter().find(|c| c.role.is_time()))
        else {
            return Ok(());
        };
        let lost = (0..).zip(times).filter(|(row, time)| **time == NO_TIME && self.labels.is_known(*row));
        match lost.count() {
            0 => Ok(()),
            count => Err(TrainerError::data(
                format!("time column \"{}\" is NULL in {count} labelled rows", column.name),
                "Fill in the times or leave these rows out of the source.",
            )),
        }
    }
}

fn fold(into: &mut [u64], hashes: impl Iterator<Item = u64>) {
    into.iter_mut().zip(hashes).for_each(|(before, next)| *before = hash::chain(*before, next));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::values::{Floats, Values};

    fn table(times: &[i64], hashes: &[u64], labels: &[f32]) -> Table {
        Table {
            times: Some((TimeUnit::Integer, times.to_vec())),
            row_hashes: hashes.to_vec(),
            labels: labels.to_vec().into(),
            ..Table::default()
        }
    }

    #[test]
    fn labelled_rows_come_by_time_then_by_hash() {
        let table = table(&[3, 1, 1, 2], &[10, 30, 20, 40], &[1.0, 0.0, 1.0, f32::NAN]);
        assert_eq!(table.ordered_rows(), [2, 1, 0]);
    }

    #[test]
    fn rows_change_places_with_all_that_belongs_to_them() {
        let mut table = table(&[3, 1, 1, 2], &[10, 30, 20, 40], &[1.0, 0.0, 1.0, f32::NAN]);
        table.unit_hashes = vec![5, 6, 7, 8];
        table.first_key = Some(vec![50, 60, 70, 80]);
        let source = SourceColumn {
            name: "pair".into(),
            sql_type: "real[]".into(),
            family: model::recipe::Family::NumberArray,
            role: Role::Feature,
        };
        let floats = Floats::Single((0..8).map(|n| n as f32).collect());
        table.features = vec![Feature { source, values: Values::Numbers { width: 2, floats } }];
        let ordered = table.ordered_rows();
        assert_eq!(table.put_in_order(&ordered, 2), Some(vec![2, 1, 0, 3]));
        assert_eq!(table.times.as_ref().map(|(_, times)| &times[..]), Some(&[1, 1, 3, 2][..]));
        assert_eq!(
            (&table.unit_hashes[..], table.first_key.as_deref()),
            (&[7, 6, 5, 8][..], Some(&[70, 60, 50, 80][..]))
        );
        assert_eq!(table.labels.of(&[0, 1, 2]), [1.0, 0.0, 1.0]);
        let Values::Numbers { floats, .. } = &table.features[0].values else { panic!("numbers") };
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(|n| floats.get(n)), [4.0, 5.0, 2.0, 3.0, 0.0, 1.0, 6.0, 7.0]);
    }
}
