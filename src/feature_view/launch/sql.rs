//! The queries of the template, and what the caller's tables and columns are in them.

use super::{Template, Unlisted};
use crate::error::Error;
use crate::feature_view::create::as_subquery;
use crate::feature_view::engine::PlanTable;
use features::launch::{HORIZON, MONTH, QUARTER, YEAR};
use features::weeks::DAYS_A_WEEK;
use pgrx::spi::{quote_identifier, quote_literal};

pub const AVAILABLE: &str = include_str!("available.sql");
pub const WEEKLY: &str = include_str!("weekly.sql");
pub const LISTED: &str = include_str!("listed.sql");
pub const FEATURES: &str = include_str!("features.sql");
pub const WEEKLY_CHECKS: &str = include_str!("weekly_checks.sql");
pub const FEATURES_CHECKS: &str = include_str!("features_checks.sql");

/// What stands for a `{name}` in a query.
type Values = Vec<(&'static str, String)>;

impl Template {
    /// A query of the template, with the caller's tables and columns filled in.
    pub fn fill(&self, query: &str, weekly: &str, available: &str) -> String {
        let zone = quote_literal(&self.time_zone);
        let views = vec![("{weekly}", weekly.to_owned()), ("{available}", available.to_owned())];
        let own =
            [views, self.of_sales(&zone), self.of_stores(), self.of_products(&zone), of_weeks()].concat();
        let values = [self.of_plans(&zone, &own), own].concat();
        substitute(query, &values)
    }

    fn of_sales(&self, zone: &str) -> Values {
        let sales = &self.sales;
        let sold_at = format!("s.{}", quote_identifier(&self.sold_at));
        let of_line = |name: &str| format!("s.{}", quote_identifier(name));
        let moment = |expression: &str| sales.moment(expression, &self.sold_at, zone);
        let instant = |day: &str| sales.instant(day, &self.sold_at, zone);
        let discounts = self.discount.iter().map(|name| format!("coalesce(s.{}, 0)", quote_identifier(name)));
        let discount = match self.discount.as_slice() {
            [] => "NULL::float8".to_owned(),
            _ => discounts.collect::<Vec<_>>().join(" + "),
        };
        let [now, now_of_sales] = match sales.is_zoned(&self.sold_at) {
            true => [format!("(now() AT TIME ZONE {zone})"), "now()".to_owned()],
            false => ["LOCALTIMESTAMP", "LOCALTIMESTAMP"].map(str::to_owned),
        };
        vec![
            ("{sales}", sales.name()),
            ("{sales_name}", quote_literal(sales.name())),
            ("{quantity_column}", quote_literal(&self.quantity)),
            ("{amount_column}", quote_literal(&self.amount)),
            ("{sold_column}", quote_literal(&self.sold_at)),
            ("{sold_at}", quote_identifier(&self.sold_at)),
            ("{amount}", quote_identifier(&self.amount)),
            ("{quantity}", quote_identifier(&self.quantity)),
            ("{customer}", quote_identifier(&self.customer)),
            ("{discount}", discount),
            (
                "{no_amount}",
                self.numbers()
                    .map(|name| sales.is_no_amount(&of_line(name), name))
                    .collect::<Vec<_>>()
                    .join(" OR "),
            ),
            (
                "{amounts}",
                self.numbers()
                    .map(|name| format!("{}, {}", quote_literal(name), of_line(name)))
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
            ("{amounts_format}", self.numbers().map(|_| "%s = %s").collect::<Vec<_>>().join(", ")),
            ("{purchase}", as_subquery(&self.purchase)),
            ("{plausible_sale}", sales.is_between(&sold_at, &self.sold_at, self.days(), zone)),
            ("{moment}", moment(&sold_at)),
            ("{first_moment}", moment(&format!("min({sold_at})"))),
            ("{last_moment}", moment(&format!("max({sold_at})"))),
            ("{now}", now),
            ("{now_of_sales}", now_of_sales),
            ("{start_of_first}", instant("$1")),
            ("{end_of_last}", instant(&format!("($2 + {DAYS_A_WEEK})"))),
            ("{closed_days}", (DAYS_A_WEEK - self.last_weekday).to_string()),
        ]
    }

    /// The columns of sales whose numbers are added up.
    fn numbers(&self) -> impl Iterator<Item = &String> {
        [&self.amount, &self.quantity].into_iter().chain(&self.discount)
    }

    fn of_stores(&self) -> Values {
        let region = self.stores.text(&format!("t.{}", quote_identifier(&self.region)), &self.region);
        let without_region = (region.clone(), "JOIN");
        let ((region_of_store, join), severity, hint) = match self.unlisted_stores {
            Unlisted::LeaveOut => (
                without_region,
                "warning",
                "They are left out: list the stores, or create the view with unlisted_stores => 'own_region' or 'refuse'.",
            ),
            Unlisted::Refuse => (
                without_region,
                "error",
                "List the stores, or create the view with another value of unlisted_stores.",
            ),
            Unlisted::OwnRegion => (
                (format!("coalesce({region}, '{}')", Unlisted::REGION), "LEFT JOIN"),
                "notice",
                "Their region is \"unlisted\".",
            ),
        };
        vec![
            ("{stores}", self.stores.name()),
            ("{stores_name}", quote_literal(self.stores.name())),
            ("{store_column}", quote_literal(&self.store_id)),
            ("{store_id}", quote_identifier(&self.store_id)),
            ("{listed_region}", region),
            ("{region_of_store}", region_of_store),
            ("{join_stores}", join.to_owned()),
            ("{unlisted_severity}", quote_literal(severity)),
            ("{unlisted_hint}", quote_literal(hint)),
            (
                "{own_region}",
                match self.unlisted_stores {
                    Unlisted::OwnRegion => quote_literal(Unlisted::REGION),
                    _ => "NULL".to_owned(),
                },
            ),
        ]
    }

    fn of_products(&self, zone: &str) -> Values {
        let products = &self.products;
        let (launch_date, plausible_launch, planned) = match &self.launch_date {
            Some(name) => {
                let launch = format!("p.{}", quote_identifier(name));
                let plausible = products.is_between(&launch, name, self.days(), zone);
                let week = format!("reco.week({})", products.moment(&launch, name, zone));
                let planned = format!("CASE WHEN {plausible} THEN {week} END");
                (launch, plausible, planned)
            }
            None => ("NULL".to_owned(), "true".to_owned(), "NULL::date".to_owned()),
        };
        // Inside the query the attributes have names of the form attribute_n, so that none is the same as a column of the
        // query itself.
        let attributes = |written: &dyn Fn(usize, String) -> String| {
            let named = self.attributes.iter().map(quote_identifier).enumerate();
            named.map(|(n, name)| format!(", {}", written(n, name))).collect::<String>()
        };
        let [earliest, latest, _] = self.plausible.clone();
        vec![
            ("{products}", products.name()),
            ("{products_name}", quote_literal(products.name())),
            ("{product_column}", quote_literal(&self.product_id)),
            ("{product_id}", quote_identifier(&self.product_id)),
            ("{category}", quote_identifier(&self.category)),
            ("{launch_date}", launch_date),
            ("{plausible_launch}", plausible_launch),
            ("{planned}", planned),
            ("{earliest}", earliest),
            ("{latest}", latest),
            ("{listed_attributes}", attributes(&|n, name| format!("p.{name} AS attribute_{n}"))),
            ("{candidate_attributes}", attributes(&|n, _| format!("c.attribute_{n}"))),
            ("{attributes}", attributes(&|n, name| format!("e.attribute_{n} AS {name}"))),
            ("{launch_weeks}", self.launch_weeks.to_string()),
            ("{warm_up_weeks}", self.warm_up_weeks.to_string()),
        ]
    }

    /// `own` is what stands for the template's other names.
    fn of_plans(&self, zone: &str, own: &Values) -> Values {
        let (known, plans) = (self.known(), || self.plans.iter().zip(1..));
        vec![
            ("{planned_features}", plans().map(|(plan, n)| plan.features(n)).collect()),
            ("{plan_steps}", plans().map(|(plan, n)| plan.steps(n, &known, zone, own)).collect()),
            ("{plan_joins}", plans().map(|(plan, n)| plan.joins(n, own)).collect()),
            ("{plan_checks}", plans().map(|(plan, _)| plan.checks(&known, zone, own)).collect()),
        ]
    }

    /// How the library computes what is of plans; `None` if an id of a plan's may be none of the view's products.
    pub fn planned_by_engine(&self, weekly: &str) -> Result<Option<Vec<PlanTable>>, Error> {
        let (zone, known) = (quote_literal(&self.time_zone), self.known());
        let values: Values = [vec![("{weekly}", weekly.to_owned())], of_weeks()].concat();
        let (sold, listed) =
            ((&self.sales, self.product_id.as_str()), (&self.products, self.product_id.as_str()));
        for plan in &self.plans {
            if !plan.has_ids_of(sold, listed)? {
                return Ok(None);
            }
        }
        Ok(Some(self.plans.iter().map(|plan| plan.engine(&known, &zone, &values)).collect()))
    }

    /// The first plausible day, and the one after the last.
    pub fn days(&self) -> [&str; 2] {
        let [first, _, end] = &self.plausible;
        [first, end]
    }
}

/// The times that features are of.
fn of_weeks() -> Values {
    vec![
        ("{no_more}", "NULL::float8, NULL::float8, NULL::bigint, NULL::timestamp".to_owned()),
        ("{quarter}", QUARTER.to_string()),
        ("{days_of_month}", days(MONTH)),
        ("{rest_of_month}", days(MONTH - 1)),
        ("{rest_of_quarter}", days(QUARTER - 1)),
        ("{days_of_year}", days(YEAR)),
        ("{to_label}", days(HORIZON)),
        ("{to_end_of_label}", days(HORIZON + 1)),
    ]
}

/// Weeks in days, in which SQL reckons with dates.
pub fn days(weeks: i32) -> String {
    (DAYS_A_WEEK * weeks).to_string()
}

/// Replaces each `{name}` from left to right. The text that is filled in is not searched again.
pub fn substitute(template: &str, values: &[(&str, String)]) -> String {
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
