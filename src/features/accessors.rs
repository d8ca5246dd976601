//! The functions that read a figure out of a `reco.sales_summary`, such as its total. They are strict.

use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::sql_function::{sql_function, Returned};
use features::stored::View;
use features::summary::Figures;
use pgrx::IntoDatum;

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
