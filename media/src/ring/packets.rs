//! A queue of datagrams between a transport and a leg: bounded in packets and in bytes, and nothing is boxed.
//!
//! Two rings: the bytes of the datagrams one behind the other, and for each its length and when it came. The
//! bytes are there before the length says so. Either end may be a real-time thread. When it is full the new
//! datagram is not taken and counted: the writer goes on, and for a listener it is one more lost packet.

use std::time::Instant;

use ringbuf::{
    HeapCons, HeapProd, HeapRb,
    traits::{Consumer as _, Observer as _, Producer as _, Split as _},
};

use super::{Reader, Writer, ring};

/// The longest datagram taken: what Ethernet carries. A buffer of so many bytes holds whatever is popped.
pub const LONGEST_BYTES: usize = 1_500;

/// Makes a queue of at most `packets_max` datagrams that hold at most `bytes` together.
///
/// # Panics
/// When either is zero.
pub fn packets(packets_max: usize, bytes: usize) -> (PacketWriter, PacketReader) {
    assert!(bytes > 0, "a queue of datagrams holds some bytes");
    let (bytes_in, bytes_out) = HeapRb::new(bytes).split();
    let (heads_in, heads_out) = ring(packets_max);
    let writer = PacketWriter { heads: heads_in, bytes: bytes_in, not_taken: 0 };
    (writer, PacketReader { heads: heads_out, bytes: bytes_out })
}

/// Why a datagram was not taken; it is lost, as on a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// The reader is behind, or gone.
    #[error("the queue of datagrams is full")]
    Full,
    /// Longer than [`LONGEST_BYTES`]: the sender's fault.
    #[error("the datagram is longer than {LONGEST_BYTES} bytes")]
    TooLong,
}

#[derive(Clone, Copy)]
struct Head {
    at: Instant,
    length: usize,
}

/// The end that puts datagrams in.
pub struct PacketWriter {
    heads: Writer<Head>,
    bytes: HeapProd<u8>,
    not_taken: u64,
}

impl PacketWriter {
    /// Puts a copy of `datagram`, which came at `at`, in.
    ///
    /// # Errors
    /// When it does not fit; it is counted, and nothing of it is in the queue.
    pub fn push(&mut self, at: Instant, datagram: &[u8]) -> Result<(), NotTaken> {
        let taken = if datagram.len() > LONGEST_BYTES {
            Err(NotTaken::TooLong)
        } else if self.heads.vacant() == 0 || self.bytes.vacant_len() < datagram.len() {
            Err(NotTaken::Full)
        } else {
            self.bytes.push_slice(datagram);
            self.heads.push(Head { at, length: datagram.len() }).map_err(|_| NotTaken::Full)
        };
        self.not_taken += u64::from(taken.is_err());
        taken
    }

    /// Datagrams that did not fit, ever.
    pub fn not_taken(&self) -> u64 {
        self.not_taken
    }
}

/// The end that takes datagrams out.
pub struct PacketReader {
    heads: Reader<Head>,
    bytes: HeapCons<u8>,
}

impl PacketReader {
    /// Takes the oldest datagram to the front of `out`: when it came, and how long it is. Of a datagram longer
    /// than `out`, which cannot be with [`LONGEST_BYTES`], the rest is dropped.
    pub fn pop(&mut self, out: &mut [u8]) -> Option<(Instant, usize)> {
        let Head { at, length } = self.heads.pop()?;
        let kept = length.min(out.len());
        self.bytes.pop_slice(&mut out[..kept]);
        self.bytes.skip(length - kept);
        Some((at, kept))
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Whether the writer is gone: what waits is the last there will be.
    pub fn is_abandoned(&self) -> bool {
        self.heads.is_abandoned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn some_instant() -> Instant {
        Instant::now()
    }

    proptest! {
        #[test]
        fn what_is_taken_comes_out_whole_and_in_order(
            steps in prop::collection::vec((any::<bool>(), 0_usize..400, any::<u8>()), 1..300),
        ) {
            let (mut writer, mut reader) = packets(7, 1_000);
            let at = some_instant();
            let (mut expected, mut held, mut refused) = (std::collections::VecDeque::new(), 0, 0);
            for (is_push, length, fill) in steps {
                if is_push {
                    let datagram = vec![fill; length];
                    let fits = expected.len() < 7 && held + length <= 1_000;
                    prop_assert_eq!(writer.push(at, &datagram).is_ok(), fits);
                    if fits {
                        held += length;
                        expected.push_back(datagram);
                    } else {
                        refused += 1;
                    }
                } else {
                    let mut out = [0; LONGEST_BYTES];
                    let popped = reader.pop(&mut out).map(|(_, length)| out[..length].to_vec());
                    held -= popped.as_ref().map_or(0, Vec::len);
                    prop_assert_eq!(popped, expected.pop_front());
                }
            }
            prop_assert_eq!(writer.not_taken(), refused);
        }
    }

    #[test]
    fn a_datagram_that_no_network_carries_is_not_taken() {
        let (mut writer, mut reader) = packets(2, 4_000);
        assert_eq!(writer.push(some_instant(), &[1; LONGEST_BYTES + 1]), Err(NotTaken::TooLong));
        writer.push(some_instant(), &[2; LONGEST_BYTES]).unwrap();
        writer.push(some_instant(), &[3; 20]).unwrap();
        let mut short = [0; 10];
        assert_eq!(reader.pop(&mut short).unwrap().1, 10);
        assert_eq!((reader.pop(&mut short).unwrap().1, short), (10, [3; 10]), "the rest went with its datagram");
    }

    #[test]
    fn datagrams_cross_threads_whole() {
        let (mut writer, mut reader) = packets(8, 600);
        let at = some_instant();
        let sender = std::thread::spawn(move || {
            for number in 0..20_000_u32 {
                let datagram = number.to_be_bytes().repeat(1 + number as usize % 30);
                while writer.push(at, &datagram).is_err() {
                    std::thread::yield_now();
                }
            }
        });
        let (mut out, mut number) = ([0; LONGEST_BYTES], 0_u32);
        while !(reader.is_abandoned() && reader.is_empty()) {
            match reader.pop(&mut out) {
                Some((_, length)) => {
                    assert_eq!(out[..length], number.to_be_bytes().repeat(1 + number as usize % 30));
                    number += 1;
                }
                None => std::thread::yield_now(),
            }
        }
        sender.join().unwrap();
        assert_eq!(number, 20_000);
    }
}
