//! A realtime WebSocket: greets with `session.created`, answers `response.create` with usage counted from the text that
//! came before it, and echoes every other message. What the peer sends is recorded as it was on the wire.

use super::{Shared, dialects::usage, record::Request};
use bytes::{Buf, BytesMut};
use futures_util::{SinkExt, StreamExt};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

/// The connection, as it stands after the request's head.
pub(super) struct Socket<'a> {
    pub shared: &'a Shared,
    pub request: &'a Request,
    pub model: &'a str,
    /// What the peer sent before it saw the `101`.
    pub early: BytesMut,
    pub reader: &'a mut OwnedReadHalf,
    pub writer: &'a mut OwnedWriteHalf,
}

/// Serves one WebSocket to its end.
pub(super) async fn serve(socket: Socket<'_>) -> io::Result<()> {
    let Socket { shared, request, model, early, reader, writer } = socket;
    let accept = derive_accept_key(request.header("sec-websocket-key").unwrap_or_default().as_bytes());
    let mut head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {accept}\r\n"
    );
    let offered = request.head.values("sec-websocket-protocol").flat_map(|value| value.split(','));
    if offered.map(str::trim).any(|protocol| protocol == "realtime") {
        head.push_str("sec-websocket-protocol: realtime\r\n");
    }
    head.push_str("\r\n");
    writer.write_all(head.as_bytes()).await?;
    let wire = Wire { shared, sequence: request.sequence, early, reader, writer };
    let mut socket = WebSocketStream::from_raw_socket(wire, Role::Server, None).await;
    // The peer may go at any point; the record says what it sent until then.
    converse(&mut socket, model).await.or(Ok(()))
}

async fn converse(
    socket: &mut WebSocketStream<Wire<'_>>,
    model: &str,
) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    let session = format!(
        r#"{{"type":"session.created","event_id":"event_0","session":{{"object":"realtime.session","model":"{model}"}}}}"#
    );
    socket.send(Message::text(session)).await?;
    let (mut words, mut turn) = (0, 0);
    while let Some(message) = socket.next().await {
        match message? {
            Message::Text(text) => {
                let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
                let kind = value.get("type").and_then(serde_json::Value::as_str);
                if kind == Some("response.create") {
                    turn += 1;
                    socket.send(Message::text(response_done(turn, words))).await?;
                } else {
                    words += usage::prompt_tokens(&value);
                    socket.send(Message::Text(text)).await?;
                }
            }
            Message::Binary(bytes) => socket.send(Message::Binary(bytes)).await?,
            // Reading on sends the answer to a close, and then ends.
            _ => {}
        }
    }
    socket.close(None).await
}

/// The event that carries a turn's usage: what was said so far, all of it text, and two words of answer.
fn response_done(turn: u32, words: u64) -> String {
    let total = words + 2;
    format!(
        r#"{{"type":"response.done","event_id":"event_{turn}","response":{{"object":"realtime.response","id":"resp_rt{turn}","status":"completed","output":[],"usage":{{"total_tokens":{total},"input_tokens":{words},"output_tokens":2,"input_token_details":{{"text_tokens":{words},"audio_tokens":0,"image_tokens":0,"cached_tokens":0,"cached_tokens_details":{{"text_tokens":0,"audio_tokens":0,"image_tokens":0}}}},"output_token_details":{{"text_tokens":2,"audio_tokens":0}}}}}}}}"#
    )
}

/// The socket's two halves as one stream that records what it reads.
struct Wire<'a> {
    shared: &'a Shared,
    sequence: usize,
    early: BytesMut,
    reader: &'a mut OwnedReadHalf,
    writer: &'a mut OwnedWriteHalf,
}

impl AsyncRead for Wire<'_> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = into.filled().len();
        if this.early.is_empty() {
            std::task::ready!(Pin::new(&mut *this.reader).poll_read(context, into))?;
        } else {
            let size = this.early.len().min(into.remaining());
            into.put_slice(&this.early.copy_to_bytes(size));
        }
        let new = into.filled().get(before..).unwrap_or_default();
        if !new.is_empty() {
            this.shared.records.update(this.sequence, |kept| kept.after_upgrade.extend_from_slice(new));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire<'_> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.writer).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.writer).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.writer).poll_shutdown(context)
    }
}
