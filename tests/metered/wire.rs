//! Messages as the frames of a WebSocket: whole or in fragments, compressed or not.

use flate2::{Compress, Compression, FlushCompress};

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const LAST: u8 = 0x80;
const COMPRESSED: u8 = 0x40;
/// What ends each compressed message and is left out on the wire.
const SYNC_TAIL: &[u8] = &[0x00, 0x00, 0xff, 0xff];

/// How messages are put on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    /// What the provider's `101` says.
    pub(crate) extensions: &'static str,
    /// How many frames a message has.
    pub(crate) fragments: usize,
}

pub(crate) const PLAIN: Form = Form { extensions: "", fragments: 1 };
pub(crate) const DEFLATED: Form = Form { extensions: "permessage-deflate", fragments: 1 };
pub(crate) const FORMS: [Form; 4] = [
    PLAIN,
    Form { extensions: "", fragments: 3 },
    DEFLATED,
    Form { extensions: "permessage-deflate; server_no_context_takeover; server_max_window_bits=15", fragments: 2 },
];

/// The provider's side of a WebSocket.
pub(crate) struct Writer {
    form: Form,
    deflater: Compress,
}

impl Writer {
    pub(crate) fn new(form: Form) -> Self {
        Self { form, deflater: Compress::new(Compression::default(), false) }
    }

    /// The frames of one message; a ping stands between them.
    pub(crate) fn message(&mut self, kind: u8, message: &[u8]) -> Vec<u8> {
        let is_compressed = !self.form.extensions.is_empty();
        let payload = if is_compressed { self.deflated(message) } else { message.to_vec() };
        let parts: Vec<&[u8]> = payload.chunks(payload.len().div_ceil(self.form.fragments).max(1)).collect();
        let mut bytes = Vec::new();
        for (place, part) in parts.iter().enumerate() {
            let first = match place {
                0 if is_compressed => kind | COMPRESSED,
                0 => kind,
                _ => 0,
            };
            let is_last = place + 1 == parts.len();
            bytes.extend(frame(first | if is_last { LAST } else { 0 }, part));
            if !is_last {
                bytes.extend(frame(LAST | PING, b"{\"usage\":1}"));
            }
        }
        bytes
    }

    fn deflated(&mut self, message: &[u8]) -> Vec<u8> {
        if self.form.extensions.contains("server_no_context_takeover") {
            self.deflater.reset();
        }
        let mut out = Vec::with_capacity(message.len() + 1024);
        self.deflater.compress_vec(message, &mut out, FlushCompress::Sync).expect("room for all");
        assert!(out.ends_with(SYNC_TAIL));
        out.truncate(out.len() - SYNC_TAIL.len());
        out
    }
}

/// The frame after which the provider sends no more.
pub(crate) fn close() -> Vec<u8> {
    frame(LAST | CLOSE, &1000_u16.to_be_bytes())
}

/// One frame, unmasked as a server's are; `first` is its first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..126 => bytes.push(u8::try_from(short).expect("it fits")),
        middle @ 126..65_536 => {
            bytes.push(126);
            bytes.extend_from_slice(&u16::try_from(middle).expect("it fits").to_be_bytes());
        }
        long => {
            bytes.push(127);
            bytes.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}
