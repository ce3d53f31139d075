//! Work that may take its time, done where it holds up nobody who waits for an answer.
//!
//! Planning takes a processor for as long as it is given. On a small machine it shares that
//! processor with the webhook, for which kube-scheduler waits. So it runs on a thread of a lower
//! priority: it gets what answers leave.

/// How much less urgent than the rest of the process: the nice value that `nice` adds by default.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;
/// The highest nice value there is.
#[cfg(target_os = "linux")]
const LEAST_URGENT: i32 = 19;

/// Does the work on a thread of its own that gives way to others, and waits for it. To be called
/// where waiting is allowed (`spawn_blocking`), for the thread's priority cannot be raised again.
///
/// # Panics
///
/// As the work does, and if the system grants no thread.
pub fn run<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let worked = std::thread::scope(|scope| {
        let giving_way = || {
            give_way();
            work()
        };
        scope.spawn(giving_way).join()
    });
    worked.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Lowers the priority of the calling thread for good, on Linux: there it is threads that have one,
/// elsewhere whole processes.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        let lowered = getpriority_process(None)
            .and_then(|now| setpriority_process(None, (now + NICE).min(LEAST_URGENT)));
        if let Err(error) = lowered {
            tracing::debug!(%error, "the planning thread keeps its priority");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_work_gives_way_and_its_caller_does_not() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let before = priority();
        assert_eq!(run(priority), (before + NICE).min(LEAST_URGENT));
        assert_eq!(priority(), before);
    }

    #[test]
    fn a_panic_reaches_who_waits() {
        let panic = std::panic::catch_unwind(|| run(|| panic!("broke down"))).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"broke down"));
    }
}
