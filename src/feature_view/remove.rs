//! `reco.drop_feature_view`: the table, its rows and what the catalog knows about it.

use super::registry::{forget, FeatureView};
use crate::error::{or_raise, Error};
use crate::pg::acting_as::as_owner;
use crate::pg::relations::RelationName;
use crate::pg::session::refuse_read_only;
use pgrx::prelude::*;
use pgrx::{pg_sys, Uuid};

/// See sql/feature_view.sql.
#[pg_extern(sql = false)]
fn drop_feature_view(view: pg_sys::Oid, with_inputs: bool) {
    refuse_read_only(c"reco.drop_feature_view()");
    or_raise(FeatureView::get(view).and_then(|view| remove(&view, with_inputs)));
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
    let inputs = if with_inputs { view.open_inputs()? } else { Vec::new() };
    // The check of the owner has locked it: it is not renamed any more, and nothing else can take its name.
    Spi::run(&format!("DROP TABLE {}", RelationName::of(view.oid)?))?;
    forget(view.id)?;
    for input in inputs {
        // Another view may still need it.
        if self::dependents(input.id)?.is_empty() {
            remove(&input, true)?;
        }
    }
    Ok(())
}

/// The feature views that have this one as an input.
fn dependents(id: Uuid) -> Result<Vec<String>, Error> {
    as_owner(|client| {
        let sql = "SELECT reco.feature_view_name(view_id, table_schema, table_name, created_by) FROM reco.feature_view \
                   WHERE $1 OPERATOR(pg_catalog.=) ANY (inputs) ORDER BY 1";
        let rows = client.update(sql, None, &[id.into()])?;
        rows.map(|row| Ok(row.get::<String>(1)?.unwrap_or_default())).collect()
    })
}
