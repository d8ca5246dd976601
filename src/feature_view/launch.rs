//! The function `reco.create_launch_features`, the template for retail. From tables of sales, products and stores it makes
//! two feature views: sales by week as summaries, and, computed from these, the features of products in their first weeks.

mod planned;
mod plans;
mod sql;
mod table;

use self::plans::Plan;
use self::sql::{AVAILABLE, FEATURES, FEATURES_CHECKS, LISTED, WEEKLY, WEEKLY_CHECKS};
use self::table::{comparable, Table};
use super::create::{as_subquery, create, describe};
use super::engine::Engine;
use super::registry::NewView;
use crate::error::{or_raise, Error};
use crate::pg::acting_as::{with_fixed_path, Settings};
use crate::pg::call::Call;
use crate::pg::relations::{self, RelationName};
use crate::pg::two_versions::require_writable;
use crate::pg::values::given;
use features::launch::HORIZON;
use features::weeks::{iso_date, DAYS_A_WEEK, MOST_WEEKS_BACK};
use model::recipe::Family;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::{quote_identifier, quote_literal, quote_qualified_identifier};

/// Declared in sql/feature_view.sql.
#[pg_extern(sql = false)]
fn create_launch_features(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Oid {
    require_writable(c"reco.create_launch_features()");
    // SAFETY: Postgres calls this with the arguments that its SQL declares.
    let template = or_raise(Template::read(unsafe { &Call::new(fcinfo) }));
    or_raise(template.create())
}

/// The arguments of the call. The columns that they name are checked.
struct Template {
    view: String,
    sales: Table,
    products: Table,
    stores: Table,
    product_id: String,
    store_id: String,
    region: String,
    sold_at: String,
    amount: String,
    quantity: String,
    discount: Vec<String>,
    customer: String,
    category: String,
    attributes: Vec<String>,
    launch_date: Option<String>,
    launch_weeks: i32,
    warm_up_weeks: i32,
    lookback: i32,
    /// The time zone whose weeks count, for moments that have a time zone.
    time_zone: String,
    partition_by: String,
    /// The condition that makes a purchase of a sales line.
    purchase: String,
    unlisted_stores: Unlisted,
    /// The first and the last day that a sale or a launch can have, and the day after.
    plausible: [String; 3],
    /// From 1, Monday, to 7.
    last_weekday: i32,
    plans: Vec<Plan>,
}

/// What becomes of sales of stores that are not listed, or have no region.
#[derive(Clone, Copy, PartialEq)]
enum Unlisted {
    LeaveOut,
    Refuse,
    OwnRegion,
}

impl Unlisted {
    /// The region of its own.
    const REGION: &'static str = "unlisted";

    fn parse(name: &str) -> Result<Self, Error> {
        match name {
            "leave_out" => Ok(Self::LeaveOut),
            "refuse" => Ok(Self::Refuse),
            "own_region" => Ok(Self::OwnRegion),
            other => Err(Error::invalid(format!(
                "unlisted_stores is leave_out, refuse or own_region, not \"{other}\""
            ))),
        }
    }
}

impl Template {
    fn read(call: &Call) -> Result<Self, Error> {
        let text = |n| call.text(n);
        let name = |n, what| given(call.name(n), what);
        let names = |n, what| {
            let names = call.names(n)?;
            given(names, what)
        };
        let table = |n, what| Table::open(given(call.oid(n), what)?);
        let weeks = |n, what, least| {
            let weeks = given(call.integer(n), what)?;
            if (least..=MOST_WEEKS_BACK).contains(&weeks) {
                return Ok(weeks);
            }
            Err(Error::invalid(format!(
                "{what} is a number of weeks from {least} to {MOST_WEEKS_BACK}, not {weeks}"
            )))
        };
        let quantity = name(9, "quantity")?;
        let template = Self {
            view: given(text(0), "view")?,
            sales: table(1, "sales")?,
            products: table(2, "products")?,
            stores: table(3, "stores")?,
            product_id: name(4, "product_id")?,
            store_id: name(5, "store_id")?,
            region: name(6, "region")?,
            sold_at: name(7, "sold_at")?,
            amount: name(8, "amount")?,
            discount: names(10, "discount")?,
            customer: name(11, "customer")?,
            category: name(12, "category")?,
            attributes: names(13, "attributes")?,
            launch_date: call.name(14),
            launch_weeks: weeks(15, "launch_weeks", 1)?,
            warm_up_weeks: weeks(16, "warm_up_weeks", 0)?,
            lookback: weeks(17, "lookback", 0)?,
            time_zone: time_zone(text(18))?,
            partition_by: given(text(19), "partition_by")?,
            purchase: text(20).unwrap_or_else(|| format!("{} > 0", quote_identifier(&quantity))),
            unlisted_stores: Unlisted::parse(&given(text(21), "unlisted_stores")?)?,
            plausible: plausible(given(call.date(22), "earliest")?, given(call.date(23), "latest")?)?,
            last_weekday: given(call.integer(24), "last_weekday")?,
            plans: Vec::new(),
            quantity,
        };
        template.check()?;
        let plans =
            call.json(25, "plans")?.map_or(Ok(Vec::new()), |plans| plans::read(plans, &template.known()))?;
        Ok(Self { plans, ..template })
    }

    /// What plans are joined with.
    fn known(&self) -> plans::Template<'_> {
        plans::Template {
            days: self.days(),
            sales: &self.sales,
            stores: &self.stores,
            product_id: &self.product_id,
            store_id: &self.store_id,
            region: &self.region,
        }
    }

    /// Checks that every column exists and has a type that fits its use.
    fn check(&self) -> Result<(), Error> {
        let (sales, products, stores) = (&self.sales, &self.products, &self.stores);
        let moment: &[_] = &[Family::Date, Family::Timestamp];
        let number: &[_] = &[Family::Number];
        sales.check(&self.product_id, "product_id", &[Family::Number, Family::Text])?;
        products.check(&self.product_id, "product_id", &[Family::Number, Family::Text])?;
        sales.check(&self.store_id, "store_id", &[])?;
        stores.check(&self.store_id, "store_id", &[])?;
        stores.check(&self.region, "region", &[])?;
        sales.check(&self.sold_at, "sold_at", moment)?;
        sales.check(&self.amount, "amount", number)?;
        sales.check(&self.quantity, "quantity", number)?;
        sales.check(&self.customer, "customer", &[])?;
        products.check(&self.category, "category", &[])?;
        self.discount.iter().try_for_each(|name| sales.check(name, "discount", number))?;
        self.attributes.iter().try_for_each(|name| products.check(name, "attributes", &[]))?;
        self.launch_date.iter().try_for_each(|name| products.check(name, "launch_date", moment))?;
        if !(1..=DAYS_A_WEEK).contains(&self.last_weekday) {
            return Err(Error::invalid(format!(
                "last_weekday is a day of the week from 1, Monday, to {DAYS_A_WEEK}, Sunday, not {}",
                self.last_weekday
            )));
        }
        with_fixed_path(|| {
            comparable((sales, &self.product_id), (products, &self.product_id), "product_id")?;
            comparable((sales, &self.store_id), (stores, &self.store_id), "store_id")?;
            self.check_purchase()
        })
    }

    fn check_purchase(&self) -> Result<(), Error> {
        if self.purchase.trim().is_empty() {
            return Err(Error::InvalidArgument(
                "purchase is a condition on the columns of a sales line".into(),
                Some("For example: purchase => 'quantity > 0 AND NOT is_sample'".into()),
            ));
        }
        // Where a condition stands, Postgres takes neither aggregates nor window functions, nor what returns several rows.
        let query =
            format!("SELECT true FROM {} AS s WHERE {}", self.sales.name(), as_subquery(&self.purchase));
        describe(&query, "condition of a purchase").map(drop)
    }

    /// Makes both feature views.
    fn create(&self) -> Result<pg_sys::Oid, Error> {
        let RelationName { schema, name } = relations::creation_place(&self.view)?;
        let weekly = quote_qualified_identifier(schema.as_str(), format!("{name}_weekly").as_str());
        let view = quote_qualified_identifier(schema.as_str(), name.as_str());
        let keys = ["product_id", "region"].map(str::to_owned);
        let available = self.fill(AVAILABLE, &weekly, "");
        let template = |view: &str, [query, checks]: [&str; 2]| NewView {
            view: view.to_owned(),
            definition: self.fill(query, &weekly, &available),
            keys: keys.to_vec(),
            time_column: "week".into(),
            label: None,
            available: Some(available.clone()),
            checks: Some(self.fill(checks, &weekly, &available)),
            inputs: Vec::new(),
            lookback: self.lookback,
            horizon: 0,
            partition_by: self.partition_by.clone(),
            settings: settings(&self.time_zone),
            planned: Vec::new(),
            engine: None,
        };
        // The template's SQL is ours and was written for this search path, so the caller's path does not decide what its
        // names mean.
        let oid = with_fixed_path(|| {
            let weekly_oid = create(&template(&weekly, [WEEKLY, WEEKLY_CHECKS]))?;
            create(&NewView {
                label: Some("purchased".into()),
                inputs: vec![weekly_oid],
                horizon: HORIZON,
                planned: self.plans.iter().flat_map(Plan::planned_columns).collect(),
                engine: self.engine(&weekly)?,
                ..template(&view, [FEATURES, FEATURES_CHECKS])
            })
        })?;
        for view in [&weekly, &view] {
            Spi::run(&format!("CREATE INDEX ON {view} (week)"))?;
        }
        comment(&weekly, "Sales by product, region and week; rolled up into features", WEEKLY_COLUMNS)?;
        comment(&view, "New products by region and week, as known at the end of the week", FEATURE_COLUMNS)?;
        for (column, about) in self.plans.iter().flat_map(Plan::comments) {
            comment_column(&view, &column, about)?;
        }
        Ok(oid)
    }

    /// How the library computes the rows of new products; `None` where only the definition can.
    fn engine(&self, weekly: &str) -> Result<Option<Engine>, Error> {
        let of_plans = |plans| Engine {
            products: self.fill(LISTED, weekly, ""),
            attributes: self.attributes.clone(),
            launch_weeks: self.launch_weeks,
            warm_up_weeks: self.warm_up_weeks,
            plans,
        };
        Ok(self.planned_by_engine(weekly)?.map(of_plans))
    }
}

