//! Settings of benches.

/// A number of the environment, or what it is otherwise.
pub fn number(variable: &str, otherwise: usize) -> usize {
    let given = std::env::var(variable).ok();
    given.map_or(otherwise, |text| text.parse().expect("a whole number"))
}
