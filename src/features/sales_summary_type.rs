//! The type `reco.sales_summary`: its text and its binary form.

use crate::pg::call_site::argument;
use crate::pg::memory::{bytes, varlena};
use crate::pg::sql_function::{sql_function, Returned};
use features::stored::{View, MAX_LENGTH};
use features::text::stored_form;
use features::FeatureError;
use pgrx::pg_sys;
use std::ffi::CStr;

sql_function!(sales_summary_in, |fcinfo| input(fcinfo));
sql_function!(sales_summary_out, |fcinfo| output(fcinfo));
sql_function!(sales_summary_recv, |fcinfo| receive(fcinfo));
sql_function!(sales_summary_send, |fcinfo| send(fcinfo));

fn value(stored: &[u8]) -> pg_sys::Datum {
    varlena(stored.len(), |out| out.copy_from_slice(stored))
}

/// (cstring)
unsafe fn input(fcinfo: pg_sys::FunctionCallInfo) -> Returned {
    let Some(text) = argument(fcinfo, 0) else { return Ok(None) };
    let text = CStr::from_ptr(text.cast_mut_ptr()).to_string_lossy();
    Ok(Some(value(&stored_form(&text)?)))
}

/// (summary)
unsafe fn output(fcinfo: pg_sys::FunctionCallInfo) -> Returned {
    let Some(summary) = argument(fcinfo, 0) else { return Ok(None) };
    let text = View::parse(bytes(summary))?.to_text()?;
    let written = pg_sys::palloc(text.len() + 1).cast::<u8>();
    written.copy_from_nonoverlapping(text.as_ptr(), text.len());
    written.add(text.len()).write(0);
    Ok(Some(pg_sys::Datum::from(written)))
}

/// (internal: the message)
unsafe fn receive(fcinfo: pg_sys::FunctionCallInfo) -> Returned {
    let Some(message) = argument(fcinfo, 0) else { return Ok(None) };
    let message: pg_sys::StringInfo = message.cast_mut_ptr();
    let length = ((*message).len - (*message).cursor).max(0) as usize;
    if length > MAX_LENGTH {
        return Err(FeatureError::Binary(format!(
            "a sales summary has at most {MAX_LENGTH} bytes, but {length} were received"
        ))
        .into());
    }
    let received = pg_sys::pq_getmsgbytes(message, length as i32).cast::<u8>();
    let received = std::slice::from_raw_parts(received, length);
    Ok(Some(value(&View::parse(received)?.to_bytes())))
}

/// (summary)
unsafe fn send(fcinfo: pg_sys::FunctionCallInfo) -> Returned {
    Ok(argument(fcinfo, 0).map(|summary| value(bytes(summary))))
}
