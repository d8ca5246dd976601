//! Reads the SQL that the compiled extension declares. pgrx's macros write their declarations to a section of the
//! library.
//!
//! All of it stands in files, which `extension_sql_file!` names. Their order is each after those that it requires, and by
//! name beyond that, so that the same declarations give the same text wherever they stand in the sources.

pub mod releases;

use object::{Object, ObjectSection};
use pgrx_sql_entity_graph::section::{decode_entities, ELF_SECTION_NAME};
use pgrx_sql_entity_graph::{ControlFile, PgrxSql, SqlGraphEntity, SqlGraphIdentifier, ToSql};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

const NAME: &str = "pg_recommend";

/// The text of the file that `CREATE EXTENSION` runs. `library` is the content of the extension's shared library,
/// `control` that of its control file in the repository.
pub fn sql_of(library: &[u8], control: &str) -> Result<String, Box<dyn Error>> {
    let version = env!("CARGO_PKG_VERSION");
    let object = object::File::parse(library)?;
    let section =
        object.section_by_name(ELF_SECTION_NAME).ok_or("the library was linked without what it declares")?;
    let control = ControlFile::from_str_with_cargo_version(control, version)?;
    let mut entities = decode_entities(section.data()?)?;
    entities.push(SqlGraphEntity::ExtensionRoot(control));
    let declared = PgrxSql::build(entities.into_iter(), NAME.to_owned(), false)?;
    let mut text = format!(
        "-- What CREATE EXTENSION {NAME} makes, version {version}: the files of sql/, each after those that it\n\
         -- requires. Written by scripts/release-sql.\n\n\
         \\echo Use \"CREATE EXTENSION {NAME}\" to load this file. \\quit\n"
    );
    for entity in in_order(&declared)? {
        let sql = match entity {
            SqlGraphEntity::ExtensionRoot(_) => continue,
            SqlGraphEntity::CustomSql(file) => file.sql.trim(),
            entity if is_only_remarks(&entity.to_sql(&declared)?) => continue,
            entity => {
                let name = entity.rust_identifier();
                return Err(format!("{name}: SQL stands in sql/, so say #[pg_extern(sql = false)]").into());
            }
        };
        text.push('\n');
        text.push_str(sql);
        text.push('\n');
    }
    Ok(text)
}

/// The rank of an object: files of SQL come before functions; within a kind the name decides.
fn rank(entity: &SqlGraphEntity) -> (bool, String) {
    (!matches!(entity, SqlGraphEntity::CustomSql(_)), entity.rust_identifier())
}

fn in_order<'a, 'b>(declared: &'a PgrxSql<'b>) -> Result<Vec<&'a SqlGraphEntity<'b>>, Box<dyn Error>> {
    let graph = &declared.graph;
    let mut needs: BTreeMap<_, _> = graph.node_indices().map(|node| (node, 0)).collect();
    for edge in graph.edge_indices() {
        if let Some((_, node)) = graph.edge_endpoints(edge) {
            *needs.entry(node).or_default() += 1;
        }
    }
    let mut ready: BTreeSet<_> = needs
        .iter()
        .filter(|(_, needed)| **needed == 0)
        .map(|(node, _)| (rank(&graph[*node]), *node))
        .collect();
    let mut ordered = Vec::new();
    while let Some((_, node)) = ready.pop_first() {
        ordered.push(&graph[node]);
        // The count goes down once for each edge between the two.
        for next in graph.neighbors(node) {
            let needed = needs.entry(next).or_default();
            *needed -= 1;
            if *needed == 0 {
                ready.insert((rank(&graph[next]), next));
            }
        }
    }
    match ordered.len() == graph.node_count() {
        true => Ok(ordered),
        false => Err("some of the declared objects need each other".into()),
    }
}

/// Of a function that is declared in a file, the generator says where in the sources it stands.
fn is_only_remarks(sql: &str) -> bool {
    sql.lines().all(|line| line.trim().is_empty() || line.starts_with("--"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_declares_nothing() {
        assert!(is_only_remarks("\n-- src/a.rs:3\n-- a::b\n\n"));
        assert!(!is_only_remarks("-- src/a.rs:3\nCREATE FUNCTION b() RETURNS text;\n"));
    }

    #[test]
    fn what_is_no_library_is_an_error() {
        assert!(sql_of(b"text", "").is_err());
    }
}
