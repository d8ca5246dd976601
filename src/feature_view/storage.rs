//! Computes runs of weeks into the partitions of a feature view.
//!
//! A new partition is filled and indexed before it is attached, so that readers are never locked out. In a partition that
//! exists, the weeks of the run are replaced.

use super::bulk_insert;
use super::create::{as_subquery, primary_key};
use super::launch_rows::LaunchRows;
use super::registry::FeatureView;
use crate::error::Error;
use crate::pg::named_rows::{with_named_rows, Take};
use crate::pg::relations::{Column, Relation, RelationName};
use crate::pg::values::EPOCH;
use features::weeks::{runs, Run, Week};
use pgrx::datum::{Date, DatumWithOid};
use pgrx::pg_sys;
use pgrx::spi::{quote_identifier, SpiClient};
use std::collections::BTreeSet;
use std::ffi::CStr;

/// Computes the weeks of a run, with the rights of the view's owner, and returns how many rows each week has.
pub fn compute(view: &FeatureView, run: &Run, stored: &BTreeSet<Week>) -> Result<Vec<(Week, i64)>, Error> {
    let launch_rows = LaunchRows::of(view)?;
    view.as_author(|client| {
        let target = Target::of(view, run, launch_rows.as_ref())?;
        match partition_of(client, view, run)? {
            Some(partition) => Target { partition, ..target }.replace(client, stored),
            None if target.partition.find().is_some() => Err(target.in_the_way()),
            None => target.build(client),
        }
    })
}

struct Target<'a> {
    view: &'a FeatureView,
    run: &'a Run,
    partition: RelationName,
    time: String,
    /// The columns of the view's table.
    columns: Vec<Column>,
    /// What computes the rows without the definition.
    launch_rows: Option<&'a LaunchRows<'a>>,
}

/// The name of rows that the library has computed.
const COMPUTED: &CStr = c"computed";

