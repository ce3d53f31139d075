//! Virtual machines of Azure (AzurePublicDatasetV1, as processed for trace generation).
//!
//! Four files: the arrivals (`v1.dev.txt`; lines of a time and flavours, `|` closes a batch of
//! one tenant), and beside it the lifetimes (`v1.dev.c2100000.txt`: for each word of the arrivals
//! `U` and a class for a machine that ended, `C` and a class for one that was still there at
//! second 2100000), what the classes are (`v1.interval_map.txt`: seconds and class) and what the
//! flavours are (`flav_map.txt`: CPUs, GiB and flavour).
//!
//! Time 0 is that of the first line. A batch is a workload. A class that holds one number is that
//! lifetime; within the others every second is equally likely, as long as the machine ends before
//! the observation does. Class 0 (gone by the next look) is 1 to 299 seconds. Draws follow from
//! the seed and the machine's name alone.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use berth_solver::model::{Name, Timestamp};

use super::input::{self, Lines};
use super::{TraceError, TraceRecord, TraceShape};
use crate::random::Seed;

/// The dataset's clock ticks so often.
const TICK: i64 = 300;
const CLOSES_BATCH: &str = "|";

/// Whether a line is one of arrivals.
pub(super) fn is_first_line(line: &str) -> bool {
    line.split_once(' ').is_some_and(|(time, words)| {
        !time.is_empty()
            && time.bytes().all(|letter| letter.is_ascii_digit())
            && words.contains(CLOSES_BATCH)
    })
}

/// Reads arrivals and lifetimes side by side.
pub struct Reader {
    arrivals: Lines,
    lifetimes: Lines,
    flavours: BTreeMap<String, TraceShape>,
    /// The shortest and the longest lifetime of each class, in seconds.
    classes: BTreeMap<u32, (i64, i64)>,
    seed: Seed,
    /// The second until which machines were observed.
    observed_until: i64,
    /// The time of the first line.
    start: Option<i64>,
    last: i64,
    batches: u64,
    /// Records of the line that was read last.
    waiting: VecDeque<TraceRecord>,
    over: bool,
}

impl Reader {
    /// Opens the arrivals, and what belongs to them beside them.
    ///
    /// # Errors
    /// When a file is missing, cannot be read, or a map makes no sense.
    pub fn open(path: &Path, seed: u64) -> Result<Self, TraceError> {
        let (lifetimes, observed_until) = lifetimes_of(path)?;
        let classes = classes(&classes_of(path))?;
        Ok(Self {
            arrivals: Lines::open(path)?,
            lifetimes: Lines::open(&lifetimes)?,
            flavours: flavours(&flavours_of(path))?,
            classes,
            seed: Seed(seed),
            observed_until,
            start: None,
            last: i64::MIN,
            batches: 0,
            waiting: VecDeque::new(),
            over: false,
        })
    }

    /// Reads a line of each file. Returns whether there was one.
    fn read_line(&mut self) -> Result<bool, TraceError> {
        let Some((time, words)) = timed_words(&mut self.arrivals)? else {
            return match timed_words(&mut self.lifetimes)? {
                None => Ok(false),
                Some(_) => Err(unequal(&self.lifetimes, "has a line more than the arrivals")),
            };
        };
        let Some((same_time, lifetimes)) = timed_words(&mut self.lifetimes)? else {
            return Err(unequal(&self.lifetimes, "has fewer lines than the arrivals"));
        };
        if time <= self.last || time > self.observed_until {
            let problem = format!(
                "{time} is not its time: expected more than in the line before and at most {}",
                self.observed_until
            );
            return Err(self.refuse(1, problem));
        }
        if same_time != time || lifetimes.len() != words.len() {
            let problem = format!(
                "begins with {same_time} and has {} words: expected {time} and {}, as in the \
                 arrivals",
                lifetimes.len(),
                words.len()
            );
            return Err(unequal(&self.lifetimes, &problem));
        }
        self.last = time;
        self.take(time, &words, &lifetimes)?;
        Ok(true)
    }

