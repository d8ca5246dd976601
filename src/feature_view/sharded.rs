//! Computes runs of weeks into a feature view whose table Citus has distributed.
//!
//! The rows of the definition are inserted by one statement. Where the tables that it reads are distributed by the same column,
//! or are reference tables, Citus runs that statement on every shard, and no row passes through this server.

use super::bulk_insert;
use super::launch_rows::LaunchRows;
use super::registry::FeatureView;
use super::target::{partition_of, Counts, Target};
use crate::error::Error;
use crate::pg::relations::RelationName;
use features::weeks::Week;
use pgrx::datum::Date;
use pgrx::spi::{quote_identifier, SpiClient};
use std::collections::BTreeSet;

/// Computes the weeks of the target's run, and returns how many rows each week has.
pub fn compute(
    target: &Target,
    client: &mut SpiClient,
    stored: &BTreeSet<Week>,
) -> Result<Vec<(Week, i64)>, Error> {
    make_partition(target, client)?;
    target.delete(client, &target.view.name, stored)?;
    let inserted = match target.launch_rows {
        Some(launch_rows) => insert_made(target, client, launch_rows)?,
        None => insert(target, client, &target.query(), true)?,
    };
    let (counts, found) = count(target, client)?;
    if found == inserted {
        return Ok(counts.by_week());
    }
    Err(Error::InvalidArgument(
        format!("the definition of {} returned rows of other weeks than it was asked for", target.view.name),
        Some(format!("Let it end in: WHERE {} BETWEEN $1 AND $2", target.time)),
    ))
}

/// The weeks of which a view has rows.
pub fn weeks_with_rows(client: &SpiClient, view: &FeatureView) -> Result<BTreeSet<Week>, Error> {
    let time = quote_identifier(&view.time_column);
    let sql = format!("SELECT DISTINCT {time} FROM {} WHERE pg_catalog.isfinite({time})", view.name);
    let rows = client.select(&sql, None, &[])?;
    let weeks = rows.map(|row| Ok(row.get::<Date>(1)?.map(|day| Week::of_day(day.to_pg_epoch_days()))));
    Ok(weeks.collect::<Result<Vec<_>, Error>>()?.into_iter().flatten().collect())
}

fn make_partition(target: &Target, client: &mut SpiClient) -> Result<(), Error> {
    let Target { view, partition, run, .. } = target;
    if partition_of(client, view, run)?.is_some() {
        return Ok(());
    }
    if partition.find().is_some() {
        return Err(target.in_the_way());
    }
    let [from, until] = target.bounds();
    let create =
        format!("CREATE TABLE {partition} PARTITION OF {} FOR VALUES FROM ({from}) TO ({until})", view.name);
    client.update(&create, None, &[])?;
    Ok(())
}

/// Inserts the rows of a query, which has the run's first and last week as its parameters or none, and returns how many these
/// were.
fn insert(target: &Target, client: &mut SpiClient, query: &str, has_weeks: bool) -> Result<i64, Error> {
    let weeks = target.weeks();
    let parameters: &[_] = if has_weeks { &weeks } else { &[] };
    let insert = format!("INSERT INTO {} ({}) {query}", target.view.name, target.column_list());
    Ok(client.update(&insert, None, parameters)?.len() as i64)
}

/// Has the library make the rows, which it does on this server, and inserts them. They go through a table, because Citus takes
/// no rows that only have a name.
fn insert_made(target: &Target, client: &mut SpiClient, launch_rows: &LaunchRows) -> Result<i64, Error> {
    let Target { view, run, .. } = target;
    let made = RelationName { schema: view.name.schema.clone(), name: format!("feature_rows_{}", view.id) };
    let alike = target.rows_of(&view.name.to_string());
    client.update(&format!("CREATE UNLOGGED TABLE {made} AS {alike} WITH NO DATA"), None, &[])?;
    let table = made.find().ok_or_else(|| Error::invalid(format!("{made} could not be created")))?;
    bulk_insert::insert_made(table, |descriptor, take| {
        target.make(launch_rows, client, &mut Counts::of(run), descriptor, take)
    })?;
    let inserted = insert(target, client, &target.rows_of(&made.to_string()), false)?;
    client.update(&format!("DROP TABLE {made}"), None, &[])?;
    Ok(inserted)
}

/// The rows of the run's weeks: for each week, and all together.
fn count(target: &Target, client: &mut SpiClient) -> Result<(Counts, i64), Error> {
    let Target { view, run, time, .. } = target;
    let sql = format!(
        "SELECT {time}, pg_catalog.count(*) FROM {} \
         WHERE {time} OPERATOR(pg_catalog.>=) $1 AND {time} OPERATOR(pg_catalog.<=) $2 GROUP BY {time}",
        view.name
    );
    let (mut counts, mut all) = (Counts::of(run), 0);
    for row in client.update(&sql, None, &target.weeks())? {
        let day = row.get::<Date>(1)?.map(|date| date.to_pg_epoch_days());
        let rows = row.get::<i64>(2)?.unwrap_or(0);
        target.count(&mut counts, day, rows)?;
        all += rows;
    }
    Ok((counts, all))
}
