//! The finding about the object-storage process, from its own answer.

use super::finding::Finding;
use crate::lake::process::version;
use crate::pg::extension::LIBRARY;
use lake_protocol::message::{other_version, OTHER_VERSION_HINT};

const ITEM: &str = "lake";

/// Starts the process and asks for its version. One that fails is a finding too.
pub fn finding() -> Finding {
    match version() {
        Ok(version) if version == LIBRARY => Finding::good(ITEM, version),
        Ok(version) => Finding::bad(ITEM, other_version(&version, LIBRARY), OTHER_VERSION_HINT),
        Err(error) => Finding { item: ITEM, ok: false, detail: error.in_lines() },
    }
}
