use berth_solver::lifecycle::{Refused, Write, consequences};

use super::{ApiError, Cluster};

impl Cluster {
    /// Does what the autoscaler writes.
    ///
    /// # Errors
    /// [`Refused`], as an API server would.
    pub fn write(&mut self, write: &Write) -> Result<(), Refused> {
        let done = match write {
            Write::EvictPod { pod, .. } => self.evict(&pod.key, Some(&pod.uid)),
            Write::DeletePod { pod, .. } => self.delete_pod(&pod.key, Some(&pod.uid)),
            _ => {
                let uid = self.new_uid("claim");
                for event in consequences(self.objects(), write, &uid, self.now)? {
                    self.emit(event);
                }
                Ok(())
            }
        };
        done.map_err(|error| match error {
            ApiError::NotFound { .. } => Refused::NotFound,
            ApiError::AlreadyExists { .. } | ApiError::Conflict { .. } => Refused::Conflict,
            ApiError::TooManyRequests { .. } => Refused::Blocked,
        })
    }
}
