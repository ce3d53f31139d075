//! What a bench itself takes, where `/proc` tells.

/// A line of `/proc/self/status`, in bytes.
pub fn memory(line: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let found = status.lines().find_map(|text| text.strip_prefix(line))?;
    let kibibytes: u64 = found.trim_matches([':', '\t', ' ', 'k', 'B']).parse().ok()?;
    Some(kibibytes * 1_024)
}

/// Lets the peak (`VmHWM`) begin anew at what is taken now, where that can be.
pub fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}
