//! Somebody who calls by hand and says a tone: sealed or in the clear, with whatever numbers and whatever certificate.
//!
//! SIP is written by [`Wire`], the descriptions are made and read by our own [`Side`], and the sound is packed here, PCMU in
//! packets of 20 ms, as the seconds pass. What comes back is what the far end was given to hear: only what opens counts.
//! Every wait has a deadline.

use std::{
    f32::consts::TAU,
    net::SocketAddr,
    time::{Duration, Instant},
};

use media::{
    codec::voice::{Codec, Decoder, Encoder},
    ring::packets::LONGEST_BYTES,
    rtp::{
        packet::{Contributors, Packet, is_rtcp},
        seq::{RtpTime, SeqNo},
        srtp::{Opener, Profile, Rollover, Sealer},
    },
    webrtc::handshake::{BadHandshake, Certificate, Handshake},
};
use sip::{
    message::{Message, Request, Response},
    sdp::{Agreed, Capabilities, Local, Protection, Session, Side},
};
use tokio::{net::UdpSocket, time::timeout};

use crate::wire::{Ask, Wire, tag_of};

/// Of what is said and heard.
pub const RATE_HZ: u32 = 8_000;

/// How loud the tone is.
const LEVEL: f32 = 0.25;

/// Samples in a packet.
const PACKET: usize = 160;

/// How long somebody may take to take a call.
const TAKEN_WITHIN: Duration = Duration::from_secs(20);

/// A caller.
pub struct Talker {
    wire: Wire,
    socket: UdpSocket,
    side: Side,
    certificate: Certificate,
    call: Ask,
    agreed: Option<Agreed>,
    seals: Option<(Sealer, Opener)>,
    seq: u16,
    time: u32,
    said: usize,
}

/// What a caller can do, with keys by DTLS and in no other way; it shows a certificate with this fingerprint, or so it says.
pub fn by_dtls(fingerprint: &str) -> Capabilities {
    let fingerprint = Some(fingerprint.to_owned());
    Capabilities { srtp: sip::sdp::Srtp::Required, suites: Vec::new(), fingerprint, ..plain() }
}

/// The same with keys in the description.
pub fn by_description() -> Capabilities {
    Capabilities { srtp: sip::sdp::Srtp::Required, ..plain() }
}

/// And in the clear.
pub fn plain() -> Capabilities {
    Capabilities {
        codecs: vec![Codec::Pcmu],
        srtp: sip::sdp::Srtp::Forbidden,
        comfort_noise: false,
        ..Capabilities::default()
    }
}

