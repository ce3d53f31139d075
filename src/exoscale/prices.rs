//! The public price list, and the one that is shipped.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_solver::model::Price;
use serde::Deserialize;

use crate::cloud::transport::{Outgoing, Transport};

/// Where the price list of compute is published.
pub const COMPUTE_PRICES: &str = "https://portal.exoscale.com/api/pricing/opencompute";
const TIMEOUT: Duration = Duration::from_secs(20);
/// The price list as it was when this version was made.
const SHIPPED: &str = include_str!("prices.json");

/// A currency that Exoscale charges in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Currency {
    /// Euro.
    #[default]
    Eur,
    /// Swiss franc.
    Chf,
    /// United States dollar.
    Usd,
}

impl Currency {
    const fn key(self) -> &'static str {
        match self {
            Self::Eur => "eur",
            Self::Chf => "chf",
            Self::Usd => "usd",
        }
    }
}

/// Prices per hour, by the price list's own keys (`running_extra_large`, `volume`, ...).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceList(BTreeMap<String, Price>);

/// A price list that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the price list {0}")]
pub struct PriceListError(pub String);

#[derive(Deserialize)]
#[serde(transparent)]
struct Published(BTreeMap<String, BTreeMap<String, String>>);

impl PriceList {
    /// Reads a published list. A price that is no number is left out: an unknown price.
    ///
    /// # Errors
    /// If it has no prices in that currency.
    pub fn parse(text: &[u8], currency: Currency) -> Result<Self, PriceListError> {
        let mut published: Published = serde_json::from_slice(text)
            .map_err(|error| PriceListError(format!("cannot be read: {error}")))?;
        let key = currency.key();
        let prices = published.0.remove(key).unwrap_or_default();
        let known: BTreeMap<String, Price> = prices
            .into_iter()
            .filter_map(|(key, text)| Some((key, Price::per_hour(text.parse().ok()?).ok()?)))
            .collect();
        match known.keys().any(|key| key.starts_with("running_")) {
            true => Ok(Self(known)),
            false => Err(PriceListError(format!("has no prices of instances in {key}"))),
        }
    }

    /// The list that is shipped.
    ///
    /// # Errors
    /// Never, as a test makes sure.
    pub fn shipped(currency: Currency) -> Result<Self, PriceListError> {
        Self::parse(SHIPPED.as_bytes(), currency)
    }

    /// Fetches the published list.
    ///
    /// # Errors
    /// If it cannot be had or makes no sense.
    pub async fn fetch(
        transport: &Transport,
        address: &str,
        currency: Currency,
    ) -> Result<Self, PriceListError> {
        let uri = address
            .parse()
            .map_err(|error| PriceListError(format!("is not at {address:?}: {error}")))?;
        let method = hyper::Method::GET;
        let outgoing = Outgoing { method, uri, headers: Vec::new(), body: None };
        let answer = transport.send(outgoing, TIMEOUT).await;
        let answer = answer
            .map_err(|error| PriceListError(format!("cannot be fetched: {}", error.message)))?;
        if answer.status != 200 {
            return Err(PriceListError(format!("came with status {}", answer.status)));
        }
        Self::parse(&answer.body, currency)
    }

    /// These prices, with those of `other` where this list has none.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        for (key, price) in &other.0 {
            self.0.entry(key.clone()).or_insert(*price);
        }
        self
    }

    /// What an instance of that family and size costs in an hour, its disk not included; `None`
    /// if nobody knows. Never guessed: families are told apart by their whole name.
    pub fn instance(&self, family: &str, size: &str) -> Option<Price> {
        let size = size.replace('-', "_");
        let key = match family {
            "standard" => format!("running_{size}"),
            // A size of its own, in the family of the same name.
            "colossus" => format!("running_colossus_{size}"),
            "gpua5000" => format!("running_gpu_a5000_{size}"),
            "gpu3080ti" => format!("running_gpu_3080ti_{size}"),
            "gpua30" => format!("running_gpu_a30_{size}"),
            "gpurtx6000pro" => format!("running_gpu_rtx6000pro_{size}"),
            "gpub300" => format!("running_gpu_b300_{size}"),
            other => format!("running_{}_{size}", other.replace('-', "_")),
        };
        let plain = || format!("running_{}_{size}", family.replace('-', "_"));
        self.0.get(&key).or_else(|| self.0.get(&plain())).copied()
    }

    /// What a GiB of root disk costs in an hour for that family.
    pub fn disk_per_gib(&self, family: &str) -> Option<Price> {
        let key = if family == "storage" { "volume_data" } else { "volume" };
        self.0.get(key).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_list_knows_every_family_by_its_whole_name() {
        let list = PriceList::shipped(Currency::Eur).unwrap();
        let nanos = |family, size| list.instance(family, size).map(Price::as_nanos);
        assert_eq!(nanos("standard", "large"), Some(93_330_000));
        // What the existing provider takes for family "extra", size "large".
        assert_eq!(nanos("standard", "extra-large"), Some(186_670_000));
        assert_eq!(nanos("cpu", "extra-large"), Some(233_330_000));
        assert_eq!(nanos("gpu", "small"), Some(1_168_060_000));
        assert_eq!(nanos("gpua5000", "small"), Some(1_340_280_000));
        assert_eq!(nanos("gpua30", "small"), Some(1_226_458_330));
        assert_eq!(nanos("gpub300", "small"), None, "unknown is not free");
        assert_eq!(list.disk_per_gib("standard").map(Price::as_nanos), Some(140_000));
        assert_eq!(list.disk_per_gib("storage").map(Price::as_nanos), Some(60_000));
    }

    #[test]
    fn a_list_without_prices_of_instances_is_refused() {
        let parse = |text: &str| PriceList::parse(text.as_bytes(), Currency::Chf);
        assert!(parse("<html>").unwrap_err().to_string().starts_with("the price list cannot be"));
        let none = "the price list has no prices of instances in chf";
        assert_eq!(parse(r#"{"chf":{"volume":"0.1"}}"#).unwrap_err().to_string(), none);
        let list = parse(r#"{"chf":{"running_tiny":"0.02","running_huge":"NaN"}}"#).unwrap();
        let shipped = PriceList::shipped(Currency::Chf).unwrap();
        assert_eq!(list.instance("standard", "huge"), None);
        let filled = list.or(&shipped);
        let nanos = |size| filled.instance("standard", size).map(Price::as_nanos);
        assert_eq!((nanos("tiny"), nanos("huge")), (Some(20_000_000), Some(373_340_000)));
    }
}
