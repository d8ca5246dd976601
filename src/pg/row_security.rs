//! Whether row security hides rows of a relation, of its own or of one that a view reads.

use super::relations::Relation;
use crate::error::Error;
use pgrx::{pg_sys, Spi};
use std::ffi::{c_void, CStr, CString};

/// Whether policies decide which rows of the relation the current user sees.
pub fn applies(relation: &Relation) -> Result<bool, Error> {
    let query = CString::new(format!("SELECT FROM {}", relation.name));
    let query = query.map_err(|_| Error::invalid("a name contains a zero byte"))?;
    // SAFETY: SPI is connected; it reads the text and keeps a copy. A query that cannot be prepared is raised as an error. Plan
    // and sources live until the plan is freed, which is once.
    Spi::connect(|_| unsafe {
        let plan = pg_sys::SPI_prepare(query.as_ptr(), 0, std::ptr::null_mut());
        if plan.is_null() {
            return Err(Error::invalid(format!("{} cannot be read", relation.name)));
        }
        let sources = pg_sys::SPI_plan_get_plan_sources(plan);
        let count = if sources.is_null() { 0 } else { (*sources).length };
        let source = |n| pg_sys::list_nth(sources, n).cast::<pg_sys::CachedPlanSource>();
        // A role that bypasses row security has plans that depend on it, too: only the rewritten query tells which policies
        // were put into it, however deep.
        let applies =
            (0..count).any(|n| (*source(n)).dependsOnRLS && has_policies((*source(n)).query_list.cast()));
        pg_sys::SPI_freeplan(plan);
        Ok(applies)
    })
}

/// Whether a rewritten query has the condition of a policy.
///
/// # Safety
/// `query` is a query, or a list of queries.
unsafe fn has_policies(query: *const c_void) -> bool {
    // SAFETY: the caller passes a node, which becomes a NUL-terminated text that is ours to free.
    unsafe {
        let text = pg_sys::nodeToString(query);
        let found = CStr::from_ptr(text).to_bytes().windows(POLICIES.len()).any(|part| part == POLICIES);
        pg_sys::pfree(text.cast());
        found
    }
}

/// As a list that is not empty begins in the text of a query.
const POLICIES: &[u8] = b":securityQuals (";
