//! The one queue between the real-time threads and everybody else: bounded, one writer, one reader, no locks.
//! Of it [`packets`] makes one for datagrams, and [`bell`] wakes a task that empties one.
//!
//! Both ends may live on a real-time thread: neither allocates, blocks or makes a system call. A full ring
//! hands the item back and an empty one answers nothing; what that means is decided, and written, where the
//! ring is made. Items still inside are dropped by whichever end goes last, so rings whose items own memory
//! end on a thread that may free.

pub mod bell;
pub mod packets;

use ringbuf::{
    HeapCons, HeapProd, HeapRb,
    traits::{Consumer as _, Observer as _, Producer as _, Split as _},
};

/// Makes a ring for `capacity` items.
///
/// # Panics
/// When `capacity` is zero.
pub fn ring<T>(capacity: usize) -> (Writer<T>, Reader<T>) {
    assert!(capacity > 0, "a ring holds at least one item");
    let (writer, reader) = HeapRb::new(capacity).split();
    (Writer(writer), Reader(reader))
}

/// The end that puts items in.
pub struct Writer<T>(HeapProd<T>);

impl<T> Writer<T> {
    /// Puts `item` in; a full ring hands it back.
    pub fn push(&mut self, item: T) -> Result<(), T> {
        self.0.try_push(item)
    }

    /// How many items fit now; the reader can only make it more.
    pub fn vacant(&self) -> usize {
        self.0.vacant_len()
    }

    /// Whether the reader is gone, so that nobody will take what is put in.
    pub fn is_abandoned(&self) -> bool {
        !self.0.read_is_held()
    }
}

/// The end that takes items out, and the only one that can discard what is queued.
pub struct Reader<T>(HeapCons<T>);

impl<T> Reader<T> {
    /// Takes the oldest item.
    pub fn pop(&mut self) -> Option<T> {
        self.0.try_pop()
    }

    /// How many items wait; the writer can only make it more.
    pub fn len(&self) -> usize {
        self.0.occupied_len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the writer is gone: what waits is the last there will be.
    pub fn is_abandoned(&self) -> bool {
        !self.0.write_is_held()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_ring_hands_the_item_back() {
        let (mut writer, mut reader) = ring(2);
        assert_eq!([writer.push(1), writer.push(2), writer.push(3)], [Ok(()), Ok(()), Err(3)]);
        assert_eq!((writer.vacant(), reader.len()), (0, 2));
        assert_eq!(reader.pop(), Some(1));
        assert_eq!(writer.push(3), Ok(()));
        assert_eq!([reader.pop(), reader.pop(), reader.pop()], [Some(2), Some(3), None]);
    }

    #[test]
    fn each_end_notices_that_the_other_is_gone() {
        let (writer, reader) = ring::<u8>(1);
        assert!(!writer.is_abandoned() && !reader.is_abandoned());
        drop(reader);
        assert!(writer.is_abandoned());
        let (writer, reader) = ring::<u8>(1);
        drop(writer);
        assert!(reader.is_abandoned());
    }

    #[test]
    fn items_cross_threads_in_order_and_none_is_lost() {
        let (mut writer, mut reader) = ring(7);
        let sender = std::thread::spawn(move || {
            for mut item in 0..100_000_u32 {
                while let Err(back) = writer.push(item) {
                    item = back;
                    std::thread::yield_now();
                }
            }
        });
        let mut expected = 0;
        while !(reader.is_abandoned() && reader.is_empty()) {
            match reader.pop() {
                Some(item) => {
                    assert_eq!(item, expected);
                    expected += 1;
                }
                None => std::thread::yield_now(),
            }
        }
        sender.join().unwrap();
        assert_eq!(expected, 100_000);
    }
}
