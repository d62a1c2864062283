//! Reads an answer beside its relay, which it never delays.
//!
//! What costs microseconds is read at once, where the chunk passes: handing it to another thread would cost more. From
//! the first chunk on whose reading could cost more, or did, the meter belongs to a few threads of its own, and the relay only
//! puts chunks into a bounded queue. When that is full, the rest of the answer is not metered: it is counted, and the
//! reading is an estimate. Nothing here waits for a meter, its end included.

use super::{decode::Progress, meter::AnswerMeter, reading::Reading};
use crate::{
    base::clock::{self, Duration},
    telemetry::metrics::METRICS,
};
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// A larger chunk is not read at once: in no coding, and in one.
const PLAIN_BYTES_MAX: usize = 128 * 1024;
const CODED_BYTES_MAX: usize = 8 * 1024;
/// How much is decoded at once.
const DECODED_BYTES_MAX: u64 = 64 * 1024;
/// Reading that took longer is not done at once again.
const AT_ONCE_MAX: Duration = Duration::from_millis(2);
/// What may wait to be read: of one answer, and of all together.
const WAITING_BYTES_MAX: usize = 4 << 20;
const ALL_WAITING_BYTES_MAX: usize = 256 << 20;
/// For so many processors there is one thread that reads.
const PROCESSORS_EACH: usize = 4;

/// What is done with the reading of an answer.
type Then = Box<dyn FnOnce(Reading) + Send>;

/// A meter beside a relay.
#[derive(Debug)]
pub struct Beside(State);

#[derive(Debug)]
enum State {
    AtOnce(Box<AnswerMeter>),
    Apart(Arc<Lane>),
    Over,
}

/// How a meter ended.
#[expect(clippy::large_enum_variant, reason = "made once an exchange, and taken apart at once")]
pub enum Finished {
    Read(Reading),
    /// There is something to be read yet.
    Later(Later),
}

/// The end of an answer that is still being read.
pub struct Later(Arc<Lane>);

impl Beside {
    /// Begins to read.
    pub fn new(meter: AnswerMeter) -> Self {
        // several codings multiply what they make of little
        let meter = Box::new(meter);
        let is_light = meter.codings() <= 1 && SLOWED.get().is_none();
        Self(if is_light { State::AtOnce(meter) } else { State::Apart(Lane::new(meter)) })
    }

    /// Sees the next chunk.
    pub fn read(&mut self, chunk: &Bytes) {
        match &mut self.0 {
            State::AtOnce(meter) => {
                let left = read_at_once(meter, chunk);
                if left != Left::Nothing {
                    self.move_apart(left);
                }
            }
            State::Apart(lane) => lane.push(chunk.clone()),
            State::Over => {}
        }
    }

    fn move_apart(&mut self, left: Left) {
        if let State::AtOnce(meter) = std::mem::replace(&mut self.0, State::Over) {
            let lane = Lane::new(meter);
            if let Left::Chunk(rest) = left {
                lane.push(rest);
            }
            self.0 = State::Apart(lane);
        }
    }

    /// No more will come. Never waits.
    pub fn finish(&mut self) -> Finished {
        match std::mem::replace(&mut self.0, State::Over) {
            State::AtOnce(mut meter) => Finished::Read(meter.finish()),
            State::Apart(lane) => match lane.take_idle() {
                Some(mut meter) => Finished::Read(meter.finish()),
                None => Finished::Later(Later(lane)),
            },
            State::Over => Finished::Read(Reading::default()),
        }
    }
}

/// What is left once a chunk was read at once.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    /// It took too long, so that the next one is not read at once.
    Time,
    /// This part of it, even if it is empty.
    Chunk(Bytes),
}

fn read_at_once(meter: &mut AnswerMeter, chunk: &Bytes) -> Left {
    let most = if meter.codings() == 0 { PLAIN_BYTES_MAX } else { CODED_BYTES_MAX };
    if chunk.len() > most {
        return Left::Chunk(chunk.clone());
    }
    let begun = clock::instant();
    let Progress { used, is_done } = meter.read_some(chunk, DECODED_BYTES_MAX);
    if !is_done {
        return Left::Chunk(chunk.slice(used.min(chunk.len())..));
    }
    let took = clock::instant().saturating_duration_since(begun);
    if took > AT_ONCE_MAX { Left::Time } else { Left::Nothing }
}

impl Later {
    /// Says what is done with the reading once there is one: on another thread, or at once when it came meanwhile.
    pub fn then(self, then: impl FnOnce(Reading) + Send + 'static) {
        self.0.end(Box::new(then));
    }
}

/// An answer that is read apart from its relay.
struct Lane(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    /// Absent while a thread reads with it, and after the end.
    meter: Option<Box<AnswerMeter>>,
    /// It stands in the readers' queue, or one of them is at it.
    is_busy: bool,
    /// A chunk was lost, so that what comes after it cannot be read.
    is_broken: bool,
    then: Option<Then>,
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").finish_non_exhaustive()
    }
}

