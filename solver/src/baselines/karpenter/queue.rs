//! The pods in the order in which Karpenter takes them.

use std::collections::VecDeque;

use crate::baselines::outcome::Member;
use crate::baselines::world::World;

/// Pods by CPU, then memory (the largest first), creation and UID; priority does not matter.
///
/// A pod that found no place comes back at the end, for as long as the queue shrinks in between:
/// a pod that meets the queue as long as it left it ends the round.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<(Member, usize)>,
}

impl Queue {
    /// All pods that wait.
    pub fn of(world: &World<'_>) -> Self {
        let mut members: Vec<Member> = Vec::new();
        for (group, data) in world.groups.iter().enumerate() {
            members.extend(data.pods.iter().map(|pod| Member { group, pod: pod.clone() }));
        }
        members.sort_by(|left, right| {
            let size = |one: &Member| (one.pod.shape.requests.cpu, one.pod.shape.requests.memory);
            size(right)
                .cmp(&size(left))
                .then_with(|| left.pod.created.cmp(&right.pod.created))
                .then_with(|| left.pod.uid.cmp(&right.pod.uid))
        });
        Self { waiting: members.into_iter().map(|member| (member, 0)).collect() }
    }

    /// The next pod; none when nothing was placed since it was last tried.
    pub fn pop(&mut self) -> Option<Member> {
        let length = self.waiting.len();
        if self.waiting.front()?.1 == length {
            return None;
        }
        self.waiting.pop_front().map(|(member, _)| member)
    }

    /// Puts a pod that found no place back.
    pub fn push(&mut self, member: Member) {
        let length = self.waiting.len() + 1;
        self.waiting.push_back((member, length));
    }

    /// Those that never found one.
    pub fn rest(self) -> impl Iterator<Item = Member> {
        self.waiting.into_iter().map(|(member, _)| member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baselines::world::Kind;
    use crate::model::{Pod, Snapshot, Timestamp};
    use crate::packing::Settings;
    use crate::testing::{cluster, pod, shape};

    fn queue(snapshot: &Snapshot) -> Queue {
        let world = World::new(snapshot, &Settings::default(), |shape| vec![Kind::actual(shape)]);
        Queue::of(&world)
    }

    #[test]
    fn the_most_cpu_comes_first_then_memory_then_age_then_uid() {
        let (wide, tall) = (shape(2_000, 100).build(), shape(1_000, 9_000).build());
        let small = shape(1_000, 100).priority(1_000).build();
        let young = Pod { created: Timestamp::from_seconds(9), ..pod("a-young", &small) };
        let pods = [young, pod("b", &small), pod("a", &small), pod("tall", &tall)];
        let snapshot = cluster().pods(pods).pod(pod("wide", &wide)).snapshot();
        let names: Vec<String> =
            queue(&snapshot).rest().map(|one| one.pod.key.name.to_string()).collect();
        assert_eq!(names, ["wide", "tall", "a", "b", "a-young"]);
    }

    #[test]
    fn pods_are_tried_again_while_the_queue_shrinks() {
        let (one, two) = (pod("one", &shape(300, 1).build()), pod("two", &shape(200, 1).build()));
        let snapshot = cluster().pods([one, two, pod("three", &shape(100, 1).build())]).snapshot();
        let mut queue = queue(&snapshot);
        let mut tried = Vec::new();
        // "three" finds a place, the others never do.
        while let Some(member) = queue.pop() {
            tried.push(member.pod.key.name.to_string());
            if member.pod.key.name != "three" {
                queue.push(member);
            }
        }
        assert_eq!(tried, ["one", "two", "three", "one", "two"]);
        assert_eq!(queue.rest().count(), 2);
    }
}
