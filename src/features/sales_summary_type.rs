//! The text form and the binary form of the type `reco.sales_summary`. A value has the layout of a text.

use crate::pg::call::{cstring, text, Call};
use crate::pg::sql_function::{sql_function, Returned};
use features::stored::{View, MAX_LENGTH};
use features::text::stored_form;
use features::FeatureError;
use pgrx::pg_sys;

sql_function!(sales_summary_in, input);
sql_function!(sales_summary_out, output);
sql_function!(sales_summary_recv, receive);
sql_function!(sales_summary_send, send);

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
