//! The function `reco.similar_launches(product_id, region)`: the earlier launches in a region that were most like a
//! product, and how they went. The distance is [`model::explain::Similarity`], and the SQL is in sql/scoring.sql.

use super::call::Resolved;
use super::first_sales::{FirstSales, Launch, WeeklySales, FIRST_WEEKS};
use super::key_plan::{newest_row, recipe_columns, KeyQuery};
use super::model_cache::Decoded;
use super::reading::Reading;
use super::source::{Key, Source};
use crate::catalog::read;
use crate::error::Error;
use crate::feature_view::registry::FeatureView;
use crate::pg::call::Call;
use crate::pg::cursor::{Cursor, Parameter, Snapshot};
use crate::pg::layout::Layout;
use crate::pg::row_set::RowSet;
use crate::pg::sql_function::{sql_function, Returned};
use crate::pg::tuples::{self, Attributes, Deformed};
use crate::pg::values::{day_after, given};
use features::weeks::DAYS_A_WEEK;
use model::explain::{Near, Nearest, Similarity, Values};
use model::recipe::Family;
use pgrx::datum::Date;
use pgrx::spi::{quote_identifier, SpiClient};
use pgrx::{pg_sys, FromDatum, IntoDatum, Spi};

/// The largest number of launches that a caller may ask for.
const MOST: i32 = 1000;
/// The column with the weeks since a product's launch. If a source has it, launches are compared at the same age.
const AGE: &str = "weeks_since_launch";

sql_function!(similar_launches_bigint, |call| similar_launches(call, Key::Bigint));
sql_function!(similar_launches_text, |call| similar_launches(call, Key::Text));

/// (product_id of type `key`, region text, k integer, model text, as_of date)
fn similar_launches(call: &Call, key: Key) -> Returned {
    let mut set = RowSet::begin(call)?;
    let (Some(product), Some(region)) = (call.datum(0), call.datum(1)) else { return Ok(None) };
    // SAFETY: the key's values are of these types; a query that calls has a snapshot.
    let found =
        unsafe { find([product, region], key, call.integer(2), call.text(3).as_deref(), call.datum(4))? };
    set.put_each(found, SimilarLaunch::fields)?;
    Ok(None)
}

/// An earlier launch, and what became of it.
struct SimilarLaunch {
    product: String,
    row: Row,
    distance: f64,
    first: FirstSales,
}

impl SimilarLaunch {
    /// similar_product, week, similarity, outcome, launch, first_quantity, first_sales.
    fn fields(self) -> [Option<pg_sys::Datum>; 7] {
        let Self { product, row, distance, first: (quantity, sales) } = self;
        [
            product.into_datum(),
            row.week.into_datum(),
            (1.0 / (1.0 + distance)).into_datum(),
            row.outcome.into_datum(),
            row.launch.into_datum(),
            quantity.into_datum(),
            sales.into_datum(),
        ]
    }
}

/// # Safety
/// The values of the key have the types that `key` says, and there is an active snapshot.
unsafe fn find(
    [product, region]: [pg_sys::Datum; 2],
    key: Key,
    k: Option<i32>,
    model: Option<&str>,
    as_of: Option<pg_sys::Datum>,
) -> Result<Vec<SimilarLaunch>, Error> {
    // SAFETY: the values and the snapshot are as the caller says, and the region is a text.
    unsafe {
        let k = given(k, "k")?;
        if !(1..=MOST).contains(&k) {
            return Err(Error::invalid(format!("k is a number of launches from 1 to {MOST}, not {k}")));
        }
        let decoded = Resolved::new(model, None)?.decoded;
        let search = Search::new(&decoded, key)?;
        let of = [(key.type_oid(), Some(product)), (pg_sys::TEXTOID, Some(region))];
        Spi::connect(|client| {
            let Some(subject) = search.subject(of, as_of)? else { return Ok(Vec::new()) };
            let nearest = search.nearest(of, &subject, k as usize)?;
            let region = String::from_datum(region, false).unwrap_or_default();
            search.with_first_sales(client, nearest, &region)
        })
    }
}

/// The source in which the launches of a model are found, and how they are compared.
struct Search<'a> {
    decoded: &'a Decoded,
    source: Source,
    key: Key,
    /// The names of the source's columns.
    product: &'a str,
    region: &'a str,
    time: &'a str,
    label: &'a str,
    has_age: bool,
    /// How many weeks after its own a row's label looks at.
    horizon: usize,
    /// The weekly sales behind the source, if it is a view of new products.
    weekly: Option<WeeklySales>,
    similarity: Similarity,
}