impl<'a> Target<'a> {
    fn of(
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

    /// The definition's rows.
    fn query(&self) -> String {
        self.rows_of(&as_subquery(&self.view.definition))
    }

    /// Rows of a source, cast to the types of the table's columns.
    fn rows_of(&self, source: &str) -> String {
        let column = |column: &Column| {
            let name = quote_identifier(&column.name);
            format!("d.{name}::{} AS {name}", column.sql_type())
        };
        let columns: Vec<_> = self.columns.iter().map(column).collect();
        format!("SELECT {} FROM {source} AS d", columns.join(", "))
    }

    /// The first and the last week, as the parameters of the definition.
    fn weeks(&self) -> [DatumWithOid<'static>; 2] {
        [date(self.run.first.monday()).into(), date(self.run.last.monday()).into()]
    }

    fn build(&self, client: &mut SpiClient) -> Result<Vec<(Week, i64)>, Error> {
        let Self { view, run, partition, time, .. } = self;
        let alike = self.rows_of(&view.name.to_string());
        client.update(&format!("CREATE TABLE {partition} AS {alike} WITH NO DATA"), None, &[])?;
        let bounds = [run.partition.from, run.partition.until].map(|day| format!("'{}'", date(day)));
        let [from, until] = &bounds;
        // While the table is empty nothing has to be looked at: each row's week is compared with the run's when it comes.
        let in_range = format!(
            "ALTER TABLE {partition} ADD CONSTRAINT in_range CHECK \
             ({time} OPERATOR(pg_catalog.>=) {from} AND {time} OPERATOR(pg_catalog.<) {until}){}",
            if self.launch_rows.is_some() { self.without_nulls() } else { String::new() }
        );
        client.update(&in_range, None, &[])?;
        let counts = self.fill(client)?;
        for statement in [
            format!(
                "ALTER TABLE {partition} ADD PRIMARY KEY ({}){}",
                primary_key(&view.keys, &view.time_column),
                constraints(client, view.oid)?
            ),
            format!(
                "ALTER TABLE {} ATTACH PARTITION {partition} FOR VALUES FROM ({from}) TO ({until})",
                view.name
            ),
            format!("ALTER TABLE {partition} DROP CONSTRAINT in_range"),
            format!("ANALYZE {partition}"),
        ] {
            client.update(&statement, None, &[])?;
        }
        Ok(counts)
    }

    /// That no key is NULL, which the library's are not. Parts of an ALTER TABLE, each after a comma.
    fn without_nulls(&self) -> String {
        let keys = self.view.keys.iter().map(quote_identifier).chain([self.time.clone()]);
        keys.map(|key| format!(", ALTER COLUMN {key} SET NOT NULL")).collect()
    }

    /// Writes the rows into the new partition.
    fn fill(&self, client: &mut SpiClient) -> Result<Vec<(Week, i64)>, Error> {
        let gone = || Error::invalid(format!("{} could not be created", self.partition));
        let table = self.partition.find().ok_or_else(gone)?;
        let mut counts = Counts::of(self.run);
        if let Some(launch_rows) = self.launch_rows {
            bulk_insert::insert_made(table, |descriptor, take| {
                self.make(launch_rows, client, &mut counts, descriptor, take)
            })?;
            return Ok(counts.by_week());
        }
        let time = Relation::of(table)?.column(&self.view.time_column).ok_or_else(gone)?.number;
        let dates = [self.run.first.monday(), self.run.last.monday()];
        bulk_insert::insert(client, table, &self.query(), dates, time.into(), &mut |day| {
            self.count(&mut counts, day, 1)
        })?;
        Ok(counts.by_week())
    }

    /// Has the library make the rows, for a table with this descriptor, and counts them.
    fn make(
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

    fn replace(&self, client: &mut SpiClient, stored: &BTreeSet<Week>) -> Result<Vec<(Week, i64)>, Error> {
        let Self { run, partition, time, .. } = self;
        if stored.range(run.first..=run.last).next().is_some() {
            let delete = format!(
                "DELETE FROM {partition} \
                 WHERE {time} OPERATOR(pg_catalog.>=) $1 AND {time} OPERATOR(pg_catalog.<=) $2"
            );
            client.update(&delete, None, &self.weeks())?;
        }
        self.insert(client)
    }

    fn insert(&self, client: &mut SpiClient) -> Result<Vec<(Week, i64)>, Error> {
        let Some(launch_rows) = self.launch_rows else {
            return self.insert_from(client, &self.query(), &self.weeks());
        };
        let query = self.rows_of(&COMPUTED.to_string_lossy());
        with_named_rows(
            client,
            COMPUTED,
            self.view.oid,
            |client, descriptor, take| {
                self.make(launch_rows, client, &mut Counts::of(self.run), descriptor, take)
            },
            |client| self.insert_from(client, &query, &[]),
        )
    }

    fn insert_from(
        &self,
        client: &mut SpiClient,
        query: &str,
        weeks: &[DatumWithOid],
    ) -> Result<Vec<(Week, i64)>, Error> {
        let Self { partition, time, columns, .. } = self;
        let columns: Vec<_> = columns.iter().map(|column| quote_identifier(&column.name)).collect();
        let insert = format!(
            "WITH inserted AS (INSERT INTO {partition} ({}) {query} RETURNING {time}) \
             SELECT {time}, pg_catalog.count(*) FROM inserted GROUP BY {time}",
            columns.join(", ")
        );
        let mut counts = Counts::of(self.run);
        for row in client.update(&insert, None, weeks)? {
            let day = row.get::<Date>(1)?.map(|date| date.to_pg_epoch_days());
            self.count(&mut counts, day, row.get::<i64>(2)?.unwrap_or(0))?;
        }
        Ok(counts.by_week())
    }

    fn in_the_way(&self) -> Error {
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
    fn count(&self, counts: &mut Counts, day: Option<i32>, rows: i64) -> Result<(), Error> {
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
struct Counts {
    first: Week,
    rows: Vec<i64>,
}

impl Counts {
    fn of(run: &Run) -> Self {
        let weeks = (run.last.monday() - run.first.monday()) / 7 + 1;
        Self { first: run.first, rows: vec![0; weeks as usize] }
    }

    /// The count of the week that begins on this day; `None` if no week of the run does.
    fn of_day(&mut self, day: i32) -> Option<&mut i64> {
        let days = i64::from(day) - i64::from(self.first.monday());
        let week = usize::try_from(days / 7).ok().filter(|_| days >= 0 && days % 7 == 0)?;
        self.rows.get_mut(week)
    }

    fn by_week(self) -> Vec<(Week, i64)> {
        self.rows.into_iter().zip(0..).map(|(rows, n)| (self.first.plus(n), rows)).collect()
    }
}

/// The partition of a run, if it exists. Its name ends as the run's does, and begins with the name that the view had when
/// the partition was made.
fn partition_of(
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

/// The weeks whose rows are gone although their partition is there: somebody has truncated it, or deleted them. The weeks of a
/// partition that was dropped are not among them: dropping is how old rows are retired.
pub fn lost_weeks(view: &FeatureView) -> Result<Vec<Week>, Error> {
    let filled = view.filled_weeks()?;
    let days: Vec<_> = filled.iter().map(|week| week.monday()).collect();
    let sql = format!(
        "SELECT w.day FROM pg_catalog.unnest($1) AS w (day) \
         WHERE NOT EXISTS (SELECT FROM {} AS v WHERE v.{} OPERATOR(pg_catalog.=) ({EPOCH} OPERATOR(pg_catalog.+) w.day))",
        view.name,
        quote_identifier(&view.time_column)
    );
    // One row of a week is enough, and an index finds it.
    let by_index = ["enable_seqscan", "enable_bitmapscan"].map(|name| (name.to_owned(), "off".to_owned()));
    view.as_author_under(&by_index.to_vec(), |client| {
        let rows = client.update(&sql, None, &[days.into()])?;
        let empty = rows.map(|row| Ok(row.get::<i32>(1)?.map(Week::of_day)));
        let empty = empty.collect::<Result<Vec<_>, Error>>()?.into_iter().flatten().collect();
        let mut lost = Vec::new();
        for run in runs(&empty, view.period)? {
            if partition_of(client, view, &run)?.is_some() {
                lost.extend(empty.range(run.first..=run.last));
            }
        }
        Ok(lost)
    })
}

/// What the owner has added to the table since it was made, and a partition must have before it is attached: checks, and columns
/// that are not NULL. Parts of an ALTER TABLE, each after a comma.
fn constraints(client: &mut SpiClient, table: pg_sys::Oid) -> Result<String, Error> {
    let sql = "SELECT pg_catalog.concat(', ADD CONSTRAINT ', pg_catalog.quote_ident(c.conname), ' ', \
                                        pg_catalog.pg_get_constraintdef(c.oid)) \
               FROM pg_catalog.pg_constraint AS c \
               WHERE c.conrelid OPERATOR(pg_catalog.=) $1 AND c.contype OPERATOR(pg_catalog.=) 'c' AND NOT c.connoinherit \
               UNION ALL \
               SELECT pg_catalog.concat(', ALTER COLUMN ', pg_catalog.quote_ident(a.attname), ' SET NOT NULL') \
               FROM pg_catalog.pg_attribute AS a \
               WHERE a.attrelid OPERATOR(pg_catalog.=) $1 AND a.attnotnull AND a.attnum OPERATOR(pg_catalog.>) 0 \
                 AND NOT a.attisdropped";
    let parts = client.update(sql, None, &[table.into()])?.map(|row| row.get::<String>(1));
    Ok(parts.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// The date that is this number of days after 2000-01-01.
pub fn date(day: i32) -> Date {
    // SAFETY: any number of days is a date, and the days of weeks are far from the values for infinity.
    unsafe { Date::from_pg_epoch_days(day) }
}
