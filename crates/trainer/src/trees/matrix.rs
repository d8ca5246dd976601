//! Rows of the table as the matrix that trees are grown on: single precision, NaN where a number is missing, a
//! category's code as a number.

use super::failed;
use crate::error::TrainerError;
use crate::prepare::TreeInput;
use crate::rows::values::NULL_CODE;
use hessboost::data::{DMatrix, FeatureType};
use model::recipe::{NULL, UNSEEN};

/// Codes that a split can tell apart. The codes of a vocabulary fall in frequency; those from here on count as never
/// seen, in training and in scoring.
pub const MAX_CODES: u32 = 1024;

impl TreeInput<'_> {
    pub fn is_number(&self) -> bool {
        matches!(self, Self::Number { .. })
    }

    /// How many codes a category has that splits can tell apart; `None` of a number.
    pub fn code_count(&self) -> Option<u32> {
        match self {
            Self::Number { .. } => None,
            Self::Category { recipe_codes, .. } => {
                let last = recipe_codes.iter().copied().max().unwrap_or_default().max(NULL as i32);
                Some((last as u32 + 1).min(MAX_CODES))
            }
        }
    }

    fn value(&self, row: u32) -> f32 {
        match self {
            Self::Number { floats, width, position } => single(floats.get(row as usize * width + position)),
            Self::Category { codes, recipe_codes, null } => {
                let code = match codes[row as usize] {
                    NULL_CODE => *null as u32,
                    code => recipe_codes[code as usize] as u32,
                };
                let known = if code < MAX_CODES { code } else { UNSEEN };
                known as f32
            }
        }
    }
}

/// The nearest single-precision number, NaN where the value is missing. Order is kept, so a threshold on the result is
/// one on the value.
fn single(value: f64) -> f32 {
    match value.is_finite() {
        true => (value as f32).clamp(f32::MIN, f32::MAX),
        false => f32::NAN,
    }
}

/// The columns of `rows`, in their order, column by column since that is how the table holds them.
pub fn build(columns: &[TreeInput], rows: &[u32]) -> Result<DMatrix, TrainerError> {
    let width = columns.len();
    let mut lines = vec![0.0_f32; rows.len() * width];
    for (position, column) in columns.iter().enumerate() {
        for (line, row) in lines.chunks_exact_mut(width).zip(rows) {
            line[position] = column.value(*row);
        }
    }
    let types = columns.iter().map(|column| match column.is_number() {
        true => FeatureType::Numerical,
        false => FeatureType::Categorical,
    });
    let matrix = DMatrix::from_dense_vec(lines, rows.len(), width).map_err(failed)?;
    matrix.with_feature_types(&types.collect::<Vec<_>>()).map_err(failed)
}
