//! Which anti-affinity group an instance joins: each holds eight.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::exoscale::{ApiError, Client};

/// How many instances an anti-affinity group may have.
pub const GROUP_LIMIT: usize = 8;

/// Places in groups that instances on their way have taken, by group and claim UID, until the cloud
/// counts them itself.
#[derive(Debug, Default)]
pub struct Places(Mutex<BTreeMap<String, Vec<String>>>);

/// A place that was taken; given back when dropped.
#[derive(Debug)]
pub struct Place<'a> {
    places: &'a Places,
    /// The group.
    pub group: String,
    claim_uid: String,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(taken) = self.places.0.lock().get_mut(&self.group) {
            taken.retain(|uid| *uid != self.claim_uid);
        }
    }
}

impl Places {
    /// Takes a place in the group with the most room, of those that were equal in the first one;
    /// `None` if all are full. `members` are the groups with the number of their instances.
    fn take(&self, members: &[(String, usize)], claim_uid: &str) -> Option<Place<'_>> {
        let mut places = self.0.lock();
        let taken = |group: &str| places.get(group).map_or(0, Vec::len);
        let used = members.iter().map(|(group, count)| (count + taken(group), group));
        let (used, group) = used.min_by_key(|(used, _)| *used)?;
        if used >= GROUP_LIMIT {
            return None;
        }
        places.entry(group.clone()).or_default().push(claim_uid.to_owned());
        Some(Place { places: self, group: group.clone(), claim_uid: claim_uid.to_owned() })
    }

    /// Takes a place for a claim's instance in one of these groups; `None` if all are full.
    ///
    /// # Errors
    /// If a group cannot be read.
    pub async fn choose(
        &self,
        client: &Client,
        groups: &[String],
        claim_uid: &str,
    ) -> Result<Option<Place<'_>>, ApiError> {
        let mut members = Vec::with_capacity(groups.len());
        for id in groups {
            let group = client.anti_affinity_group(id).await?;
            members.push((group.id, group.instances.len()));
        }
        Ok(self.take(&members, claim_uid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_with_the_most_room_is_chosen_and_none_ever_holds_more_than_eight() {
        let places = Places::default();
        let members = [("full".to_owned(), 8), ("a".to_owned(), 6), ("b".to_owned(), 5)];
        let chosen: Vec<Option<Place<'_>>> =
            (0..7).map(|index| places.take(&members, &index.to_string())).collect();
        let names: Vec<_> =
            chosen.iter().map(|one| one.as_ref().map(|one| one.group.as_str())).collect();
        assert_eq!(names, [Some("b"), Some("a"), Some("b"), Some("a"), Some("b"), None, None]);
        drop(chosen);
        assert_eq!(places.take(&members, "again").unwrap().group, "b", "places are given back");
    }
}
