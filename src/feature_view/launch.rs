//! The function `reco.create_launch_features`, the template for retail. From tables of sales, products and stores it makes
//! two feature views: sales by week as summaries, and, computed from these, the features of products in their first weeks.

use super::create::create;
use super::registry::NewView;
use crate::error::{or_raise, Error};
use crate::pg::acting_as::{with_fixed_path, Settings};
use crate::pg::call::Call;
use crate::pg::relations::{self, Relation, RelationName};
use crate::pg::session::refuse_read_only;
use crate::pg::values::{self, given};
use features::weeks::{DAYS_A_WEEK, MOST_WEEKS_BACK};
use model::recipe::Family;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::{quote_identifier, quote_literal, quote_qualified_identifier};

const AVAILABLE: &str = include_str!("launch/available.sql");
const WEEKLY: &str = include_str!("launch/weekly.sql");
const FEATURES: &str = include_str!("launch/features.sql");

/// Declared in sql/feature_view.sql.
#[pg_extern(sql = false)]
fn create_launch_features(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Oid {
    refuse_read_only(c"reco.create_launch_features()");
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
}

/// The times that the features are of, in weeks, this week included: the columns are named after them (`sales_4w`, `sales_13w`).
/// A product's first four weeks are also what launches are compared by.
const MONTH: i32 = 4;
const QUARTER: i32 = 13;
/// Launches are compared with those of the last year.
const YEAR: i32 = 52;
/// Weeks after its own that a row's label looks at.
const HORIZON: i32 = 1;

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
            quantity: name(9, "quantity")?,
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
        };
        template.check()?;
        Ok(template)
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
        self.launch_date.iter().try_for_each(|name| products.check(name, "launch_date", moment))
    }

    /// Makes both feature views.
    fn create(&self) -> Result<pg_sys::Oid, Error> {
        let RelationName { schema, name } = relations::creation_place(&self.view)?;
        let weekly = quote_qualified_identifier(schema.as_str(), format!("{name}_weekly").as_str());
        let view = quote_qualified_identifier(schema.as_str(), name.as_str());
        let keys = ["product_id", "region"].map(str::to_owned);
        let available = self.fill(AVAILABLE, &weekly, "");
        let make = |view: &str, query, label: Option<&str>, inputs, horizon| {
            create(&NewView {
                view: view.to_owned(),
                definition: self.fill(query, &weekly, &available),
                keys: keys.to_vec(),
                time_column: "week".into(),
                label: label.map(str::to_owned),
                available: Some(available.clone()),
                inputs,
                lookback: self.lookback,
                horizon,
                partition_by: self.partition_by.clone(),
                settings: settings(),
                planned: Vec::new(),
            })
        };
        // The template's SQL is ours and was written for this search path, so the caller's path does not decide what its
        // names mean.
        let oid = with_fixed_path(|| {
            let weekly_oid = make(&weekly, WEEKLY, None, Vec::new(), 0)?;
            make(&view, FEATURES, Some("purchased"), vec![weekly_oid], HORIZON)
        })?;
        for view in [&weekly, &view] {
            Spi::run(&format!("CREATE INDEX ON {view} (week)"))?;
        }
        comment(&weekly, "Sales by product, region and week; rolled up into features", WEEKLY_COLUMNS)?;
        comment(&view, "New products by region and week, as known at the end of the week", FEATURE_COLUMNS)?;
        Ok(oid)
    }

    /// A query of the template, with the caller's tables and columns filled in.
    fn fill(&self, query: &str, weekly: &str, available: &str) -> String {
        let zone = quote_literal(&self.time_zone);
        let column = |name: &String| quote_identifier(name);
        let discounts = self.discount.iter().map(|name| format!("coalesce(s.{}, 0)", quote_identifier(name)));
        let discount = match self.discount.as_slice() {
            [] => "NULL".to_owned(),
            _ => discounts.collect::<Vec<_>>().join(" + "),
        };
        let planned = match &self.launch_date {
            Some(name) => {
                let moment = self.products.moment(&format!("p.{}", quote_identifier(name)), name, &zone);
                format!("reco.week({moment})")
            }
            None => "NULL::date".to_owned(),
        };
        // Inside the query the attributes have names of the form attribute_n, so that none is the same as a column of the
        // query itself.
        let attributes = |written: &dyn Fn(usize, String) -> String| {
            let named = self.attributes.iter().map(quote_identifier).enumerate();
            named.map(|(n, name)| format!(", {}", written(n, name))).collect::<String>()
        };
        let sold_at = format!("s.{}", quote_identifier(&self.sold_at));
        let moment = self.sales.moment(&sold_at, &self.sold_at, &zone);
        let monday = |day: &str| match self.sales.is_zoned(&self.sold_at) {
            true => format!("({day}::timestamp AT TIME ZONE {})", zone),
            false => day.to_owned(),
        };
        let now = match self.sales.is_zoned(&self.sold_at) {
            true => format!("(now() AT TIME ZONE {zone})"),
            false => "LOCALTIMESTAMP".to_owned(),
        };
        let values = [
            ("{available}", available.to_owned()),
            ("{weekly}", weekly.to_owned()),
            ("{sales}", self.sales.0.name.to_string()),
            ("{products}", self.products.0.name.to_string()),
            ("{stores}", self.stores.0.name.to_string()),
            ("{product_id}", column(&self.product_id)),
            ("{store_id}", column(&self.store_id)),
            ("{region}", column(&self.region)),
            ("{sold_at}", column(&self.sold_at)),
            ("{amount}", column(&self.amount)),
            ("{quantity}", column(&self.quantity)),
            ("{customer}", column(&self.customer)),
            ("{category}", column(&self.category)),
            ("{discount}", discount),
            ("{planned}", planned),
            ("{moment}", moment),
            ("{now}", now),
            ("{start_of_first}", monday("$1")),
            ("{end_of_last}", monday(&format!("($2 + {DAYS_A_WEEK})"))),
            ("{listed_attributes}", attributes(&|n, name| format!("p.{name} AS attribute_{n}"))),
            ("{candidate_attributes}", attributes(&|n, _| format!("c.attribute_{n}"))),
            ("{attributes}", attributes(&|n, name| format!("e.attribute_{n} AS {name}"))),
            ("{launch_weeks}", self.launch_weeks.to_string()),
            ("{warm_up_weeks}", self.warm_up_weeks.to_string()),
            ("{quarter}", QUARTER.to_string()),
            ("{days_of_month}", days(MONTH)),
            ("{rest_of_month}", days(MONTH - 1)),
            ("{rest_of_quarter}", days(QUARTER - 1)),
            ("{days_of_year}", days(YEAR)),
            ("{to_label}", days(HORIZON)),
            ("{to_end_of_label}", days(HORIZON + 1)),
        ];
        substitute(query, &values)
    }
}

