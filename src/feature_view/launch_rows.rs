//! The rows of a view of new products, computed by the library (`features::launch`) instead of the view's definition: two passes
//! over the weekly sales, in the order of products. The rows come in the order of the primary key.
//!
//! A thread does the arithmetic while this one reads the next sales, or writes the rows that are done.

mod carried;
mod columns;
mod feed;
mod key;
mod ordinals;
mod rows;

use self::carried::Carried;
use self::columns::{Columns, Field, PRODUCT, REGION};
use self::feed::{Feed, Known, PlanRows, Unlisted, CARRIED, CATEGORY_KEY, PRODUCT_ID};
use self::key::IdType;
use self::ordinals::Ordinals;
use self::rows::Rows;
use super::create::as_subquery;
use super::engine::{Engine, PlanTable};
use super::registry::FeatureView;
use crate::error::Error;
use crate::pg::cursor::{Cursor, Parameter, Snapshot};
use crate::pg::one_snapshot::with_one_snapshot;
use crate::pg::relations::{Relation, RelationName};
use crate::pg::threads::without_signals;
use crate::pg::tuples;
use crate::pg::values::EPOCH;
use features::launch::{Chunk, Gathering, Market, NewProducts, NewRows, Row, Setting, Worker};
use features::weeks::{Run, Week};
use features::FeatureError;
use pgrx::datum::Date;
use pgrx::spi::SpiClient;
use pgrx::{check_for_interrupts, pg_sys};
use std::collections::VecDeque;

/// Products are gathered so many at a time.
const GATHERED_AT_ONCE: usize = 1000;

pub struct LaunchRows<'a> {
    available: &'a str,
    engine: &'a Engine,
    /// The view of weekly sales.
    weekly: RelationName,
    columns: Columns,
}

/// Called for each row, with its week and its attributes.
pub type Put<'a> = &'a mut dyn FnMut(Week, &[pg_sys::Datum], &[bool]) -> Result<(), Error>;

impl<'a> LaunchRows<'a> {
    /// `None` if only the view's definition can compute its rows.
    pub fn of(view: &'a FeatureView) -> Result<Option<Self>, Error> {
        let (Some(engine), Some(available)) = (&view.engine, &view.available) else { return Ok(None) };
        let Some(columns) = Columns::of(engine, &Relation::of(view.oid)?.columns) else { return Ok(None) };
        let weekly = view.open_inputs()?.into_iter().next().map(|input| input.name);
        let is_ordinary = view.keys == [PRODUCT, REGION] && view.time_column == "week";
        let found = weekly.filter(|_| is_ordinary);
        Ok(found.map(|weekly| Self { available, engine, weekly, columns }))
    }

    /// Computes the rows of a run, and hands them over one by one as rows of a table: the view's, or a partition's.
    ///
    /// # Safety
    /// The descriptor is that of the table, and lives through the call.
    pub unsafe fn each(
        &self,
        client: &SpiClient,
        run: &Run,
        table: pg_sys::TupleDesc,
        put: Put,
    ) -> Result<(), Error> {
        // SAFETY: as the caller says.
        let layout = unsafe { self.columns.layout(table) };
        with_one_snapshot(|| {
            let setting = self.setting(client, run)?;
            let mut sources = self.open([setting.first, setting.last])?;
            let gathering = Gathering::new(setting, self.engine.plans());
            let mut market = sources.gather(gathering, self.gathered(client, &setting)?)?;
            market.sort_regions(|one, other| sources.regions.compare(one, other));
            sources.set_back();
            let sold = self.sold([setting.sold_from(), setting.sold_until()])?;
            sources.each(market, sold, &mut Writer::of(&layout, &sources.regions, put))
        })
    }

    /// What the rows depend on besides sales and products.
    fn setting(&self, client: &SpiClient, run: &Run) -> Result<Setting, Error> {
        let query = format!(
            "SELECT first::pg_catalog.timestamp::pg_catalog.date, complete::pg_catalog.timestamp::pg_catalog.date \
             FROM {} AS available (first, complete)",
            as_subquery(self.available)
        );
        let row = client.select(&query, Some(1), &[])?.first();
        let day = |n| Ok::<_, Error>(row.get::<Date>(n)?.map(|date| date.to_pg_epoch_days()));
        Ok(Setting {
            first: run.first,
            last: run.last,
            launch_weeks: self.engine.launch_weeks,
            warm_up_weeks: self.engine.warm_up_weeks,
            available: day(1)?.map(Week::of_day),
            complete: day(2)?,
        })
    }

