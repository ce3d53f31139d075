//! Numbers as people read them.

use std::time::Duration;

use berth_solver::model::Price;

/// Minutes and seconds.
pub fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!("{:02}:{:02}", seconds / 60, seconds % 60)
}

/// A price per hour to a thousandth.
pub fn money(price: Price) -> String {
    format!("{:.3}", price.as_f64())
}

/// A share as whole percent.
pub fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}
