//! Log lines on their way out: requests append to a buffer in memory, a thread writes it out a few times a second.
//! So a line costs a copy, never a system call, a wake-up of another thread, or a wait for whoever reads the pipe.

use parking_lot::{Condvar, Mutex};
use std::{
    io::{self, Write},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};
use tracing_subscriber::fmt::MakeWriter;

/// Bytes that may wait; lines beyond are dropped and counted.
const WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How often lines are written out.
const EVERY: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    dropped: u64,
    ended: bool,
}

/// Where lines are appended. Clones share one buffer.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<(Mutex<Waiting>, Condvar)>);

/// Writes what waits when it is dropped.
pub(super) struct Flusher {
    lines: Lines,
    thread: Option<JoinHandle<()>>,
}

impl Lines {
    /// Starts the thread that writes to `out`.
    pub(super) fn to(mut out: impl Write + Send + 'static) -> (Self, Flusher) {
        let lines = Self::default();
        let reader = lines.clone();
        let thread = thread::spawn(move || reader.write_out(&mut out));
        (lines.clone(), Flusher { lines, thread: Some(thread) })
    }

    fn write_out(&self, out: &mut impl Write) {
        let (waiting, ending) = &*self.0;
        let mut spare = Vec::new();
        loop {
            let (dropped, ended) = {
                let mut waiting = waiting.lock();
                if !waiting.ended {
                    ending.wait_for(&mut waiting, EVERY);
                }
                std::mem::swap(&mut waiting.bytes, &mut spare);
                (std::mem::take(&mut waiting.dropped), waiting.ended)
            };
            if dropped > 0 {
                let note = format!("{{\"level\":\"ERROR\",\"message\":\"log lines dropped\",\"lines\":{dropped}}}\n");
                spare.extend_from_slice(note.as_bytes());
            }
            // Nobody is left to tell when the log itself cannot be written.
            let _written = out.write_all(&spare).and_then(|()| out.flush());
            spare.clear();
            if ended {
                return;
            }
        }
    }
}

impl Lines {
    /// Takes one whole line.
    pub(super) fn append(&self, line: &[u8]) {
        let mut waiting = self.0.0.lock();
        if waiting.bytes.len().saturating_add(line.len()) > WAITING_BYTES_MAX {
            waiting.dropped = waiting.dropped.saturating_add(1);
        } else {
            waiting.bytes.extend_from_slice(line);
        }
    }

    /// What waits now.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> Vec<u8> {
        self.0.0.lock().bytes.clone()
    }
}

impl Write for Lines {
    /// Takes one whole line, as the formatter gives it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.append(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.lines.0.0.lock().ended = true;
        self.lines.0.1.notify_all();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_out_when_the_flusher_has_gone_and_in_order() {
        let sink = Sink::default();
        let (lines, flusher) = Lines::to(sink.clone());
        for n in 0..1000 {
            lines.make_writer().write_all(format!("{n}\n").as_bytes()).unwrap();
        }
        drop(flusher);
        let expected = (0..1000).fold(String::new(), |all, n| all + &format!("{n}\n"));
        assert_eq!(String::from_utf8(sink.0.lock().clone()).unwrap(), expected);
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let sink = Sink::default();
        let (lines, flusher) = Lines::to(sink.clone());
        let large = vec![b'x'; WAITING_BYTES_MAX + 1];
        lines.make_writer().write_all(&large).unwrap();
        drop(flusher);
        assert_eq!(String::from_utf8(sink.0.lock().clone()).unwrap().matches("\"lines\":1").count(), 1);
    }
}
