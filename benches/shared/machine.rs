//! What a bench runs on.

/// The machine: how many processors, and which.
pub fn machine() -> String {
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.and_then(|line| line.split_once(':')).map_or("", |(_, model)| model.trim());
    let count = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{count} x {model}")
}

/// What is measured, if git knows: the short name of the commit.
pub fn commit() -> Option<String> {
    let asked = ["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "--short", "HEAD"];
    let answer = std::process::Command::new("git").args(asked).output().ok()?;
    let text = String::from_utf8(answer.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
