use std::ops::Deref;
use std::sync::Arc;

use crate::model::{DoNotDisrupt, Owner, Pod, PodShape};

/// A pod on a node, and beside it its shape, if that says all that most want to know of it.
///
/// Pods lie all over the memory: to fetch every one of them took much of the time of a look at all
/// nodes. Who looks at all asks [`Self::common`] first, which stands in the node's own list.
#[derive(Clone, Debug, PartialEq)]
pub struct Resident {
    pod: Arc<Pod>,
    common: Option<Arc<PodShape>>,
}

impl Resident {
    /// The pod itself, to be shared.
    pub const fn pod(&self) -> &Arc<Pod> {
        &self.pod
    }

    /// The pod's shape, where nothing else about the pod tells whether it may be moved, and where
    /// to: it has not ended and is not being deleted, a controller would make another one, it says
    /// nothing about disruption, uses no volumes, and makes sense.
    pub const fn common(&self) -> Option<&Arc<PodShape>> {
        self.common.as_ref()
    }

    /// The pod's shape. The pod itself is not looked at for it where it is a common one.
    pub fn shape(&self) -> &Arc<PodShape> {
        self.common.as_ref().unwrap_or(&self.pod.shape)
    }
}

impl From<Arc<Pod>> for Resident {
    fn from(pod: Arc<Pod>) -> Self {
        let is_common = pod.is_alive()
            && pod.deleted.is_none()
            && matches!(pod.owner, Owner::Controller(..))
            && pod.do_not_disrupt == DoNotDisrupt::Allowed
            && pod.deletion_cost == 0
            && !pod.replace_first
            && pod.volume_claims.is_empty()
            && pod.defect.is_none();
        let common = is_common.then(|| Arc::clone(&pod.shape));
        Self { pod, common }
    }
}

impl Deref for Resident {
    type Target = Pod;

    fn deref(&self) -> &Pod {
        &self.pod
    }
}

impl AsRef<Pod> for Resident {
    fn as_ref(&self) -> &Pod {
        &self.pod
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PodPhase, Timestamp};
    use crate::testing::{bound, pod, shape};

    #[test]
    fn what_a_pod_says_of_itself_makes_it_uncommon() {
        let plain = || bound(pod("one", &shape(100, 64).build()), "n");
        let common = |pod: Pod| Resident::from(Arc::new(pod)).common().cloned();
        assert_eq!(common(plain()), Some(plain().shape));
        let uncommon = [
            Pod { phase: PodPhase::Ended, ..plain() },
            Pod { deleted: Some(Timestamp::default()), ..plain() },
            Pod { owner: Owner::None, ..plain() },
            Pod { owner: Owner::Node, ..plain() },
            Pod { owner: Owner::DaemonSet("logs".into()), ..plain() },
            Pod { do_not_disrupt: DoNotDisrupt::Never, ..plain() },
            Pod { deletion_cost: 1, ..plain() },
            Pod { replace_first: true, ..plain() },
            Pod { volume_claims: Box::from(["data".into()]), ..plain() },
            Pod { defect: Some("odd".into()), ..plain() },
        ];
        for pod in uncommon {
            let resident = Resident::from(Arc::new(pod.clone()));
            assert_eq!(resident.common(), None, "{pod:?}");
            assert_eq!(*resident.shape(), pod.shape);
        }
    }
}
