//! The way out of the log. Lines are gathered, and a thread of their own writes them: a write for each is a system call in every
//! request, and a wake-up of whoever reads the log. Warnings and errors go out at once, with everything before them.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long a line waits for others.
const GATHER: Duration = Duration::from_millis(10);
/// Once as many bytes wait, whoever adds to them writes them: where nobody takes the log, it holds up and does not grow.
const MOST_BYTES: usize = 256 * 1024;

static WAITING: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static SOME: Condvar = Condvar::new();

/// Writes lines to standard error, until the process ends.
pub fn start() -> io::Result<()> {
    thread::Builder::new().name("log".to_owned()).spawn(|| {
        loop {
            let mut waiting = WAITING.lock();
            SOME.wait_while(&mut waiting, |waiting| waiting.is_empty());
            drop(waiting);
            thread::sleep(GATHER);
            write_out();
        }
    })?;
    Ok(())
}

/// Writes what waits.
pub fn write_out() {
    // Taken before the lines are: whoever comes second writes what came later.
    let mut out = io::stderr().lock();
    let lines = std::mem::take(&mut *WAITING.lock());
    // Nobody can be told that the log is gone.
    let _written_or_not = out.write_all(&lines);
}

/// Takes the lines of the log.
pub struct Lines;

/// A line on its way out.
pub struct Line {
    at_once: bool,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { at_once: true }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line {
        Line { at_once: *metadata.level() <= Level::WARN }
    }
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let (before, after) = {
            let mut waiting = WAITING.lock();
            let before = waiting.len();
            waiting.extend_from_slice(line);
            (before, waiting.len())
        };
        if self.at_once || after > MOST_BYTES {
            write_out();
        } else if before == 0 {
            SOME.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
