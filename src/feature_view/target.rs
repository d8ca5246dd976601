//! A run of weeks of a feature view that is to be computed: its partition, its query, and how its rows are counted.

use super::create::as_subquery;
use super::launch_rows::LaunchRows;
use super::registry::FeatureView;
use crate::error::Error;
use crate::pg::named_rows::Take;
use crate::pg::relations::{Column, Relation, RelationName};
use features::weeks::{Run, Week};
use pgrx::datum::{Date, DatumWithOid};
use pgrx::pg_sys;
use pgrx::spi::{quote_identifier, SpiClient};
use std::collections::BTreeSet;

pub struct Target<'a> {
    pub view: &'a FeatureView,
    pub run: &'a Run,
    pub partition: RelationName,
    pub time: String,
    /// The columns of the view's table.
    columns: Vec<Column>,
    /// What computes the rows without the definition.
    pub launch_rows: Option<&'a LaunchRows<'a>>,
}

impl<'a> Target<'a> {
    pub fn of(
        view: &'a FeatureView,
        run: &'a Run,
        launch_rows: Option<&'a LaunchRows<'a>>,
    ) -> Result<Self, Error> {
        let RelationName { schema, name } = RelationName::of(view.oid)?;
        Ok(Self {
            view,
            run,
            partition: RelationName { schema, name: format!("{name}_{}", run.partition.suffix) },
            time: quote_identifier(&view.time_column),
            columns: Relation::of(view.oid)?.columns,
            launch_rows,
        })
    }

    /// The same run, into a partition that exists.
    pub fn into_partition(self, partition: RelationName) -> Self {
        Self { partition, ..self }
    }

    /// The definition's rows.
    pub fn query(&self) -> String {
        self.rows_of(&as_subquery(&self.view.definition))
    }

    /// Rows of a source, cast to the types of the table's columns.
    pub fn rows_of(&self, source: &str) -> String {
        let column = |column: &Column| {
            let name = quote_identifier(&column.name);
            format!("d.{name}::{} AS {name}", column.sql_type())
        };
        let columns: Vec<_> = self.columns.iter().map(column).collect();
        format!("SELECT {} FROM {source} AS d", columns.join(", "))
    }

    /// The first and the last week, as the parameters of the definition.
    pub fn weeks(&self) -> [DatumWithOid<'static>; 2] {
        [date(self.run.first.monday()).into(), date(self.run.last.monday()).into()]
    }

    /// The first day of the partition and the day after its last, as SQL.
    pub fn bounds(&self) -> [String; 2] {
        let Run { partition, .. } = self.run;
        [partition.from, partition.until].map(|day| format!("'{}'", date(day)))
    }

    /// Has the library make the rows, for a table with this descriptor, and counts them.
    pub fn make(
        &self,
        launch_rows: &LaunchRows,
        client: &SpiClient,
        counts: &mut Counts,
        descriptor: pg_sys::TupleDesc,
        take: Take,
    ) -> Result<(), Error> {
        let mut put = |week: Week, values: &[_], nulls: &[_]| {
            self.count(counts, Some(week.monday()), 1)?;
            take(values, nulls);
            Ok(())
        };
        // SAFETY: the table stays open while the rows are made.
        unsafe { launch_rows.each(client, self.run, descriptor, &mut put) }
    }

    /// Deletes the rows of the run's weeks from a relation, if some are stored.
    pub fn delete(
        &self,
        client: &mut SpiClient,
        from: &RelationName,
        stored: &BTreeSet<Week>,
    ) -> Result<(), Error> {
        let Self { run, time, .. } = self;
        if stored.range(run.first..=run.last).next().is_some() {
            let delete = format!(
                "DELETE FROM {from} \
                 WHERE {time} OPERATOR(pg_catalog.>=) $1 AND {time} OPERATOR(pg_catalog.<=) $2"
            );
            client.update(&delete, None, &self.weeks())?;
        }
        Ok(())
    }

    /// The names of the columns, as SQL lists them.
    pub fn column_list(&self) -> String {
        self.columns.iter().map(|column| quote_identifier(&column.name)).collect::<Vec<_>>().join(", ")
    }

    pub fn in_the_way(&self) -> Error {
        let Self { view, partition, .. } = self;
        Error::InvalidArgument(
            format!(
                "{partition} is in the way: it has the name of a partition of {}, but is none",
                view.name
            ),
            Some("Rename or drop it, or attach it again.".into()),
        )
    }

    /// Counts rows of a day. It is an error if the day is not a Monday of the run.
    pub fn count(&self, counts: &mut Counts, day: Option<i32>, rows: i64) -> Result<(), Error> {
        let day = day.ok_or_else(|| self.without_time())?;
        *counts.of_day(day).ok_or_else(|| self.astray(day))? += rows;
        Ok(())
    }

    fn without_time(&self) -> Error {
        Error::invalid(format!(
            "the definition of {} returned a row whose {} is NULL",
            self.view.name, self.time
        ))
    }

    fn astray(&self, day: i32) -> Error {
        let [first, last] = [self.run.first, self.run.last].map(|week| date(week.monday()));
        let found = format!("{} = {}", self.time, date(day));
        Error::InvalidArgument(
            format!(
                "the definition of {} returned rows of {found}, but the Mondays from {first} to {last} were asked for",
                self.view.name
            ),
            Some(format!("Let it end in: WHERE {} BETWEEN $1 AND $2", self.time)),
        )
    }
}

/// How many rows each week of a run has.
pub struct Counts {
    first: Week,
    rows: Vec<i64>,
}

impl Counts {
    pub fn of(run: &Run) -> Self {
        let weeks = (run.last.monday() - run.first.monday()) / 7 + 1;
        Self { first: run.first, rows: vec![0; weeks as usize] }
    }

    /// The count of the week that begins on this day; `None` if no week of the run does.
    fn of_day(&mut self, day: i32) -> Option<&mut i64> {
        let days = i64::from(day) - i64::from(self.first.monday());
        let week = usize::try_from(days / 7).ok().filter(|_| days >= 0 && days % 7 == 0)?;
        self.rows.get_mut(week)
    }

    pub fn by_week(self) -> Vec<(Week, i64)> {
        self.rows.into_iter().zip(0..).map(|(rows, n)| (self.first.plus(n), rows)).collect()
    }
}

/// The partition of a run, if it exists. Its name ends as the run's does, and begins with the name that the view had when
/// the partition was made.
pub fn partition_of(
    client: &mut SpiClient,
    view: &FeatureView,
    run: &Run,
) -> Result<Option<RelationName>, Error> {
    let sql = "SELECT c.oid FROM pg_catalog.pg_inherits AS i \
               JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) i.inhrelid \
               WHERE i.inhparent OPERATOR(pg_catalog.=) $1 \
                 AND pg_catalog.right(c.relname::pg_catalog.text, pg_catalog.length($2)) OPERATOR(pg_catalog.=) $2";
    let suffix = format!("_{}", run.partition.suffix);
    let found = client.update(sql, Some(1), &[view.oid.into(), suffix.as_str().into()])?;
    match found.into_iter().next() {
        Some(row) => Ok(Some(RelationName::of(row.get::<pg_sys::Oid>(1)?.ok_or_else(Error::damaged_row)?)?)),
        None => Ok(None),
    }
}

/// The date that is this number of days after 2000-01-01.
pub fn date(day: i32) -> Date {
    // SAFETY: any number of days is a date, and the days of weeks are far from the values for infinity.
    unsafe { Date::from_pg_epoch_days(day) }
}
