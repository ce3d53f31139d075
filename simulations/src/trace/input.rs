//! Files as they are read: decompressed, and never more of them in memory than is sound.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::TraceError;

/// A line that is longer is not one of a trace.
pub(super) const LONGEST_LINE: usize = 1 << 20;
/// A decompressor may look back so far: what `zstd --ultra -22` needs.
const LARGEST_WINDOW: u64 = 128 << 20;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const ZSTANDARD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Frames without content, which other tools put in: any number in the first half byte.
const SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];

/// What a file is called in errors.
pub(super) fn name_of(path: &Path) -> String {
    path.display().to_string()
}

/// Opens a file, decompresses it if it is compressed, and skips a byte order mark.
pub(super) fn open(path: &Path) -> Result<Box<dyn BufRead + Send>, TraceError> {
    let file = File::open(path).map_err(|error| TraceError::unreadable(&name_of(path), &error))?;
    plain(BufReader::new(file)).map_err(|error| TraceError::unreadable(&name_of(path), &error))
}

/// The text of what may be compressed.
pub(super) fn plain(
    mut input: impl BufRead + Send + 'static,
) -> io::Result<Box<dyn BufRead + Send>> {
    let start = input.fill_buf()?;
    let compressed = start.starts_with(&ZSTANDARD)
        || (start.len() >= 4 && start[0] & 0xf0 == 0x50 && start[1..4] == SKIPPABLE);
    let mut text: Box<dyn BufRead + Send> = if compressed {
        Box::new(BufReader::new(Decompressed::new(input)))
    } else {
        Box::new(input)
    };
    if text.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
        text.consume(BYTE_ORDER_MARK.len());
    }
    Ok(text)
}

/// The content of all frames of a Zstandard file, one after the other.
struct Decompressed<R> {
    source: R,
    decoder: FrameDecoder,
    /// Whether a frame has begun and not ended.
    within: bool,
    /// After an error there is nothing more.
    broken: bool,
}

impl<R: BufRead> Decompressed<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(LARGEST_WINDOW);
        Self { source, decoder, within: false, broken: false }
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.within {
                if self.source.fill_buf()?.is_empty() {
                    return Ok(0);
                }
                self.begin_frame()?;
                continue;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.source, one).map_err(io::Error::other)?;
            }
            let count = self.decoder.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            self.end_frame()?;
        }
    }

    fn begin_frame(&mut self) -> io::Result<()> {
        match self.decoder.init(&mut self.source) {
            Ok(()) => self.within = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                let mut skipped = (&mut self.source).take(u64::from(length));
                io::copy(&mut skipped, &mut io::sink())?;
            }
            Err(error) => return Err(io::Error::other(error)),
        }
        Ok(())
    }

    fn end_frame(&mut self) -> io::Result<()> {
        self.within = false;
        let said = self.decoder.get_checksum_from_data();
        if said.is_some() && said != self.decoder.get_calculated_checksum() {
            return Err(io::Error::other("the compressed data is damaged: its checksum differs"));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Decompressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.broken || buffer.is_empty() {
            return Ok(0);
        }
        let read = self.read_some(buffer);
        self.broken = read.is_err();
        read
    }
}

/// Lines, each no longer than [`LONGEST_LINE`], with their numbers.
pub(super) struct Lines {
    input: Box<dyn BufRead + Send>,
    pub(super) file: String,
    /// The line that was read last, from 1 on.
    pub(super) number: u64,
    line: Vec<u8>,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self, TraceError> {
        Ok(Self::of(name_of(path), open(path)?))
    }

    pub(super) fn of(file: String, input: Box<dyn BufRead + Send>) -> Self {
        Self { input, file, number: 0, line: Vec::new() }
    }

    /// The next line without its end; `None` at the end.
    pub(super) fn next_line(&mut self) -> Result<Option<&str>, TraceError> {
        self.line.clear();
        self.number += 1;
        let refuse =
            |problem: &str| Err(TraceError::at(&self.file, self.number, None, problem.to_owned()));
        let mut limited = (&mut self.input).take(LONGEST_LINE as u64 + 1);
        match limited.read_until(b'\n', &mut self.line) {
            Ok(0) => return Ok(None),
            Ok(_) if self.line.len() > LONGEST_LINE => {
                return refuse("is longer than 1 MiB: expected a line of a trace");
            }
            Ok(_) => {}
            Err(error) => return refuse(&format!("cannot be read: {error}")),
        }
        while let Some(b'\n' | b'\r') = self.line.last() {
            self.line.pop();
        }
        match std::str::from_utf8(&self.line) {
            Ok(text) => Ok(Some(text)),
            Err(_) => refuse("is not UTF-8: expected UTF-8 text"),
        }
    }
}

/// How many bytes were read since it was last set to zero.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Arc<AtomicUsize>);

impl Meter {
    pub(super) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// Fails when more than [`LONGEST_LINE`] was read (and what its reader takes in advance) before
/// its meter was set to zero again.
pub(super) struct Metered<R> {
    pub(super) input: R,
    pub(super) meter: Meter,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        let total = self.meter.0.fetch_add(count, Ordering::Relaxed).saturating_add(count);
        if total > LONGEST_LINE {
            let problem = "is longer than 1 MiB: expected a row of a trace";
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
        }
        Ok(count)
    }
}