    /// Opens the queries for the listed products, and for what is planned for these weeks.
    fn open(&self, weeks: [Week; 2]) -> Result<Sources, Error> {
        let listed = Cursor::open_for_several_passes(
            &format!(
                include_str!("launch_rows/listed.sql"),
                key_type = self.columns.key_type(),
                collation = self.columns.key_collation(),
                carried = self.columns.carried(),
                products = as_subquery(&self.engine.products),
            ),
            &[],
            Snapshot::Statement,
        )?;
        let (product, region) = (self.columns.product(), self.columns.region());
        // SAFETY: the query is open and has this column.
        let category = unsafe { tuples::attribute(listed.descriptor(), CATEGORY_KEY) }.attcollation;
        Ok(Sources {
            listed: Rows::of(listed),
            plans: self.planned(weeks)?,
            unlisted: Vec::new(),
            carried: self.columns.carried_count(),
            products: IdType::of(product)?,
            regions: Ordinals::new(region.collation)?,
            categories: Ordinals::new(category)?,
        })
    }

    /// Opens the queries for what is planned.
    fn planned(&self, weeks: [Week; 2]) -> Result<Vec<PlanRows>, Error> {
        let open = |plan: &PlanTable| {
            let width = plan.columns.len();
            let query = format!(
                include_str!("launch_rows/planned.sql"),
                key_type = self.columns.key_type(),
                collation = self.columns.key_collation(),
                values = (0..width).map(|n| format!(", value_{n}::real")).collect::<String>(),
                plan = as_subquery(&plan.query),
            );
            let cursor = Cursor::open_for_several_passes(&query, &dates(weeks), Snapshot::Statement)?;
            Ok(PlanRows { rows: Rows::of(cursor), width })
        };
        self.engine.plans.iter().map(open).collect()
    }

    /// The weekly sales that the first pass needs.
    fn gathered(&self, client: &SpiClient, setting: &Setting) -> Result<Rows, Error> {
        let from = setting.gathered_from();
        let earlier =
            format!("SELECT EXISTS (SELECT 1 FROM {} WHERE week < {EPOCH} + {})", self.weekly, from.monday());
        let found = client.select(&earlier, None, &[])?;
        if found.first().get_one::<bool>()? != Some(true) {
            return self.sold([from, setting.last]);
        }
        let query = format!(
            include_str!("launch_rows/gathered.sql"),
            key_type = self.columns.key_type(),
            collation = self.columns.key_collation(),
            weekly = self.weekly,
        );
        of_weeks(&query, [from, setting.last])
    }

    /// The weekly sales from one week to another.
    fn sold(&self, weeks: [Week; 2]) -> Result<Rows, Error> {
        let query = format!(
            include_str!("launch_rows/sold.sql"),
            key_type = self.columns.key_type(),
            collation = self.columns.key_collation(),
            weekly = self.weekly,
        );
        of_weeks(&query, weeks)
    }
}

/// Opens a query for the sales from one week to another.
fn of_weeks(query: &str, weeks: [Week; 2]) -> Result<Rows, Error> {
    Ok(Rows::of(Cursor::open(query, &dates(weeks), Snapshot::Statement)?))
}

fn dates(weeks: [Week; 2]) -> [Parameter; 2] {
    weeks.map(|week| (pg_sys::DATEOID, Some(pg_sys::Datum::from(week.monday()))))
}

/// What both passes read, and know it by.
struct Sources {
    listed: Rows,
    plans: Vec<PlanRows>,
    /// The ids of the products that are sold without being listed, in order.
    unlisted: Vec<pg_sys::Datum>,
    /// How many values of a product are carried along, besides its id.
    carried: usize,
    products: IdType,
    regions: Ordinals,
    categories: Ordinals,
}

/// Sales of some products, and then the rows that were made of them.
type Piece = (Chunk, NewRows);

impl Sources {
    /// What both passes read, the products that are not listed, and how many values are carried along.
    fn parts(&mut self) -> (Known<'_>, &mut Vec<pg_sys::Datum>, usize) {
        let Self { listed, plans, unlisted, carried, products, regions, categories } = self;
        (Known { listed, plans, products, regions, categories }, unlisted, *carried)
    }

    /// Goes back to where the first pass began.
    fn set_back(&mut self) {
        self.listed.set_back();
        self.plans.iter_mut().for_each(|plan| plan.rows.set_back());
    }

