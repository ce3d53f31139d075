use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;

type Object = (u8, u32);

fn listed(key: u8, value: u32) -> Step<u8, Object> {
    Step::Listed(Arc::new((key, value)))
}

fn told(output: Option<Output<u8, Object>>) -> Option<(Change<u8, Object>, bool)> {
    output.map(|output| (output.change, output.first_list))
}

#[test]
fn nothing_is_told_before_the_list_is_complete() {
    let mut staging = Staging::new();
    for step in [Step::Applied((9, 9)), Step::Deleted(9), Step::Begun, listed(1, 1)] {
        assert_eq!(staging.step(step), None);
    }
    assert!(staging.is_listing() && !staging.is_synced());
    let output = told(staging.step(Step::Completed));
    assert_eq!(output, Some((Change::list([(1, 1)]), true)));
    assert!(!staging.is_listing() && staging.is_synced());
}

#[test]
fn a_list_that_is_begun_anew_forgets_what_came_before() {
    let mut staging = Staging::new();
    for step in [Step::Begun, listed(1, 1), Step::Begun, listed(2, 1)] {
        assert_eq!(staging.step(step), None);
    }
    let output = told(staging.step(Step::Completed));
    assert_eq!(output, Some((Change::list([(2, 1)]), true)));
}

#[test]
fn a_failed_list_is_never_taken_for_a_complete_one() {
    let mut staging = Staging::new();
    for step in [
        Step::Begun,
        listed(1, 1),
        Step::Failed,
        // A stream that goes on as if nothing had happened.
        listed(2, 1),
        Step::Completed,
    ] {
        assert_eq!(staging.step(step), None);
    }
    assert!(!staging.is_synced());
}

#[test]
fn only_the_first_complete_list_is_the_first() {
    let mut staging = Staging::new();
    for first in [true, false, false] {
        assert_eq!(staging.step::<u8>(Step::Begun), None);
        let output = told(staging.step(Step::Completed));
        assert_eq!(output, Some((Change::list([]), first)));
    }
}

#[test]
fn the_old_picture_stays_while_a_new_list_comes_in() {
    let mut staging = Staging::new();
    staging.step::<u8>(Step::Begun);
    staging.step::<u8>(Step::Completed);
    assert_eq!(staging.step::<u8>(Step::Begun), None);
    assert_eq!(staging.step::<u8>(Step::Failed), None);
    let output = told(staging.step(Step::Applied((1, 1))));
    assert_eq!(output, Some((Change::Applied((1, 1)), false)));
}

/// What happens next: on the API server, or between it and us.
#[derive(Clone, Debug)]
enum Happening {
    Put(Object),
    Remove(u8),
    /// A list is begun (a first one, after 410, or for no reason at all).
    Begin,
    /// The next page comes.
    Page(usize),
    /// The list or the watch breaks.
    Break,
    /// Events are delivered, the last of them twice if so.
    Deliver(usize, bool),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0..6_u8, 0..9_u32).prop_map(Happening::Put),
        2 => (0..6_u8).prop_map(Happening::Remove),
        1 => Just(Happening::Begin),
        3 => (0..4_usize).prop_map(Happening::Page),
        1 => Just(Happening::Break),
        3 => (0..4_usize, any::<bool>()).prop_map(|(count, again)| Happening::Deliver(count, again)),
    ]
}

/// An API server, a watcher as kube's behaves, the staging, and the cache behind it.
#[derive(Default)]
struct World {
    server: BTreeMap<u8, u32>,
    /// What the server still has to tell the watcher, since the list was begun.
    events: Vec<Step<u8, Object>>,
    /// What is left of the list, while there is one.
    list: Option<Vec<Object>>,
    staging: Staging<Object>,
    cache: BTreeMap<u8, u32>,
    lists_completed: usize,
}

impl World {
    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::Put((key, value)) => {
                self.server.insert(key, value);
                self.events.push(Step::Applied((key, value)));
            }
            Happening::Remove(key) => {
                if self.server.remove(&key).is_some() {
                    self.events.push(Step::Deleted(key));
                }
            }
            Happening::Begin => {
                self.list = Some(self.server.clone().into_iter().collect());
                self.events.clear();
                self.tell(Step::Begun);
            }
            Happening::Page(size) => self.page(size),
            Happening::Break => {
                self.list = None;
                self.tell(Step::Failed);
            }
            Happening::Deliver(count, again) => self.deliver(count, again),
        }
    }

    fn page(&mut self, size: usize) {
        let Some(mut list) = self.list.take() else { return };
        let rest = list.split_off(size.min(list.len()));
        for object in list {
            self.tell(Step::Listed(Arc::new(object)));
        }
        if rest.is_empty() {
            self.tell(Step::Completed);
        } else {
            self.list = Some(rest);
        }
    }

    fn deliver(&mut self, count: usize, again: bool) {
        if self.list.is_some() || !self.staging.is_synced() {
            return;
        }
        let count = count.min(self.events.len());
        let delivered: Vec<_> = self.events.drain(..count).collect();
        let twice = delivered.last().filter(|_| again).cloned();
        for step in delivered.into_iter().chain(twice) {
            self.tell(step);
        }
    }

    fn tell(&mut self, step: Step<u8, Object>) {
        let Some(output) = self.staging.step(step) else { return };
        assert_eq!(output.first_list, self.lists_completed == 0 && !output.is_event());
        match output.change {
            Change::Applied((key, value)) => {
                self.cache.insert(key, value);
            }
            Change::Deleted(key) => {
                self.cache.remove(&key);
            }
            Change::Replaced(list) => {
                self.cache = list.into_iter().map(Arc::unwrap_or_clone).collect();
                self.lists_completed += 1;
            }
        }
    }
}

impl Output<u8, Object> {
    fn is_event(&self) -> bool {
        !matches!(self.change, Change::Replaced(_))
    }
}

proptest! {
    #[test]
    fn whatever_breaks_no_ghost_survives_the_next_complete_list(
        happenings in prop::collection::vec(happening(), 0..120)
    ) {
        let mut world = World::default();
        for happening in happenings {
            world.happens(happening);
            prop_assert_eq!(world.staging.is_synced(), world.lists_completed > 0);
            if world.lists_completed == 0 {
                prop_assert!(world.cache.is_empty(), "half a picture was told");
            }
        }
        world.happens(Happening::Begin);
        world.happens(Happening::Page(2));
        world.happens(Happening::Break);
        world.happens(Happening::Put((1, 77)));
        world.happens(Happening::Begin);
        world.happens(Happening::Page(usize::MAX));
        prop_assert_eq!(&world.cache, &world.server);
        world.happens(Happening::Remove(1));
        world.happens(Happening::Deliver(usize::MAX, true));
        prop_assert_eq!(&world.cache, &world.server);
    }
}