    fn take(
        &mut self,
        time: i64,
        words: &[String],
        lifetimes: &[String],
    ) -> Result<(), TraceError> {
        let start = *self.start.get_or_insert(time);
        let namespace = Name::from("default");
        let batch = |number: u64| Name::from(format!("batch-{number}"));
        let (mut workload, mut machines) = (batch(self.batches), 0_u64);
        for (index, (word, lifetime)) in words.iter().zip(lifetimes).enumerate() {
            // The time is the first word of the line.
            let position = index + 2;
            let closes = word == CLOSES_BATCH;
            if closes != (lifetime == CLOSES_BATCH) {
                let problem = format!("{lifetime:?} stands beside {word:?}: expected '|' in both");
                return Err(unequal(&self.lifetimes, &problem));
            }
            if closes {
                self.batches += 1;
                (workload, machines) = (batch(self.batches), 0);
                continue;
            }
            let Some(shape) = self.flavours.get(word) else {
                let problem = format!("{word:?} is no flavour: expected one of flav_map.txt");
                return Err(self.refuse(position, problem));
            };
            let name = format!("{workload}-{machines}");
            let lives = self.lifetime(&name, time, lifetime, position)?;
            let at = |second: i64| Timestamp::from_seconds(second - start);
            self.waiting.push_back(TraceRecord {
                namespace: namespace.clone(),
                name: Name::from(name),
                workload: workload.clone(),
                submit: at(time),
                start: None,
                end: lives.map(|lives| at(time + lives)),
                shape: shape.clone(),
            });
            machines += 1;
        }
        if words.last().is_some_and(|word| word != CLOSES_BATCH) {
            return Err(self.refuse(
                words.len() + 1,
                "the last batch is open: expected '|' at the end".to_owned(),
            ));
        }
        Ok(())
    }

    /// How many seconds a machine lived; `None`: longer than it was observed.
    fn lifetime(
        &self,
        name: &str,
        time: i64,
        word: &str,
        position: usize,
    ) -> Result<Option<i64>, TraceError> {
        let refuse = |problem: &str| {
            let column = position.to_string();
            let problem = format!("{word:?} {problem}");
            let Lines { file, number, .. } = &self.lifetimes;
            TraceError::at(file, *number, Some(&column), problem)
        };
        let class = |number: &str| self.classes.get(&number.parse().ok()?).copied();
        let known = word.get(1..).and_then(class);
        let Some((shortest, longest)) = known else {
            return Err(refuse("is no lifetime: expected U or C and a class of the interval map"));
        };
        if word.starts_with('C') {
            return Ok(None);
        }
        let longest = longest.min(self.observed_until - time);
        if !word.starts_with('U') || shortest > longest {
            return Err(refuse("is no lifetime: expected U (ended while observed) or C (did not)"));
        }
        let choices = usize::try_from(longest - shortest + 1).unwrap_or(1);
        let drawn = self.seed.stream_of(&["azure-v1/", name]).below(choices);
        Ok(Some(shortest + i64::try_from(drawn).unwrap_or(0)))
    }

    fn refuse(&self, word: usize, problem: String) -> TraceError {
        let Lines { file, number, .. } = &self.arrivals;
        TraceError::at(file, *number, Some(&word.to_string()), problem)
    }
}

