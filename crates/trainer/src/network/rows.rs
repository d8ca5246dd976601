//! Encoded rows in libtorch's tensors.

use tch::{TchError, Tensor};

/// A block of encoded rows on a device.
pub struct Rows {
    /// Shape (rows, dense width).
    pub dense: Tensor,
    /// Shape (categories, rows).
    pub ids: Tensor,
}

impl Rows {
    /// A view of `length` rows from `start` on.
    pub fn slice(&self, start: i64, length: i64) -> Result<Rows, TchError> {
        Ok(Rows { dense: self.dense.f_narrow(0, start, length)?, ids: self.ids.f_narrow(1, start, length)? })
    }

    /// A copy of the rows that `index` names.
    pub fn select(&self, index: &Tensor) -> Result<Rows, TchError> {
        Ok(Rows { dense: self.dense.f_index_select(0, index)?, ids: self.ids.f_index_select(1, index)? })
    }

    pub fn has_categories(&self) -> bool {
        self.ids.size().first().is_some_and(|categories| *categories > 0)
    }

    /// The same rows, for another thread.
    pub fn share(&self) -> Rows {
        Rows { dense: self.dense.shallow_clone(), ids: self.ids.shallow_clone() }
    }
}