    /// The first pass.
    fn gather(&mut self, gathering: Gathering, sales: Rows) -> Result<Market, Error> {
        let (known, unlisted, _) = self.parts();
        let mut feed = Feed::of(known, sales, Unlisted::Found(unlisted));
        let mut worker = start(gathering, |gathering, chunk: &mut Chunk| gathering.add(chunk))?;
        let chunk = || Chunk::of(GATHERED_AT_ONCE);
        let (mut next, mut more) = (chunk(), true);
        while more {
            check_for_interrupts!();
            more = feed.fill(&mut next, None)?;
            next = worker.hand_over(next)?.unwrap_or_else(chunk);
        }
        Ok(worker.finish()?.finish()?)
    }

    /// The second pass.
    fn each(&mut self, market: Market, sales: Rows, writer: &mut Writer) -> Result<(), Error> {
        let most = market.products_at_once();
        let (known, unlisted, carried) = self.parts();
        let columns: Vec<_> = [PRODUCT_ID].into_iter().chain(CARRIED..CARRIED + carried).collect();
        let mut feed = Feed::of(known, sales, Unlisted::Known(unlisted.iter()));
        let mut worker = start(NewProducts::new(market), |new_products, (chunk, rows): &mut Piece| {
            rows.clear();
            new_products.add(chunk, rows)
        })?;
        let mut with_worker = VecDeque::new();
        let mut spare = Vec::new();
        let mut more = true;
        while more {
            check_for_interrupts!();
            let (mut piece, mut carried) = spare.pop().unwrap_or_else(|| {
                ((Chunk::of(most), NewRows::default()), Carried::of(feed.listed, columns.iter().copied()))
            });
            more = feed.fill(&mut piece.0, Some(&mut carried))?;
            with_worker.push_back(carried);
            if let Some(piece) = worker.hand_over(piece)? {
                spare.extend(writer.write(piece, &mut with_worker)?);
            }
        }
        while let Some(piece) = worker.take_back()? {
            check_for_interrupts!();
            writer.write(piece, &mut with_worker)?;
        }
        worker.finish()?;
        Ok(())
    }
}

/// Starts a thread for a pass.
fn start<S: Send + 'static, T: Send + 'static>(
    state: S,
    work: fn(&mut S, &mut T) -> Result<(), FeatureError>,
) -> Result<Worker<S, T>, Error> {
    without_signals(|| Worker::start("launch rows", state, work))
        .map_err(Error::system("a thread cannot start"))
}

/// Makes rows of a table of the rows that the library computes.
struct Writer<'a> {
    layout: &'a [Field],
    regions: Vec<pg_sys::Datum>,
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
    put: Put<'a>,
}

impl<'a> Writer<'a> {
    fn of(layout: &'a [Field], regions: &Ordinals, put: Put<'a>) -> Self {
        let (values, nulls) = (vec![pg_sys::Datum::null(); layout.len()], vec![true; layout.len()]);
        Self { layout, regions: regions.texts().to_vec(), values, nulls, put }
    }

    /// Writes the rows of the piece that was with the worker longest. Gives back what can be used again.
    fn write(
        &mut self,
        piece: Piece,
        with_worker: &mut VecDeque<Carried>,
    ) -> Result<Option<(Piece, Carried)>, Error> {
        let Some(carried) = with_worker.pop_front() else { return Ok(None) };
        for (row, planned) in piece.1.iter() {
            self.write_row(row, planned, &carried)?;
        }
        Ok(Some((piece, carried)))
    }

    fn write_row(&mut self, row: &Row, planned: &[Option<f32>], carried: &Carried) -> Result<(), Error> {
        let (values, nulls) = carried.of_product(row.product);
        for (n, field) in self.layout.iter().enumerate() {
            let value = match *field {
                Field::Carried(column) => (!nulls[column]).then_some(values[column]),
                Field::Region => Some(self.regions[row.region as usize]),
                Field::Week => Some(pg_sys::Datum::from(row.week.monday())),
                Field::Feature(column) => row.values.get(column).map(real),
                Field::Planned(column) => planned[column].map(real),
                Field::Purchased => row.purchased.map(pg_sys::Datum::from),
                Field::Nothing => None,
            };
            self.nulls[n] = value.is_none();
            self.values[n] = value.unwrap_or(pg_sys::Datum::null());
        }
        (self.put)(row.week, &self.values, &self.nulls)
    }
}

fn real(number: f32) -> pg_sys::Datum {
    pg_sys::Datum::from(number.to_bits())
}