impl Talker {
    /// Somebody who can do this, whose packets count from `seq` on.
    ///
    /// # Panics
    /// When the machine has no ports.
    pub async fn new(server: &str, capabilities: Capabilities, certificate: Certificate, seq: u16) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let at = socket.local_addr().expect("a bound port");
        let local = Local::muxed(at.ip(), at.port());
        let mut byte = seq as u8;
        let mut random = |bytes: &mut [u8]| {
            byte = byte.wrapping_mul(29).wrapping_add(7);
            bytes.fill(byte);
        };
        let side = Side::new(capabilities, local, u64::from(at.port()), &mut random);
        let wire = Wire::at("127.0.0.1:0", server).await;
        let call = Ask::new("INVITE", "nobody");
        Self { wire, socket, side, certificate, call, agreed: None, seals: None, seq, time: 0, said: 0 }
    }

    /// Calls somebody; what was answered.
    ///
    /// # Panics
    /// When nothing is.
    pub async fn ask(&mut self, user: &str) -> Response {
        let body = self.side.offer().to_string();
        let headers = "Content-Type: application/sdp\r\n".to_owned();
        self.call = Ask { headers, body, ..Ask::new("INVITE", user) };
        // Somebody may have to take it first.
        let answer = self.wire.ask_within(&self.call, TAKEN_WITHIN).await.expect("an answer");
        self.call.to_tag = tag_of(&answer);
        answer
    }

    /// Calls somebody who takes it; there are keys afterwards, but for those of a handshake.
    ///
    /// # Panics
    /// When nobody does.
    pub async fn dial(&mut self, user: &str) {
        let answer = self.ask(user).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let session = Session::parse(&answer.body).expect("a description");
        let agreed = self.side.accept(&session).expect("an answer that fits");
        if let Protection::Sdes { ours, theirs } = &agreed.protection {
            self.seals = Some((ours.sealer(&Rollover::default()), theirs.opener(&Rollover::default())));
        }
        self.agreed = Some(agreed);
    }

    /// What was agreed on.
    ///
    /// # Panics
    /// Before [`Talker::dial`].
    pub fn agreed(&self) -> &Agreed {
        self.agreed.as_ref().expect("somebody was called")
    }

    /// Where the far end hears.
    ///
    /// # Panics
    /// Before [`Talker::dial`].
    pub fn remote(&self) -> SocketAddr {
        self.agreed().destination.rtp.expect("a place for sound")
    }

    /// Shakes hands with the far end, from this socket; it is the one whom the description named, or says to be.
    ///
    /// # Errors
    /// Why there are no keys.
    ///
    /// # Panics
    /// When no handshake was agreed on, or it does not end.
    pub async fn shake(&mut self) -> Result<(), BadHandshake> {
        let Protection::Dtls { fingerprints, is_client, .. } = self.agreed().protection.clone() else {
            panic!("no handshake was agreed on: {:?}", self.agreed());
        };
        let to = self.remote();
        let mut handshake = Handshake::new(&self.certificate, &fingerprints, is_client, now())?;
        let mut datagram = [0; LONGEST_BYTES];
        let shaking = async {
            loop {
                while let Some(datagram) = handshake.poll() {
                    self.socket.send_to(&datagram, to).await.expect("the datagram goes out");
                }
                tokio::select! {
                    received = self.socket.recv_from(&mut datagram) => {
                        let (length, _) = received.expect("a port");
                        if !matches!(datagram[0], 20..=63) {
                            continue;
                        }
                        let taken = handshake.take(now(), &datagram[..length]);
                        while let Some(datagram) = handshake.poll() {
                            self.socket.send_to(&datagram, to).await.expect("the datagram goes out");
                        }
                        if let Some(shaken) = taken? {
                            return Ok(shaken);
                        }
                    }
                    () = tokio::time::sleep_until(handshake.wakes_at().into()) => handshake.wake(now())?,
                }
            }
        };
        let shaken = timeout(Duration::from_secs(40), shaking).await.expect("a handshake ends")?;
        let rollover = Rollover::default;
        self.seals = Some((shaken.ours.sealer(&rollover()), shaken.theirs.opener(&rollover())));
        Ok(())
    }

    /// Says a tone of `hz` for so long; what was heard meanwhile, and nothing of what came before.
    ///
    /// # Panics
    /// When the socket breaks.
    pub async fn say(&mut self, hz: f32, length: Duration) -> Vec<f32> {
        let to = self.remote();
        let (mut encoder, mut decoder) =
            (Encoder::new(Codec::Pcmu).expect("PCMU"), Decoder::new(Codec::Pcmu).expect("PCMU"));
        let mut beats = tokio::time::interval(Duration::from_millis(20));
        let packets = length.as_millis() / 20;
        let (mut heard, mut datagram) = (Vec::new(), [0; LONGEST_BYTES]);
        while self.socket.try_recv_from(&mut datagram).is_ok() {}
        for _ in 0..packets {
            beats.tick().await;
            let tone = |n: usize| LEVEL * (TAU * hz * n as f32 / RATE_HZ as f32).sin();
            let samples: Vec<f32> = (self.said..self.said + PACKET).map(tone).collect();
            self.said += PACKET;
            let mut payload = [0; PACKET];
            let bytes = encoder.encode(&samples, &mut payload);
            let packet = self.packet(&payload[..bytes]);
            self.socket.send_to(&packet, to).await.expect("the packet goes out");
            while let Ok((length, from)) = self.socket.try_recv_from(&mut datagram) {
                if from == to
                    && let Some(payload) = self.open(&mut datagram[..length])
                {
                    let mut samples = [0.0; 960];
                    let decoded = decoder.decode(&payload, &mut samples).unwrap_or(0);
                    heard.extend_from_slice(&samples[..decoded]);
                }
            }
        }
        heard
    }

    /// The next packet, sealed where there are keys.
    fn packet(&mut self, payload: &[u8]) -> Vec<u8> {
        let packet = Packet {
            marker: false,
            payload_type: 0,
            seq: SeqNo(self.seq),
            time: RtpTime(self.time),
            ssrc: 0x7a1c,
            contributors: Contributors::default(),
            extension: None,
            payload,
            padding_bytes: 0,
        };
        (self.seq, self.time) = (self.seq.wrapping_add(1), self.time.wrapping_add(PACKET as u32));
        let mut bytes = vec![0; LONGEST_BYTES];
        let mut length = packet.write(&mut bytes[..LONGEST_BYTES - Profile::LONGEST_TRAILER_BYTES]).expect("it fits");
        if let Some((sealer, _)) = &mut self.seals {
            length = sealer.seal_rtp(&mut bytes, length).expect("numbers that were not used");
        }
        bytes.truncate(length);
        bytes
    }

    /// The sound of a datagram that can be believed.
    fn open(&mut self, datagram: &mut [u8]) -> Option<Vec<u8>> {
        if is_rtcp(datagram) {
            return None;
        }
        let length = match &mut self.seals {
            Some((_, opener)) => opener.open_rtp(datagram).ok()?,
            None => datagram.len(),
        };
        let packet = Packet::parse(&datagram[..length]).ok()?;
        (packet.payload_type == 0).then(|| packet.payload.to_vec())
    }

    /// The next request that the far end makes, which is agreed to.
    ///
    /// # Panics
    /// When there is none in time.
    pub async fn until_asked(&self, within: Duration) -> Request {
        let asking = async {
            loop {
                if let Some(Message::Request(request)) = self.wire.next(within).await {
                    self.wire.send(&request.respond(200).to_bytes()).await;
                    return request;
                }
            }
        };
        timeout(within, asking).await.expect("the far end asks something")
    }

    /// Hangs up.
    ///
    /// # Panics
    /// When the call was over.
    pub async fn hang_up(&self) {
        assert_eq!(self.wire.ask(&self.call.next("BYE")).await.status, 200);
    }
}

/// How loud a tone of `hz` is in a sound, as an amplitude.
pub fn amplitude(sound: &[f32], hz: f32) -> f32 {
    let step = TAU * hz / RATE_HZ as f32;
    let (mut sine, mut cosine) = (0.0, 0.0);
    for (n, sample) in sound.iter().enumerate() {
        sine += sample * (step * n as f32).sin();
        cosine += sample * (step * n as f32).cos();
    }
    2.0 * (sine * sine + cosine * cosine).sqrt() / sound.len().max(1) as f32
}

/// Whether somebody who says a tone of `hz` is heard in this for the most part: in pieces, since clocks of rooms differ.
pub fn is_heard(sound: &[f32], hz: f32) -> bool {
    let loud = sound.chunks_exact(800).filter(|piece| amplitude(piece, hz) > LEVEL * 0.7).count();
    loud * 10 >= sound.len() / 800 * 7 && sound.len() >= 4_000
}

#[expect(clippy::disallowed_methods, reason = "a caller in real time reads the clock for its handshake")]
fn now() -> Instant {
    Instant::now()
}