/// The first day, the last one and the day after it.
fn plausible(earliest: i32, latest: i32) -> Result<[String; 3], Error> {
    match [earliest, latest, latest.saturating_add(1)].map(iso_date) {
        [Some(first), Some(last), Some(end)] if earliest <= latest => Ok([first, last, end]),
        _ => Err(Error::invalid("earliest is a date before latest, and both are finite")),
    }
}

/// The settings for the template's queries: regions and moments are written in one way, whoever refreshes. The planner estimates
/// the rows of their steps badly and would choose slow joins.
fn settings(time_zone: &str) -> Settings {
    let off = ["enable_mergejoin", "enable_nestloop", "jit"].map(|name| (name, "off"));
    let written = [
        ("datestyle", "ISO, YMD"),
        ("intervalstyle", "postgres"),
        ("extra_float_digits", "1"),
        ("timezone", time_zone),
    ];
    off.into_iter().chain(written).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The named time zone, or else the session's. It is stored in the definition, so later settings do not change it.
fn time_zone(named: Option<String>) -> Result<String, Error> {
    let sql = "SELECT zone FROM (SELECT COALESCE($1, pg_catalog.current_setting('TimeZone')) AS zone) AS z \
               WHERE pg_catalog.now() AT TIME ZONE zone IS NOT NULL";
    let zone = Spi::get_one_with_args::<String>(sql, &[named.into()])?;
    zone.ok_or_else(|| Error::invalid("the time zone is not known"))
}

fn comment(view: &str, about: &str, columns: &[(&str, &str)]) -> Result<(), Error> {
    Spi::run(&format!("COMMENT ON TABLE {view} IS {}", quote_literal(about)))?;
    columns.iter().try_for_each(|(column, about)| comment_column(view, column, about))
}

fn comment_column(view: &str, column: &str, about: &str) -> Result<(), Error> {
    let column = quote_identifier(column);
    Ok(Spi::run(&format!("COMMENT ON COLUMN {view}.{column} IS {}", quote_literal(about)))?)
}

const WEEKLY_COLUMNS: &[(&str, &str)] = &[
    ("week", "Monday of the week"),
    ("sales", "Summary of the week's sale lines, returns among them; its customers are those of purchases; see reco.rollup and reco.total_sales"),
    ("purchases", "Number of sale lines that are purchases"),
    ("returned", "Pieces that came back"),
];

const FEATURE_COLUMNS: &[(&str, &str)] = &[
    ("week", "Monday of the week; everything but purchased is known when it ends"),
    ("sales_1w", "Here: of the product in the region over 1, 4, 13 weeks; all_…: in all regions; category_…: its category in the region"),
    ("customers_1w", "Distinct customers that bought it"),
    ("discount_1w", "Discount as a share of the undiscounted value; NULL without sales"),
    ("price_1w", "Average price paid for one; NULL without sales"),
    ("returned_13w", "Pieces that came back; sales and quantity are without them"),
    ("price_to_category", "Average price everywhere over that of the category in the region, 4 weeks; NULL without either"),
    ("category_launch_share", "Share of the last year's launches, their first four weeks over, that were in the category"),
    ("category_launches_sold", "Share of those in the category that were bought in the region within four weeks; NULL without any"),
    ("category_launch_quantity", "Mean quantity that they sold in the region in four weeks; NULL without any"),
    ("weeks_since_launch", "0 in the week of the first sale or of the planned launch; -1 in the week before a planned one"),
    ("trend", "Least-squares slope of the weekly quantity in the region since the launch, 13 weeks at most"),
    ("all_trend", "The same for all regions"),
    ("regions_sold", "Number of regions it was bought in over 13 weeks"),
    ("regions_share", "The same as a share of the regions that trade"),
    ("season_sin", "Sine and cosine of the day of the year of the Monday"),
    ("purchased", "Bought in the region in the week after; NULL while that week is not over"),
];
