//! What people are told by events, each thing once.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_solver::disruption::{Obstacle, Round};
use berth_solver::lifecycle::{
    ClaimRef, Effect, MOST_UNHEALTHY_PERCENT, PodRef, RepairBlocked, Write,
};
use berth_solver::model::{Name, Plan, Snapshot, Target, Timestamp};

use super::executor::Outcome;
use super::hands::Failure;
use super::writer::{Notice, Severity, Subject, WriteError};

/// Something that goes on being so is told again after this time.
const AGAIN_AFTER: Duration = Duration::from_secs(5 * 60);
/// More of one kind are not told after one plan: thousands of pods may fail for one reason.
const MOST_AT_A_TIME: usize = 500;

/// Remembers what was told.
#[derive(Debug, Default)]
pub(super) struct Notices {
    told: BTreeMap<(Subject, &'static str), (String, Timestamp)>,
}

impl Notices {
    /// Leaves only what has not been told, or not for long.
    pub(super) fn new_ones(&mut self, notices: Vec<Notice>, now: Timestamp) -> Vec<Notice> {
        self.told.retain(|_, (_, at)| now.since(*at) < AGAIN_AFTER);
        let is_new = |notice: &Notice| {
            let key = (notice.subject.clone(), notice.reason);
            let said = (notice.message.clone(), now);
            match self.told.get(&key) {
                Some((message, _)) if *message == notice.message => false,
                _ => {
                    self.told.insert(key, said);
                    true
                }
            }
        };
        notices.into_iter().filter(is_new).take(MOST_AT_A_TIME).collect()
    }
}

fn warning(
    subject: Subject,
    reason: &'static str,
    action: &'static str,
    message: String,
) -> Notice {
    Notice { subject, severity: Severity::Warning, reason, action, message }
}

/// What a plan has to tell: where pods are to go, and why some have no place.
pub(super) fn of_plan(plan: &Plan) -> Vec<Notice> {
    let unplaced = plan.unschedulable.iter().map(|one| {
        let subject = Subject::Pod { key: one.pod.clone(), uid: one.uid.clone() };
        warning(subject, "FailedScheduling", "Provisioning", one.reason.clone())
    });
    let placed = plan.placements.iter().map(|one| Notice {
        subject: Subject::Pod { key: one.pod.clone(), uid: one.uid.clone() },
        severity: Severity::Normal,
        reason: "Nominated",
        action: "Provisioning",
        message: match &one.target {
            Target::Claim(name) => format!("Pod should schedule on nodeclaim/{name}"),
            Target::Node(name) => format!("Pod should schedule on node/{name}"),
        },
    });
    unplaced.chain(placed).collect()
}

/// What is wrong with objects: pods and pools that make no sense.
pub(super) fn of_defects(snapshot: &Snapshot) -> Vec<Notice> {
    let pods = snapshot.unbound.values().filter_map(|pod| {
        let defect: &Name = pod.defect.as_ref()?;
        let subject = Subject::Pod { key: pod.key.clone(), uid: pod.uid.clone() };
        let message = format!("This pod is left out of planning: {defect}");
        Some(warning(subject, "FailedScheduling", "Provisioning", message))
    });
    let pools = snapshot.pools.values().filter_map(|pool| {
        let defect = pool.defect.as_ref()?;
        let subject = Subject::Pool { name: pool.name.clone(), uid: pool.uid.clone() };
        Some(warning(subject, "InvalidNodePool", "Validating", defect.to_string()))
    });
    pods.chain(pools).collect()
}

/// What a round of disruption has to tell: which nodes go, and why others cannot. The words are
/// Karpenter's.
pub(super) fn of_round(snapshot: &Snapshot, round: &Round) -> Vec<Notice> {
    let claim = |name: &Name| Some(Subject::Claim(ClaimRef::from(&**snapshot.claims.get(name)?)));
    let going = round.plan.removals.iter().filter_map(|removal| {
        Some(Notice {
            subject: claim(&removal.claim)?,
            severity: Severity::Normal,
            reason: "DisruptionTerminating",
            action: "Disrupting",
            message: format!("Disrupting NodeClaim: {}: {}", removal.reason, removal.explanation),
        })
    });
    let staying = round.kept.iter().filter_map(|kept| {
        let reason = word_of(&kept.obstacle)?;
        let severity = Severity::Normal;
        let message = format!("{}", kept.obstacle);
        Some(Notice {
            subject: claim(&kept.claim)?,
            severity,
            reason,
            action: "Disrupting",
            message,
        })
    });
    going.chain(staying).collect()
}

/// Unhealthy nodes that are not repaired because there are too many. The word is Karpenter's.
pub(super) fn of_repairs(blocked: &[RepairBlocked]) -> Vec<Notice> {
    let of_one = |one: &RepairBlocked| {
        let RepairBlocked { node, pool, condition, unhealthy, nodes } = one;
        let message = format!(
            "{condition} has been wrong for too long, but {unhealthy} of {nodes} nodes of NodePool \
             {pool} are unhealthy, more than {MOST_UNHEALTHY_PERCENT} %: no node of it is repaired"
        );
        warning(Subject::Node(node.clone()), "NodeRepairBlocked", "Repairing", message)
    };
    blocked.iter().map(of_one).collect()
}

/// Karpenter's word for what keeps a node, where it is worth an event.
const fn word_of(obstacle: &Obstacle) -> Option<&'static str> {
    match obstacle {
        Obstacle::DoNotDisrupt
        | Obstacle::PodForbids(_)
        | Obstacle::PodDisruptionBudget(_, _)
        | Obstacle::SeveralBudgets(_)
        | Obstacle::Quarantined(_)
        | Obstacle::Bare(_)
        | Obstacle::Unclear(_, _) => Some("DisruptionBlocked"),
        Obstacle::NothingCheaper
        | Obstacle::TooLittleSaved
        | Obstacle::Unbalanced
        | Obstacle::Bound(_)
        | Obstacle::Headroom(_)
        | Obstacle::NoPrice => Some("Unconsolidatable"),
        _ => None,
    }
}

