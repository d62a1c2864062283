//! Where the next page begins, as an opaque text that holds for one organization and one set of parameters.
//!
//! The checksum needs no secret: whatever a cursor says, the organization that is asked about comes from the key. It tells
//! a caller that mixed up its cursors, instead of answering another question.

use super::Place;
use crate::base::{
    clock::Timestamp,
    ids::{OrganizationId, RequestId},
};
use sha2::{Digest, Sha256};

const TIME_BYTES: usize = 8;
const ID_BYTES: usize = 26;
const PLACE_BYTES: usize = 3 * TIME_BYTES + ID_BYTES;
const CHECK_BYTES: usize = 16;

/// The span of the first page, so that a relative one does not move, and the last exchange that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
    pub(super) after: Place,
}

/// What a cursor belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question([u8; 32]);

impl Question {
    /// The organization and every parameter but those that may change from page to page, in whatever order.
    pub(super) fn new(organization_id: &OrganizationId, pairs: &[(String, String)]) -> Self {
        let mut pairs: Vec<_> = pairs.iter().filter(|(name, _)| !matches!(name.as_str(), "cursor" | "limit")).collect();
        pairs.sort_unstable();
        let parts = pairs.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        let mut hash = Sha256::new();
        for part in std::iter::once(organization_id.as_str()).chain(parts) {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    pub(super) fn write(&self, cursor: &Cursor) -> String {
        let mut bytes = Vec::with_capacity(PLACE_BYTES + CHECK_BYTES);
        for time in [cursor.since, cursor.until, cursor.after.time] {
            bytes.extend(time.millis().to_be_bytes());
        }
        bytes.extend(cursor.after.request_id.as_bytes());
        bytes.extend(self.check(&bytes));
        hex::encode(bytes)
    }

    /// `None` for whatever this question did not write.
    pub(super) fn read(&self, text: &str) -> Option<Cursor> {
        let bytes = hex::decode(text).ok().filter(|bytes| bytes.len() == PLACE_BYTES + CHECK_BYTES)?;
        let (place, check) = bytes.split_at_checked(PLACE_BYTES)?;
        if self.check(place) != check {
            return None;
        }
        let (times, id) = place.split_at_checked(3 * TIME_BYTES)?;
        let mut times = times.chunks_exact(TIME_BYTES).map(|time| {
            let millis = time.try_into().map(i64::from_be_bytes).unwrap_or_default();
            Timestamp::from_millis(millis)
        });
        let (since, until, time) = (times.next()?, times.next()?, times.next()?);
        let request_id = RequestId::parse(std::str::from_utf8(id).ok()?)?;
        Some(Cursor { since, until, after: Place { time, request_id } })
    }

    fn check(&self, bytes: &[u8]) -> [u8; CHECK_BYTES] {
        let hash: [u8; 32] = Sha256::new().chain_update(self.0).chain_update(bytes).finalize().into();
        let mut check = [0; CHECK_BYTES];
        check.iter_mut().zip(hash).for_each(|(check, byte)| *check = byte);
        check
    }
}
