use std::collections::BTreeMap;

use berth_solver::model::{Limits, Price, well_known};

use super::Defects;
use crate::api;
use crate::watch::Interner;
use crate::watch::quantity::Quantity;

/// `spec.limits`. What makes no sense is a limit of nothing.
pub(super) fn limits(
    list: Option<&BTreeMap<String, api::Quantity>>,
    interner: &Interner,
    defects: &mut Defects,
) -> Limits {
    let mut limits = Limits::default();
    let mut extended = Vec::new();
    for (name, quantity) in list.into_iter().flatten() {
        let amount = match Quantity::parse(&quantity.0) {
            Ok(amount) if !amount.is_negative() => amount,
            Ok(_) => {
                defects.add(|| {
                    format!("spec.limits.{name}: {} is negative: expected 0 or more", quantity.0)
                });
                Quantity::default()
            }
            Err(error) => {
                defects.add(|| format!("spec.limits.{name}: {error}"));
                Quantity::default()
            }
        };
        match name.as_str() {
            "cpu" => limits.cpu = Some(amount.milli()),
            "memory" => limits.memory = Some(amount.units()),
            "ephemeral-storage" => limits.ephemeral_storage = Some(amount.units()),
            "pods" => limits.pods = Some(amount.units()),
            "nodes" => limits.nodes = Some(amount.units()),
            "price" => limits.price = Some(price(amount)),
            _ => extended.push((interner.name(name), amount.units())),
        }
    }
    limits.extended = extended.into();
    limits
}

/// The most that the pool's nodes may cost together in an hour, from its annotation.
pub(super) fn price_limit(
    annotations: Option<&BTreeMap<String, String>>,
    defects: &mut Defects,
) -> Option<Price> {
    let text = annotations?.get(well_known::PRICE_LIMIT_ANNOTATION)?;
    let limit = text.trim().parse::<f64>().ok().and_then(|limit| Price::per_hour(limit).ok());
    if limit.is_none() {
        defects.add(|| {
            format!(
                "metadata.annotations.{}: {text:?} is no price per hour: expected a number such as \
                 1.25, 0 or more",
                well_known::PRICE_LIMIT_ANNOTATION
            )
        });
    }
    limit
}

fn price(amount: Quantity) -> Price {
    let milli = u64::try_from(amount.milli()).unwrap_or_default();
    Price::from_nanos(milli.saturating_mul(1_000_000))
}
