//! What Prometheus is told of claims, and what the autoscaler is told of pods to come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use berth_solver::model::Pod;
use parking_lot::Mutex;

use super::Expected;
use crate::claims::money::Monthly;
use crate::metrics::{ClaimLabels, ClaimPriceLabels, ClaimSizeLabels, EffectLabels, Metrics};

/// What is told of a claim.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) provider: String,
    pub(super) state: &'static str,
    pub(super) price: Monthly,
    /// Pods that it is going to bring to this cluster.
    pub(super) pods: Vec<Pod>,
}

/// What is told of all claims, by UID.
pub(super) struct Figures {
    metrics: Arc<Metrics>,
    expected: Expected,
    claims: Mutex<BTreeMap<String, Figure>>,
}

impl Figures {
    pub(super) fn new(metrics: Arc<Metrics>, expected: Expected) -> Self {
        Self { metrics, expected, claims: Mutex::default() }
    }

    /// Takes down what a claim is now; `None`: it is gone.
    pub(super) fn take(&self, uid: &str, figure: Option<Figure>) {
        let mut claims = self.claims.lock();
        if claims.get(uid) == figure.as_ref() {
            return;
        }
        match figure {
            Some(figure) => claims.insert(uid.to_owned(), figure),
            None => claims.remove(uid),
        };
        self.tell(&claims);
    }

    /// Tells how long a claim took to be ready.
    pub(super) fn ready(&self, size: &str, provider: &str, took: Duration) {
        let labels = ClaimSizeLabels { size: size.to_owned(), provider: provider.to_owned() };
        self.metrics.claim_ready_duration.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Counts an external write.
    pub(super) fn effect(&self, labels: &EffectLabels) {
        self.metrics.claim_effects.get_or_create(labels).inc();
    }

    /// The pods that claims are going to bring.
    pub(super) fn expected(&self) -> Arc<Vec<Pod>> {
        self.expected.load_full()
    }

    fn tell(&self, claims: &BTreeMap<String, Figure>) {
        let mut states: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        let mut prices: BTreeMap<(&str, &str), Monthly> = BTreeMap::new();
        for one in claims.values() {
            *states.entry((&one.kind, one.state)).or_default() += 1;
            if !one.provider.is_empty() {
                let price = prices.entry((&one.namespace, &one.provider)).or_default();
                *price = *price + one.price;
            }
        }
        self.metrics.claims.clear();
        for ((kind, state), count) in states {
            let labels = ClaimLabels { kind: kind.to_owned(), state: state.to_owned() };
            self.metrics.claims.get_or_create(&labels).set(count);
        }
        self.metrics.claims_price.clear();
        for ((namespace, provider), price) in prices {
            let (namespace, provider) = (namespace.to_owned(), provider.to_owned());
            let labels = ClaimPriceLabels { namespace, provider };
            self.metrics.claims_price.get_or_create(&labels).set(price.as_f64());
        }
        let pods: Vec<Pod> = claims.values().flat_map(|one| one.pods.iter().cloned()).collect();
        if **self.expected.load() != pods {
            self.expected.store(Arc::new(pods));
        }
    }
}
