//! A cache that follows a model API server, and what it must hold.

use std::collections::BTreeMap;

use berth_solver::model::{Name, Node, NodeClaim, Pod, PodKey, Resources, Snapshot};

use super::server::{CLAIMS, ModelServer, NAMESPACES, NODES, PODS};
use super::*;
use crate::watch::{objects::decode, reduce};

/// A replica: its cache, fed by watches of its own.
pub(super) struct Follower {
    pub(super) cache: Cache,
    /// Its number at the server.
    pub(super) client: usize,
    pub(super) notes: Arc<Notes>,
    watches: JoinSet<()>,
}

impl Follower {
    /// Starts following.
    pub(super) fn start(server: &ModelServer) -> Self {
        // How long batches are must not depend on the clock.
        let settings = Settings { batch: 3, longest_batch: Duration::MAX, queue: 2 };
        let (writer, sender, cache) = cache::channel(settings, KINDS);
        tokio::spawn(writer.run());
        let notes = Arc::new(Notes::default());
        let observer: Arc<dyn Observer> = Arc::clone(&notes) as _;
        let (client, number) = server.client();
        let interner = Arc::new(Interner::new());
        let at_once = || std::iter::repeat(Duration::ZERO);
        let watches = spawn_with(&client, &sender, &interner, &observer, at_once);
        Self { cache, client: number, notes, watches }
    }

    /// Stops, as a process does that is killed.
    pub(super) fn stop(mut self) {
        self.watches.abort_all();
    }

    /// What must hold at every moment: half a list is never seen, and sums are right.
    pub(super) fn check(&self) {
        let picture = self.cache.snapshot();
        for kind in self.cache.unsynced() {
            let seen = match kind {
                Kind::Pod => picture.pods.len(),
                Kind::Node => picture.nodes.len(),
                Kind::NodeClaim => picture.claims.len(),
                Kind::Namespace => picture.namespaces.len(),
                _ => 0,
            };
            // That a list is complete is heard of right after the list itself.
            let complete = format!("{kind} listed ");
            let complete = self.notes.0.lock().iter().any(|note| note.starts_with(&complete));
            assert!(seen == 0 || complete, "half a list of {kind} is seen");
        }
        let pods = picture.pods.iter().map(|(key, pod)| (key.clone(), (**pod).clone())).collect();
        let nodes = picture.nodes.iter();
        let nodes = nodes.map(|(name, state)| (name.clone(), (*state.node).clone())).collect();
        assert_eq!(placed(&picture), Truth { pods, nodes, ..Truth::default() }.placed());
    }

    /// Waits until the cache is complete and holds what the server holds.
    pub(super) async fn settles_at(&mut self, server: &ModelServer) {
        let settled = async {
            while !self.cache.is_synced()
                || Truth::of(server).differs(&self.cache.snapshot()).is_some()
            {
                self.cache.changed().await.unwrap();
            }
        };
        if tokio::time::timeout(Duration::from_secs(10), settled).await.is_err() {
            panic!(
                "the cache does not come to hold what the server holds: {:?}, unsynced {:?}, {:?}",
                Truth::of(server).differs(&self.cache.snapshot()),
                self.cache.unsynced(),
                self.notes.0.lock()
            );
        }
        self.check();
    }
}

/// Lets everything that can go on go on for a while.
pub(super) async fn run(turns: usize) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

/// What an API server holds, as the model's records: read off its objects, without any history.
#[derive(Default)]
pub(super) struct Truth {
    pods: BTreeMap<PodKey, Pod>,
    nodes: BTreeMap<Name, Node>,
    claims: BTreeMap<Name, NodeClaim>,
    namespaces: Vec<String>,
}

/// The pods of each node and what they take together; under no node, those that are unbound.
type Placed = BTreeMap<Option<Name>, (Vec<PodKey>, Resources)>;

