//! The tables that the template reads, and what their columns can be used for.

use crate::error::Error;
use crate::pg::relations::{Column, Relation};
use crate::pg::values;
use model::recipe::Family;
use pgrx::{pg_sys, PgList};

/// What PostgreSQL adds to the modifier of a numeric, whose upper half is the number of digits and whose lower 11 bits are the
/// number of those behind the point.
const HEADER: i32 = pg_sys::VARHDRSZ as i32;

/// One of the three tables.
pub struct Table(Relation);

impl Table {
    pub fn open(relation: pg_sys::Oid) -> Result<Self, Error> {
        Relation::of(relation).map(Self)
    }

    /// Its qualified name.
    pub fn name(&self) -> String {
        self.0.name.to_string()
    }

    /// Checks that the column exists and that its type belongs to one of these families; without families any type will do.
    pub fn check(&self, column: &str, argument: &str, families: &[Family]) -> Result<(), Error> {
        let Self(table) = self;
        let Some(found) = table.column(column) else {
            return Err(Error::UndefinedColumn {
                message: format!("{argument} column \"{column}\" does not exist in {}", table.name),
                hint: format!("{} Say {argument} => '…'.", table.columns_hint()),
            });
        };
        if families.is_empty() || found.family().is_some_and(|family| families.contains(&family)) {
            return Ok(());
        }
        let wanted: Vec<_> = families.iter().map(|family| family.describe()).collect();
        Err(Error::InvalidArgument(
            format!(
                "{argument} column \"{column}\" of {} has type {}, not {}",
                table.name,
                values::type_name(found.type_oid, -1),
                wanted.join(" or ")
            ),
            None,
        ))
    }

    pub fn has(&self, column: &str) -> bool {
        self.0.column(column).is_some()
    }

    /// The family of a column's type.
    pub fn family(&self, column: &str) -> Option<Family> {
        self.0.family(column)
    }

    pub fn columns_hint(&self) -> String {
        self.0.columns_hint()
    }

    /// The type of a column, or the one that its domain is over.
    fn base_type(&self, column: &str) -> Option<pg_sys::Oid> {
        // SAFETY: this is a catalog look-up, of a type that a column has.
        self.0.type_of(column).map(|oid| unsafe { pg_sys::getBaseType(oid) })
    }

    pub fn is_zoned(&self, column: &str) -> bool {
        self.base_type(column) == Some(pg_sys::TIMESTAMPTZOID)
    }

    /// A column as a timestamp without time zone, on the clock of the zone whose weeks count.
    pub fn moment(&self, expression: &str, column: &str, zone: &str) -> String {
        match self.base_type(column) {
            Some(pg_sys::TIMESTAMPTZOID) => format!("({expression} AT TIME ZONE {zone})"),
            Some(pg_sys::TIMESTAMPOID) => expression.to_owned(),
            _ => format!("{expression}::timestamp"),
        }
    }

    /// The condition that a column holds a number that no sale has: NaN, or one so large that sums lose what is small.
    pub fn is_no_amount(&self, expression: &str, column: &str) -> String {
        let whole_digits = |modifier: i32| {
            let packed = modifier - HEADER;
            (packed >> 16) - (packed & 0x7FF)
        };
        match (self.base_type(column), self.0.column(column).map_or(-1, |found| found.type_modifier)) {
            (Some(pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID), _) => "false".to_owned(),
            (Some(pg_sys::NUMERICOID), modifier) if modifier >= HEADER && whole_digits(modifier) <= 15 => {
                format!("{expression} = 'NaN'")
            }
            (found, _) => {
                let number = if found == Some(pg_sys::NUMERICOID) { "numeric" } else { "float8" };
                format!("NOT ({expression} BETWEEN {number} '-1e15' AND {number} '1e15')")
            }
        }
    }

    /// A column as text; see [`values::as_text`].
    pub fn text(&self, expression: &str, column: &str) -> String {
        values::as_text(expression, self.0.type_of(column).unwrap_or(pg_sys::InvalidOid))
    }

    /// The first instant of a day, to be compared with a column as it is stored, so that an index on it can be used.
    pub fn instant(&self, day: &str, column: &str, zone: &str) -> String {
        match self.is_zoned(column) {
            true => format!("({day}::timestamp AT TIME ZONE {zone})"),
            false => day.to_owned(),
        }
    }

    /// The condition that a column lies on a day from the first on, and before the end. Days are those of the calendar, such as
    /// 2024-02-05.
    pub fn is_between(&self, expression: &str, column: &str, [first, end]: [&str; 2], zone: &str) -> String {
        let bound = |day: &str| self.instant(&format!("date '{day}'"), column, zone);
        format!("{expression} >= {} AND {expression} < {}", bound(first), bound(end))
    }
}

/// Checks that rows of both tables can be joined by a column of each.
pub fn comparable(one: (&Table, &str), other: (&Table, &str), argument: &str) -> Result<(), Error> {
    let ((one, column), (other, other_column)) = (one, other);
    let (Some(left), Some(right)) = (one.0.column(column), other.0.column(other_column)) else {
        return Ok(());
    };
    let refusal = |what: String| {
        Error::InvalidArgument(
            format!("{argument} column \"{column}\" {what}, so that they cannot be compared"),
            Some(format!(
                "Give both the same, or name a view that does: CREATE VIEW … AS SELECT {other_column}::… AS {other_column}, … FROM {}.",
                other.name()
            )),
        )
    };
    if !has_equality(left, right) {
        return Err(refusal(format!(
            "of {} has type {}, and that of {} {}",
            one.name(),
            left.type_name(),
            other.name(),
            right.type_name()
        )));
    }
    let ordinary = |oid| matches!(oid, pg_sys::InvalidOid | pg_sys::DEFAULT_COLLATION_OID);
    if left.collation != right.collation && !ordinary(left.collation) && !ordinary(right.collation) {
        return Err(refusal(format!("has another collation in {} than in {}", one.name(), other.name())));
    }
    Ok(())
}

fn has_equality(left: &Column, right: &Column) -> bool {
    // SAFETY: the list and its node are palloc'd, and the look-up raises no error for types that have no operator. What is found
    // is a row of the syscache, which is released once.
    unsafe {
        let mut name = PgList::<pg_sys::Node>::new();
        name.push(pg_sys::makeString(c"=".as_ptr().cast_mut()).cast());
        let nowhere = std::ptr::null_mut();
        let found = pg_sys::oper(nowhere, name.into_pg(), left.type_oid, right.type_oid, true, -1);
        if found.is_null() {
            return false;
        }
        pg_sys::ReleaseSysCache(found);
        true
    }
}
