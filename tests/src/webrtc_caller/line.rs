//! The calling end of a WebRTC connection as a value: it offers, and is told datagrams and the time.
//!
//! Pure, so that a test can connect it with an answering end in virtual time. Other packages include this file
//! by its path; it uses the protocol crate, `bytes` and the standard library.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use rtc::{
    data_channel::RTCDataChannelId,
    media_stream::MediaStreamTrack,
    peer_connection::{
        RTCPeerConnection, RTCPeerConnectionBuilder,
        configuration::{
            media_engine::{MIME_TYPE_OPUS, MediaEngine},
            setting_engine::SettingEngineBuilder,
        },
        event::{RTCDataChannelEvent, RTCPeerConnectionEvent},
        message::RTCMessage,
        sdp::RTCSessionDescription,
        state::RTCPeerConnectionState,
        transport::{CandidateConfig, CandidateHostConfig, RTCIceCandidate, RTCIceCandidateInit},
    },
    rtp,
    rtp_transceiver::{
        RTCRtpSenderId, RTCRtpTransceiverDirection, RTCRtpTransceiverInit,
        rtp_sender::{
            RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
        },
    },
    sansio::Protocol as _,
    shared::{TaggedBytesMut, TransportContext, TransportProtocol},
};

/// The source that callers send as.
pub const SSRC: u32 = 0x00c0_ffee;

/// The payload type that callers offer Opus as.
pub const OPUS: u8 = 111;

/// What a caller offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// To speak.
    pub speaks: bool,
    /// To listen.
    pub listens: bool,
    /// A data channel.
    pub has_channel: bool,
}

impl Wants {
    /// What a softphone offers.
    pub const ALL: Self = Self { speaks: true, listens: true, has_channel: true };
}

/// What came of the other end.
#[derive(Clone, Debug, PartialEq)]
pub enum Got {
    /// A packet of sound.
    Sound {
        /// When it came.
        at: Instant,
        /// Its timestamp, at 48 kHz.
        timestamp: u32,
        /// Its number.
        seq: u16,
        /// Opus.
        payload: Bytes,
    },
    /// A text over the data channel.
    Text(String),
    /// The data channel is open.
    ChannelOpen,
    /// The connection stands.
    Connected,
    /// The connection is over or about to be.
    Lost,
}

/// The calling end.
pub struct Line {
    core: RTCPeerConnection,
    local: SocketAddr,
    sender: Option<RTCRtpSenderId>,
    channel: Option<RTCDataChannelId>,
}

