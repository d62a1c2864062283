//! Something between the gateway and a usage store that makes trouble: HTTP over TCP in front, the store's socket behind.

use crate::support::{
    gateway::{Gateway, Options, names},
    http::AnswerReader,
    simulator::{BodyReader, Head},
};
use bytes::BytesMut;
use parking_lot::Mutex;
use serde_json::json;
use sociaro_gateway::{
    base::clock::{Duration, instant},
    usage::engine,
};
use std::{
    collections::VecDeque,
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    runtime::Runtime,
};

const START_MAX: Duration = Duration::from_mins(1);
const START_POLL: Duration = Duration::from_millis(20);

/// What happens to one insert of usage events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The connection is reset in the middle of its body, which never reaches the store.
    Reset,
    /// The store takes it, and the connection is reset before anybody hears of it.
    Deaf,
    /// Not the store's answer but this status and text.
    Answer(u16, &'static str),
}

#[derive(Default)]
struct Shared {
    socket: Mutex<Option<PathBuf>>,
    /// Nothing is let through.
    is_away: Mutex<bool>,
    troubles: Mutex<VecDeque<Trouble>>,
    /// The tokens and sizes of all inserts of usage events, with what happened to them.
    inserts: Mutex<Vec<(String, usize, Option<Trouble>)>>,
}

/// The front, its store, and a gateway that uses them.
pub(crate) struct Stage {
    shared: Arc<Shared>,
    pub(crate) gateway: Gateway,
    store: Store,
    _threads: Threads,
}

/// The front's own: its end does not wait for them.
struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Stage {
    /// Starts all three.
    pub(crate) fn start(options: Options) -> Self {
        let shared = Arc::<Shared>::default();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        listener.set_nonblocking(true).expect("a live socket");
        let address: SocketAddr = listener.local_addr().expect("a live socket");
        let front = Arc::clone(&shared);
        drop(runtime.handle().spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a live socket");
            while let Ok((stream, _)) = listener.accept().await {
                let front = Arc::clone(&front);
                drop(tokio::runtime::Handle::current().spawn(async move { front.converse(stream).await }));
            }
        }));
        let gateway = Gateway::start(options.set("/usage/clickhouse", json!({"url": format!("http://{address}")})));
        let folder = names::usage_folder(gateway.folder());
        let store = Store::start(&folder);
        *shared.socket.lock() = Some(engine::socket(&folder));
        Self { shared, gateway, store, _threads: Threads(Some(runtime)) }
    }

    /// The store goes away, or comes back.
    pub(crate) fn away(&self, is_away: bool) {
        *self.shared.is_away.lock() = is_away;
    }

    /// What happens to the next inserts.
    pub(crate) fn trouble(&self, troubles: impl IntoIterator<Item = Trouble>) {
        self.shared.troubles.lock().extend(troubles);
    }

    /// Troubles that have not happened yet.
    pub(crate) fn troubles_left(&self) -> usize {
        self.shared.troubles.lock().len()
    }

    /// The tokens and sizes of all inserts, with what happened to them.
    pub(crate) fn inserts(&self) -> Vec<(String, usize, Option<Trouble>)> {
        self.shared.inserts.lock().clone()
    }

    /// Kills the store and starts it again.
    pub(crate) fn kill_store(&mut self) {
        self.store.child.kill().expect("the store runs");
        self.store.child.wait().expect("a child");
        self.store = Store::start(&self.store.folder);
    }
}

impl Shared {
    async fn converse(&self, mut stream: TcpStream) {
        let mut buffer = BytesMut::new();
        while let Ok(Some((head, body))) = request(&mut stream, &mut buffer).await {
            let Some(answer) = self.answer(&head, &body).await else {
                drop(stream.set_zero_linger());
                return;
            };
            if stream.write_all(&answer).await.is_err() {
                return;
            }
        }
    }

    /// The bytes of an answer; `None` for a reset.
    async fn answer(&self, head: &Head, body: &[u8]) -> Option<Vec<u8>> {
        let target = head.word(1).to_owned();
        let trouble = target.contains("insert_deduplication_token").then(|| {
            let parts = target.split(['?', '&']).find_map(|part| part.strip_prefix("insert_deduplication_token="));
            let is_away = *self.is_away.lock();
            let trouble = if is_away { None } else { self.troubles.lock().pop_front() };
            self.inserts.lock().push((parts.unwrap_or_default().to_owned(), body.len(), trouble));
            trouble
        });
        if *self.is_away.lock() {
            return None;
        }
        match trouble.flatten() {
            Some(Trouble::Reset) => None,
            Some(Trouble::Answer(status, text)) => {
                let length = text.len();
                Some(format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n\r\n{text}").into_bytes())
            }
            Some(Trouble::Deaf) => {
                self.forward(head, body).await.ok()?;
                None
            }
            None => self.forward(head, body).await.ok(),
        }
    }

    async fn forward(&self, head: &Head, body: &[u8]) -> io::Result<Vec<u8>> {
        let socket = self.socket.lock().clone().ok_or(io::ErrorKind::NotConnected)?;
        let mut store = UnixStream::connect(socket).await?;
        store.write_all(&head.0).await?;
        store.write_all(body).await?;
        let (mut reader, mut buffer) = (AnswerReader::new("POST"), BytesMut::new());
        while !reader.feed(&mut buffer).map_err(io::Error::other)? {
            if store.read_buf(&mut buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let answer = reader.end();
        Ok([answer.head.0, answer.body_raw].concat())
    }
}

/// One request: its head, and its body as it was on the wire.
async fn request(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<Option<(Head, Vec<u8>)>> {
    let (mut head, mut reader, mut body) = (None, BodyReader::Done, Vec::new());
    loop {
        if let (None, Some(end)) = (&head, memchr::memmem::find(buffer, b"\r\n\r\n")) {
            let whole = Head(buffer.split_to(end + 4).to_vec());
            reader = BodyReader::of_request(&whole).map_err(io::Error::other)?;
            head = Some(whole);
        }
        if head.is_some() {
            body.extend(reader.take(buffer).map_err(io::Error::other)?.raw);
        }
        if reader == BodyReader::Done
            && let Some(head) = head.take()
        {
            return Ok(Some((head, body)));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

/// A usage store that is nobody's but the test's.
struct Store {
    folder: PathBuf,
    child: Child,
}

impl Store {
    fn start(folder: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/libchdb.sh");
        let library = Command::new(script).arg("--path").output().expect("the script runs").stdout;
        let child = Command::new(env!("CARGO_BIN_EXE_sociaro-gateway"))
            .args(["usage-store", "--memory-bytes-max", "1500000000", "--libchdb"])
            .arg(String::from_utf8(library).expect("a path").trim())
            .arg("--folder")
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the store starts");
        let (mut store, started) = (Self { folder: folder.to_owned(), child }, instant());
        while std::os::unix::net::UnixStream::connect(engine::socket(folder)).is_err() {
            assert!(store.child.try_wait().expect("a child").is_none(), "the store ended; was `make setup` run?");
            assert!(started.elapsed() < START_MAX, "the store does not listen");
            std::thread::sleep(START_POLL);
        }
        store
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