/// The settings for the template's queries. The planner estimates the rows of their steps badly and would choose slow
/// joins.
fn settings() -> Settings {
    ["enable_mergejoin", "enable_nestloop", "jit"].map(|name| (name.to_owned(), "off".to_owned())).to_vec()
}

/// Weeks in days, in which SQL reckons with dates.
fn days(weeks: i32) -> String {
    (DAYS_A_WEEK * weeks).to_string()
}

/// The named time zone, or else the session's. It is stored in the definition, so later settings do not change it.
fn time_zone(named: Option<String>) -> Result<String, Error> {
    let sql = "SELECT zone FROM (SELECT COALESCE($1, pg_catalog.current_setting('TimeZone')) AS zone) AS z \
               WHERE pg_catalog.now() AT TIME ZONE zone IS NOT NULL";
    let zone = Spi::get_one_with_args::<String>(sql, &[named.into()])?;
    zone.ok_or_else(|| Error::invalid("the time zone is not known"))
}

/// Replaces each `{name}` from left to right. The text that is filled in is not searched again.
fn substitute(template: &str, values: &[(&str, String)]) -> String {
    let mut filled = String::with_capacity(2 * template.len());
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        filled.push_str(&rest[..start]);
        rest = &rest[start..];
        match values.iter().find(|(name, _)| rest.starts_with(name)) {
            Some((name, value)) => {
                filled.push_str(value);
                rest = &rest[name.len()..];
            }
            None => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled + rest
}

/// One of the three tables that the template reads.
struct Table(Relation);

impl Table {
    fn open(relation: pg_sys::Oid) -> Result<Self, Error> {
        Relation::of(relation).map(Self)
    }

    /// Checks that the column exists and that its type belongs to one of these families; without families any type will do.
    fn check(&self, column: &str, argument: &str, families: &[Family]) -> Result<(), Error> {
        let Self(table) = self;
        let Some(oid) = table.type_of(column) else {
            return Err(Error::UndefinedColumn {
                message: format!("{argument} column \"{column}\" does not exist in {}", table.name),
                hint: format!("{} Say {argument} => '…'.", table.columns_hint()),
            });
        };
        let family = values::reader_of(oid).map(|(family, _)| family);
        if families.is_empty() || family.is_some_and(|family| families.contains(&family)) {
            return Ok(());
        }
        let wanted: Vec<_> = families.iter().map(|family| family.describe()).collect();
        Err(Error::InvalidArgument(
            format!(
                "{argument} column \"{column}\" of {} has type {}, not {}",
                table.name,
                values::type_name(oid, -1),
                wanted.join(" or ")
            ),
            None,
        ))
    }

    fn is_zoned(&self, column: &str) -> bool {
        self.0.type_of(column) == Some(pg_sys::TIMESTAMPTZOID)
    }

    /// A column as a timestamp without time zone, on the clock of the zone whose weeks count.
    fn moment(&self, expression: &str, column: &str, zone: &str) -> String {
        match self.0.type_of(column) {
            Some(pg_sys::TIMESTAMPTZOID) => format!("({expression} AT TIME ZONE {zone})"),
            Some(pg_sys::TIMESTAMPOID) => expression.to_owned(),
            _ => format!("{expression}::timestamp"),
        }
    }
}

fn comment(view: &str, about: &str, columns: &[(&str, &str)]) -> Result<(), Error> {
    Spi::run(&format!("COMMENT ON TABLE {view} IS {}", quote_literal(about)))?;
    for (column, about) in columns {
        Spi::run(&format!("COMMENT ON COLUMN {view}.{column} IS {}", quote_literal(about)))?;
    }
    Ok(())
}

const WEEKLY_COLUMNS: &[(&str, &str)] = &[
    ("week", "Monday of the week"),
    ("sales", "Summary of the week's sale lines; see reco.rollup and reco.total_sales"),
];

const FEATURE_COLUMNS: &[(&str, &str)] = &[
    ("week", "Monday of the week; everything but purchased is known when it ends"),
    ("sales_1w", "Here: of the product in the region over 1, 4, 13 weeks; all_…: in all regions; category_…: its category in the region"),
    ("customers_1w", "Distinct customers that bought it"),
    ("discount_1w", "Discount as a share of the undiscounted value; NULL without sales"),
    ("price_1w", "Average price paid for one; NULL without sales"),
    ("price_to_category", "Average price everywhere over that of the category in the region, 4 weeks; NULL without either"),
    ("category_launch_share", "Share of the last year's launches, their first four weeks over, that were in the category"),
    ("category_launches_sold", "Share of those in the category that were bought in the region within four weeks; NULL without any"),
    ("category_launch_quantity", "Mean quantity that they sold in the region in four weeks; NULL without any"),
    ("weeks_since_launch", "0 in the week of the first sale or of the planned launch; -1 in the week before a planned one"),
    ("trend", "Least-squares slope of the weekly quantity in the region since the launch, 13 weeks at most"),
    ("all_trend", "The same for all regions"),
    ("regions_sold", "Number of regions it was sold in over 13 weeks"),
    ("regions_share", "The same as a share of the regions that trade"),
    ("season_sin", "Sine and cosine of the day of the year of the Monday"),
    ("purchased", "Bought in the region in the week after; NULL while that week is not over"),
];
