//! A client that sends exactly the bytes it is told to and returns exactly the bytes that came, beside what they mean.

use super::{
    canaries::Canaries,
    simulator::{BodyReader, Head},
    wait::soon,
};
use bytes::BytesMut;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite};

/// How much is read at a time.
const READ_BYTES: usize = 64 * 1024;

/// A request in parts; `bytes` puts them together.
#[derive(Debug, Clone)]
pub struct Ask {
    method: String,
    target: String,
    headers: Vec<Vec<u8>>,
    body: Option<Vec<u8>>,
    chunks: Option<Vec<Vec<u8>>>,
}

impl Ask {
    /// A request without a body.
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), headers: Vec::new(), body: None, chunks: None }
    }

    /// `GET`.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// `POST` of JSON.
    pub fn post(target: &str, json: &serde_json::Value) -> Self {
        Self::new("POST", target).header("content-type", "application/json").body(json.to_string())
    }

    /// A chat completion that asks the model to echo a text.
    pub fn chat(target: &str, model: &str, text: &str) -> Self {
        let messages = serde_json::json!([{"role": "user", "content": text}]);
        Self::post(target, &serde_json::json!({"model": model, "messages": messages}))
    }

    /// Adds a header line; duplicates stay.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.line(&format!("{name}: {value}"))
    }

    /// Adds a header line as it is.
    #[must_use]
    pub fn line(mut self, line: &(impl AsRef<[u8]> + ?Sized)) -> Self {
        self.headers.push(line.as_ref().to_vec());
        self
    }

    /// `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    /// What the simulator shall do with it.
    #[must_use]
    pub fn sim(self, knobs: &str) -> Self {
        self.header("x-sim", knobs)
    }

    /// A body with its length.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// A chunked body.
    #[must_use]
    pub fn chunks(mut self, chunks: &[&[u8]]) -> Self {
        self.chunks = Some(chunks.iter().map(|chunk| chunk.to_vec()).collect());
        self
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The whole request.
    pub fn bytes(&self) -> Vec<u8> {
        let mut lines = vec![format!("{} {} HTTP/1.1", self.method, self.target).into_bytes()];
        if !self.headers.iter().any(|line| line.to_ascii_lowercase().starts_with(b"host:")) {
            lines.push(b"host: gateway.test".to_vec());
        }
        lines.extend(self.headers.iter().cloned());
        match (&self.chunks, &self.body) {
            (Some(_), _) => lines.push(b"transfer-encoding: chunked".to_vec()),
            (None, Some(body)) => lines.push(format!("content-length: {}", body.len()).into_bytes()),
            (None, None) => {}
        }
        let mut bytes = lines.join(&b"\r\n"[..]);
        bytes.extend_from_slice(b"\r\n\r\n");
        match (&self.chunks, &self.body) {
            (Some(chunks), _) => {
                for chunk in chunks {
                    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
            (None, Some(body)) => bytes.extend_from_slice(body),
            (None, None) => {}
        }
        bytes
    }
}

/// An answer as it came.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The heads of `1xx` answers before it.
    pub interim: Vec<Head>,
    pub head: Head,
    /// The body as it was on the wire.
    pub body_raw: Vec<u8>,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// The body came to its end as its framing says.
    pub complete: bool,
}

impl Answer {
    /// The status; 0 when there was no head.
    pub fn status(&self) -> u16 {
        self.head.word(1).parse().unwrap_or_default()
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.value(name)
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|fault| panic!("no JSON ({fault}): {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Fails unless the status is this one.
    #[expect(clippy::return_self_not_must_use, reason = "the check itself is often all that is wanted")]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status(), status, "{:?}\n{}", self.head, self.text());
        self
    }
}

/// Takes one answer out of bytes that come in pieces.
#[derive(Debug)]
pub struct AnswerReader {
    method: String,
    answer: Answer,
    body: Option<BodyReader>,
}

impl AnswerReader {
    /// For the answer to a request of that method.
    pub fn new(method: &str) -> Self {
        Self { method: method.to_owned(), answer: Answer::default(), body: None }
    }

    /// Takes what belongs to the answer. True when it is whole.
    pub fn feed(&mut self, buffer: &mut BytesMut) -> Result<bool, String> {
        while self.body.is_none() {
            let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") else { return Ok(false) };
            let head = Head(buffer.split_to(end + 4).to_vec());
            if head.word(1).starts_with('1') && head.word(1) != "101" {
                self.answer.interim.push(head);
            } else {
                self.body = Some(match head.word(1) {
                    "101" => BodyReader::Done,
                    _ => BodyReader::of_answer(&head, &self.method)?,
                });
                self.answer.head = head;
            }
        }
        let Some(body) = &mut self.body else { return Ok(false) };
        let taken = body.take(buffer)?;
        self.answer.body_raw.extend_from_slice(&taken.raw);
        self.answer.body.extend_from_slice(&taken.data);
        self.answer.complete = *body == BodyReader::Done;
        Ok(self.answer.complete)
    }

    /// The connection has ended: what there is of the answer.
    pub fn end(mut self) -> Answer {
        self.answer.complete |= self.body == Some(BodyReader::ToEnd);
        self.answer
    }

    /// What there is so far.
    pub fn so_far(&self) -> &Answer {
        &self.answer
    }
}

/// Makes connections to one address.
#[derive(Debug, Clone)]
pub struct Client {
    address: SocketAddr,
    from: Option<IpAddr>,
    canaries: Arc<Canaries>,
}

impl Client {
    /// A client whose received bytes are searched for secrets.
    pub fn new(address: SocketAddr, canaries: Arc<Canaries>) -> Self {
        Self { address, from: None, canaries }
    }

    /// A client of a server that holds no secrets.
    pub fn of(address: SocketAddr) -> Self {
        Self::new(address, Arc::default())
    }

    /// The same with an address of its own: on loopback there are many.
    #[must_use]
    pub fn from(&self, address: IpAddr) -> Self {
        Self { from: Some(address), ..self.clone() }
    }

    /// A new connection.
    pub async fn connect(&self) -> Connection {
        let connecting = async {
            let Some(from) = self.from else { return TcpStream::connect(self.address).await };
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::new(from, 0))?;
            socket.connect(self.address).await
        };
        let stream = soon("a connection", connecting).await.expect("the server accepts");
        stream.set_nodelay(true).expect("a live socket");
        Connection { stream, buffer: BytesMut::new(), tail: Vec::new(), canaries: Arc::clone(&self.canaries) }
    }

    /// One request on a connection of its own.
    pub async fn send(&self, ask: &Ask) -> Answer {
        self.connect().await.send(ask).await
    }

    /// A WebSocket. The error is the server's refusal.
    pub async fn web_socket(
        &self,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, Box<tungstenite::Error>> {
        use tungstenite::client::IntoClientRequest;
        let mut request = format!("ws://{}{target}", self.address).into_client_request().expect("a valid target");
        for (name, value) in headers {
            let name: ::http::HeaderName = name.parse().expect("a header's name");
            request.headers_mut().append(name, value.parse().expect("a header's value"));
        }
        let connected = soon("a WebSocket", tokio_tungstenite::connect_async(request)).await;
        connected.map(|(socket, _)| socket).map_err(Box::new)
    }
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
    /// The end of what was searched for secrets.
    tail: Vec<u8>,
    canaries: Arc<Canaries>,
}

impl Connection {
    /// Sends a request and reads its answer.
    pub async fn send(&mut self, ask: &Ask) -> Answer {
        self.write(&ask.bytes()).await;
        self.answer(ask.method()).await
    }

    /// Sends exactly these bytes.
    pub async fn write(&mut self, bytes: &[u8]) {
        // The server may answer and close before it has read all; its answer says why.
        drop(soon("the server to read", self.stream.write_all(bytes)).await);
    }

    /// Reads one answer to its end, or to the connection's.
    pub async fn answer(&mut self, method: &str) -> Answer {
        let mut reader = AnswerReader::new(method);
        self.answer_until(&mut reader, |_| false).await;
        reader.end()
    }

    /// Reads of an answer until the predicate holds, it is whole, or the connection ends.
    pub async fn answer_until(&mut self, reader: &mut AnswerReader, enough: impl Fn(&Answer) -> bool) {
        loop {
            let whole = reader.feed(&mut self.buffer).unwrap_or_else(|fault| panic!("{fault}: {reader:?}"));
            if whole || enough(reader.so_far()) {
                return;
            }
            if soon("an answer", self.read()).await.unwrap_or_default() == 0 {
                return;
            }
        }
    }

    /// Reads all until the connection ends. The error is how it ended.
    pub async fn to_end(&mut self) -> (Vec<u8>, io::Result<()>) {
        loop {
            match soon("the end of the connection", self.read()).await {
                Ok(0) => return (self.buffer.split().to_vec(), Ok(())),
                Ok(_) => {}
                Err(error) => return (self.buffer.split().to_vec(), Err(error)),
            }
        }
    }

    /// Reads until so many bytes have come, and takes no more from the socket. True when they have.
    pub async fn read_no_more_than(&mut self, bytes: usize) -> bool {
        let mut taken = vec![0; bytes];
        let read = soon("some bytes", self.stream.read_exact(&mut taken)).await;
        self.canaries.caller_received(&taken);
        read.is_ok()
    }

    /// Ends the connection with a reset instead of an end in good order.
    pub fn reset(self) {
        self.stream.set_zero_linger().expect("a live socket");
    }

    /// Reads that many bytes beyond the answers that were read, or what comes until the connection ends.
    pub async fn exactly(&mut self, size: usize) -> Vec<u8> {
        while self.buffer.len() < size && soon("more bytes", self.read()).await.unwrap_or_default() > 0 {}
        self.buffer.split_to(size.min(self.buffer.len())).to_vec()
    }

    /// Bytes that came beyond the answers that were read.
    pub fn left_over(&self) -> &[u8] {
        &self.buffer
    }

    async fn read(&mut self) -> io::Result<usize> {
        let before = self.buffer.len();
        self.buffer.reserve(READ_BYTES);
        let read = self.stream.read_buf(&mut self.buffer).await?;
        self.tail.extend_from_slice(&self.buffer[before..]);
        self.canaries.caller_received(&self.tail);
        let searched = self.tail.len().saturating_sub(self.canaries.overlap());
        self.tail.drain(..searched);
        Ok(read)
    }
}
