//! Containers that arrive over a socket, message by message, decoded while they arrive.
//!
//! [`open`] starts a thread named `decode`, because demultiplexers pull and sockets push. Bytes go in through
//! a [`StreamInput`], blocks come out of a [`StreamOutput`]; both are bounded, both can be used from async code
//! and from a plain thread. When the blocks are not taken the thread waits, then the sender waits: nothing is
//! dropped. Whoever feeds and takes in one task must do both at once (`tokio::select!`), or each waits for
//! the other. Dropping the output ends the thread; dropping the input lets it finish what it has.

use std::{
    io::{self, Read},
    thread,
};

use bytes::{Buf, Bytes};
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc::{Receiver, Sender, channel},
};

use super::{Block, DecodeError, Losses, file::Decoder};

/// Pieces of input that wait for the decoder: with [`PIECE_BYTES`] each, 256 KiB. When full, the sender waits.
const WAITING_PIECES: usize = 16;

/// Larger messages are cut into pieces of this size.
const PIECE_BYTES: usize = 16 << 10;

/// Blocks that wait to be taken. When full, the decoder waits.
const WAITING_BLOCKS: usize = 16;

/// Nothing more is taken: the decoder has ended or failed, and [`StreamOutput`] says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the decoder takes no more audio")]
pub struct InputClosed;

/// Where the bytes go in; dropping it says that there are no more.
pub struct StreamInput(Sender<Bytes>);

/// Where the blocks come out; dropping it ends the decoder.
pub struct StreamOutput(Receiver<Item>);

/// What comes out.
#[derive(Debug)]
pub enum Item {
    /// Some audio.
    Block(Block),
    /// The end of all audio, and what was missing in it. The last item.
    End(Losses),
    /// It cannot be decoded, or not any further. The last item.
    Failed(DecodeError),
}

/// Starts a decoder for one stream.
///
/// # Errors
/// When the system gives no thread.
pub fn open() -> io::Result<(StreamInput, StreamOutput)> {
    let (input, pieces) = channel(WAITING_PIECES);
    let (items, output) = channel(WAITING_BLOCKS);
    thread::Builder::new().name("decode".to_owned()).spawn(move || {
        // The output being gone is no failure: nobody wants to know.
        let _ = items.blocking_send(decode(pieces, &items));
    })?;
    Ok((StreamInput(input), StreamOutput(output)))
}

impl StreamInput {
    /// Hands in the next bytes; waits while the decoder is behind.
    pub async fn push(&self, mut bytes: Bytes) -> Result<(), InputClosed> {
        while bytes.has_remaining() {
            let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
            self.0.send(piece).await.map_err(|_| InputClosed)?;
        }
        Ok(())
    }

    /// [`push`](Self::push) for a plain thread.
    ///
    /// # Panics
    /// Within async code.
    pub fn blocking_push(&self, mut bytes: Bytes) -> Result<(), InputClosed> {
        while bytes.has_remaining() {
            let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
            self.0.blocking_send(piece).map_err(|_| InputClosed)?;
        }
        Ok(())
    }

    /// Says that there are no more bytes.
    pub fn finish(self) {}
}

impl StreamOutput {
    /// The next item; `None` after the last one. Safe to cancel.
    pub async fn next(&mut self) -> Option<Item> {
        self.0.recv().await
    }

    /// [`next`](Self::next) for a plain thread.
    ///
    /// # Panics
    /// Within async code.
    pub fn blocking_next(&mut self) -> Option<Item> {
        self.0.blocking_recv()
    }
}

/// Decodes until the end and says how it ended.
fn decode(pieces: Receiver<Bytes>, items: &Sender<Item>) -> Item {
    // Without drivers this is only a way to wait for one of two things.
    let runtime = match Builder::new_current_thread().build() {
        Ok(runtime) => runtime,
        Err(error) => return Item::Failed(error.into()),
    };
    let incoming = Incoming { piece: Bytes::new(), pieces, items: items.clone(), runtime };
    let mut decoder = match Decoder::open_stream(incoming) {
        Ok(decoder) => decoder,
        Err(error) => return Item::Failed(error),
    };
    loop {
        match decoder.next_block() {
            Ok(Some(block)) => {
                if items.blocking_send(Item::Block(block)).is_err() {
                    return Item::End(decoder.losses());
                }
            }
            Ok(None) => return Item::End(decoder.losses()),
            Err(error) => return Item::Failed(error),
        }
    }
}

/// The input as a reader: waits for bytes, ends with the input, fails when nobody takes the blocks any more.
struct Incoming {
    piece: Bytes,
    pieces: Receiver<Bytes>,
    items: Sender<Item>,
    runtime: Runtime,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let next = self.runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = self.items.closed() => Err(io::Error::from(io::ErrorKind::BrokenPipe)),
                    piece = self.pieces.recv() => Ok(piece),
                }
            });
            match next? {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let read = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(samples: usize) -> Bytes {
        let mut bytes = Vec::new();
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 16_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::new(io::Cursor::new(&mut bytes), spec).unwrap();
        (0..samples).for_each(|n| writer.write_sample((n % 100) as i16).unwrap());
        writer.finalize().unwrap();
        bytes.into()
    }

    #[tokio::test]
    async fn a_block_leaves_before_more_bytes_come() {
        let bytes = wav(1_000);
        let (input, mut output) = open().unwrap();
        input.push(bytes.slice(..44 + 640)).await.unwrap();
        let mut heard = 0;
        while heard < 320 {
            match output.next().await {
                Some(Item::Block(block)) => heard += block.samples(),
                other => panic!("{other:?}"),
            }
        }
        input.push(bytes.slice(44 + 640..)).await.unwrap();
        input.finish();
        while let Some(Item::Block(block)) = output.next().await {
            heard += block.samples();
        }
        assert_eq!(heard, 1_000);
    }

    #[tokio::test]
    async fn the_decoder_ends_when_nobody_listens_any_more() {
        let (input, output) = open().unwrap();
        input.push(wav(100)).await.unwrap();
        drop(output);
        // The receiving half of the input lives as long as the decoder's thread reads.
        input.0.closed().await;
        assert_eq!(input.push(wav(1)).await, Err(InputClosed));
    }

    #[tokio::test]
    async fn the_decoder_ends_when_it_waits_for_somebody_to_take_its_blocks() {
        let (input, output) = open().unwrap();
        let feeding = tokio::spawn(async move {
            let more = wav(500_000);
            let fed = input.push(more).await;
            (input, fed)
        });
        let (input, fed) = {
            // Nothing is taken, so the sender waits behind the full decoder until the output is gone.
            tokio::task::yield_now().await;
            drop(output);
            feeding.await.unwrap()
        };
        assert_eq!(fed, Err(InputClosed));
        input.0.closed().await;
    }

    #[tokio::test]
    async fn an_end_before_any_byte_is_an_empty_recording() {
        let (input, mut output) = open().unwrap();
        input.finish();
        assert!(matches!(output.next().await, Some(Item::Failed(DecodeError::Empty))));
        assert!(output.next().await.is_none());
    }

    #[tokio::test]
    async fn a_sender_of_something_else_learns_what_it_sent() {
        let (input, mut output) = open().unwrap();
        input.push(Bytes::from_static(b"{\"type\":\"KeepAlive\"}")).await.unwrap();
        match output.next().await {
            Some(Item::Failed(DecodeError::Unrecognised(what))) => assert_eq!(what.seems, "JSON text"),
            other => panic!("{other:?}"),
        }
    }
}
