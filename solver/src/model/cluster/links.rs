use imbl::OrdSet;

use crate::model::{Name, Node, NodeClaim, well_known};

/// Which node belongs to which claim, by what they say of each other. Several may say the same
/// (a copy of a claim, a machine that was imaged): the first by name answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Links {
    /// `status.nodeName` of claims, and the claim.
    claims_by_node: OrdSet<(Name, Name)>,
    /// `status.providerID` of claims, and the claim.
    claims_by_provider: OrdSet<(Name, Name)>,
    /// `spec.providerID` of nodes, and the node.
    nodes_by_provider: OrdSet<(Name, Name)>,
    /// Nodes that are tainted for removal or being deleted.
    leaving_nodes: OrdSet<Name>,
    /// Claims that are being deleted.
    leaving_claims: OrdSet<Name>,
}

impl Links {
    /// Claims that name this node, sorted.
    pub(super) fn claims_of_node(&self, node: &Name) -> impl Iterator<Item = &Name> {
        second_where_first_is(&self.claims_by_node, node)
    }

    /// Claims with this provider ID, sorted.
    pub(super) fn claims_of_provider(&self, id: &Name) -> impl Iterator<Item = &Name> {
        second_where_first_is(&self.claims_by_provider, id)
    }

    /// Nodes with this provider ID, sorted.
    pub(super) fn nodes_of_provider(&self, id: &Name) -> impl Iterator<Item = &Name> {
        second_where_first_is(&self.nodes_by_provider, id)
    }

    /// Nodes that are tainted for removal or being deleted, sorted.
    pub(super) fn leaving_nodes(&self) -> impl Iterator<Item = &Name> {
        self.leaving_nodes.iter()
    }

    /// Claims that are being deleted, sorted.
    pub(super) fn leaving_claims(&self) -> impl Iterator<Item = &Name> {
        self.leaving_claims.iter()
    }

    pub(super) fn add_claim(&mut self, claim: &NodeClaim) {
        if claim.deleted.is_some() {
            self.leaving_claims.insert(claim.name.clone());
        }
        for (set, pair) in self.pairs_of_claim(claim) {
            set.insert(pair);
        }
    }

    pub(super) fn remove_claim(&mut self, claim: &NodeClaim) {
        self.leaving_claims.remove(&claim.name);
        for (set, pair) in self.pairs_of_claim(claim) {
            set.remove(&pair);
        }
    }

    pub(super) fn add_node(&mut self, node: &Node) {
        if node.deleted.is_some() || node.has_taint(well_known::DISRUPTED_TAINT) {
            self.leaving_nodes.insert(node.name.clone());
        }
        if let Some(id) = &node.provider_id {
            self.nodes_by_provider.insert((id.clone(), node.name.clone()));
        }
    }

    pub(super) fn remove_node(&mut self, node: &Node) {
        self.leaving_nodes.remove(&node.name);
        if let Some(id) = &node.provider_id {
            self.nodes_by_provider.remove(&(id.clone(), node.name.clone()));
        }
    }

    fn pairs_of_claim<'a>(
        &'a mut self,
        claim: &NodeClaim,
    ) -> impl Iterator<Item = (&'a mut OrdSet<(Name, Name)>, (Name, Name))> {
        let pair = |said: &Option<Name>| Some((said.clone()?, claim.name.clone()));
        let by_node = pair(&claim.node_name).map(|pair| (&mut self.claims_by_node, pair));
        let by_provider = pair(&claim.provider_id).map(|pair| (&mut self.claims_by_provider, pair));
        by_node.into_iter().chain(by_provider)
    }
}

fn second_where_first_is<'a>(
    pairs: &'a OrdSet<(Name, Name)>,
    first: &Name,
) -> impl Iterator<Item = &'a Name> {
    let first = first.clone();
    // The empty name sorts before every other.
    pairs
        .range((first.clone(), Name::default())..)
        .take_while(move |(other, _)| *other == first)
        .map(|(_, second)| second)
}
