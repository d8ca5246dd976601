//! The type `reco.sales_summary`: its text and its binary form, and what a summary says. A value is laid out as a text is.

use crate::error::Error;
use crate::pg::call::{cstring, text, Call};
use crate::pg::sql_function::{sql_function, Returned};
use features::stored::{View, MAX_LENGTH};
use features::summary::Figures;
use features::text::stored_form;
use features::FeatureError;
use pgrx::{pg_sys, IntoDatum};

sql_function!(sales_summary_in, input);
sql_function!(sales_summary_out, output);
sql_function!(sales_summary_recv, receive);
sql_function!(sales_summary_send, send);

sql_function!(total_sales, |call| figure(call, Figures::total_sales));
sql_function!(total_quantity, |call| figure(call, Figures::total_quantity));
sql_function!(total_discount, |call| figure(call, Figures::total_discount));
sql_function!(avg_discount, |call| figure(call, Figures::avg_discount));
sql_function!(discount_rate, |call| figure(call, Figures::discount_rate));
sql_function!(avg_price, |call| figure(call, Figures::avg_price));
sql_function!(transactions, |call| figure(call, |figures| Some(figures.lines() as i64)));
sql_function!(first_sale, |call| figure(call, |figures| figures.period().map(|(first, _)| first)));
sql_function!(last_sale, |call| figure(call, |figures| figures.period().map(|(_, last)| last)));
sql_function!(unique_customers, unique_customers);

/// (cstring)
fn input(call: &Call) -> Returned {
    let Some(written) = call.name(0) else { return Ok(None) };
    Ok(Some(text(&stored_form(&written)?)))
}

/// (summary)
fn output(call: &Call) -> Returned {
    let Some(summary) = call.bytes(0) else { return Ok(None) };
    Ok(Some(cstring(&View::parse(summary)?.to_text()?)))
}

/// (internal: the message)
fn receive(call: &Call) -> Returned {
    let Some(message) = call.datum(0) else { return Ok(None) };
    let message: pg_sys::StringInfo = message.cast_mut_ptr();
    // SAFETY: Postgres gives the message to the receive function of a type, and it outlives the call. SQL cannot make a
    // value of type internal.
    let length = unsafe { (*message).len - (*message).cursor }.max(0) as usize;
    if length > MAX_LENGTH {
        return Err(FeatureError::Binary(format!(
            "a sales summary has at most {MAX_LENGTH} bytes, but {length} were received"
        ))
        .into());
    }
    // SAFETY: the message is live, as above, and has this many bytes left.
    let received = unsafe {
        let start = pg_sys::pq_getmsgbytes(message, length as i32).cast::<u8>();
        std::slice::from_raw_parts(start, length)
    };
    Ok(Some(text(&View::parse(received)?.to_bytes())))
}

/// (summary)
fn send(call: &Call) -> Returned {
    Ok(call.bytes(0).map(text))
}

/// The summary that is the function's only argument.
fn view(call: &Call) -> Result<Option<View<'_>>, Error> {
    call.bytes(0).map(|summary| Ok(View::parse(summary)?)).transpose()
}

fn figure<T: IntoDatum>(call: &Call, read: impl FnOnce(&Figures) -> Option<T>) -> Returned {
    Ok(view(call)?.and_then(|view| read(view.figures())).and_then(IntoDatum::into_datum))
}

fn unique_customers(call: &Call) -> Returned {
    let count = view(call)?.map(|view| view.unique_customers()).transpose()?;
    Ok(count.and_then(|count| i64::try_from(count).unwrap_or(i64::MAX).into_datum()))
}