impl Lane {
    fn new(meter: Box<AnswerMeter>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Waiting { meter: Some(meter), ..Waiting::default() })))
    }

    fn push(self: &Arc<Self>, chunk: Bytes) {
        let mut waiting = self.0.lock();
        if waiting.is_broken {
            return;
        }
        let bytes = waiting.bytes.saturating_add(chunk.len());
        if bytes > WAITING_BYTES_MAX || !READERS.reserve(chunk.len()) {
            waiting.is_broken = true;
        } else {
            waiting.bytes = bytes;
            waiting.chunks.push_back(chunk);
        }
        if !std::mem::replace(&mut waiting.is_busy, true) {
            drop(waiting);
            READERS.add(Arc::clone(self));
        }
    }

    /// The meter, when it has read all that came.
    fn take_idle(&self) -> Option<Box<AnswerMeter>> {
        let mut waiting = self.0.lock();
        if waiting.is_busy { None } else { waiting.meter.take() }
    }

    fn end(&self, then: Then) {
        let mut waiting = self.0.lock();
        if waiting.is_busy {
            waiting.then = Some(then);
            return;
        }
        let meter = waiting.meter.take();
        drop(waiting);
        then(meter.map(|mut meter| meter.finish()).unwrap_or_default());
    }

    /// Reads one chunk; whether there is more to do.
    fn step(&self) -> bool {
        let mut waiting = self.0.lock();
        let (chunk, meter) = (waiting.chunks.pop_front(), waiting.meter.take());
        let is_broken = waiting.is_broken && chunk.is_none();
        drop(waiting);
        let bytes = chunk.as_ref().map_or(0, Bytes::len);
        // a defect must not end the thread: the answer is given up instead
        let read = move || {
            let mut meter = meter?;
            match chunk {
                Some(chunk) => {
                    wait_when_slowed();
                    meter.read(&chunk);
                }
                None if is_broken => meter.give_up(),
                None => {}
            }
            Some(meter)
        };
        let meter = catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
            METRICS.answers_unreadable_total.with_label_values(&["defect"]).inc();
            None
        });
        READERS.release(bytes);
        let mut waiting = self.0.lock();
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
        waiting.meter = meter;
        if !waiting.chunks.is_empty() || waiting.is_broken && !is_broken {
            return true;
        }
        waiting.is_busy = false;
        let end = waiting.then.take().map(|then| (then, waiting.meter.take()));
        drop(waiting);
        if let Some((then, meter)) = end {
            then(meter.map(|mut meter| meter.finish()).unwrap_or_default());
        }
        false
    }
}

/// The threads that read answers apart from their relays, in turns: one chunk of each.
struct Readers {
    /// Each answer stands in it once at most.
    lanes: Mutex<VecDeque<Arc<Lane>>>,
    added: Condvar,
    waiting_bytes: AtomicUsize,
}

/// Started when the first answer needs them.
static READERS: LazyLock<Arc<Readers>> = LazyLock::new(|| {
    let readers =
        Arc::new(Readers { lanes: Mutex::default(), added: Condvar::new(), waiting_bytes: AtomicUsize::new(0) });
    let count = thread::available_parallelism().map_or(1, |count| count.get().div_ceil(PROCESSORS_EACH));
    for _ in 0..count {
        let readers = Arc::clone(&readers);
        if let Err(error) = thread::Builder::new().name("meter".to_owned()).spawn(move || readers.run()) {
            tracing::error!(%error, "a thread that meters answers cannot be started");
        }
    }
    readers
});

impl Readers {
    fn add(&self, lane: Arc<Lane>) {
        self.lanes.lock().push_back(lane);
        self.added.notify_one();
    }

    fn run(&self) {
        loop {
            let mut lanes = self.lanes.lock();
            let lane = loop {
                match lanes.pop_front() {
                    Some(lane) => break lane,
                    None => self.added.wait(&mut lanes),
                }
            };
            drop(lanes);
            if lane.step() {
                self.add(lane);
            }
        }
    }

    fn reserve(&self, bytes: usize) -> bool {
        let fits = |all: usize| all.checked_add(bytes).filter(|all| *all <= ALL_WAITING_BYTES_MAX);
        self.waiting_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    fn release(&self, bytes: usize) {
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Fault injection: what each reading waits for.
static SLOWED: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

/// Makes every meter of this process slow: it waits for `wait` before each chunk. For tests; release builds do nothing.
pub fn slow_down(wait: impl Fn() + Send + Sync + 'static) {
    if cfg!(debug_assertions) && SLOWED.set(Box::new(wait)).is_err() {
        tracing::warn!("meters are slowed down already");
    }
}

fn wait_when_slowed() {
    if let Some(wait) = SLOWED.get() {
        wait();
    }
}
