use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// Nothing is done; this status and message are answered.
    Refuse {
        /// The status.
        status: u16,
        /// What is said.
        message: String,
    },
    /// Nothing is done; 429 with `Retry-After`, in seconds.
    Throttle(u64),
    /// Nothing is done, and the connection is closed without an answer.
    Drop,
    /// Nothing is done, and no answer ever comes.
    Ignore,
    /// It is done, and the connection is closed without an answer.
    LoseReply,
    /// It is done, and no answer ever comes.
    Hang,
    /// It is done, and this status is answered all the same.
    FailAfter(u16),
    /// It is done; the answer lacks this field, or has none of its items if it is a list.
    Missing(Cow<'static, str>),
    /// It is done after so long, in the machine's own time.
    Late(Duration),
    /// The operation that it begins fails: what was begun is undone.
    OperationFails {
        /// One of the API's reasons.
        reason: Cow<'static, str>,
        /// What is said.
        message: String,
    },
    /// The operation that it begins stays pending for ever, and so does what was begun.
    OperationStuck,
}

impl Fault {
    /// Nothing is done; this status and message are answered.
    pub fn refuse(status: u16, message: &str) -> Self {
        Self::Refuse { status, message: message.to_owned() }
    }

    /// The operation fails for lack of capacity.
    pub fn no_capacity() -> Self {
        let message = "Insufficient capacity in zone".to_owned();
        Self::OperationFails { reason: "unavailable".into(), message }
    }

    /// Whether the call itself is carried out.
    pub(crate) const fn is_done(&self) -> bool {
        !matches!(self, Self::Refuse { .. } | Self::Throttle(_) | Self::Drop | Self::Ignore)
    }
}

/// Faults that wait for their calls.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Waiting>);

#[derive(Debug)]
struct Waiting {
    operation: String,
    /// How many calls are left alone first.
    skip: usize,
    times: usize,
    fault: Fault,
}

impl Faults {
    /// After `skip` calls of an operation that are left alone, `times` meet a fault.
    pub(crate) fn add(&mut self, operation: &str, skip: usize, times: usize, fault: Fault) {
        if times > 0 {
            self.0.push(Waiting { operation: operation.to_owned(), skip, times, fault });
        }
    }

    /// Takes the fault of a call, if it is to have one. `*` stands for every operation.
    pub(crate) fn take(&mut self, operation: &str) -> Option<Fault> {
        let is_meant = |one: &Waiting| one.operation == operation || one.operation == "*";
        let position = self.0.iter().position(is_meant)?;
        let waiting = &mut self.0[position];
        if waiting.skip > 0 {
            waiting.skip -= 1;
            return None;
        }
        let fault = waiting.fault.clone();
        waiting.times -= 1;
        if waiting.times == 0 {
            self.0.remove(position);
        }
        Some(fault)
    }

    /// How many calls are to meet one.
    pub(crate) fn left(&self) -> usize {
        self.0.iter().map(|one| one.times).sum()
    }

    /// No more of them.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