impl Truth {
    pub(super) fn of(server: &ModelServer) -> Self {
        let interner = Interner::new();
        let pods = server
            .objects(PODS)
            .into_iter()
            .map(|pod| reduce::pod(&decode::<objects::Pod>(pod).unwrap(), &interner));
        let nodes = server
            .objects(NODES)
            .into_iter()
            .map(|node| reduce::node(&decode::<objects::Node>(node).unwrap(), &interner));
        let claims = server
            .objects(CLAIMS)
            .into_iter()
            .map(|claim| reduce::node_claim(&decode::<api::NodeClaim>(claim).unwrap(), &interner));
        let namespaces = server.objects(NAMESPACES);
        Self {
            pods: pods.filter(Pod::is_alive).map(|pod| (pod.key.clone(), pod)).collect(),
            nodes: nodes.map(|node| (node.name.clone(), node)).collect(),
            claims: claims.map(|claim| (claim.name.clone(), claim)).collect(),
            namespaces: namespaces.iter().map(server::key_of).collect(),
        }
    }

    fn placed(&self) -> Placed {
        let empty = || (Vec::new(), Resources::default());
        let mut placed: Placed =
            self.nodes.keys().map(|name| (Some(name.clone()), empty())).collect();
        placed.insert(None, empty());
        for (key, pod) in &self.pods {
            // Bound to a node that is not there, it is in no list.
            if let Some((pods, used)) = placed.get_mut(&pod.node) {
                pods.push(key.clone());
                if pod.node.is_some() {
                    *used += &pod.shape.requests;
                }
            }
        }
        placed
    }

    /// The first difference, if there is one.
    pub(super) fn differs(&self, picture: &Snapshot) -> Option<String> {
        let pods: BTreeMap<PodKey, Pod> =
            picture.pods.iter().map(|(key, pod)| (key.clone(), (**pod).clone())).collect();
        let nodes: BTreeMap<Name, Node> = picture
            .nodes
            .iter()
            .map(|(name, state)| (name.clone(), (*state.node).clone()))
            .collect();
        let claims: BTreeMap<Name, NodeClaim> =
            picture.claims.iter().map(|(name, claim)| (name.clone(), (**claim).clone())).collect();
        let namespaces: Vec<String> = picture.namespaces.keys().map(Name::to_string).collect();
        let owners = self
            .nodes
            .values()
            .all(|node| picture.claim_of_node(node).map(|claim| &**claim) == self.claim_of(node));
        [
            (pods != self.pods, "pods", format!("{:?}", pods.keys())),
            (nodes != self.nodes, "nodes", format!("{:?}", nodes.keys())),
            (claims != self.claims, "claims", format!("{:?}", claims.keys())),
            (namespaces != self.namespaces, "namespaces", format!("{namespaces:?}")),
            (placed(picture) != self.placed(), "placements", format!("{:?}", placed(picture))),
            (!owners, "claims of nodes", String::new()),
        ]
        .into_iter()
        .find_map(|(differ, what, held)| differ.then(|| format!("{what}: {held}")))
    }

    /// By name first, then by provider ID, the first by name of each, never another machine's.
    fn claim_of(&self, node: &Node) -> Option<&NodeClaim> {
        let same_machine = |claim: &&NodeClaim| {
            node.provider_id.is_none()
                || claim.provider_id.is_none()
                || node.provider_id == claim.provider_id
        };
        let by_name = |claim: &&NodeClaim| claim.node_name.as_ref() == Some(&node.name);
        let by_provider = |claim: &&NodeClaim| {
            node.provider_id.is_some() && claim.provider_id == node.provider_id
        };
        let claims = || self.claims.values().filter(same_machine);
        claims().find(by_name).or_else(|| claims().find(by_provider))
    }
}

fn placed(picture: &Snapshot) -> Placed {
    let mut placed: Placed = picture
        .nodes
        .iter()
        .map(|(name, state)| {
            (Some(name.clone()), (state.pods.keys().cloned().collect(), state.used.clone()))
        })
        .collect();
    let unbound = picture.unbound.keys().cloned().collect();
    placed.insert(None, (unbound, Resources::default()));
    placed
}
