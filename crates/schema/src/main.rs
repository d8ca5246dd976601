//! Prints the SQL that the compiled extension declares: `pg_recommend_schema LIBRARY CONTROL_FILE`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut files = std::env::args_os().skip(1);
    let (Some(library), Some(control)) = (files.next(), files.next()) else {
        return Err("usage: pg_recommend_schema LIBRARY CONTROL_FILE".into());
    };
    print!("{}", schema::sql_of(&std::fs::read(library)?, &std::fs::read_to_string(control)?)?);
    Ok(())
}
