use berth_solver::model::{Change, ClusterEvent, Name, Node};

use super::{ApiError, Cluster};

const KIND: &str = "node";

impl Cluster {
    /// Creates a node.
    ///
    /// # Errors
    /// [`ApiError::AlreadyExists`].
    pub fn create_node(&mut self, node: Node) -> Result<(), ApiError> {
        if self.objects().nodes.contains_key(&node.name) {
            return Err(ApiError::AlreadyExists { kind: KIND, name: node.name.to_string() });
        }
        self.emit(ClusterEvent::Node(Change::Applied(node)));
        Ok(())
    }

    /// Changes a node. A node that is to be deleted goes when its finalizer does.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] if there is none of that name and, if given, UID.
    pub fn update_node(
        &mut self,
        name: &str,
        uid: Option<&str>,
        change: impl FnOnce(&mut Node),
    ) -> Result<(), ApiError> {
        let mut node = self.node(name, uid)?;
        change(&mut node);
        node.taints.sort();
        self.emit(if node.deleted.is_some() && !node.has_termination_finalizer {
            ClusterEvent::Node(Change::Deleted(node.name))
        } else {
            ClusterEvent::Node(Change::Applied(node))
        });
        Ok(())
    }

    /// Deletes a node: at once, or once its finalizer is gone.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] if there is none of that name and, if given, UID.
    pub fn delete_node(&mut self, name: &str, uid: Option<&str>) -> Result<(), ApiError> {
        let now = self.now;
        self.update_node(name, uid, |node| {
            node.deleted.get_or_insert(now);
        })
    }

    fn node(&self, name: &str, uid: Option<&str>) -> Result<Node, ApiError> {
        self.objects()
            .nodes
            .get(&Name::from(name))
            .filter(|state| uid.is_none_or(|uid| state.node.uid == *uid))
            .map(|state| (*state.node).clone())
            .ok_or_else(|| ApiError::NotFound { kind: KIND, name: name.to_owned() })
    }
}
