//! The engine's way into a journal: a ring of bytes that a real-time thread writes without waiting or allocating.
//!
//! Each room has one, in its schedule, for all its nodes. A record that does not fit is dropped whole and counted; the
//! writer thread puts the count into the journal, so that a replay stops there rather than play something else.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use ringbuf::{
    HeapCons, HeapProd, HeapRb,
    traits::{Consumer as _, Observer as _, Producer as _, Split as _},
};

use super::format::Kind;

/// Bytes of one tape: a second of sixty legs of PCMU, with 17 KB/s each, or of five mouths at 48 kHz, with 195 KB/s each;
/// it is emptied ten times as often. When it is full, new records are dropped. It costs its memory only where inputs are
/// recorded.
const TAPE_BYTES: usize = 1 << 20;

const HEAD: usize = 9;

/// The writing end, which lives in a schedule on an engine's thread.
pub struct Tape {
    ring: Option<HeapProd<u8>>,
    dropped: Arc<AtomicU64>,
}

impl Tape {
    /// Notes a record whose body is made of `parts`, one behind the other. Never waits, allocates or frees.
    pub fn note(&mut self, kind: Kind, track: u32, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let Some(ring) = &mut self.ring else { return };
        if ring.vacant_len() < HEAD + length {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut head = [0; HEAD];
        head[0] = kind as u8;
        head[1..5].copy_from_slice(&track.to_le_bytes());
        head[5..].copy_from_slice(&(length as u32).to_le_bytes());
        ring.push_slice(&head);
        for part in parts {
            ring.push_slice(part);
        }
    }

    /// A tape that leads nowhere.
    pub fn blank() -> Self {
        Self { ring: None, dropped: Arc::default() }
    }
}

/// The reading end, which the journal's thread empties.
pub(crate) struct TapeReader {
    ring: HeapCons<u8>,
    dropped: Arc<AtomicU64>,
    /// Bytes of a record whose end was not there yet.
    begun: VecDeque<u8>,
}

/// Makes a tape.
pub(crate) fn tape() -> (Tape, TapeReader) {
    let (writer, reader) = HeapRb::new(TAPE_BYTES).split();
    let dropped = Arc::new(AtomicU64::new(0));
    (
        Tape { ring: Some(writer), dropped: dropped.clone() },
        TapeReader { ring: reader, dropped, begun: VecDeque::new() },
    )
}

impl TapeReader {
    /// Hands every whole record to `each`: kind, track, body.
    pub(crate) fn empty(&mut self, mut each: impl FnMut(u8, u32, &[u8])) {
        self.begun.extend(self.ring.pop_iter());
        let bytes = self.begun.make_contiguous();
        let mut taken = 0;
        while let Some(head) = bytes.get(taken..taken + HEAD) {
            let track = u32::from_le_bytes(head[1..5].try_into().expect("four bytes"));
            let length = u32::from_le_bytes(head[5..].try_into().expect("four bytes")) as usize;
            let Some(body) = bytes.get(taken + HEAD..taken + HEAD + length) else { break };
            each(head[0], track, body);
            taken += HEAD + length;
        }
        self.begun.drain(..taken);
    }

    /// How many records found no room since the last call.
    pub(crate) fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }

    /// Whether the writing end is gone: what is inside is the last there will be.
    pub(crate) fn is_abandoned(&self) -> bool {
        !self.ring.write_is_held()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_out_whole_and_in_order_and_what_does_not_fit_is_counted() {
        let (mut tape, mut reader) = tape();
        let body = [7; 1_000];
        for track in 0..2_000 {
            tape.note(Kind::Packet, track, &[&body[..500], &body[500..]]);
        }
        let mut tracks = Vec::new();
        reader.empty(|kind, track, bytes| {
            assert_eq!((kind, bytes), (Kind::Packet as u8, &body[..]));
            tracks.push(track);
        });
        let fit = TAPE_BYTES / 1_009;
        assert!(tracks.iter().copied().eq(0..fit as u32));
        assert_eq!(reader.take_dropped(), 2_000 - fit as u64);
        assert_eq!(reader.take_dropped(), 0);
        drop(tape);
        assert!(reader.is_abandoned());
    }
}
