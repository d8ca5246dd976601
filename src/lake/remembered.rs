//! The files that were loaded into a table, in `reco.lake_file`: what `new_files` leaves out.

use crate::error::Error;
use crate::pg::acting_as::as_owner;
use crate::pg::relations::RelationName;
use lake_protocol::message::File;
use std::collections::HashMap;

/// The etags of the files that were loaded into a table, by URI.
pub fn etags(table: &RelationName) -> Result<HashMap<String, String>, Error> {
    let sql = "SELECT uri, etag FROM reco.lake_file
               WHERE table_schema OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.name
               AND table_name OPERATOR(pg_catalog.=) $2::pg_catalog.text::pg_catalog.name";
    as_owner(|client| {
        let rows = client.update(sql, None, &[table.schema.as_str().into(), table.name.as_str().into()])?;
        let mut known = HashMap::with_capacity(rows.len());
        for row in rows {
            if let (Some(uri), Some(etag)) = (row.get(1)?, row.get(2)?) {
                known.insert(uri, etag);
            }
        }
        Ok(known)
    })
}

/// Forgets all files of a table.
pub fn forget(table: &RelationName) -> Result<(), Error> {
    let sql = "DELETE FROM reco.lake_file
               WHERE table_schema OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.name
               AND table_name OPERATOR(pg_catalog.=) $2::pg_catalog.text::pg_catalog.name";
    as_owner(|client| {
        client.update(sql, None, &[table.schema.as_str().into(), table.name.as_str().into()])?;
        Ok(())
    })
}

/// Writes down which files were loaded, each with its number of rows.
pub fn remember(table: &RelationName, files: &[(&File, u64)]) -> Result<(), Error> {
    let sql = "INSERT INTO reco.lake_file (table_schema, table_name, uri, etag, bytes, rows)
               SELECT $1::pg_catalog.text::pg_catalog.name, $2::pg_catalog.text::pg_catalog.name, f.*
               FROM ROWS FROM (
                   pg_catalog.unnest($3::pg_catalog.text[]), pg_catalog.unnest($4::pg_catalog.text[]),
                   pg_catalog.unnest($5::pg_catalog.int8[]), pg_catalog.unnest($6::pg_catalog.int8[])
               ) AS f (uri, etag, bytes, rows)
               ON CONFLICT (table_schema, table_name, uri) DO UPDATE
               SET etag = EXCLUDED.etag, bytes = EXCLUDED.bytes, rows = EXCLUDED.rows,
                   loaded_by = EXCLUDED.loaded_by, loaded_at = EXCLUDED.loaded_at";
    let uris: Vec<&str> = files.iter().map(|(file, _)| file.uri.as_str()).collect();
    let etags: Vec<&str> = files.iter().map(|(file, _)| file.etag.as_str()).collect();
    let bytes: Vec<i64> = files.iter().map(|(file, _)| file.bytes as i64).collect();
    let rows: Vec<i64> = files.iter().map(|(_, rows)| *rows as i64).collect();
    as_owner(|client| {
        let values = [
            table.schema.as_str().into(),
            table.name.as_str().into(),
            uris.into(),
            etags.into(),
            bytes.into(),
            rows.into(),
        ];
        client.update(sql, None, &values)?;
        Ok(())
    })
}
