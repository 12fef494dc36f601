//! One caller's connection as a value: told datagrams and the time, it says what to send and what was heard.
//!
//! Whatever is asked of the protocol crate (ICE, DTLS, SRTP, SCTP) is asked here. Pure: no socket and no clock; the
//! shell in [`super::peer`] has both. What a stranger sends is dropped inside: only datagrams of the address
//! that passed the connectivity check count as sound.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use rtc::{
    data_channel::RTCDataChannelId,
    interceptor::{Registry, Slot},
    media_stream::MediaStreamTrack,
    peer_connection::{
        RTCPeerConnection, RTCPeerConnectionBuilder,
        certificate::RTCCertificate,
        configuration::{
            RTCConfigurationBuilder,
            media_engine::{MIME_TYPE_OPUS, MIME_TYPE_TELEPHONE_EVENT, MediaEngine},
            setting_engine::{SctpMaxMessageSize, SettingEngineBuilder},
        },
        event::{RTCDataChannelEvent, RTCPeerConnectionEvent},
        message::RTCMessage,
        sdp::RTCSessionDescription,
        state::RTCPeerConnectionState,
        transport::{
            CandidateConfig, CandidateHostConfig, CandidateServerReflexiveConfig, RTCDtlsTransportState,
            RTCIceCandidate, RTCIceCandidateInit,
        },
    },
    rtcp, rtp,
    rtp_transceiver::{
        RTCRtpSenderId,
        rtp_sender::{
            RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
        },
    },
    sansio::Protocol as _,
    shared::{
        TaggedBytesMut, TransportContext, TransportProtocol,
        error::Error,
        marshal::{Marshal as _, MarshalSize as _, Unmarshal as _},
    },
};

use super::{
    offer::{Audio, CANDIDATES_MAX, Offer},
    reports::LetThrough,
};

/// The longest text that goes over a data channel at once, either way: a command has a hundred bytes, what describes an agent and its
/// functions some ten thousand.
pub(super) const TEXT_BYTES_MAX: u32 = 128 * 1024;

/// What a caller may have on its way to us over the data channel.
const TEXTS_BYTES_MAX: u32 = 256 * 1024;

/// What may be on its way to a caller over the data channel before the next text waits.
const UNHEARD_BYTES_MAX: usize = 64 * 1024;

/// Data channels of one caller. One is used; a caller that opens more than this means harm.
const CHANNELS_MAX: usize = 8;

/// Without an answer for so long, the caller counts as disconnected; consent is asked for every 2 s.
const DISCONNECTED_AFTER: Duration = Duration::from_secs(5);

/// How often consent is asked for.
const CONSENT_EVERY: Duration = Duration::from_secs(2);

/// How we are reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    /// What callers are told to send to.
    pub(super) local: SocketAddr,
    /// How a STUN server saw our socket, where that is another.
    pub(super) reflexive: Option<SocketAddr>,
}

