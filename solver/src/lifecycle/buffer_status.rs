use serde::{Deserialize, Serialize};

use crate::model::{Buffer, Headroom, Name, PodKey, Target};

/// What a CapacityBuffer's status says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BufferStatus {
    /// The buffer.
    pub buffer: PodKey,
    /// Its UID.
    pub uid: Name,
    /// How many places it asks for.
    pub replicas: u32,
    /// The PodTemplate that these are for, and its generation.
    pub template: Option<(Name, i64)>,
    /// `ReadyForProvisioning`: whether it is known how much room that is.
    pub ready: Verdict,
    /// `Provisioning`: whether the room is there. `None`: no plan has looked yet.
    pub provisioning: Option<Verdict>,
}

/// What a condition says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether it holds.
    pub holds: bool,
    /// Why, in one word.
    pub reason: Name,
    /// Why, in a sentence.
    pub message: Name,
}

impl Verdict {
    fn new(holds: bool, reason: &str, message: impl Into<Name>) -> Self {
        Self { holds, reason: reason.into(), message: message.into() }
    }
}

/// What the status of a buffer should say, after the last plan found this room for buffers. The
/// words are Karpenter's.
pub fn buffer_status(buffer: &Buffer, headroom: &[Headroom]) -> BufferStatus {
    let (ready, provisioning) = match &buffer.defect {
        Some(defect) => (
            Verdict::new(false, defect.reason.as_str(), defect.message.clone()),
            Some(Verdict::new(false, "NotReadyForProvisioning", "")),
        ),
        None => (Verdict::new(true, "Resolved", ""), provisioning(buffer, headroom)),
    };
    BufferStatus {
        buffer: buffer.key.clone(),
        uid: buffer.uid.clone(),
        replicas: buffer.replicas,
        template: buffer.template.clone(),
        ready,
        provisioning,
    }
}

fn provisioning(buffer: &Buffer, headroom: &[Headroom]) -> Option<Verdict> {
    if buffer.replicas == 0 {
        return Some(Verdict::new(false, "BufferEmpty", "it asks for no places"));
    }
    let (mut there, mut coming, mut missing, mut why) = (0, 0, 0, "");
    for found in headroom.iter().filter(|found| found.buffer == buffer.key) {
        match &found.target {
            Some(Target::Node(_)) => there += found.places,
            Some(Target::Claim(_)) => coming += found.places,
            None => (missing, why) = (missing + found.places, &found.reason),
        }
    }
    let all = buffer.replicas;
    if there + coming + missing != all {
        // The plan was made for another state of it.
        return None;
    }
    Some(if missing > 0 {
        let message = format!("{missing} of {all} places are nowhere: {why}");
        Verdict::new(false, "Infeasible", message)
    } else if coming > 0 {
        let message = format!("{coming} of {all} places are on nodes to come");
        Verdict::new(false, "RequiresNewCapacity", message)
    } else {
        Verdict::new(true, "FitsExistingCapacity", format!("all {all} places are there"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BufferDefect, BufferDefectReason};
    use crate::testing::{pod, shape};

    fn buffer(replicas: u32) -> Buffer {
        let shape = shape(100, 64).build();
        let spare = pod("spare", &shape);
        Buffer::new(spare.key, spare.uid, shape, replicas)
    }

    fn found(target: Option<Target>, places: u32) -> Headroom {
        let reason = if target.is_none() { "too large".to_owned() } else { String::new() };
        Headroom { buffer: buffer(1).key, target, places, reason }
    }

    #[test]
    fn the_room_is_there_once_every_place_is_on_a_node() {
        let node = || Some(Target::Node("n".into()));
        let claim = || Some(Target::Claim("c".into()));
        let says = |replicas: u32, headroom: &[Headroom]| {
            let verdict = buffer_status(&buffer(replicas), headroom).provisioning?;
            Some((verdict.holds, verdict.reason.to_string(), verdict.message.to_string()))
        };
        let expect = |holds: bool, reason: &str, message: &str| {
            Some((holds, reason.to_owned(), message.to_owned()))
        };
        assert_eq!(says(3, &[]), None, "no plan has looked");
        assert_eq!(says(3, &[found(node(), 2)]), None, "the plan was for fewer");
        assert_eq!(
            says(3, &[found(node(), 3)]),
            expect(true, "FitsExistingCapacity", "all 3 places are there")
        );
        assert_eq!(
            says(3, &[found(node(), 1), found(claim(), 2)]),
            expect(false, "RequiresNewCapacity", "2 of 3 places are on nodes to come")
        );
        assert_eq!(
            says(3, &[found(claim(), 2), found(None, 1)]),
            expect(false, "Infeasible", "1 of 3 places are nowhere: too large")
        );
        assert_eq!(says(0, &[]), expect(false, "BufferEmpty", "it asks for no places"));
    }

    #[test]
    fn a_buffer_with_a_defect_is_not_ready_and_says_why() {
        let reason = BufferDefectReason::PodTemplateNotFound;
        let defect = Some(BufferDefect { reason, message: "there is none".into() });
        let status = buffer_status(&Buffer { defect, ..buffer(0) }, &[]);
        assert_eq!(status.ready, Verdict::new(false, "PodTemplateNotFound", "there is none"));
        let provisioning = status.provisioning.unwrap();
        assert_eq!((provisioning.holds, &*provisioning.reason), (false, "NotReadyForProvisioning"));
        assert_eq!(buffer_status(&buffer(2), &[]).ready, Verdict::new(true, "Resolved", ""));
    }
}
