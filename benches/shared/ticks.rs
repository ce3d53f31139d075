//! What processes take of the processors, as Linux tells it.

/// What a process has taken since it began, in hundredths of a second: its number, or `self`.
pub fn ticks_of(process: &str) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // Behind the name, which may hold blanks: utime and stime are the 12th and 13th.
    let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    numbers(behind, 11, 2).sum()
}

/// Some of the numbers of a line.
pub fn numbers(line: &str, skip: usize, take: usize) -> impl Iterator<Item = u64> {
    line.split_whitespace().skip(skip).take(take).filter_map(|word| word.parse().ok())
}
