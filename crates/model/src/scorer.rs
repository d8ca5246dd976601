//! The fast forward pass.
pub struct Scorer {}
pub struct Row {}
