//! A container as it arrives: its bytes go to the decoder's thread, its audio comes back and opens the lanes.
//!
//! How many channels there are is known with the first block. A task carries blocks from the decoder to the
//! lanes; both crossings are bounded and wait, so a sender that is too fast is read more slowly.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use media::{
    decode::{
        Block,
        stream::{self, Item, StreamInput, StreamOutput},
    },
    ears::Ears as Downmix,
};
use tokio::{sync::Notify, task::JoinHandle};

use super::{LiveError, Opener, lane::Lanes, listen};
use crate::error::ApiError;

/// The writing end of a container.
pub(super) struct Container {
    input: StreamInput,
    finalize: Arc<Notify>,
    pump: Option<JoinHandle<Result<(), LiveError>>>,
}

impl Container {
    /// Starts the decoder's thread and the task.
    pub(super) fn start(opener: Opener, multichannel: bool) -> Result<Self, ApiError> {
        let (input, output) = stream::open().map_err(|error| {
            tracing::error!(%error, "cannot start a decoder");
            ApiError::full("the server cannot start another decoder")
        })?;
        let finalize = Arc::new(Notify::new());
        let pump = Pump { opener, multichannel, output, finalize: finalize.clone(), open: None };
        Ok(Self { input, finalize, pump: Some(tokio::spawn(pump.run())) })
    }

    pub(super) async fn push(&mut self, bytes: Bytes) -> Result<(), LiveError> {
        match self.input.push(bytes).await {
            Ok(()) => Ok(()),
            // The decoder has ended; the task knows why. Bytes after a complete file are nobody's loss.
            Err(_) => outcome(&mut self.pump).await,
        }
    }

    pub(super) fn finalize(&mut self) {
        self.finalize.notify_one();
    }

    pub(super) async fn finish(mut self) -> Result<(), LiveError> {
        self.input.finish();
        outcome(&mut self.pump).await
    }
}

/// How the task ended; fine when that was told before.
async fn outcome(pump: &mut Option<JoinHandle<Result<(), LiveError>>>) -> Result<(), LiveError> {
    match pump.take() {
        Some(pump) => pump.await.unwrap_or(Err(LiveError::Stopped)),
        None => Ok(()),
    }
}

struct Pump {
    opener: Opener,
    multichannel: bool,
    output: StreamOutput,
    finalize: Arc<Notify>,
    open: Option<(Downmix, Lanes)>,
}

impl Pump {
    async fn run(mut self) -> Result<(), LiveError> {
        loop {
            // Cancel-safe: an item is handed out once, a notification is kept until it is looked at.
            let item = tokio::select! {
                biased;
                item = self.output.next() => item,
                () = self.finalize.notified() => {
                    self.on_finalize().await?;
                    continue;
                }
            };
            if !self.on_item(item).await? {
                return Ok(());
            }
        }
    }

    /// Bytes that came before the request may still be on the decoder's thread: they are waited for shortly.
    async fn on_finalize(&mut self) -> Result<(), LiveError> {
        while let Ok(item) = tokio::time::timeout(DECODER_IDLE, self.output.next()).await {
            if !self.on_item(item).await? {
                break;
            }
        }
        if let Some((_, lanes)) = &mut self.open {
            lanes.finalize();
        }
        Ok(())
    }

    /// False after the last item.
    async fn on_item(&mut self, item: Option<Item>) -> Result<bool, LiveError> {
        match item {
            Some(Item::Block(block)) => self.on_block(&block).await.map(|()| true),
            Some(Item::Failed(error)) => Err(LiveError::Audio(error.to_string())),
            Some(Item::End(losses)) => {
                if losses.truncated || losses.damaged_packets > 0 {
                    tracing::debug!(losses.truncated, losses.damaged_packets, "a container was not whole");
                }
                if let Some((downmix, lanes)) = &mut self.open {
                    lanes.flush(downmix).await?;
                }
                Ok(false)
            }
            None => Ok(false),
        }
    }

    async fn on_block(&mut self, block: &Block) -> Result<(), LiveError> {
        let (downmix, lanes) = match &mut self.open {
            Some(open) => open,
            None => {
                let downmix = Downmix::new(block.format(), listen(self.multichannel));
                let downmix = downmix.map_err(|error| LiveError::Audio(error.to_string()))?;
                let lanes = self.opener.open(downmix.streams()).await.map_err(|refused| match refused.code {
                    "draining" => LiveError::Draining,
                    "not_found" => LiveError::RoomClosed,
                    _ => LiveError::Full(refused.message),
                })?;
                self.open.insert((downmix, lanes))
            }
        };
        lanes.hear(downmix, &block.channels).await
    }
}

/// A decoder that has had nothing to say for this long has decoded what it was given; decoding a second of
/// audio takes a few milliseconds.
const DECODER_IDLE: Duration = Duration::from_millis(50);