impl Line {
    /// A caller at `local`, and its offer.
    ///
    /// # Panics
    /// When the protocol crate cannot make an offer.
    pub fn offer(now: Instant, local: SocketAddr, wants: Wants) -> (Self, String) {
        let mut engine = MediaEngine::default();
        let codec = RTCRtpCodec {
            mime_type: MIME_TYPE_OPUS.to_owned(),
            clock_rate: 48_000,
            channels: 2,
            sdp_fmtp_line: "minptime=10;useinbandfec=1".to_owned(),
            rtcp_feedback: Vec::new(),
        };
        let parameters = RTCRtpCodecParameters { rtp_codec: codec.clone(), payload_type: OPUS };
        engine.register_codec(parameters, RtpCodecKind::Audio).expect("the codec is registered once");
        let settings = SettingEngineBuilder::new()
            .with_ice_timeouts(
                Some(Duration::from_secs(3)),
                Some(Duration::from_secs(10)),
                Some(Duration::from_secs(1)),
            )
            .build();
        let mut core = RTCPeerConnectionBuilder::new()
            .with_setting_engine(settings)
            .with_media_engine(engine)
            .build(now)
            .expect("a connection");
        let direction = match (wants.speaks, wants.listens) {
            (true, true) => RTCRtpTransceiverDirection::Sendrecv,
            (true, false) => RTCRtpTransceiverDirection::Sendonly,
            _ => RTCRtpTransceiverDirection::Recvonly,
        };
        let init = |direction| Some(RTCRtpTransceiverInit { direction, ..RTCRtpTransceiverInit::default() });
        let sender = if wants.speaks {
            let coding = RTCRtpEncodingParameters {
                rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(SSRC), ..RTCRtpCodingParameters::default() },
                codec,
                ..RTCRtpEncodingParameters::default()
            };
            let kind = RtpCodecKind::Audio;
            let track = MediaStreamTrack::new("caller".into(), "voice".into(), "voice".into(), kind, vec![coding]);
            let id = core.add_transceiver_from_track(track, init(direction)).expect("a transceiver");
            core.rtp_transceiver(id).expect("just made").sender()
        } else {
            core.add_transceiver_from_kind(RtpCodecKind::Audio, init(direction)).expect("a transceiver");
            None
        };
        let channel = wants.has_channel.then(|| core.create_data_channel("events", None).expect("a channel").id());
        let base_config = CandidateConfig {
            network: "udp".to_owned(),
            address: local.ip().to_string(),
            port: local.port(),
            component: 1,
            ..CandidateConfig::default()
        };
        let candidate = CandidateHostConfig { base_config, ..CandidateHostConfig::default() }.new_candidate_host();
        let candidate = RTCIceCandidate::from(&candidate.expect("a candidate")).to_json().expect("a candidate");
        core.add_local_candidate(candidate).expect("our own candidate");
        core.add_local_candidate(RTCIceCandidateInit::default()).expect("the end of candidates");
        let offer = core.create_offer(None).expect("an offer");
        core.set_local_description(now, offer).expect("our own offer");
        let offer = core.local_description().expect("just set").sdp;
        (Self { core, local, sender, channel }, offer)
    }

    /// Takes the answer.
    ///
    /// # Panics
    /// When it does not fit the offer.
    pub fn accept(&mut self, now: Instant, answer: &str) {
        let answer = RTCSessionDescription::answer(answer.to_owned()).expect("an answer is SDP");
        self.core.set_remote_description(now, answer).expect("an answer fits its offer");
    }

    /// Takes a datagram.
    pub fn hear(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let transport = TransportContext {
            local_addr: self.local,
            peer_addr: from,
            transport_protocol: TransportProtocol::UDP,
            ecn: None,
        };
        let _ = self.core.handle_read(TaggedBytesMut { now, transport, message: BytesMut::from(datagram) });
    }

    /// Sends a packet of sound.
    pub fn say(&mut self, now: Instant, seq: u16, timestamp: u32, payload: &[u8]) {
        let Some(mut sender) = self.sender.and_then(|id| self.core.rtp_sender(id)) else { return };
        let header = rtp::Header {
            version: 2,
            payload_type: OPUS,
            sequence_number: seq,
            timestamp,
            ssrc: SSRC,
            ..rtp::Header::default()
        };
        let _ = sender.write_rtp(now, rtp::Packet { header, payload: Bytes::copy_from_slice(payload) });
    }

    /// Sends a text over the data channel.
    ///
    /// # Panics
    /// When there is none, or it is not open.
    pub fn tell(&mut self, now: Instant, text: &str) {
        let channel = self.channel.and_then(|id| self.core.data_channel(id));
        channel.expect("a channel was offered").send_text(now, text).expect("the channel is open");
    }

    /// Lets timers act.
    pub fn tick(&mut self, now: Instant) {
        let _ = self.core.handle_timeout(now);
    }

    /// When [`Line::tick`] is needed next.
    pub fn next_tick(&mut self) -> Option<Instant> {
        self.core.poll_timeout()
    }

    /// The next datagram to send, and where.
    pub fn next_datagram(&mut self) -> Option<(SocketAddr, BytesMut)> {
        self.core.poll_write().map(|datagram| (datagram.transport.peer_addr, datagram.message))
    }

    /// Says goodbye; [`Line::next_datagram`] has it.
    pub fn close(&mut self) {
        let _ = self.core.close();
    }

    /// The next thing that came.
    pub fn got(&mut self) -> Option<Got> {
        while let Some(event) = self.core.poll_event() {
            match event {
                RTCPeerConnectionEvent::OnConnectionStateChangeEvent(RTCPeerConnectionState::Connected) => {
                    return Some(Got::Connected);
                }
                RTCPeerConnectionEvent::OnConnectionStateChangeEvent(
                    RTCPeerConnectionState::Disconnected
                    | RTCPeerConnectionState::Failed
                    | RTCPeerConnectionState::Closed,
                ) => return Some(Got::Lost),
                RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnOpen(_)) => return Some(Got::ChannelOpen),
                // A goodbye ends DTLS and with it the channel, and is no change of the connection by the letter.
                RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnClose(_)) => return Some(Got::Lost),
                _ => {}
            }
        }
        while let Some(message) = self.core.poll_read() {
            let at = message.now;
            match message.message {
                RTCMessage::RtpPacket(_, packet) => {
                    let rtp::Header { timestamp, sequence_number: seq, .. } = packet.header;
                    return Some(Got::Sound { at, timestamp, seq, payload: packet.payload });
                }
                RTCMessage::DataChannelMessage(_, message) if message.is_string => {
                    return Some(Got::Text(String::from_utf8_lossy(&message.data).into_owned()));
                }
                _ => {}
            }
        }
        None
    }
}