/// What came of a caller.
#[derive(Debug)]
pub(super) enum Got {
    /// A datagram of RTP or RTCP, in the clear; the instant is that of its arrival.
    Sound(Instant, BytesMut),
    /// A text over the data channel.
    Text(String),
    /// The connection's state changed.
    State(RTCPeerConnectionState),
    /// The caller does what no caller should.
    Harm(&'static str),
}

/// One caller's connection.
pub(super) struct Connection {
    core: RTCPeerConnection,
    local: SocketAddr,
    audio: Audio,
    sender: Option<RTCRtpSenderId>,
    channel: Option<RTCDataChannelId>,
    channels: usize,
    candidates: usize,
    is_over: bool,
}

impl Connection {
    /// Answers `offer`: the connection and the answer. `ssrc` is the source that we send as, if we do.
    ///
    /// # Errors
    /// What the protocol crate says against the offer.
    pub(super) fn answer(
        now: Instant,
        offer: &Offer,
        address: Address,
        certificate: RTCCertificate,
        ssrc: Option<u32>,
        failed_after: Duration,
    ) -> Result<(Self, String), Error> {
        let settings = SettingEngineBuilder::new()
            .with_ice_timeouts(Some(DISCONNECTED_AFTER), Some(failed_after), Some(CONSENT_EVERY))
            .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(TEXT_BYTES_MAX))
            .with_sctp_max_receive_buffer_size(TEXTS_BYTES_MAX)
            .build();
        let mut core = RTCPeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().with_certificates(vec![certificate]).build())
            .with_setting_engine(settings)
            .with_media_engine(codecs(offer.audio)?)
            .with_interceptor_registry(Registry::new().with(Slot::Custom(1), LetThrough::default()))
            .build(now)?;
        let sender = match ssrc.filter(|_| offer.audio.direction.is_receiving()) {
            Some(ssrc) => Some(core.add_track(track(ssrc))?),
            None => None,
        };
        core.set_remote_description(now, RTCSessionDescription::offer(offer.sdp.clone())?)?;
        for candidate in candidates(address)? {
            core.add_local_candidate(candidate)?;
        }
        // Nothing is trickled from here: the answer has all there is.
        core.add_local_candidate(RTCIceCandidateInit::default())?;
        let answer = core.create_answer(None)?;
        core.set_local_description(now, answer)?;
        let answer = core.local_description().ok_or(Error::ErrPeerConnLocalDescriptionNil)?;
        let candidates = offer.candidates;
        let local = address.local;
        let connection =
            Self { core, local, audio: offer.audio, sender, channel: None, channels: 0, candidates, is_over: false };
        Ok((connection, answer.sdp))
    }

    /// Takes a datagram that came at `now`.
    pub(super) fn hear(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let transport = TransportContext {
            local_addr: self.local,
            peer_addr: from,
            transport_protocol: TransportProtocol::UDP,
            ecn: None,
        };
        // What is refused is a stranger's or broken, and dropped like any lost packet.
        let _ = self.core.handle_read(TaggedBytesMut { now, transport, message: BytesMut::from(datagram) });
    }

    /// Sends a datagram of RTP or RTCP, given in the clear. Before the connection stands it is dropped.
    pub(super) fn say(&mut self, now: Instant, datagram: &[u8]) {
        let Some(mut sender) = self.sender.and_then(|id| self.core.rtp_sender(id)) else { return };
        let mut bytes = Bytes::copy_from_slice(datagram);
        let sent = if is_rtcp(datagram) {
            rtcp::packet::unmarshal(&mut bytes).and_then(|packets| sender.write_rtcp(now, packets))
        } else {
            rtp::Packet::unmarshal(&mut bytes).and_then(|packet| sender.write_rtp(now, packet))
        };
        if let Err(error) = sent {
            tracing::trace!(%error, "a packet was not sent");
        }
    }

    /// Takes more of the caller's candidates, up to as many as an offer may have.
    pub(super) fn trickle(&mut self, candidates: Vec<String>) {
        for candidate in candidates {
            if self.candidates == CANDIDATES_MAX {
                return;
            }
            self.candidates += 1;
            let candidate = RTCIceCandidateInit { candidate, ..RTCIceCandidateInit::default() };
            if let Err(error) = self.core.add_remote_candidate(candidate) {
                tracing::debug!(%error, "a candidate was not taken");
            }
        }
    }

    /// Whether a text can be sent now: the channel is open, and the caller has not fallen behind.
    pub(super) fn can_tell(&mut self) -> bool {
        let channel = self.channel.and_then(|id| self.core.data_channel(id));
        channel.is_some_and(|channel| channel.outstanding_bytes() < UNHEARD_BYTES_MAX)
    }

    /// Sends a text; asked for [`Connection::can_tell`] before.
    pub(super) fn tell(&mut self, now: Instant, text: String) {
        if let Some(mut channel) = self.channel.and_then(|id| self.core.data_channel(id))
            && let Err(error) = channel.send_text(now, text)
        {
            tracing::debug!(%error, "a text was not sent");
        }
    }

    /// Lets timers that are due at `now` act.
    pub(super) fn tick(&mut self, now: Instant) {
        let _ = self.core.handle_timeout(now);
    }

    /// When [`Connection::tick`] is needed next.
    pub(super) fn next_tick(&mut self) -> Option<Instant> {
        self.core.poll_timeout()
    }

    /// The next datagram to send.
    pub(super) fn next_datagram(&mut self) -> Option<(SocketAddr, BytesMut)> {
        self.core.poll_write().map(|datagram| (datagram.transport.peer_addr, datagram.message))
    }

    /// The next thing that came of the caller.
    pub(super) fn got(&mut self) -> Option<Got> {
        while let Some(event) = self.core.poll_event() {
            match event {
                RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) => return Some(Got::State(state)),
                RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnOpen(id)) => {
                    self.channels += 1;
                    if self.channels > CHANNELS_MAX {
                        return Some(Got::Harm("more data channels than anybody needs"));
                    }
                    self.channel.get_or_insert(id);
                }
                RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnClose(id)) if self.channel == Some(id) => {
                    self.channel = None;
                }
                _ => {}
            }
        }
        while let Some(message) = self.core.poll_read() {
            let at = message.now;
            match message.message {
                RTCMessage::RtpPacket(_, packet) => {
                    if let Some(bytes) = self.sound(packet) {
                        return Some(Got::Sound(at, bytes));
                    }
                }
                RTCMessage::RtcpPacket(_, packets) => {
                    let mut bytes = BytesMut::new();
                    for packet in packets.iter().filter(|packet| is_for_a_leg(packet.header().packet_type)) {
                        bytes.extend_from_slice(&packet.marshal().unwrap_or_default());
                    }
                    if !bytes.is_empty() {
                        return Some(Got::Sound(at, bytes));
                    }
                }
                RTCMessage::DataChannelMessage(id, message) if self.channel == Some(id) && message.is_string => {
                    if let Ok(text) = String::from_utf8(message.data.to_vec()) {
                        return Some(Got::Text(text));
                    }
                }
                _ => {}
            }
        }
        if !self.is_over && self.heard_goodbye() {
            self.is_over = true;
            return Some(Got::State(RTCPeerConnectionState::Closed));
        }
        None
    }

    /// Whether the caller has closed DTLS. By the letter the connection stays connected then; nothing can come
    /// any more, though.
    fn heard_goodbye(&mut self) -> bool {
        let receiver = self.core.get_receivers().next();
        let state = if let Some(sender) = self.sender.and_then(|id| self.core.rtp_sender(id)) {
            sender.transport().map(|transport| transport.state())
        } else {
            let receiver = receiver.and_then(|id| self.core.rtp_receiver(id));
            receiver.and_then(|receiver| receiver.transport().map(|transport| transport.state()))
        };
        state == Some(RTCDtlsTransportState::Closed)
    }

    /// Says goodbye; [`Connection::next_datagram`] has it.
    pub(super) fn close(&mut self) {
        let _ = self.core.close();
    }

    /// The datagram again, of what was agreed on and without extensions, which nobody behind here reads.
    fn sound(&self, mut packet: rtp::Packet) -> Option<BytesMut> {
        let payload_type = packet.header.payload_type;
        if payload_type != self.audio.opus && Some(payload_type) != self.audio.telephone_event {
            return None;
        }
        packet.header.extension = false;
        packet.header.extensions.clear();
        packet.header.padding = false;
        let mut bytes = BytesMut::zeroed(packet.marshal_size());
        let length = packet.marshal_to(&mut bytes).ok()?;
        bytes.truncate(length);
        Some(bytes)
    }
}

