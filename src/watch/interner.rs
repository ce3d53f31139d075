use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use berth_solver::model::{Labels, Name, PodShape};
use parking_lot::Mutex;

/// Lets equal strings, label sets and pod shapes share one copy in memory.
///
/// What nobody else holds any more is swept out whenever a pool has doubled since the last sweep,
/// so that it never holds more than twice what is alive (and a little).
#[derive(Debug, Default)]
pub struct Interner {
    names: Mutex<Pool<Name>>,
    labels: Mutex<Pool<Labels>>,
    shapes: Mutex<Pool<Arc<PodShape>>>,
}

impl Interner {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The shared copy of a text.
    pub fn name(&self, text: &str) -> Name {
        let mut names = self.names.lock();
        if let Some(name) = names.known.get(text) {
            return name.clone();
        }
        names.add(Name::from(text))
    }

    /// The shared copy of a set of labels.
    pub fn labels<K: AsRef<str>, V: AsRef<str>>(
        &self,
        labels: impl IntoIterator<Item = (K, V)>,
    ) -> Labels {
        let labels: Labels = labels
            .into_iter()
            .map(|(key, value)| (self.name(key.as_ref()), self.name(value.as_ref())))
            .collect();
        self.labels.lock().share(labels)
    }

    /// The shared copy of a pod shape.
    pub fn shape(&self, shape: PodShape) -> Arc<PodShape> {
        let mut shapes = self.shapes.lock();
        if let Some(known) = shapes.known.get(&shape) {
            return Arc::clone(known);
        }
        shapes.add(Arc::new(shape))
    }

    /// How many different names, label sets and shapes it holds.
    pub fn sizes(&self) -> [usize; 3] {
        [
            self.names.lock().known.len(),
            self.labels.lock().known.len(),
            self.shapes.lock().known.len(),
        ]
    }
}

/// Whether somebody besides the pool holds it.
trait Shared {
    fn is_shared(&self) -> bool;
}

impl Shared for Name {
    fn is_shared(&self) -> bool {
        Self::is_shared(self)
    }
}

impl Shared for Labels {
    fn is_shared(&self) -> bool {
        Self::is_shared(self)
    }
}

impl Shared for Arc<PodShape> {
    fn is_shared(&self) -> bool {
        Arc::strong_count(self) > 1
    }
}

/// No pool is swept while it is smaller than this.
const SMALLEST_SWEEP: usize = 1_024;

#[derive(Debug)]
struct Pool<T> {
    known: HashSet<T>,
    sweep_at: usize,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { known: HashSet::new(), sweep_at: SMALLEST_SWEEP }
    }
}

impl<T: Clone + Eq + Hash + Shared> Pool<T> {
    fn share(&mut self, value: T) -> T {
        match self.known.get(&value) {
            Some(known) => known.clone(),
            None => self.add(value),
        }
    }

    fn add(&mut self, value: T) -> T {
        if self.known.len() >= self.sweep_at {
            self.known.retain(Shared::is_shared);
            self.known.shrink_to(self.known.len() * 2);
            self.sweep_at = (self.known.len() * 2).max(SMALLEST_SWEEP);
        }
        self.known.insert(value.clone());
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_one_copy() {
        let interner = Interner::new();
        let first = interner.name("zone-a");
        assert_eq!(first.as_str().as_ptr(), interner.name("zone-a").as_str().as_ptr());
        let one = interner.labels([("a", "1"), ("b", "2")]);
        let two = interner.labels([("b", "2"), ("a", "1")]);
        assert_eq!(one.iter().as_slice().as_ptr(), two.iter().as_slice().as_ptr());
    }

    #[test]
    fn what_is_not_used_any_more_is_swept_out() {
        let interner = Interner::new();
        let kept = interner.name("kept");
        for index in 0..100_000 {
            interner.name(&format!("name-{index}"));
        }
        assert!(interner.sizes()[0] <= SMALLEST_SWEEP, "{:?}", interner.sizes());
        assert_eq!(kept.as_str().as_ptr(), interner.name("kept").as_str().as_ptr());
    }

    #[test]
    fn what_is_used_stays_shared_through_sweeps() {
        let interner = Interner::new();
        let kept: Vec<Name> =
            (0..5_000).map(|index| interner.name(&format!("name-{index}"))).collect();
        for (index, name) in kept.iter().enumerate() {
            let again = interner.name(&format!("name-{index}"));
            assert_eq!(name.as_str().as_ptr(), again.as_str().as_ptr());
        }
    }
}
