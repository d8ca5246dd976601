//! What a recipe is made with besides parameters.

/// How finely a recipe tells values apart.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Grain {
    /// Bins of a number, at most.
    pub bins: usize,
    /// First keys with which a value of a category is seen, at least.
    pub category_keys: usize,
}
