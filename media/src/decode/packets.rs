//! Every compressed container: demultiplexed by symphonia, decoded by symphonia or, for Opus, by libopus.
//!
//! The only file that knows symphonia's types. Its calls run inside [`caught`]; a demultiplexer or decoder that
//! panicked is dropped. Only MP4 is read back and forth, and only from a file: everything else is taken as a
//! stream even when it is a file, so that both ways give the same audio.

use symphonia::{
    core::{
        audio::Channels,
        codecs::{
            CodecParameters,
            audio::{AudioDecoder, AudioDecoderOptions, well_known::CODEC_ID_OPUS},
        },
        errors::Error,
        formats::{FormatOptions, FormatReader, TrackType},
        io::MediaSourceStream,
        packet::Packet,
    },
    default::{
        formats::{AdtsReader, FlacReader, IsoMp4Reader, MkvReader, MpaReader, OggReader},
        get_codecs,
    },
};

use super::{
    Block, DecodeError, Losses, believable,
    contain::{Meter, Source, caught, read_error},
    sniff::Container,
};
use crate::{
    codec::{
        opus::{self, OpusError},
        pcm::sound,
    },
    frame::Format,
};

/// How it is to be taken that the bytes end where the demultiplexer wants more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The demultiplexer knows the end when it sees it: this is a loss.
    Marked,
    /// The container announced to be this long: a loss only when it is shorter.
    AtByte(u64),
    /// The writer did not know: no loss.
    Open,
}

pub(super) struct PacketReader {
    container: Container,
    end: End,
    meter: Meter,
    format: Option<Format>,
    losses: Losses,
    /// `None` after the end and after a fault.
    demuxer: Option<Box<dyn FormatReader>>,
    track: Track,
}

struct Track {
    id: u32,
    codec: Codec,
}

enum Codec {
    Symphonia(Box<dyn AudioDecoder>),
    Opus { decoder: opus::Decoder, channels: usize, skip_samples: usize },
}

impl PacketReader {
    /// Reads the headers, up to the first packet.
    ///
    /// # Panics
    /// When `container` is WAV, which has its own reader.
    pub(super) fn open(container: Container, end: End, source: Source, meter: Meter) -> Result<Self, DecodeError> {
        let demuxer = caught(container, || {
            let stream = MediaSourceStream::new(Box::new(source), Default::default());
            let options = FormatOptions::default();
            Ok(match container {
                Container::Flac => Box::new(FlacReader::try_new(stream, options)?) as Box<dyn FormatReader>,
                Container::Mp3 => Box::new(MpaReader::try_new(stream, options)?),
                Container::Ogg => Box::new(OggReader::try_new(stream, options)?),
                Container::WebM => Box::new(MkvReader::try_new(stream, options)?),
                Container::Mp4 => Box::new(IsoMp4Reader::try_new(stream, options)?),
                Container::Aac => Box::new(AdtsReader::try_new(stream, options)?),
                Container::Wav => unreachable!("WAV has its own reader"),
            })
        })?
        .map_err(|error| header_error(container, error))?;
        let track = Track::choose(container, demuxer.as_ref())?;
        Ok(Self { container, end, meter, format: None, losses: Losses::default(), demuxer: Some(demuxer), track })
    }

