//! The sales of products in the first weeks after their launch. They come from the weekly sales from which a view of new
//! products is computed (see `reco.create_launch_features`).

use super::source::text_as;
use crate::error::Error;
use crate::feature_view::registry::FeatureView;
use crate::pg::relations::{may_select, Relation, RelationName};
use crate::pg::values::as_base;
use features::weeks::DAYS_A_WEEK;
use pgrx::datum::Date;
use pgrx::pg_sys;
use pgrx::spi::SpiClient;
use std::ffi::CStr;

/// How many weeks, from the launch on, a product's sales are summed over.
pub const FIRST_WEEKS: i32 = 4;

/// The view of weekly sales from which a view of new products is computed.
pub struct WeeklySales {
    /// The view's schema and name.
    view: RelationName,
    /// The types of the view's columns product_id and region.
    product_type: pg_sys::Oid,
    region_type: pg_sys::Oid,
    may_read: bool,
}

/// A launch: the product's id as text, and the Monday of the launch's week.
pub type Launch = (String, Date);

/// The number of pieces and the amount; `None` where they are not known.
pub type FirstSales = (Option<f64>, Option<f64>);

impl WeeklySales {
    /// The weekly sales that a feature view is computed from; `None` if it is not a view of new products.
    pub fn behind(view: &FeatureView) -> Option<Self> {
        let [FeatureView { oid, name, .. }] = view.open_inputs().ok()?.try_into().ok()?;
        let weekly = Relation::of(oid).ok()?;
        let [product, region, week, sales] =
            ["product_id", "region", "week", "sales"].map(|column| weekly.type_of(column));
        if week.is_none() || !is_summary(sales?) {
            return None;
        }
        Some(Self { view: name, product_type: product?, region_type: region?, may_read: may_select(oid) })
    }

    /// What each launch sold in the region. A caller who may not read the weekly sales gets no numbers.
    pub fn of(
        &self,
        client: &SpiClient,
        launches: &[Launch],
        region: &str,
    ) -> Result<Vec<FirstSales>, Error> {
        if !self.may_read {
            return Ok(vec![(None, None); launches.len()]);
        }
        let (products, weeks): (Vec<_>, Vec<_>) = launches.iter().cloned().unzip();
        let rows = client.select(&self.query(), None, &[products.into(), weeks.into(), region.into()])?;
        rows.map(|row| Ok((row.get(1)?, row.get(2)?))).collect()
    }

    /// The query. Its parameters are $1 the products, $2 the weeks of their launches, and $3 the region.
    fn query(&self) -> String {
        format!(
            "SELECT coalesce(pg_catalog.sum(reco.total_quantity(w.sales)), 0), \
                    coalesce(pg_catalog.sum(reco.total_sales(w.sales)), 0) \
             FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) WITH ORDINALITY AS l (product, week, n) \
             LEFT JOIN {} AS w ON {} AND {} AND w.week OPERATOR(pg_catalog.>=) l.week \
                  AND w.week OPERATOR(pg_catalog.<) (l.week OPERATOR(pg_catalog.+) {}) \
             GROUP BY l.n ORDER BY l.n",
            self.view,
            same("w.product_id", self.product_type, "l.product"),
            same("w.region", self.region_type, "$3"),
            DAYS_A_WEEK * FIRST_WEEKS
        )
    }
}

/// SQL that compares a column of this type with a text.
fn same(column: &str, type_oid: pg_sys::Oid, text: &str) -> String {
    // SAFETY: this is a catalog look-up of a column's type.
    let base = unsafe { pg_sys::getBaseType(type_oid) };
    format!("{} OPERATOR(pg_catalog.=) {}", as_base(column.to_owned(), type_oid), text_as(base, text))
}

/// Whether a type is `reco.sales_summary`.
fn is_summary(type_oid: pg_sys::Oid) -> bool {
    // SAFETY: the call returns a palloc'd NUL-terminated string.
    let name = unsafe { CStr::from_ptr(pg_sys::format_type_be_qualified(type_oid)) };
    name == c"reco.sales_summary"
}
