//! What a summary says: functions that are strict, on the type `reco.sales_summary`.

use crate::error::Error;
use crate::pg::call_site::argument;
use crate::pg::memory::bytes;
use crate::pg::sql_function::{sql_function, Returned};
use features::stored::View;
use features::summary::Figures;
use pgrx::{pg_sys, IntoDatum};

sql_function!(total_sales, |call| figure(call, Figures::total_sales));
sql_function!(total_quantity, |call| figure(call, Figures::total_quantity));
sql_function!(total_discount, |call| figure(call, Figures::total_discount));
sql_function!(avg_discount, |call| figure(call, Figures::avg_discount));
sql_function!(discount_rate, |call| figure(call, Figures::discount_rate));
sql_function!(avg_price, |call| figure(call, Figures::avg_price));
sql_function!(transactions, |call| figure(call, |figures| { Some(figures.lines() as i64) }));
sql_function!(first_sale, |call| figure(call, |figures| { figures.period().map(|(first, _)| first) }));
sql_function!(last_sale, |call| figure(call, |figures| { figures.period().map(|(_, last)| last) }));
sql_function!(unique_customers, |call| unique_customers(call));

/// # Safety
/// The call's only argument is a sales summary.
unsafe fn view<'call>(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<View<'call>>, Error> {
    argument(fcinfo, 0).map(|summary| Ok(View::parse(bytes(summary))?)).transpose()
}

/// # Safety
/// As for [`view`].
unsafe fn figure<T: IntoDatum>(
    fcinfo: pg_sys::FunctionCallInfo,
    read: impl FnOnce(&Figures) -> Option<T>,
) -> Returned {
    Ok(view(fcinfo)?.and_then(|view| read(view.figures())).and_then(IntoDatum::into_datum))
}

/// # Safety
/// As for [`view`].
unsafe fn unique_customers(fcinfo: pg_sys::FunctionCallInfo) -> Returned {
    let count = view(fcinfo)?.map(|view| view.unique_customers()).transpose()?;
    Ok(count.and_then(|count| i64::try_from(count).unwrap_or(i64::MAX).into_datum()))
}