    /// The audio of the next packet that has any; `None` at the end.
    pub(super) fn next_block(&mut self) -> Result<Option<Block>, DecodeError> {
        // Taken out for the duration: an early return, a fault among them, leaves it dropped.
        let Some(mut demuxer) = self.demuxer.take() else { return Ok(None) };
        loop {
            let packet = match caught(self.container, || demuxer.next_packet())? {
                Ok(Some(packet)) => packet,
                Ok(None) => return Ok(None),
                Err(Error::ResetRequired) => {
                    // Ogg may chain one stream after another, each with its own headers.
                    self.track = Track::choose(self.container, demuxer.as_ref())?;
                    continue;
                }
                Err(Error::IoError(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    self.losses.truncated = match self.end {
                        End::Marked => true,
                        End::AtByte(announced) => self.meter.read_bytes() < announced,
                        End::Open => false,
                    };
                    return Ok(None);
                }
                Err(error) => return Err(body_error(self.container, error)),
            };
            self.meter.audio_found();
            if packet.track_id != self.track.id {
                continue;
            }
            let Some(block) = caught(self.container, || self.track.codec.decode(&packet, &mut self.losses))? else {
                continue;
            };
            self.check_format(block.format())?;
            self.demuxer = Some(demuxer);
            return Ok(Some(block));
        }
    }

    pub(super) fn losses(&self) -> Losses {
        self.losses
    }

    fn check_format(&mut self, to: Format) -> Result<(), DecodeError> {
        match self.format {
            Some(from) if from != to => Err(DecodeError::FormatChanged { container: self.container, from, to }),
            Some(_) => Ok(()),
            None => {
                believable(self.container, to.rate_hz, usize::from(to.channels))?;
                self.format = Some(to);
                Ok(())
            }
        }
    }
}

impl Track {
    fn choose(container: Container, demuxer: &dyn FormatReader) -> Result<Self, DecodeError> {
        let unsupported = |what: String| DecodeError::Unsupported { container, what };
        let track = demuxer
            .default_track(TrackType::Audio)
            .ok_or_else(|| unsupported("it holds no audio track whose codec is known here".to_owned()))?;
        let Some(CodecParameters::Audio(parameters)) = &track.codec_params else {
            return Err(unsupported("its audio track has no parameters".to_owned()));
        };
        let codec = if parameters.codec == CODEC_ID_OPUS {
            let head = match parameters.extra_data.as_deref() {
                Some(bytes) => opus::Head::parse(bytes),
                None => {
                    let channels = parameters.channels.as_ref().map_or(1, Channels::count);
                    Ok(opus::Head { channels, pre_skip: 0, gain_q8: 0 })
                }
            };
            let opened = head.and_then(|head| Ok((opus::Decoder::for_head(head)?, head)));
            let (decoder, head) = opened.map_err(|error: OpusError| unsupported(error.to_string()))?;
            Codec::Opus { decoder, channels: head.channels, skip_samples: usize::from(head.pre_skip) }
        } else {
            let made =
                caught(container, || get_codecs().make_audio_decoder(parameters, &AudioDecoderOptions::default()))?;
            Codec::Symphonia(made.map_err(|error| unsupported(format!("its audio codec is not supported: {error}")))?)
        };
        Ok(Self { id: track.id, codec })
    }
}

impl Codec {
    /// The audio of one packet; `None` when there is none in it or it is broken.
    fn decode(&mut self, packet: &Packet, losses: &mut Losses) -> Option<Block> {
        let block = match self {
            Self::Opus { decoder, channels, skip_samples } => {
                let mut channels = vec![Vec::new(); *channels];
                if decoder.push(&packet.data, &mut channels).is_err() {
                    losses.damaged_packets += 1;
                }
                // Only Ogg says in its last packet how much of it is padding; its unit is a sample at 48 kHz.
                let padding = usize::try_from(packet.trim_end.get()).unwrap_or(usize::MAX);
                let decoded = channels[0].len();
                let skip = (*skip_samples).min(decoded);
                *skip_samples -= skip;
                for channel in &mut channels {
                    channel.truncate(decoded.saturating_sub(padding).max(skip));
                    channel.drain(..skip);
                }
                Block { rate_hz: 48_000, channels }
            }
            Self::Symphonia(decoder) => match decoder.decode(packet) {
                Ok(audio) => {
                    let mut channels = Vec::new();
                    audio.copy_to_vecs_planar::<f32>(&mut channels);
                    for sample in channels.iter_mut().flatten() {
                        *sample = sound(*sample);
                    }
                    Block { rate_hz: audio.spec().rate(), channels }
                }
                Err(_) => {
                    losses.damaged_packets += 1;
                    return None;
                }
            },
        };
        (block.samples() > 0).then_some(block)
    }
}

fn header_error(container: Container, error: Error) -> DecodeError {
    match error {
        Error::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            DecodeError::Damaged { container, what: "it ends inside its header".to_owned() }
        }
        Error::Unsupported(what) => DecodeError::Unsupported { container, what: format!("not supported: {what}") },
        error => body_error(container, error),
    }
}

fn body_error(container: Container, error: Error) -> DecodeError {
    match error {
        Error::IoError(error) => read_error(container, error),
        error => DecodeError::Damaged { container, what: error.to_string() },
    }
}
