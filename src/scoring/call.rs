//! What one call site keeps for the length of a statement: which version scores, and its decoded model.

use super::model_cache::{self, Decoded};
use super::row::Inputs;
use crate::catalog::read;
use crate::catalog::CHAMPION;
use crate::error::Error;
use crate::settings;
use pgrx::{pg_sys, PgMemoryContexts};
use std::sync::Arc;

/// The version that a model's champion alias names at one moment, ready to score.
pub struct Resolved {
    /// The name as the caller gave it, `None` for the default model.
    asked: Option<String>,
    /// The setting `reco.default_model`, if nothing was asked for.
    default: Option<String>,
    moment: Moment,
    pub decoded: Arc<Decoded>,
    pub inputs: Inputs,
}

impl Resolved {
    pub fn new(model: Option<&str>) -> Result<Self, Error> {
        let moment = Moment::now();
        let default = model.is_none().then(settings::default_model).flatten();
        let name = match model.map(str::to_owned).or_else(|| default.clone()) {
            Some(name) => name,
            None => read::only_model()?,
        };
        let decoded = model_cache::decoded(&name, CHAMPION)?;
        let inputs = Inputs::of(&decoded.scorer);
        Ok(Self { asked: model.map(str::to_owned), default, moment, decoded, inputs })
    }

    /// The probability of the row that the inputs were filled from.
    #[inline]
    pub fn score(&mut self) -> f64 {
        self.decoded.scorer.score(&mut self.inputs.row)
    }

    /// Whether this answers for `model` at this moment.
    #[inline]
    pub fn answers(&self, model: Option<&[u8]>) -> bool {
        self.asked.as_deref().map(str::as_bytes) == model
            && self.moment == Moment::now()
            && (model.is_some() || self.default == settings::default_model())
    }
}

/// Who asks, and under which snapshot. Both stay the same for the length of a statement. PL/pgSQL evaluates many
/// expressions with the same call site, and a promotion or a change of role between them must be seen.
#[derive(PartialEq, Eq)]
pub struct Moment {
    user: pg_sys::Oid,
    row_security: bool,
    xmin: u32,
    xmax: u32,
    running: u32,
    running_subtransactions: i32,
    command: u32,
}

impl Moment {
    #[inline]
    pub fn now() -> Self {
        // SAFETY: a function is never called without an active snapshot and a current user.
        unsafe {
            let snapshot = &*pg_sys::GetActiveSnapshot();
            Self {
                user: pg_sys::GetUserId(),
                row_security: pg_sys::row_security,
                xmin: snapshot.xmin.into_inner(),
                xmax: snapshot.xmax.into_inner(),
                running: snapshot.xcnt,
                running_subtransactions: snapshot.subxcnt,
                command: snapshot.curcid,
            }
        }
    }
}

/// A memory context that is deleted when dropped. It hangs from the topmost one: the call site's own deletes its
/// children before it drops what the call site keeps.
pub struct OwnContext(pg_sys::MemoryContext);

impl OwnContext {
    /// Runs `make` with what it allocates kept as long as the context.
    ///
    /// # Safety
    /// What `make` returns is not used after the context is dropped.
    pub unsafe fn holding<T>(make: impl FnOnce() -> T) -> (Self, T) {
        let context = pg_sys::AllocSetContextCreateInternal(
            pg_sys::TopMemoryContext,
            c"pg_recommend call site".as_ptr(),
            pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
            pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
            pg_sys::ALLOCSET_SMALL_MAXSIZE as usize,
        );
        let own = Self(context);
        let previous = pg_sys::MemoryContextSwitchTo(context);
        let made = make();
        pg_sys::MemoryContextSwitchTo(previous);
        (own, made)
    }
}

impl Drop for OwnContext {
    fn drop(&mut self) {
        // SAFETY: created in `holding`, deleted once; deleting raises no error.
        unsafe { pg_sys::MemoryContextDelete(self.0) };
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
