//! What one call site keeps for the length of a statement: which version scores, and its decoded model.

use super::model_cache;
use super::row::Inputs;
use crate::catalog::read::{self, VersionRow};
use crate::catalog::CHAMPION;
use crate::error::Error;
use crate::settings;
use model::Scorer;
use pgrx::{pg_sys, PgMemoryContexts};
use std::sync::Arc;

/// The version that a model's champion alias names under one snapshot, ready to score.
pub struct Resolved {
    /// The name as the caller gave it, `None` for the default model.
    asked: Option<String>,
    snapshot: SnapshotId,
    pub version: VersionRow,
    pub scorer: Arc<Scorer>,
    pub inputs: Inputs,
}

impl Resolved {
    pub fn new(model: Option<&str>) -> Result<Self, Error> {
        let snapshot = SnapshotId::current();
        let name = match model {
            Some(name) => name.to_owned(),
            None => settings::default_model().map_or_else(read::only_model, Ok)?,
        };
        let version = read::version_of_alias(&name, CHAMPION)?;
        let scorer = model_cache::scorer(version.artifact_id)?;
        let inputs = Inputs::of(&scorer);
        Ok(Self { asked: model.map(str::to_owned), snapshot, version, scorer, inputs })
    }

    /// The probability of the row that the inputs were filled from.
    #[inline]
    pub fn score(&mut self) -> f64 {
        self.scorer.score(&mut self.inputs.row)
    }

    /// Whether this answers for `model` under the snapshot that is active now.
    #[inline]
    pub fn answers(&self, model: Option<&[u8]>) -> bool {
        self.asked.as_deref().map(str::as_bytes) == model && self.snapshot == SnapshotId::current()
    }
}

/// What tells one snapshot from another. A statement has one; PL/pgSQL evaluates many expressions with the same
/// call site, each under a snapshot of its own, and a promotion between them must be seen.
#[derive(PartialEq, Eq)]
struct SnapshotId {
    xmin: u32,
    xmax: u32,
    running: u32,
    running_subtransactions: i32,
    command: u32,
}

impl SnapshotId {
    #[inline]
    fn current() -> Self {
        // SAFETY: a function is never called without an active snapshot.
        let snapshot = unsafe { &*pg_sys::GetActiveSnapshot() };
        Self {
            xmin: snapshot.xmin.into_inner(),
            xmax: snapshot.xmax.into_inner(),
            running: snapshot.xcnt,
            running_subtransactions: snapshot.subxcnt,
            command: snapshot.curcid,
        }
    }
}

/// The state that a call site keeps in `fn_extra`, made on the first call.
///
/// # Safety
/// `fcinfo` is that of the running call, and every use at this call site has the same `T`.
#[inline]
pub unsafe fn state<'call, T: Default>(fcinfo: pg_sys::FunctionCallInfo) -> &'call mut T {
    let flinfo = (*fcinfo).flinfo;
    if (*flinfo).fn_extra.is_null() {
        let mut context = PgMemoryContexts::For((*flinfo).fn_mcxt);
        (*flinfo).fn_extra = context.leak_and_drop_on_delete(T::default()).cast();
    }
    &mut *(*flinfo).fn_extra.cast::<T>()
}

/// The n-th argument; `None` where it is NULL.
///
/// # Safety
/// `fcinfo` is that of the running call, which has more than `n` arguments.
#[inline]
pub unsafe fn argument(fcinfo: pg_sys::FunctionCallInfo, n: usize) -> Option<pg_sys::Datum> {
    let argument = &*(*fcinfo).args.as_ptr().add(n);
    (!argument.isnull).then_some(argument.value)
}

/// The bytes of a text argument.
///
/// # Safety
/// `datum` is a non-NULL text that outlives the result.
#[inline]
pub unsafe fn text_bytes<'call>(datum: pg_sys::Datum) -> &'call [u8] {
    let original: *mut pg_sys::varlena = datum.cast_mut_ptr();
    let plain = if is_plain(original) { original } else { pg_sys::pg_detoast_datum_packed(original) };
    pgrx::varlena_to_byte_slice(plain)
}

/// Whether a varlena's bytes are in place: neither compressed nor stored elsewhere.
#[inline]
pub unsafe fn is_plain(value: *const pg_sys::varlena) -> bool {
    !pgrx::varatt_is_1b_e(value) && !pgrx::varatt_is_4b_c(value)
}
