//! Computes runs of weeks into the partitions of a feature view.
//!
//! A new partition is filled and indexed before it is attached, so that readers are never locked out. In a partition that
//! exists, the weeks of the run are replaced.

use super::bulk_insert;
use super::create::primary_key;
use super::launch_rows::LaunchRows;
use super::registry::FeatureView;
use super::sharded;
use super::target::{partition_of, Counts, Target};
use crate::error::Error;
use crate::pg::distributed::is_distributed;
use crate::pg::named_rows::with_named_rows;
use crate::pg::relations::Relation;
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
        if is_distributed(view.oid) {
            return sharded::compute(&target, client, stored);
        }
        match partition_of(client, view, run)? {
            Some(partition) => target.into_partition(partition).replace(client, stored),
            None if target.partition.find().is_some() => Err(target.in_the_way()),
            None => target.build(client),
        }
    })
}

/// The name of rows that the library has computed.
const COMPUTED: &CStr = c"computed";

impl Target<'_> {
    fn build(&self, client: &mut SpiClient) -> Result<Vec<(Week, i64)>, Error> {
        let Self { view, partition, time, .. } = self;
        let alike = self.rows_of(&view.name.to_string());
        client.update(&format!("CREATE TABLE {partition} AS {alike} WITH NO DATA"), None, &[])?;
        let [from, until] = &self.bounds();
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

    fn replace(&self, client: &mut SpiClient, stored: &BTreeSet<Week>) -> Result<Vec<(Week, i64)>, Error> {
        self.delete(client, &self.partition, stored)?;
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
        let Self { view, time, .. } = self;
        // Not into the partition: where Citus distributes the sales, it takes rows of theirs into the parent only.
        let insert = format!(
            "WITH inserted AS (INSERT INTO {} ({}) {query} RETURNING {time}) \
             SELECT {time}, pg_catalog.count(*) FROM inserted GROUP BY {time}",
            view.name,
            self.column_list()
        );
        let mut counts = Counts::of(self.run);
        for row in client.update(&insert, None, weeks)? {
            let day = row.get::<Date>(1)?.map(|date| date.to_pg_epoch_days());
            self.count(&mut counts, day, row.get::<i64>(2)?.unwrap_or(0))?;
        }
        Ok(counts.by_week())
    }
}

/// The weeks whose rows are gone although their partition is there: somebody has truncated it, or deleted them. The weeks of a
/// partition that was dropped are not among them: dropping is how old rows are retired.
pub fn lost_weeks(view: &FeatureView) -> Result<Vec<Week>, Error> {
    let filled = view.filled_weeks()?;
    if is_distributed(view.oid) {
        return view.as_author(|client| {
            let there = sharded::weeks_with_rows(client, view)?;
            with_partition(client, view, &filled.difference(&there).copied().collect())
        });
    }
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
        with_partition(client, view, &empty)
    })
}

/// Those of the weeks whose partition is there.
fn with_partition(
    client: &mut SpiClient,
    view: &FeatureView,
    weeks: &BTreeSet<Week>,
) -> Result<Vec<Week>, Error> {
    let mut found = Vec::new();
    for run in runs(weeks, view.period)? {
        if partition_of(client, view, &run)?.is_some() {
            found.extend(weeks.range(run.first..=run.last));
        }
    }
    Ok(found)
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