/// That a pod which asked to be replaced before it goes cannot be.
pub(super) fn of_irreplaceable(pod: &PodRef, why: &str) -> Notice {
    let subject = Subject::Pod { key: pod.key.clone(), uid: pod.uid.clone() };
    let message = format!("The pod is not replaced before its eviction: {why}");
    warning(subject, "NotReplacedFirst", "Evicting", message)
}

/// What the end of an effect has to tell.
pub(super) fn of_outcome(outcome: &Outcome) -> Option<Notice> {
    match (&outcome.effect, &outcome.result) {
        (Effect::Write(Write::DeleteClaim { claim, cause }), Ok(_)) => Some(Notice {
            subject: Subject::Claim(claim.clone()),
            severity: Severity::Normal,
            reason: "Terminating",
            action: "Terminating",
            message: format!("Terminating NodeClaim: {cause}"),
        }),
        (Effect::LaunchInstance(request), Err(Failure::Provider(error))) => {
            let subject = Subject::Claim(request.claim.clone());
            let message = format!(
                "{} in {} ({}) was not created: {error}",
                request.instance_type, request.zone, request.capacity_type
            );
            Some(warning(subject, "LaunchFailed", "Launching", message))
        }
        (
            Effect::Write(Write::EvictPod { pod, .. }),
            Err(Failure::Write(WriteError::Failed(why))),
        ) => {
            let subject = Subject::Pod { key: pod.key.clone(), uid: pod.uid.clone() };
            let message = format!("The pod cannot be evicted: {why}");
            Some(warning(subject, "DisruptionBlocked", "Evicting", message))
        }
        (
            Effect::Write(Write::ReplacePod { pod, .. }),
            Err(Failure::Write(WriteError::Refused(why) | WriteError::NotFound(why))),
        ) => Some(of_irreplaceable(pod, why)),
        (Effect::TerminateInstance { claim, .. }, Err(Failure::Provider(error))) => {
            let message = format!("The machine was not deleted: {error}");
            let subject = Subject::Claim(claim.clone());
            Some(warning(subject, "TerminationFailed", "Terminating", message))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use berth_solver::model::{Pod, Unschedulable};
    use berth_solver::testing::*;

    use super::*;

    #[test]
    fn each_thing_is_told_once_and_again_after_five_minutes() {
        let lonely: Pod = pod("lonely", &shape(100, 64).build());
        let mut plan = empty_plan();
        plan.unschedulable = vec![Unschedulable {
            pod: lonely.key.clone(),
            uid: lonely.uid.clone(),
            reason: "no pool allows zone mars".to_owned(),
        }];
        let mut notices = Notices::default();
        let at = Timestamp::from_seconds;
        let first = notices.new_ones(of_plan(&plan), at(0));
        assert_eq!(first.len(), 1);
        assert_eq!((first[0].reason, first[0].severity), ("FailedScheduling", Severity::Warning));
        assert_eq!(first[0].message, "no pool allows zone mars");
        assert_eq!(notices.new_ones(of_plan(&plan), at(299)), []);
        assert_eq!(notices.new_ones(of_plan(&plan), at(300)).len(), 1);
        plan.unschedulable[0].reason = "no pool allows zone moon".to_owned();
        assert_eq!(notices.new_ones(of_plan(&plan), at(301)).len(), 1, "something else");
    }

    #[test]
    fn a_pod_that_makes_no_sense_is_named_with_its_defect() {
        let defect = Some("spec.containers[0].resources.requests.cpu: 1e30 is too large".into());
        let gigantic = Pod { defect, ..pod("gigantic", &shape(100, 64).build()) };
        let told = of_defects(&cluster().pod(gigantic).snapshot());
        assert_eq!(told.len(), 1);
        assert!(told[0].message.contains("requests.cpu: 1e30"), "{}", told[0].message);
    }
}
