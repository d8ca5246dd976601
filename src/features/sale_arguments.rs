//! The arguments of `reco.sales_summary(…)`: numbers of any type, customers of any type that can be hashed.

use crate::error::Error;
use crate::pg::call_site::{argument, state};
use crate::pg::values::{self, type_name, Reader};
use features::customers::hash_of_number;
use features::summary::Sale;
use model::recipe::Family;
use pgrx::pg_sys;

const NUMBERS: [&str; 3] = ["amount", "quantity", "discount"];
/// The customer's place among the arguments of the transition function, whose first is the state.
const CUSTOMER: usize = NUMBERS.len() + 1;
const SOLD_AT: usize = CUSTOMER + 1;

/// What a call site knows about the types of its arguments.
#[derive(Default)]
struct Types {
    /// `None` for a bare NULL, which has no type.
    numbers: Option<[Option<Reader>; NUMBERS.len()]>,
    customer: Option<Hash>,
}

/// How a customer becomes a hash: equal values have equal hashes, under the call's collation.
#[derive(Clone, Copy)]
enum Hash {
    /// smallint, integer, bigint: the numbers themselves.
    Number(Reader),
    /// The type's own hash function. Entries of the type cache stay where they are as long as the process lives.
    OfType(*mut pg_sys::TypeCacheEntry),
}

/// The sale line that a transition function is given, `None` where it is none.
///
/// # Safety
/// `fcinfo` is that of a call with the arguments (state, amount, quantity, discount, customer, sold_at).
#[inline]
pub unsafe fn sale(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<Sale>, Error> {
    let types = state::<Types>(fcinfo);
    let readers = match types.numbers {
        Some(readers) => readers,
        None => *types.numbers.insert(number_readers((*fcinfo).flinfo)?),
    };
    let number = |n: usize| match (argument(fcinfo, n + 1), readers[n]) {
        (Some(datum), Some(reader)) => Ok(Some(values::number(reader, datum))),
        (Some(_), None) => Err(untyped(NUMBERS[n])),
        (None, _) => Ok(None),
    };
    let mut sale = Sale {
        amount: number(0)?,
        quantity: number(1)?,
        discount: number(2)?,
        customer: None,
        sold_at: argument(fcinfo, SOLD_AT).map(|datum| datum.value() as i64),
    };
    if sale.is_none() {
        return Ok(None);
    }
    if let Some(customer) = argument(fcinfo, CUSTOMER) {
        let hash = match types.customer {
            Some(hash) => hash,
            None => *types.customer.insert(customer_hash((*fcinfo).flinfo)?),
        };
        sale.customer = Some(hash.of(customer, (*fcinfo).fncollation));
    }
    Ok(Some(sale))
}

/// A literal in quotes is a number only where it is said to be one.
#[cold]
fn untyped(argument: &str) -> Error {
    let hint = "Write it without quotes, or cast it: '…'::double precision.";
    Error::InvalidArgument(format!("the type of {argument} is not known"), Some(hint.into()))
}

#[cold]
unsafe fn number_readers(call_site: *mut pg_sys::FmgrInfo) -> Result<[Option<Reader>; NUMBERS.len()], Error> {
    let mut readers = [None; NUMBERS.len()];
    for (n, name) in NUMBERS.iter().enumerate() {
        let type_oid = pg_sys::get_fn_expr_argtype(call_site, n as i32 + 1);
        readers[n] = match values::reader_of(type_oid) {
            Some((Family::Number, reader)) => Some(reader),
            _ if type_oid == pg_sys::UNKNOWNOID => None,
            _ => {
                return Err(Error::invalid(format!(
                    "{name} has type {}, not that of a number",
                    type_name(type_oid, -1)
                )))
            }
        };
    }
    Ok(readers)
}

impl Hash {
    #[inline]
    unsafe fn of(self, customer: pg_sys::Datum, collation: pg_sys::Oid) -> u64 {
        const SEED: pg_sys::Datum = pg_sys::Datum::null();
        match self {
            Self::Number(reader) => hash_of_number(values::integer(reader, customer)),
            Self::OfType(entry) => {
                let function = &raw mut (*entry).hash_extended_proc_finfo;
                pg_sys::FunctionCall2Coll(function, collation, customer, SEED).value() as u64
            }
        }
    }
}

#[cold]
unsafe fn customer_hash(call_site: *mut pg_sys::FmgrInfo) -> Result<Hash, Error> {
    let type_oid = pg_sys::get_fn_expr_argtype(call_site, CUSTOMER as i32);
    if type_oid == pg_sys::InvalidOid {
        return Err(Error::invalid("the type of the customers could not be found out"));
    }
    if let Some((_, reader @ (Reader::Int2 | Reader::Int4 | Reader::Int8))) = values::reader_of(type_oid) {
        return Ok(Hash::Number(reader));
    }
    let entry = pg_sys::lookup_type_cache(type_oid, pg_sys::TYPECACHE_HASH_EXTENDED_PROC_FINFO as i32);
    if (*entry).hash_extended_proc_finfo.fn_oid == pg_sys::InvalidOid {
        return Err(Error::InvalidArgument(
            format!(
                "customers of type {} cannot be told apart: it has no hash function",
                type_name(type_oid, -1)
            ),
            Some("Give something that can be hashed, for example the value as text.".into()),
        ));
    }
    Ok(Hash::OfType(entry))
}
