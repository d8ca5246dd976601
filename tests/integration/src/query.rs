//! What a query returns.

use postgres::types::FromSqlOwned;
use postgres::Client;

/// The first column of the only row.
pub fn value<T: FromSqlOwned>(client: &mut Client, sql: &str) -> T {
    let row = client.query_one(sql, &[]).unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
    row.get(0)
}

/// The rows, each as the text of its record.
pub fn rows(client: &mut Client, sql: &str) -> Vec<String> {
    // A name that no column has: it would be the column.
    let sql = format!("SELECT whole_row::text FROM ({sql}) AS whole_row");
    let rows = client.query(&sql, &[]).unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

/// The major version of the server.
pub fn major_version(client: &mut Client) -> i32 {
    value(client, "SELECT current_setting('server_version_num')::integer / 10000")
}

/// The backend that serves this connection.
pub fn backend_pid(client: &mut Client) -> i32 {
    value(client, "SELECT pg_backend_pid()")
}
