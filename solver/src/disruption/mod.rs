//! What to remove.

mod budgets;
mod emptiness;
mod headroom;

pub use budgets::{Allowance, allowed};
pub use emptiness::{Emptiness, Inputs, Kept, Obstacle, emptiness, leftover_taints};

#[cfg(test)]
mod tests;