impl Iterator for Reader {
    type Item = Result<TraceRecord, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.waiting.pop_front() {
                return Some(Ok(record));
            }
            if self.over {
                return None;
            }
            match self.read_line() {
                Ok(more) => self.over = !more,
                Err(error) => {
                    self.over = true;
                    self.waiting.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}

fn unequal(lines: &Lines, problem: &str) -> TraceError {
    TraceError::at(&lines.file, lines.number, None, problem.to_owned())
}

/// The time and the words of the next line; `None` at the end.
fn timed_words(lines: &mut Lines) -> Result<Option<(i64, Vec<String>)>, TraceError> {
    let (file, number) = (lines.file.clone(), lines.number + 1);
    let Some(line) = lines.next_line()? else { return Ok(None) };
    let parsed = line.split_once(' ').and_then(|(time, words)| {
        let time: i64 = time.parse().ok().filter(|time| (0..=1 << 40).contains(time))?;
        Some((time, words.trim_end().trim_end_matches(',').split(',').map(str::to_owned).collect()))
    });
    let refuse = || {
        let problem = "is not understood: expected a time in seconds, a blank and words with \
                       commas between them";
        TraceError::at(&file, number, None, problem.to_owned())
    };
    parsed.map(Some).ok_or_else(refuse)
}

/// The file's name without `.zst` and `.txt`.
fn stem(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.trim_end_matches(".zst").trim_end_matches(".txt").to_owned()
}

/// The arrivals, and the files beside them.
pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>, TraceError> {
    Ok(vec![path.to_owned(), lifetimes_of(path)?.0, classes_of(path), flavours_of(path)])
}

fn classes_of(path: &Path) -> PathBuf {
    let stem = stem(path);
    let dataset = stem.split('.').next().unwrap_or_default();
    path.with_file_name(format!("{dataset}.interval_map.txt"))
}

fn flavours_of(path: &Path) -> PathBuf {
    path.with_file_name("flav_map.txt")
}

/// The file of lifetimes beside the arrivals, and the second that its name says.
fn lifetimes_of(path: &Path) -> Result<(PathBuf, i64), TraceError> {
    let file = input::name_of(path);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let prefix = format!("{}.c", stem(path));
    let listing =
        std::fs::read_dir(folder).map_err(|error| TraceError::unreadable(&file, &error))?;
    let mut found: Vec<(PathBuf, i64)> = listing
        .filter_map(|entry| {
            let other = entry.ok()?.path();
            let second = stem(&other).strip_prefix(&prefix)?.parse::<i64>().ok()?;
            Some((other, second))
        })
        .collect();
    found.sort_unstable();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        others => Err(TraceError {
            file,
            line: None,
            column: None,
            problem: format!(
                "there are {} files of lifetimes beside it: expected one, {prefix}SECOND.txt",
                others.len()
            ),
        }),
    }
}

/// Seconds and class a line: the span of each class.
fn classes(path: &Path) -> Result<BTreeMap<u32, (i64, i64)>, TraceError> {
    let mut spans: BTreeMap<u32, (i64, i64)> = BTreeMap::new();
    let mut lines = Lines::open(path)?;
    while let Some(line) = lines.next_line()? {
        let pair = line.split_once(' ').and_then(|(seconds, class)| {
            let seconds: i64 =
                seconds.parse().ok().filter(|seconds| (0..=1 << 40).contains(seconds))?;
            Some((seconds, class.trim().parse::<u32>().ok()?))
        });
        let Some((seconds, class)) = pair else {
            return Err(unequal(
                &lines,
                "is not understood: expected seconds, a blank and a class",
            ));
        };
        let span = spans.entry(class).or_insert((seconds, seconds));
        *span = (span.0.min(seconds), span.1.max(seconds));
    }
    for (shortest, longest) in spans.values_mut() {
        if *longest == 0 {
            (*shortest, *longest) = (1, TICK - 1);
        } else if shortest != longest {
            // The ticks of a class stand for the seconds since the tick before.
            *shortest -= TICK - 1;
        }
    }
    Ok(spans)
}

/// CPUs, GiB and flavour a line.
fn flavours(path: &Path) -> Result<BTreeMap<String, TraceShape>, TraceError> {
    let mut flavours = BTreeMap::new();
    let mut lines = Lines::open(path)?;
    while let Some(line) = lines.next_line()? {
        let parsed = line.split_once(' ').and_then(|(sizes, flavour)| {
            let (cpus, gib) = sizes.split_once(',')?;
            let shape = TraceShape {
                cpu_milli: thousandths(cpus)?,
                memory_mib: thousandths(gib)?.checked_mul(1_024)?.checked_div(1_000)?,
                ..TraceShape::default()
            };
            Some((flavour.trim().to_owned(), shape))
        });
        let Some((flavour, shape)) = parsed else {
            return Err(unequal(
                &lines,
                "is not understood: expected CPUs,GiB, a blank and a flavour",
            ));
        };
        if flavours.insert(flavour.clone(), shape).is_some() {
            return Err(unequal(
                &lines,
                &format!("{flavour:?} is there already: expected it once"),
            ));
        }
    }
    Ok(flavours)
}

/// A decimal number from 0.001 to a million, in thousandths.
fn thousandths(text: &str) -> Option<i64> {
    let number: f64 = text.parse().ok().filter(|number| (0.001..=1e6).contains(number))?;
    #[expect(clippy::cast_possible_truncation, reason = "within the bounds above")]
    Some((number * 1_000.0).round() as i64)
}
