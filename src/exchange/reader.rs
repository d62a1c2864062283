//! Reads a body while it arrives: says when its document is at its end, and what it asks for.

use super::{
    body::{Ask, BadBody, BodyHead, Shape, ask},
    json_end::JsonEnd,
    model_multipart::MultipartAsk,
};
use crate::providers::provider::ModelPlace;

/// One body, as far as it has arrived.
pub struct BodyReader<'a> {
    place: &'a ModelPlace,
    head: BodyHead<'a>,
    scan: Scan,
}

enum Scan {
    Json(JsonEnd),
    Multipart(Box<MultipartAsk>),
    /// A compressed body ends where its framing ends.
    Compressed,
}

impl<'a> BodyReader<'a> {
    /// A reader for a body that names its model; `None` when the body need not be read.
    ///
    /// # Errors
    /// A content type or encoding that this endpoint does not take.
    pub fn new(place: &'a ModelPlace, head: BodyHead<'a>) -> Result<Option<Self>, BadBody> {
        let scan = match head.shape(place)? {
            Shape::Unread => return Ok(None),
            Shape::Multipart { member, content_type } => {
                Scan::Multipart(Box::new(MultipartAsk::new(content_type, member)?))
            }
            Shape::Json { .. } if head.is_encoded() => Scan::Compressed,
            Shape::Json { .. } => Scan::Json(JsonEnd::default()),
        };
        Ok(Some(Self { place, head, scan }))
    }

    /// Whether the document says by itself where it ends. Behind that nothing but white space may follow: what comes
    /// after was not read, and a second document or form there could name another model.
    pub fn ends_itself(&self) -> bool {
        !matches!(self.scan, Scan::Compressed)
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// What is already known to be wrong.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), BadBody> {
        match &mut self.scan {
            Scan::Json(end) => {
                end.feed(chunk);
                Ok(())
            }
            Scan::Multipart(scan) => scan.feed(chunk),
            Scan::Compressed => Ok(()),
        }
    }

    /// Whether the document is at its end.
    pub fn is_complete(&self) -> bool {
        match &self.scan {
            Scan::Json(end) => end.is_complete(),
            Scan::Multipart(scan) => scan.is_complete(),
            Scan::Compressed => false,
        }
    }

    /// What the body asks for; `body` is all of it that was fed.
    ///
    /// # Errors
    /// What is wrong with the body.
    pub fn finish(self, body: &[u8], decoded_bytes_max: u64) -> Result<Ask, BadBody> {
        match self.scan {
            Scan::Multipart(scan) => Ok(Ask { model: scan.finish()?, ..Ask::default() }),
            Scan::Json(_) | Scan::Compressed => ask(self.place, &self.head, body, decoded_bytes_max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    #[test]
    fn nothing_may_follow_a_json_document_or_a_form() {
        let place = ModelPlace::JsonOrMultipart("model".into());
        for (content_type, encoding, expected) in [
            ("application/json", None, true),
            ("multipart/form-data; boundary=b", None, true),
            ("application/json", Some("gzip"), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("content-type", content_type.parse().unwrap());
            if let Some(encoding) = encoding {
                headers.insert("content-encoding", encoding.parse().unwrap());
            }
            let head = BodyHead::read(&headers).unwrap();
            let reader = BodyReader::new(&place, head).unwrap().unwrap();
            assert_eq!(reader.ends_itself(), expected, "{content_type} {encoding:?}");
        }
    }
}