/// The newest row of the product, which the others are compared with.
struct ComparedRow {
    values: Values,
    time: Parameter,
    age: Option<f64>,
}

/// A row of an earlier launch.
struct Row {
    week: Date,
    outcome: Option<f64>,
    /// The week of the product's launch, if its sales can be found.
    launch: Option<Date>,
}

impl<'a> Search<'a> {
    fn new(decoded: &'a Decoded, key: Key) -> Result<Self, Error> {
        let version = &decoded.version;
        let refuse = |what: &str| {
            Err(Error::invalid(format!("there are no launches of model \"{}\": {what}", version.model)))
        };
        let [product, region] = version.keys.as_slice() else {
            return refuse("its keys are not a product and a region");
        };
        let (Some(time), Some(label)) = (&version.time_column, &version.label) else {
            return refuse("it has no time column or no label");
        };
        let source = Source::find(version)?;
        source.check(version, decoded.scorer.recipe())?;
        source.require(version, "label", label)?;
        if !matches!(source.relation.family(time), Some(Family::Date | Family::Timestamp)) {
            return refuse("its time column is neither a date nor a timestamp");
        }
        let importance = read::importance(&version.model, version.number)?;
        let similarity = Similarity::new(decoded.scorer.recipe().clone(), &importance)?;
        let view = FeatureView::find(source.relation.oid)?;
        let has_age = source.relation.family(AGE) == Some(Family::Number);
        Ok(Self {
            horizon: view.as_ref().map_or(1, |view| view.horizon.max(1)),
            weekly: view.filter(|_| has_age).and_then(|view| WeeklySales::behind(&view)),
            decoded,
            source,
            key,
            product,
            region,
            time,
            label,
            has_age,
            similarity,
        })
    }

    /// The newest row of the key, found as `recommend` finds it; `None` if there is none.
    ///
    /// # Safety
    /// The same as for [`find`].
    unsafe fn subject(
        &self,
        of: [Parameter; 2],
        as_of: Option<pg_sys::Datum>,
    ) -> Result<Option<ComparedRow>, Error> {
        // SAFETY: the values are as the caller says. The layout and the reading check that the row's columns have the types
        // that they are read as.
        unsafe {
            let Decoded { version, scorer, .. } = self.decoded;
            let more = [column(self.time), self.age()];
            let KeyQuery { text, argument_types } =
                newest_row(version, scorer.recipe(), &more, self.key, as_of.is_some())?;
            let values = of.iter().map(|(_, value)| *value).chain([as_of.map(day_after)]);
            let parameters: Vec<Parameter> = argument_types.into_iter().zip(values).collect();
            let mut cursor = Cursor::open(&text, &parameters, Snapshot::Statement)?;
            let extra = scorer.recipe().columns.len();
            let time_type = self.source.relation.type_of(self.time).map(|time| (extra, time));
            let layout = Layout::new(
                &self.source.relation.name,
                time_type.into_iter().chain([(extra + 1, pg_sys::FLOAT8OID)]),
            );
            layout.check(cursor.descriptor())?;
            let Some(fetched) = cursor.fetch() else { return Ok(None) };
            let descriptor = fetched.descriptor();
            let mut deformed = Deformed::default();
            let row = deformed.take_apart(fetched.tuple(0), descriptor);
            let values = Reading::new(&version.model, scorer.recipe(), descriptor)?.values(row, scorer)?;
            // A date or a timestamp is passed by value, so it outlives the row.
            let time = (tuples::attribute(descriptor, extra).atttypid, attribute(row, extra));
            Ok(Some(ComparedRow { values, time, age: attribute(row, extra + 1) }))
        }
    }

