//! Files that are no good as files: too long, cut off, damaged, or unfolding without end. None may
//! fill the memory.

use std::fs::File;
use std::io::Write as _;

use nix::sys::resource::{UsageWho, getrusage};

use crate::{Folder, HEADER, hour};

/// A Zstandard frame by hand (RFC 8878): a window of 128 KiB, no length, no checksum.
struct Frame(Vec<u8>);

impl Frame {
    const LARGEST_BLOCK: u32 = 128 << 10;

    fn begin() -> Self {
        Self(vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 7 << 3])
    }

    fn block(&mut self, kind: u32, length: u32, last: bool) {
        let header = u32::from(last) | kind << 1 | length << 3;
        self.0.extend_from_slice(&header.to_le_bytes()[..3]);
    }

    /// Bytes as they are.
    fn raw(mut self, bytes: &[u8], last: bool) -> Self {
        self.block(0, u32::try_from(bytes.len()).unwrap(), last);
        self.0.extend_from_slice(bytes);
        self
    }

    /// One byte, again and again: four bytes stand for 128 KiB.
    fn repeated(mut self, byte: u8, blocks: u32) -> Self {
        for _ in 0..blocks {
            self.block(1, Self::LARGEST_BLOCK, false);
            self.0.push(byte);
        }
        self
    }
}

/// The line on standard error of a run that refuses its trace; none ever took much memory.
fn refused(folder: &Folder, command: &[&str]) -> String {
    let run = match command {
        [] => folder.run(&["--trace", "trace"]),
        arguments => folder.command("trace", arguments),
    };
    assert_eq!(run.status, Some(2), "{}{}", run.output, run.error);
    assert_eq!(run.error.lines().count(), 1, "{}", run.error);
    // Of all that this test binary has run so far, in KiB.
    let most = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss();
    assert!(most < 400 << 10, "{most} KiB");
    run.error
}

fn with_trace(bytes: &[u8]) -> Folder {
    Folder::with(&[("trace", bytes)])
}

#[test]
fn a_gigabyte_on_one_line_is_refused() {
    for (start, line) in [(format!("{HEADER}\na,w,0"), 2), (String::new(), 1)] {
        let folder = with_trace(start.as_bytes());
        // A hole: it takes no room on the disk.
        let file = File::options().write(true).open(folder.0.path().join("trace")).unwrap();
        file.set_len(1 << 30).unwrap();
        for command in [&[][..], &["describe", "trace"], &["convert", "trace", "out.csv"]] {
            let error = refused(&folder, command);
            let expected = format!("trace: line {line}: is longer than 1 MiB");
            assert!(error.contains(&expected), "{error}");
        }
    }
}

#[test]
fn what_unfolds_without_end_is_refused() {
    let header = format!("{HEADER}\n");
    // Sixteen gigabytes each: of one line, and of empty ones.
    for byte in *b"x\n" {
        let bomb = Frame::begin().raw(header.as_bytes(), false).repeated(byte, 131_072);
        assert!(bomb.0.len() < 600_000);
        let error = refused(&with_trace(&bomb.0), &[]);
        assert!(error.contains("trace: line ") && error.contains("longer than 1 MiB"), "{error}");
    }
    // A window of a terabyte.
    let window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 30 << 3, 0, 0, 0];
    let error = refused(&with_trace(&window), &[]);
    assert!(error.contains("trace: cannot be read"), "{error}");
}

#[test]
fn what_is_cut_off_or_damaged_is_refused_and_what_is_whole_is_not() {
    let text = hour();
    let (first, second) = text.as_bytes().split_at(text.len() / 2);
    let whole = Frame::begin().raw(first, false).raw(second, true).0;
    assert_eq!(with_trace(&whole).run(&["--trace", "trace"]).status, Some(0));
    for length in [3, 5, 8, first.len(), whole.len() - 1] {
        let error =
            refused(&with_trace(&whole[..length]), &["describe", "trace", "--format", "csv"]);
        assert!(error.contains("trace: "), "{length}: {error}");
    }
    let mut damaged = whole.clone();
    // No such kind of block.
    damaged[6] |= 0b110;
    let error = refused(&with_trace(&damaged), &[]);
    assert!(error.contains("trace: cannot be read"), "{error}");
}

#[test]
fn a_byte_order_mark_and_carriage_returns_change_nothing() {
    let plain = with_trace(hour().as_bytes()).run(&["--trace", "trace", "--output", "json"]);
    let dressed = format!("\u{feff}{}", hour().replace('\n', "\r\n"));
    let dressed = with_trace(dressed.as_bytes()).run(&["--trace", "trace", "--output", "json"]);
    assert_eq!((plain.status, dressed.status), (Some(0), Some(0)), "{}", dressed.error);
    let without_wall = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.contains("wallSeconds")).map(str::to_owned).collect()
    };
    assert_eq!(without_wall(&plain.output), without_wall(&dressed.output));
    // A mistake further on is on the line that an editor shows.
    let late = format!("\u{feff}{HEADER}\r\na,w,0,,1,1\r\nb,w,NaN,,1,1\r\n");
    let error = refused(&with_trace(late.as_bytes()), &[]);
    assert!(error.contains("trace: line 3, column submit_s: \"NaN\" is no time"), "{error}");
}

#[test]
fn rows_and_columns_that_are_not_right_are_refused_with_their_place() {
    for (text, expected) in [
        ("name,workload,submit_s\na,w,0\n".to_owned(), "line 1: "),
        (
            format!("{HEADER}\na,w,0,,1,1\na,w,0,,1,1\n"),
            "line 3, column name: default/a is there already",
        ),
        (format!("{HEADER}\na,w,0,-1,1,1\n"), "line 2, column end_s: -1 is before submit_s or 0"),
        (format!("{HEADER}\na,w,0,,-1,1\n"), "line 2, column cpu_milli: \"-1\" is no amount"),
        (format!("{HEADER}\na,w,0,,1\n"), "line 2: has 5 cells: expected 6"),
        (format!("{HEADER}\na,w,0,,1,1\n\u{0}\n"), "line 3: has 1 cells: expected 6"),
    ] {
        let error = refused(&with_trace(text.as_bytes()), &[]);
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    let latin = [HEADER.as_bytes(), b"\na,caf\xe9,0,,1,1\n"].concat();
    let error = refused(&with_trace(&latin), &[]);
    assert!(error.contains("line 2: is not UTF-8"), "{error}");
}

#[test]
fn a_simkube_trace_that_is_cut_off_is_refused_at_its_byte() {
    // {"version": 2, "events": [
    let start = b"\x82\xa7version\x02\xa6events\x91";
    let error = refused(&with_trace(start), &[]);
    assert!(error.contains("trace: at byte 18: is cut off"), "{error}");
    let mut endless = start.to_vec();
    // {"x": a text that says to have 4 GiB, and has one of nothing.
    endless.extend_from_slice(b"\x81\xa1x\xdb\xff\xff\xff\xff");
    let folder = with_trace(&endless);
    let mut file = File::options().append(true).open(folder.0.path().join("trace")).unwrap();
    file.flush().unwrap();
    file.set_len(1 << 30).unwrap();
    let error = refused(&folder, &[]);
    assert!(error.contains("a part has over 64 MiB"), "{error}");
}
