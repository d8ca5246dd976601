//! `pg_recommend_schema LIBRARY CONTROL_FILE` prints the SQL that the compiled extension declares;
//! `pg_recommend_schema releases FOLDER LIBRARY` prints what is wrong with the SQL files of releases, and fails if anything is.

use std::error::Error;
use std::fs::{read, read_to_string};
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["releases", folder, library] => {
            let faults =
                schema::releases::faults(Path::new(folder), env!("CARGO_PKG_VERSION"), &read(library)?)?;
            faults.iter().for_each(|fault| eprintln!("{fault}"));
            match faults.len() {
                0 => Ok(()),
                found => Err(format!("{found} faults in {folder}").into()),
            }
        }
        [library, control] => {
            print!("{}", schema::sql_of(&read(library)?, &read_to_string(control)?)?);
            Ok(())
        }
        _ => Err("usage: pg_recommend_schema LIBRARY CONTROL_FILE, or releases FOLDER LIBRARY".into()),
    }
}