    /// The k nearest products, each with its nearest row.
    ///
    /// # Safety
    /// The same as for [`find`].
    unsafe fn nearest(
        &self,
        of: [Parameter; 2],
        subject: &ComparedRow,
        k: usize,
    ) -> Result<Vec<Near<Row>>, Error> {
        // SAFETY: the values are as the caller says. The reading was made for the rows' descriptor, and the query casts its
        // other columns to the types that they are read as.
        unsafe {
            let Decoded { version, scorer, .. } = self.decoded;
            let age = (pg_sys::FLOAT8OID, subject.age.and_then(IntoDatum::into_datum));
            let mut cursor =
                Cursor::open(&self.earlier_rows()?, &[of[0], of[1], subject.time, age], Snapshot::Statement)?;
            let mut nearest = Nearest::new(k);
            let (mut reading, mut deformed) = (None, Deformed::default());
            while let Some(fetched) = cursor.fetch() {
                let descriptor = fetched.descriptor();
                let reading = match &mut reading {
                    Some(reading) => reading,
                    none => none.insert(Reading::new(&version.model, scorer.recipe(), descriptor)?),
                };
                for n in 0..fetched.len() {
                    let row = deformed.take_apart(fetched.tuple(n), descriptor);
                    let distance = self.similarity.distance(&subject.values, &reading.values(row, scorer)?);
                    let extra = scorer.recipe().columns.len();
                    // Neither the key nor the time column is NULL in the rows that the query finds.
                    let (Some(group), Some(week)) = (attribute(row, extra), attribute(row, extra + 1)) else {
                        continue;
                    };
                    let item =
                        Row { week, outcome: attribute(row, extra + 2), launch: attribute(row, extra + 3) };
                    nearest.offer(Near { distance, group, item });
                }
            }
            Ok(nearest.finish())
        }
    }

    /// The query for the rows that are compared, product by product. Its parameters are the subject's product ($1), region
    /// ($2), time ($3) and age ($4).
    fn earlier_rows(&self) -> Result<String, Error> {
        let Decoded { version, scorer, .. } = self.decoded;
        let (time, label) = (column(self.time), column(self.label));
        let product = self.source.key_text(self.product);
        let outcome = match self.source.relation.family(self.label) {
            Some(Family::Boolean) => format!("{label}::pg_catalog.int4::pg_catalog.float8"),
            _ => format!("{label}::pg_catalog.float8"),
        };
        let launch = match &self.weekly {
            Some(_) => {
                format!("({time} OPERATOR(pg_catalog.-) (7 OPERATOR(pg_catalog.*) t.{AGE}::pg_catalog.int4))")
            }
            None => "NULL::pg_catalog.date".into(),
        };
        let mut columns = recipe_columns(scorer.recipe());
        columns.extend([product.clone(), format!("{time}::pg_catalog.date"), outcome, launch.clone()]);
        let mut query = format!(
            "SELECT {} FROM {} AS t WHERE NOT ({}) AND {} AND {label} IS NOT NULL \
             AND {time} OPERATOR(pg_catalog.<=) ($3 OPERATOR(pg_catalog.-) '{} weeks'::pg_catalog.interval) \
             AND ($4 IS NULL OR {} OPERATOR(pg_catalog.=) $4)",
            columns.join(", "),
            self.source.relation.name,
            self.source.equals(version, self.product, "$1", self.key)?,
            self.source.equals_written(version, self.region, "$2")?,
            self.horizon,
            self.age(),
        );
        if self.weekly.is_some() {
            // The first weeks, whose sales are shown, must be over by then as well.
            query += &format!(
                " AND ({launch} OPERATOR(pg_catalog.+) {}) OPERATOR(pg_catalog.<=) $3",
                DAYS_A_WEEK * (FIRST_WEEKS - 1)
            );
        }
        Ok(format!("{query} ORDER BY {product}, {time}"))
    }

    /// The age of a row, as SQL.
    fn age(&self) -> String {
        match self.has_age {
            true => format!("t.{AGE}::pg_catalog.float8"),
            false => "NULL::pg_catalog.float8".into(),
        }
    }

    /// The launches that were found, with the sales of each product's first weeks in the region.
    fn with_first_sales(
        &self,
        client: &SpiClient,
        found: Vec<Near<Row>>,
        region: &str,
    ) -> Result<Vec<SimilarLaunch>, Error> {
        let launches: Vec<Launch> =
            found.iter().filter_map(|near| Some((near.group.clone(), near.item.launch?))).collect();
        let sales = match &self.weekly {
            Some(weekly) if launches.len() == found.len() => weekly.of(client, &launches, region)?,
            _ => vec![(None, None); found.len()],
        };
        let launch = |(Near { distance, group, item }, first)| SimilarLaunch {
            product: group,
            row: item,
            distance,
            first,
        };
        Ok(found.into_iter().zip(sales).map(launch).collect())
    }
}

/// A column of the source, which the queries call t.
fn column(name: &str) -> String {
    format!("t.{}", quote_identifier(name))
}

/// # Safety
/// The n-th attribute has the SQL type that `T` reads.
unsafe fn attribute<T: FromDatum>(row: Attributes, n: usize) -> Option<T> {
    // SAFETY: the attribute has the type that `T` reads, as the caller says.
    unsafe { T::from_datum(row.values[n], row.nulls[n]) }
}
