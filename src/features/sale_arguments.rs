//! The arguments of `reco.sales_summary(…)`: numbers of any number type, and customers of any type that can be hashed.

use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::values::{self, type_name, Number, Reader};
use features::customers::hash_of_number;
use features::summary::Sale;
use pgrx::pg_sys;

const NUMBERS: [&str; 3] = ["amount", "quantity", "discount"];
/// The position of the customer among the arguments of the transition function, whose argument 0 is the state.
const CUSTOMER: usize = NUMBERS.len() + 1;
const SOLD_AT: usize = CUSTOMER + 1;

/// What a call site knows about the types of its arguments.
#[derive(Default)]
struct Types {
    /// The readers of the numbers. A bare NULL has no type, and its reader is `None`.
    numbers: Option<[Option<Number>; NUMBERS.len()]>,
    customer: Option<Hash>,
}

/// Entries of the type cache stay in place as long as the process lives.
type TypeCache = *mut pg_sys::TypeCacheEntry;

/// How a customer becomes a hash. Equal values have equal hashes, under the call's collation.
#[derive(Clone, Copy)]
enum Hash {
    /// A smallint, integer or bigint: the number itself is hashed.
    Number(Number),
    /// A number of another type: a whole one is hashed as the same bigint, any other one by the type's function.
    Fraction(Number, TypeCache),
    /// The hash function of the type.
    OfType(TypeCache),
}

/// The sale line in the arguments (state, amount, quantity, discount, customer, sold_at) of a transition function; `None`
/// if they hold none.
#[inline]
pub fn sale(call: &Call) -> Result<Option<Sale>, Error> {
    let types = call.site::<Types>();
    let of_type = match types.numbers {
        Some(numbers) => numbers,
        None => *types.numbers.insert(number_types(call)?),
    };
    let number = |n: usize| match (call.datum(n + 1), of_type[n]) {
        // SAFETY: it was chosen for the type that this call site's argument has.
        (Some(datum), Some(number)) => Ok(Some(unsafe { number.value(datum) })),
        (Some(_), None) => Err(untyped(NUMBERS[n])),
        (None, _) => Ok(None),
    };
    let mut sale = Sale {
        amount: number(0)?,
        quantity: number(1)?,
        discount: number(2)?,
        customer: None,
        sold_at: call.timestamp(SOLD_AT),
    };
    if sale.is_none() {
        return Ok(None);
    }
    if let Some(customer) = call.datum(CUSTOMER) {
        let hash = match types.customer {
            Some(hash) => hash,
            None => *types.customer.insert(customer_hash(call)?),
        };
        // SAFETY: the hash was chosen for the type of this argument at this call site.
        sale.customer = Some(unsafe { hash.of(customer, call.collation()) });
    }
    Ok(Some(sale))
}

/// The error for a quoted literal: it has no type unless a cast gives it one.
#[cold]
fn untyped(argument: &str) -> Error {
    let hint = "Write it without quotes, or cast it: '…'::double precision.";
    Error::InvalidArgument(format!("the type of {argument} is not known"), Some(hint.into()))
}

#[cold]
fn number_types(call: &Call) -> Result<[Option<Number>; NUMBERS.len()], Error> {
    let mut numbers = [None; NUMBERS.len()];
    for (n, name) in NUMBERS.iter().enumerate() {
        let type_oid = call.argument_type(n + 1);
        numbers[n] = match values::reader_of(type_oid) {
            Some((_, Reader::Number(number))) => Some(number),
            _ if type_oid == pg_sys::UNKNOWNOID => None,
            _ => {
                return Err(Error::invalid(format!(
                    "{name} has type {}, not that of a number",
                    type_name(type_oid, -1)
                )))
            }
        };
    }
    Ok(numbers)
}

impl Hash {
    /// # Safety
    /// `customer` is a non-NULL value of the type that the hash was chosen for.
    #[inline]
    unsafe fn of(self, customer: pg_sys::Datum, collation: pg_sys::Oid) -> u64 {
        match self {
            Self::Number(number) => hash_of_number(number.integer(customer)),
            // SAFETY: the customer has the type of the reader and of the entry, as the caller says.
            Self::Fraction(number, entry) => unsafe {
                match number.whole(customer) {
                    Some(whole) => hash_of_number(whole),
                    None => hash_of_type(entry, customer, collation),
                }
            },
            // SAFETY: as above.
            Self::OfType(entry) => unsafe { hash_of_type(entry, customer, collation) },
        }
    }
}

/// # Safety
/// `value` has the type that the entry is for.
unsafe fn hash_of_type(entry: TypeCache, value: pg_sys::Datum, collation: pg_sys::Oid) -> u64 {
    const SEED: pg_sys::Datum = pg_sys::Datum::null();
    // SAFETY: as the caller says; entries of the type cache stay in place.
    unsafe {
        let function = &raw mut (*entry).hash_extended_proc_finfo;
        pg_sys::FunctionCall2Coll(function, collation, value, SEED).value() as u64
    }
}

#[cold]
fn customer_hash(call: &Call) -> Result<Hash, Error> {
    let type_oid = call.argument_type(CUSTOMER);
    if type_oid == pg_sys::InvalidOid {
        return Err(Error::invalid("the type of the customers could not be found out"));
    }
    let number = match values::reader_of(type_oid) {
        Some((_, Reader::Number(number))) if number.is_integer() => return Ok(Hash::Number(number)),
        Some((_, Reader::Number(number))) => Some(number),
        _ => None,
    };
    // SAFETY: the type is one of the query's; the look-up raises an error or finds an entry.
    let (entry, function) = unsafe {
        let entry = pg_sys::lookup_type_cache(type_oid, pg_sys::TYPECACHE_HASH_EXTENDED_PROC_FINFO as i32);
        (entry, (*entry).hash_extended_proc_finfo.fn_oid)
    };
    if function == pg_sys::InvalidOid {
        return Err(Error::InvalidArgument(
            format!(
                "customers of type {} cannot be told apart: it has no hash function",
                type_name(type_oid, -1)
            ),
            Some("Give something that can be hashed, for example the value as text.".into()),
        ));
    }
    Ok(number.map_or(Hash::OfType(entry), |number| Hash::Fraction(number, entry)))
}
