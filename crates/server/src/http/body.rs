//! The body of a request, read whole within bounds: [`read`], and its inflation: [`inflate`].
//!
//! A body is always read before a request is refused: the HTTP library would reset the connection otherwise, and clients
//! would take the refusal for a lost connection.

use std::io::Read;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use futures::StreamExt;

use crate::memory::{Budget, Share};

/// Longest silence within a body.
const SILENCE: Duration = Duration::from_secs(30);
/// Bytes that are inflated before they are counted.
const INFLATE_BYTES: u64 = 1 << 20;
/// How much of a refused body is read to spare the connection.
const DISCARD_BYTES: usize = 64 << 20;

/// Room that is made for an announced body before its bytes are there; the system gives memory only for what comes.
const EXPECTED_BYTES: u64 = 16 << 20;

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// Longer than allowed; `drained` says whether it was read to its end.
    TooLarge { drained: bool },
    /// All bodies together take too much memory: the client should send it again later.
    Busy,
    /// The client fell silent.
    Timeout,
    /// The connection broke.
    Broken,
}

/// Reads a body of at most `limit` bytes; keep the share as long as the bytes.
pub async fn read(body: Body, limit: usize, budget: &Budget) -> Result<(Vec<u8>, Share), BodyError> {
    let announced = body.size_hint().exact().unwrap_or(0).min(EXPECTED_BYTES).min(limit as u64);
    let mut chunks = body.into_data_stream();
    let mut share = budget.share();
    let mut bytes = Vec::with_capacity(announced as usize);
    let mut refused = None;
    let mut discarded = 0;
    loop {
        let chunk: Bytes = match tokio::time::timeout(SILENCE, chunks.next()).await {
            Err(_) => return Err(BodyError::Timeout),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(BodyError::Broken),
            Ok(Some(Ok(chunk))) => chunk,
        };
        if refused.is_none() {
            if bytes.len() + chunk.len() > limit {
                refused = Some(BodyError::TooLarge { drained: true });
            } else if !share.grow(chunk.len()) {
                refused = Some(BodyError::Busy);
            } else {
                bytes.extend_from_slice(&chunk);
                continue;
            }
            bytes = Vec::new();
            share = budget.share();
        }
        discarded += chunk.len();
        if discarded > DISCARD_BYTES {
            return Err(BodyError::TooLarge { drained: false });
        }
    }
    refused.map_or(Ok((bytes, share)), Err)
}

/// Reads a body that nobody wants, as far as it is not too long.
pub async fn discard(body: Body) {
    let mut chunks = body.into_data_stream();
    let mut discarded = 0;
    while let Ok(Some(Ok(chunk))) = tokio::time::timeout(SILENCE, chunks.next()).await {
        discarded += chunk.len();
        if discarded > DISCARD_BYTES {
            return;
        }
    }
}

/// Why bytes are not inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InflateError {
    /// Not gzip, cut short, or followed by something else.
    Damaged,
    TooLarge,
    /// All bodies together take too much memory.
    Busy,
}

/// Inflates every gzip member of the bytes, to at most `limit` bytes, which count in `share` as they come: a small body may
/// hold a large one. Nothing is nothing, as in the peer.
pub fn inflate(bytes: &[u8], limit: usize, share: &mut Share) -> Result<Vec<u8>, InflateError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut inflated = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(bytes);
    loop {
        let before = inflated.len();
        let mut piece = (&mut reader).take(INFLATE_BYTES);
        piece.read_to_end(&mut inflated).map_err(|_| InflateError::Damaged)?;
        let more = inflated.len() - before;
        if more == 0 {
            return Ok(inflated);
        }
        if inflated.len() > limit {
            return Err(InflateError::TooLarge);
        }
        if !share.grow(more) {
            return Err(InflateError::Busy);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_member_is_inflated_and_damage_is_noticed() {
        let budget = Budget::of(types::memory::Budget::new(2 << 20));
        let inflate = |bytes: &[u8], limit| inflate(bytes, limit, &mut budget.share());
        let two = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(inflate(&two, 100), Ok(b"one two".to_vec()));
        assert_eq!(inflate(&[], 100), Ok(Vec::new()));
        assert_eq!(inflate(&two, 6), Err(InflateError::TooLarge));
        assert_eq!(inflate(b"garbage", 100), Err(InflateError::Damaged));
        for cut in 1..two.len() - 1 {
            if cut != gzip(b"one ").len() {
                assert_eq!(inflate(&two[..cut], 100), Err(InflateError::Damaged), "{cut}");
            }
        }
        assert_eq!(inflate(&[two, b"x".to_vec()].concat(), 100), Err(InflateError::Damaged));
        let bomb = gzip(&vec![0; 8 << 20]);
        assert!(bomb.len() < 1 << 16);
        assert_eq!(inflate(&bomb, 100 << 20), Err(InflateError::Busy));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn bodies_are_bounded_one_by_one_and_together() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let budget = Budget::of(types::memory::Budget::new(20));
            let (bytes, share) = read(Body::from("12345678"), 8, &budget).await.unwrap();
            assert_eq!(bytes, b"12345678");
            assert_eq!(
                read(Body::from("123456789"), 8, &budget).await.map(|_| ()),
                Err(BodyError::TooLarge { drained: true })
            );
            assert_eq!(read(Body::from("123"), 8, &budget).await.map(|_| ()), Err(BodyError::Busy));
            drop(share);
            assert!(read(Body::from("123"), 8, &budget).await.is_ok());
            assert_eq!(budget.used(), 0);
        });
    }
}
