//! The rows of a training made ready: read, checked, put in order and split.

use super::data::Table;
use super::input::{check_schema, Input};
use super::split::{earlier, split, Split};
use crate::error::TrainerError;
use crate::memory;
use model::protocol::{DataSummary, Role, Spec};
use model::Task;
use std::path::Path;

/// All that a training knows of its rows.
pub struct Prepared {
    pub table: Table,
    /// All labelled rows by time.
    pub ordered: Vec<u32>,
    pub split: Split,
    /// The splits that rolling validation adds, the newest first.
    pub earlier: Vec<Split>,
    pub task: Task,
    /// What the user should know about the split.
    pub warning: Option<String>,
    /// The number that each row had when it was read, if the rows have been put into another order.
    before: Option<Vec<u32>>,
}

impl Prepared {
    /// Reads the rows of the data file that `spec` describes. The order of these steps binds: rows in memory change their
    /// numbers when they are put in order, so that whatever holds such numbers must be made after that; ordering and
    /// splitting need hashes that take memory, and nothing later does; rows of a file keep their numbers, and are read
    /// from front to back once they are split.
    pub fn read(data: &Path, spec: &Spec, threads: usize) -> Result<Self, TrainerError> {
        let input = Input::open(data)?;
        check_schema(input.schema(), &spec.columns)?;
        let mut table = Table::read(input, &spec.columns, memory::left())?;
        let mut ordered = table.ordered_rows();
        check_rows(&table, &ordered)?;
        let before = table.put_in_order(&ordered, threads);
        if before.is_some() {
            ordered = (0..ordered.len() as u32).collect();
        }
        let label = spec.columns.iter().find(|column| column.role == Role::Label);
        let task = table.labels.task(spec.params.task, label.map_or("", |column| &column.name))?;
        let (mut split, warning) = split(&table, &ordered, &spec.params);
        let mut earlier = earlier(&table, &ordered, &spec.params, &split, spec.params.cut_offs - 1);
        table.forget_hashes();
        if table.stored.is_some() {
            earlier.iter_mut().chain([&mut split]).for_each(Split::in_order_of_reading);
        }
        Ok(Self { table, ordered, split, earlier, task, warning, before })
    }

    /// All rows in the order in which they were read.
    pub fn as_read(&self) -> Vec<u32> {
        let mut now: Vec<u32> = (0..self.table.rows() as u32).collect();
        for (row, old) in self.before.iter().flatten().enumerate() {
            now[*old as usize] = row as u32;
        }
        now
    }

    /// Training needs rows, and both outcomes or two quantities.
    pub fn check_classes(&self) -> Result<(), TrainerError> {
        let Self { table, split, task, .. } = self;
        let Some(first) = split.train.first().map(|row| table.labels.get(*row)) else {
            return Err(TrainerError::data(
                "no row is left for training",
                "All rows went to the validation and test parts: lower \"validation_share\" and \"test_share\".",
            ));
        };
        if table.labels.differ(&split.train) {
            return Ok(());
        }
        let label = match (*task, first == 1.0) {
            (Task::Binary, true) => "true (1)".to_owned(),
            (Task::Binary, false) => "false (0)".to_owned(),
            (Task::Regression, _) => first.to_string(),
        };
        Err(TrainerError::data(
            format!("the label is {label} in all {} training rows", split.train.len()),
            "A model learns from rows of different outcomes: check the label, or lower \"validation_share\" and \
             \"test_share\" if other outcomes occur only in held-out rows.",
        ))
    }

    /// What the backend is told of them.
    pub fn summary(&self) -> DataSummary {
        let Self { table, ordered, split, task, .. } = self;
        let time_of = |row: Option<&u32>| match (&table.times, row) {
            (Some((_, times)), Some(row)) => Some(times[*row as usize]),
            _ => None,
        };
        DataSummary {
            task: Some(*task),
            rows: table.rows() as u64,
            unlabelled: table.labels.unknown() as u64,
            positives: (*task == Task::Binary).then(|| table.labels.positives(ordered) as u64),
            train: split.train.len() as u64,
            validation: split.validation.len() as u64,
            test: split.test.len() as u64,
            time_from: table.written(time_of(ordered.first())),
            time_to: table.written(time_of(ordered.last())),
            validation_from: table.written(split.validation_from),
            test_from: table.written(split.test_from),
            digest: table.digest.clone(),
        }
    }
}

fn check_rows(table: &Table, labelled: &[u32]) -> Result<(), TrainerError> {
    if table.rows() == 0 {
        return Err(TrainerError::data(
            "the source has no rows",
            "Check the source, and your rights to its rows.",
        ));
    }
    if labelled.is_empty() {
        return Err(TrainerError::data(
            format!("none of the {} rows has a label", table.rows()),
            "The label is NULL in every row: train on rows whose outcome is known.",
        ));
    }
    Ok(())
}
