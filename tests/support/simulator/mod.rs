//! A provider simulator: an HTTP/1.1 server that records what it receives byte for byte and sends exactly the bytes that
//! it is told to. It speaks the providers' dialects, counts words as tokens, and fails in every way that a reply or the
//! request header `x-sim` asks for. Written on raw sockets, so that no HTTP library tidies up either direction.

mod body;
mod connection;
mod dialects;
mod head;
mod knobs;
mod plan;
mod realtime;
mod record;
mod reply;

pub use self::{
    body::{BodyReader, Taken},
    dialects::{Family, usage},
    head::Head,
    knobs::Knobs,
    record::Request,
    reply::{Break, Coding, Content, Cuts, Delivery, Fault, Framing, Gate, Reply, reason},
};

use self::{connection::Connection, record::Records};
use parking_lot::Mutex;
use sociaro_gateway::base::{clock::Duration, tasks::Tasks};
use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{net::TcpListener, runtime::Runtime};

/// How long a test waits for what should happen at once.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How a simulator is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// 0 takes a free one.
    pub port: u16,
    /// Threads that serve connections.
    pub threads: usize,
    /// How many requests are kept; older ones are forgotten.
    pub requests_kept_max: usize,
    /// The credentials that each family accepts; a family that is not named accepts any.
    pub credentials: Vec<(Family, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self { port: 0, threads: 2, requests_kept_max: 10_000, credentials: Vec::new() }
    }
}

type Script = Arc<dyn Fn(&Request) -> Option<Reply> + Send + Sync>;

/// What all connections share.
pub struct Shared {
    records: Records,
    credentials: Vec<(Family, String)>,
    scripts: Mutex<Vec<Script>>,
    named: Mutex<HashMap<String, Reply>>,
    open: AtomicUsize,
}

impl Shared {
    /// The answer to a request: a script's, else the named reply that it asks for, else its dialect's.
    fn reply_to(&self, request: &Request, knobs: &Knobs) -> Reply {
        let scripts = self.scripts.lock().clone();
        if let Some(reply) = scripts.iter().rev().find_map(|script| script(request)) {
            return reply;
        }
        let reply =
            match &knobs.reply {
                None => dialects::answer(request, knobs, &self.credentials),
                Some(name) => self.named.lock().get(name).cloned().unwrap_or_else(|| {
                    Reply::new(400, "text/plain", format!("x-sim: no reply is registered as `{name}`"))
                }),
            };
        knobs.apply(reply)
    }
}

/// Counts an open connection for as long as it lives.
struct Open(Arc<Shared>);

impl Open {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.open.fetch_add(1, Ordering::Relaxed);
        shared.records.changed();
        Self(Arc::clone(shared))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.records.changed();
    }
}

/// A running simulator; it stops when it is dropped.
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

impl Simulator {
    /// Starts one on threads of its own, so that it outlives the runtime of the test that started it.
    pub fn start(options: Options) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.threads.max(1))
            .thread_name("simulator")
            .enable_all()
            .build()?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            records: Records::new(options.requests_kept_max),
            credentials: options.credentials,
            scripts: Mutex::default(),
            named: Mutex::default(),
            open: AtomicUsize::new(0),
        });
        let guard = runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        let tasks = Tasks::new();
        tasks.spawn(accept(listener, Arc::clone(&shared), tasks.clone()));
        drop(guard);
        Ok(Self { address, shared, runtime: Some(runtime) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets a function answer: the newest one that gives a reply wins; without any the dialects answer.
    pub fn script(&self, script: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) {
        self.shared.scripts.lock().push(Arc::new(script));
    }

    /// Registers the reply to requests that say `x-sim: reply=NAME`.
    pub fn name(&self, name: &str, reply: Reply) {
        self.shared.named.lock().insert(name.to_owned(), reply);
    }

    /// The requests that are kept, in the order in which their heads arrived.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.records.all()
    }

    /// The kept requests for which the predicate holds.
    pub fn matching(&self, predicate: impl Fn(&Request) -> bool) -> Vec<Request> {
        self.shared.records.matching(predicate)
    }

    /// Forgets the requests that are kept: after bodies that are large.
    pub fn forget(&self) {
        self.shared.records.forget();
    }

    /// How many requests have arrived since the start.
    pub fn arrived(&self) -> usize {
        self.shared.records.arrived()
    }

    /// Connections that are open now.
    pub fn connections_open(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// Waits until that many kept requests have arrived with their whole body, and returns those.
    pub async fn wait_for_requests(&self, count: usize) -> Result<Vec<Request>, String> {
        let whole = |records: &Records| {
            let requests = records.matching(|request| request.complete);
            (requests.len() >= count).then_some(requests)
        };
        self.shared
            .records
            .wait(PATIENCE, whole)
            .await
            .ok_or_else(|| format!("{count} whole requests did not arrive; these did: {:#?}", self.lines()))
    }

    /// Waits for a request of which the predicate holds, and returns it.
    pub async fn wait_for(&self, what: &str, predicate: impl Fn(&Request) -> bool) -> Result<Request, String> {
        let first = |records: &Records| records.matching(&predicate).into_iter().next();
        let found = self.shared.records.wait(PATIENCE, first).await;
        found.ok_or_else(|| format!("no request came to be: {what}; there are: {:#?}", self.lines()))
    }

    /// Waits until that many connections are open.
    pub async fn wait_for_connections_open(&self, count: usize) -> Result<(), String> {
        let open = |_: &Records| (self.connections_open() == count).then_some(());
        let found = self.shared.records.wait(PATIENCE, open).await;
        found.ok_or_else(|| format!("{} connections are open, not {count}", self.connections_open()))
    }

    fn lines(&self) -> Vec<String> {
        self.requests().iter().map(|request| format!("{} {}", request.method(), request.target())).collect()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, tasks: Tasks) {
    let mut id = 0;
    while let Ok((stream, _)) = listener.accept().await {
        let open = Open::new(&shared);
        if let Ok(connection) = Connection::new(Arc::clone(&shared), id, stream) {
            tasks.spawn(async move {
                // The peer may cut the connection at any point; the records say what arrived until then.
                drop(connection.serve().await);
                drop(open);
            });
        }
        id += 1;
    }
}
