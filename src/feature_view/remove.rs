//! The function `reco.drop_feature_view`: it drops the table with its rows, and what the catalog knows about the view.

use super::registry::{forget, table_of, FeatureView};
use crate::error::{or_raise, Error};
use crate::pg::acting_as::as_owner;
use crate::pg::relations::{self, RelationName};
use crate::pg::two_versions::require_writable;
use pgrx::prelude::*;
use pgrx::{pg_sys, Uuid};

/// Declared in sql/feature_view.sql.
#[pg_extern(sql = false)]
fn drop_feature_view(view: pg_sys::Oid, with_inputs: bool) {
    require_writable(c"reco.drop_feature_view()");
    let found = FeatureView::get_as_stored(view);
    or_raise(found.and_then(|view| remove(&view, with_inputs)));
}

fn remove(view: &FeatureView, with_inputs: bool) -> Result<(), Error> {
    view.check_owner("drop")?;
    let dependents = dependents(view.id)?;
    if !dependents.is_empty() {
        return Err(Error::InvalidArgument(
            format!("{} is an input of {}", view.name, dependents.join(", ")),
            Some("Drop that first; with_inputs => true drops a view with its inputs.".into()),
        ));
    }
    let inputs = if with_inputs { inputs(view)? } else { Vec::new() };
    // The check of the owner has locked the table, so nobody can rename it or give its name to another relation.
    Spi::run(&format!("DROP TABLE {}", RelationName::of(view.oid)?))?;
    forget(view.id)?;
    for input in inputs {
        // Another view may still need the input. And where damaged views read each other, the input may be gone by now.
        if relations::schema_and_name(input).is_some()
            && self::dependents(FeatureView::get_as_stored(input)?.id)?.is_empty()
        {
            remove(&FeatureView::get_as_stored(input)?, true)?;
        }
    }
    Ok(())
}

/// The tables of the inputs that still exist.
fn inputs(view: &FeatureView) -> Result<Vec<pg_sys::Oid>, Error> {
    let tables = view.inputs.iter().filter(|id| **id != view.id).map(|id| table_of(*id));
    Ok(tables.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().filter_map(|(table, _)| table).collect())
}

/// The feature views that have this view as an input. Views that this one reads itself are left out: where rows are damaged,
/// views may be inputs of each other, and none of them could be dropped.
fn dependents(id: Uuid) -> Result<Vec<String>, Error> {
    as_owner(|client| {
        let sql = "WITH RECURSIVE below (view_id) AS ( \
                       SELECT i.view_id FROM reco.feature_view AS v, pg_catalog.unnest(v.inputs) AS i (view_id) \
                       WHERE v.view_id OPERATOR(pg_catalog.=) $1 \
                       UNION \
                       SELECT i.view_id FROM below AS b \
                       JOIN reco.feature_view AS v ON v.view_id OPERATOR(pg_catalog.=) b.view_id, \
                            pg_catalog.unnest(v.inputs) AS i (view_id)) \
                   SELECT reco.feature_view_name(v.view_id, v.table_schema, v.table_name, v.created_by) \
                   FROM reco.feature_view AS v \
                   WHERE $1 OPERATOR(pg_catalog.=) ANY (v.inputs) AND v.view_id OPERATOR(pg_catalog.<>) $1 \
                     AND NOT EXISTS (SELECT FROM below AS b WHERE b.view_id OPERATOR(pg_catalog.=) v.view_id) \
                   ORDER BY 1";
        let rows = client.update(sql, None, &[id.into()])?;
        rows.map(|row| Ok(row.get::<String>(1)?.unwrap_or_default())).collect()
    })
}