/// Whether a datagram of a muxed stream is RTCP (RFC 5761 section 4).
fn is_rtcp(datagram: &[u8]) -> bool {
    datagram.get(1).is_some_and(|kind| (192..=223).contains(kind))
}

/// Whether a leg reads such RTCP. The crate hands it on decoded; encoded again, names would come out damaged.
fn is_for_a_leg(kind: rtcp::header::PacketType) -> bool {
    use rtcp::header::PacketType::{Goodbye, ReceiverReport, SenderReport};
    matches!(kind, SenderReport | ReceiverReport | Goodbye)
}

fn codecs(audio: Audio) -> Result<MediaEngine, Error> {
    let mut engine = MediaEngine::default();
    let codec = |mime: &str, channels, payload_type| RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: mime.to_owned(),
            clock_rate: 48_000,
            channels,
            sdp_fmtp_line: String::new(),
            rtcp_feedback: Vec::new(),
        },
        payload_type,
    };
    engine.register_codec(codec(MIME_TYPE_OPUS, 2, audio.opus), RtpCodecKind::Audio)?;
    if let Some(payload_type) = audio.telephone_event {
        engine.register_codec(codec(MIME_TYPE_TELEPHONE_EVENT, 0, payload_type), RtpCodecKind::Audio)?;
    }
    Ok(engine)
}

fn track(ssrc: u32) -> MediaStreamTrack {
    let codec =
        RTCRtpCodec { mime_type: MIME_TYPE_OPUS.to_owned(), clock_rate: 48_000, channels: 2, ..RTCRtpCodec::default() };
    let coding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..RTCRtpCodingParameters::default() },
        codec,
        ..RTCRtpEncodingParameters::default()
    };
    MediaStreamTrack::new("room".to_owned(), "sound".to_owned(), "sound".to_owned(), RtpCodecKind::Audio, vec![coding])
}

fn candidates(address: Address) -> Result<Vec<RTCIceCandidateInit>, Error> {
    let base = |address: SocketAddr| CandidateConfig {
        network: "udp".to_owned(),
        address: address.ip().to_string(),
        port: address.port(),
        component: 1,
        ..CandidateConfig::default()
    };
    let host = CandidateHostConfig { base_config: base(address.local), ..CandidateHostConfig::default() };
    let mut candidates = vec![RTCIceCandidate::from(&host.new_candidate_host()?).to_json()?];
    if let Some(reflexive) = address.reflexive.filter(|reflexive| *reflexive != address.local) {
        let reflexive = CandidateServerReflexiveConfig {
            base_config: base(reflexive),
            rel_addr: address.local.ip().to_string(),
            rel_port: address.local.port(),
            ..CandidateServerReflexiveConfig::default()
        };
        candidates.push(RTCIceCandidate::from(&reflexive.new_candidate_server_reflexive()?).to_json()?);
    }
    Ok(candidates)
}
