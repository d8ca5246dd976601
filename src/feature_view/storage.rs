//! Computes runs of weeks into the partitions of a feature view.
//!
//! A new partition is filled and indexed before it is attached, so that readers are never kept out. Weeks of one that
//! exists are replaced.

use super::create::{as_subquery, primary_key};
use super::registry::FeatureView;
use crate::error::Error;
use crate::relations;
use crate::tuples;
use crate::values;
use features::weeks::{Run, Week};
use pgrx::datum::Date;
use pgrx::pg_sys;
use pgrx::spi::{quote_identifier, quote_qualified_identifier, SpiClient, SpiTupleTable};
use std::collections::{BTreeMap, BTreeSet};

/// Computes the weeks of a run and returns how many rows each has. Runs as the view's owner.
pub fn compute(view: &FeatureView, run: &Run, stored: &BTreeSet<Week>) -> Result<Vec<(Week, i64)>, Error> {
    // Types too are named as the view's author would name them.
    view.as_author(|client| {
        let target = Target::of(view, run)?;
        match relations::find(&target.partition) {
            None => target.build(client),
            Some(found) if is_partition(client, found, view.oid)? => target.replace(client, stored),
            Some(_) => Err(target.in_the_way()),
        }
    })
}

struct Target<'a> {
    view: &'a FeatureView,
    run: &'a Run,
    /// Qualified, quoted name.
    partition: String,
    time: String,
    query: String,
}

impl<'a> Target<'a> {
    fn of(view: &'a FeatureView, run: &'a Run) -> Result<Self, Error> {
        let (schema, name) = relations::schema_and_name(view.oid)
            .ok_or_else(|| Error::invalid(format!("{} does not exist", view.name)))?;
        Ok(Self {
            view,
            run,
            partition: quote_qualified_identifier(schema, format!("{name}_{}", run.partition.suffix)),
            time: quote_identifier(&view.time_column),
            query: format!(
                "SELECT {} FROM {} AS d",
                columns(view.oid).join(", "),
                as_subquery(&view.definition)
            ),
        })
    }

    /// The first and the last week as the definition's parameters.
    fn weeks(&self) -> [pgrx::datum::DatumWithOid<'static>; 2] {
        [date(self.run.first.monday()).into(), date(self.run.last.monday()).into()]
    }

    fn build(&self, client: &mut SpiClient) -> Result<Vec<(Week, i64)>, Error> {
        let Self { view, run, partition, time, query } = self;
        client.update(&format!("CREATE TABLE {partition} AS {query}"), None, &self.weeks())?;
        let count = format!("SELECT {time}, pg_catalog.count(*) FROM {partition} GROUP BY {time}");
        let counts = self.check(self.counts(client.update(&count, None, &[])?)?)?;
        let bounds = [run.partition.from, run.partition.until].map(|day| format!("'{}'", date(day)));
        let [from, until] = &bounds;
        for statement in [
            format!(
                "ALTER TABLE {partition} ADD PRIMARY KEY ({}), \
                 ADD CONSTRAINT in_range CHECK ({time} >= {from} AND {time} < {until})",
                primary_key(&view.keys, &view.time_column)
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

    fn replace(&self, client: &mut SpiClient, stored: &BTreeSet<Week>) -> Result<Vec<(Week, i64)>, Error> {
        let Self { run, partition, time, query, .. } = self;
        if stored.range(run.first..=run.last).next().is_some() {
            let delete = format!("DELETE FROM {partition} WHERE {time} BETWEEN $1 AND $2");
            client.update(&delete, None, &self.weeks())?;
        }
        let insert = format!(
            "WITH inserted AS (INSERT INTO {partition} {query} RETURNING {time}) \
             SELECT {time}, pg_catalog.count(*) FROM inserted GROUP BY {time}"
        );
        self.check(self.counts(client.update(&insert, None, &self.weeks())?)?)
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

    /// Days and how many rows they have.
    fn counts(&self, rows: SpiTupleTable) -> Result<Vec<(i32, i64)>, Error> {
        rows.map(|row| {
            let day = row.get::<Date>(1)?.ok_or_else(|| {
                Error::invalid(format!(
                    "the definition of {} returned a row whose {} is NULL",
                    self.view.name, self.time
                ))
            })?;
            Ok((day.to_pg_epoch_days(), row.get::<i64>(2)?.unwrap_or(0)))
        })
        .collect()
    }

    /// The rows of each week of the run; an error for rows of any other day.
    fn check(&self, counts: Vec<(i32, i64)>) -> Result<Vec<(Week, i64)>, Error> {
        let mut weeks: BTreeMap<_, _> = BTreeMap::new();
        let mut week = self.run.first;
        while week <= self.run.last {
            weeks.insert(week, 0);
            week = week.plus(1);
        }
        for (day, rows) in counts {
            let week = Week::of_day(day);
            match weeks.get_mut(&week) {
                Some(count) if week.monday() == day => *count = rows,
                _ => return Err(self.astray(day)),
            }
        }
        Ok(weeks.into_iter().collect())
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

fn is_partition(client: &mut SpiClient, table: pg_sys::Oid, of: pg_sys::Oid) -> Result<bool, Error> {
    let sql = "SELECT FROM pg_catalog.pg_inherits \
               WHERE inhrelid OPERATOR(pg_catalog.=) $1 AND inhparent OPERATOR(pg_catalog.=) $2";
    Ok(!client.update(sql, Some(1), &[table.into(), of.into()])?.is_empty())
}

/// The definition's columns as those of the table.
fn columns(table: pg_sys::Oid) -> Vec<String> {
    // SAFETY: the relation is opened and closed with its lock kept.
    unsafe {
        let opened = pg_sys::relation_open(table, pg_sys::AccessShareLock as i32);
        let columns = tuples::attributes((*opened).rd_att).map(|(_, attribute)| {
            let name = quote_identifier(tuples::attribute_name(attribute));
            let sql_type = values::type_name(attribute.atttypid, attribute.atttypmod);
            format!("d.{name}::{sql_type} AS {name}")
        });
        let columns = columns.collect();
        pg_sys::relation_close(opened, pg_sys::NoLock as i32);
        columns
    }
}

/// A day, counted from 2000-01-01.
pub fn date(day: i32) -> Date {
    // SAFETY: any number of days is a date; those of weeks are far from the infinite ones.
    unsafe { Date::from_pg_epoch_days(day) }
}
