//! What a fuzzer does to everything that reads bytes from a network: the bodies of its targets.
//!
//! Each takes any bytes, panics only where a promise is broken, and is quick. They are run twice: by cargo-fuzz
//! (`tests/fuzz`), which looks for new bytes for as long as somebody lets it, and in every run of the tests on the
//! seeds, on random bytes and on seeds with accidents, which needs nothing but this package.

mod sip_endpoint;

pub use self::sip_endpoint::{sip_endpoint, sip_endpoint_told};

use std::{
    sync::LazyLock,
    time::{Duration, Instant, SystemTime},
};

use media::{
    codec::voice::Codec,
    graph::{
        build::Graph,
        node::{Event, Inputs, Node, Outputs, Ports, Status, Tick, mono},
        schedule::Schedule,
    },
    ring::{
        bell::bell,
        packets::{LONGEST_BYTES, PacketWriter, packets},
    },
    rtp::{
        delay::Bounds,
        dtmf,
        leg::{LegSpec, Wire, leg},
        packet::{Packet, header_length},
        rtcp::{Compound, Rtcp},
        seq::{Clock, RtpTime, SeqNo},
        session::Identity,
        source::Arrival,
        srtp::{Opener, Profile, Sealer},
    },
    time::{Epoch, MediaTime},
    webrtc::{fragment::Fragment, offer::Offer},
};
use server::{
    dialect::twilio::{
        message::{Command, Said},
        playlist::{Next, Playlist},
        rest::{
            call::{CallFilter, CallView},
            conference::AddParticipant,
            page::Page,
            params::Params,
            side::StartStream,
            wish::{CreateCall, UpdateCall},
        },
    },
    webhook::{Jar, target::Target as HttpTarget},
};
use sip::{
    message::{Frame, Framer, Message, Method, parse_datagram},
    sdp::{Capabilities, Credentials, Local, Session, Side},
    validate::{Rules, Verdict, judge},
};

/// A fuzz target: its name, which is that of its file and of its folder of seeds, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 15] = [
    ("rtp", rtp),
    ("rtcp", rtcp),
    ("telephone_event", telephone_event),
    ("srtp", srtp),
    ("whip_offer", whip_offer),
    ("whip_fragment", whip_fragment),
    ("sdp", sdp),
    ("sip_message", sip_message),
    ("media_stream", media_stream),
    ("twilio_form", twilio_form),
    ("webhook_answer", webhook_answer),
    ("twiml", crate::fuzzing_twiml::twiml),
    ("sip_endpoint", sip_endpoint),
    ("sip_endpoint", sip_endpoint),
    ("sip_message", sip_message),
];

/// Datagrams of a stream, each with its length before it: what is read lies within the bytes, says the same when
/// written again, and a whole leg that hears them makes nothing but sound within full scale.
pub fn rtp(bytes: &[u8]) {
    let mut leg = HearingLeg::new();
    for datagram in datagrams(bytes) {
        let header = header_length(datagram);
        assert!(header.is_err() || header.is_ok_and(|length| length <= datagram.len()));
        if let Ok(packet) = Packet::parse(datagram) {
            assert_eq!(header, Ok(packet.header_bytes()));
            let mut again = vec![0; datagram.len() + 4];
            if let Ok(length) = packet.write(&mut again) {
                assert_eq!(Packet::parse(&again[..length]), Ok(packet), "what was written reads back");
            }
        }
        leg.hear(datagram);
    }
    leg.pass(20);
}

/// A datagram of RTCP: its packets are read to their ends.
pub fn rtcp(bytes: &[u8]) {
    let Ok(compound) = Compound::parse(bytes) else { return };
    let mut packets = 0;
    for packet in compound {
        packets += 1;
        assert!(packets <= bytes.len() / 4, "each packet takes at least a word");
        match packet {
            Rtcp::SenderReport { blocks, .. } | Rtcp::ReceiverReport { blocks, .. } => assert!(blocks.count() <= 31),
            Rtcp::Goodbye { sources } => assert!(sources.count() <= 31),
            Rtcp::Description(names) => assert!(names.count() <= 31),
            Rtcp::Other { .. } => {}
        }
    }
    let mut leg = HearingLeg::new();
    leg.hear(bytes);
    leg.pass(2);
}

/// A row of telephone-events, 8 bytes each: four of payload, then how time, number and source go on. No key is let go
/// that was not pressed, and none stays down.
pub fn telephone_event(bytes: &[u8]) {
    let mut receiver = dtmf::Receiver::new(Clock::TELEPHONE);
    let (mut now_ms, mut arrival) = (0_u64, Arrival { seq: 1, time: 1 << 40, at: MediaTime::ZERO, restarted: false });
    let mut is_down = false;
    let mut hear = |event: dtmf::Event| match event {
        dtmf::Event::Pressed(_) => {
            assert!(!is_down, "one key at a time");
            is_down = true;
        }
        dtmf::Event::Released { ticks, .. } => {
            assert!(is_down && ticks >= 0);
            is_down = false;
        }
    };
    for step in bytes.chunks_exact(8) {
        now_ms += u64::from(step[4]);
        arrival.seq += i64::from(step[5] as i8);
        arrival.time += i64::from(i16::from_be_bytes([step[6], step[7]]));
        arrival.at = MediaTime::from_millis(now_ms);
        arrival.restarted = step[5] == 0x80;
        let length = usize::from(step[5] & 7).min(4);
        receiver.hear(arrival, &step[..length.max(1)]).into_iter().for_each(&mut hear);
        receiver.tick(arrival.at).into_iter().for_each(&mut hear);
    }
    receiver.tick(MediaTime::from_millis(now_ms + 1_000)).into_iter().for_each(&mut hear);
    assert!(!is_down, "a key of which nothing is heard any more is let go");
}

/// A sealed packet of every profile: nobody who lacks the keys makes one that is opened, and what we seal ourselves is
/// opened once.
pub fn srtp(bytes: &[u8]) {
    for profile in
        [Profile::AesCm128HmacSha1_80, Profile::AesCm128HmacSha1_32, Profile::AeadAes128Gcm, Profile::AeadAes256Gcm]
    {
        let master: Vec<u8> = (0..profile.key_bytes() + profile.salt_bytes()).map(|n| n as u8).collect();
        let mut opener = Opener::new(profile, &master).expect("the lengths are the profile's");
        // A tag of 32 bits is guessed by a fuzzer that sees coverage, sooner or later.
        if profile != Profile::AesCm128HmacSha1_32 {
            assert!(opener.open_rtp(&mut bytes.to_vec()).is_err());
            assert!(opener.open_rtcp(&mut bytes.to_vec()).is_err());
        }
        let mut opener = Opener::new(profile, &master).expect("the lengths are the profile's");
        let mut sealer = Sealer::new(profile, &master).expect("the lengths are the profile's");
        let mut sealed = [bytes, &[0; Profile::LONGEST_TRAILER_BYTES]].concat();
        if let Ok(length) = sealer.seal_rtp(&mut sealed, bytes.len()) {
            assert_eq!(opener.open_rtp(&mut sealed[..length].to_vec()), Ok(bytes.len()));
            assert_eq!(opener.open_rtp(&mut sealed[..length].to_vec()).ok(), None, "replayed");
            let header = header_length(bytes).expect("only a packet is sealed");
            if header < length {
                sealed[length - 1] ^= 1;
                let mut fresh = Opener::new(profile, &master).expect("the lengths are the profile's");
                assert!(fresh.open_rtp(&mut sealed[..length]).is_err(), "changed on its way");
            }
        }
    }
}

/// The body of a WHIP request: an offer that is read says what is needed of it, and reads the same again.
pub fn whip_offer(bytes: &[u8]) {
    if let Ok(offer) = Offer::read(bytes) {
        assert!(!offer.ufrag.is_empty() || bytes.windows(10).any(|part| part == b"ice-ufrag:"));
        assert!(offer.audio.opus < 128);
        assert_eq!(Offer::read(bytes), Ok(offer));
    }
}

/// The body of a request that trickles.
pub fn whip_fragment(bytes: &[u8]) {
    if let Ok(fragment) = Fragment::read(bytes) {
        assert_eq!(Fragment::read(bytes), Ok(fragment));
    }
}

/// The body of an INVITE, or of the answer to one: what is read is printed so that it reads the same; an end that is asked
/// answers every section in its place, and agrees with itself afterwards; an end that asked takes it or says why not.
pub fn sdp(bytes: &[u8]) {
    let Ok(session) = Session::parse(bytes) else { return };
    let printed = session.to_string();
    // Line ends grow by a byte, which may be one too many for the limit of size.
    if printed.len() <= 64 * 1024 {
        assert_eq!(Session::parse(printed.as_bytes()).as_ref(), Ok(&session));
    }
    let end = |seed: u8| {
        let ice = Some(Credentials { ufrag: "ours".to_owned(), pwd: "twenty-two-letters-or-more".to_owned() });
        let local = Local { rtcp: Some(5_000), ice, ..Local::muxed([192, 0, 2, 1].into(), 4_000) };
        let fingerprint = Some(format!("sha-256 {}", ["AB"; 32].join(":")));
        let capabilities = Capabilities { fingerprint, ..Capabilities::default() };
        Side::new(capabilities, local, u64::from(seed), &mut |bytes| bytes.fill(seed))
    };
    let mut asked = end(1);
    match asked.answer(&session) {
        Ok((answer, agreed)) => {
            assert_eq!(answer.media.len(), session.media.len());
            assert_eq!(Session::parse(answer.to_string().as_bytes()).as_ref(), Ok(&answer));
            assert!(matches!(agreed.packet_ms, 10 | 20 | 40 | 60) && agreed.send_type < 128);
            let again = asked.offer();
            assert_eq!(again.media.len(), session.media.len());
            let (answer, _) = end(2).answer(&again).expect("what we ask for we can answer");
            asked.accept(&answer).expect("what we answer fits what we asked");
        }
        Err(refusal) => assert!(refusal.warning("here").bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')),
    }
    let mut asking = end(3);
    asking.offer();
    if let Err(refusal) = asking.accept(&session) {
        assert!(refusal.warning("here").len() < 600);
    }
}

/// A SIP message, whole in a datagram and in pieces on a stream: what is read says the same when it is printed and read
/// again, what passes names all that it must, an ACK and a response are never answered, and the pieces of a stream
/// make no difference.
pub fn sip_message(bytes: &[u8]) {
    let read = parse_datagram(&bytes::Bytes::copy_from_slice(bytes));
    if let Ok(message) = &read {
        // Near the limits the whole names and the length that we write may be what is too much.
        if bytes.len() < 8_000 && message.headers().len() < 200 {
            assert_eq!(parse_datagram(&message.to_bytes()).as_ref(), Ok(message));
        }
        for (name, _) in message.headers().iter() {
            _ = (message.headers().name_addrs(name), message.headers().number(name));
        }
    }
    let is_unanswerable = match &read {
        Ok(Message::Request(request)) => request.method == Method::Ack,
        Ok(Message::Response(_)) => true,
        Err(_) => bytes.trim_ascii_start().starts_with(b"ACK "),
    };
    match judge(read, &Rules::default()) {
        Verdict::Accept(message) => {
            let headers = message.headers();
            assert!(headers.via().is_ok() && headers.call_id().is_ok() && headers.cseq().is_ok());
            assert!(headers.from().is_ok() && headers.to().is_ok() && headers.contains("Via"));
        }
        Verdict::Answer { response, .. } => {
            assert!(!is_unanswerable && (400..700).contains(&response.status) && response.headers.contains("Via"));
            assert!(parse_datagram(&response.to_bytes()).is_ok(), "an answer is a message");
        }
        Verdict::Drop(_) => {}
    }
    let pieces = usize::from(bytes.first().copied().unwrap_or(1) % 64) + 1;
    assert_eq!(framed(bytes.chunks(pieces)), framed(std::iter::once(bytes)));
}

/// The messages of a stream, and whether it came to a bad end.
fn framed<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Message>, bool) {
    let (mut framer, now, mut messages) = (Framer::new(), some_instant(), Vec::new());
    for piece in pieces {
        framer.push(piece);
        loop {
            match framer.next(now) {
                Ok(Some(Frame::Message(message))) => messages.push(message),
                Ok(Some(Frame::Malformed(_) | Frame::Ping | Frame::Pong)) => {}
                Ok(None) => break,
                Err(_) => return (messages, true),
            }
        }
    }
    (messages, false)
}

/// Lines of a media stream, read in both roles: what was read reads back, and a bot's marks are each answered once and
/// in their order, whatever it sends between.
pub fn media_stream(bytes: &[u8]) {
    const SID: &str = "MZ1";
    let (mut playlist, mut set, mut answered) = (Playlist::default(), Vec::new(), Vec::new());
    for line in String::from_utf8_lossy(bytes).lines() {
        let _ = Said::read(line);
        let Ok(command) = Command::read(line, SID) else { continue };
        assert_eq!(Command::read(&command.spell(SID), SID), Ok(command.clone()));
        match command {
            Command::Media(payload) => drop(playlist.push(&payload)),
            Command::Mark(name) => {
                if playlist.mark(name.clone()).is_ok() {
                    set.push(name);
                }
            }
            Command::Clear => answered.extend(playlist.clear().1),
        }
        for _ in 0..playlist.due(0) {
            match playlist.take() {
                Some(Next::Sound(piece)) => assert!((1..=80).contains(&piece.len())),
                Some(Next::Mark(number)) => answered.extend(playlist.played(number)),
                None => break,
            }
        }
    }
    answered.extend(playlist.clear().1);
    assert_eq!(answered, set);
}

/// A form or a query of a program that drives calls, after the path of its list: every wish is read or refused, and the
/// links of a page lead to pages.
pub fn twilio_form(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let params = Params(url::form_urlencoded::parse(text.as_bytes()).into_owned().collect());
    let _ = (CreateCall::read(&params), UpdateCall::read(&params), CallFilter::read(&params));
    let _ = (AddParticipant::read(&params), StartStream::read(&params));
    if let Ok(page) = Page::read("/Calls.json", &params) {
        let empty: &[CallView] = &[];
        let shown = page.of("calls", empty, |_| serde_json::Value::Null);
        let link = shown["uri"].as_str().and_then(|link| link.strip_prefix("/Calls.json?")).expect("a page has a link");
        let again = Params(url::form_urlencoded::parse(link.as_bytes()).into_owned().collect());
        let again = Page::read("/Calls.json", &again).expect("a link leads to a page");
        assert_eq!(again.of("calls", empty, |_| serde_json::Value::Null), shown);
    }
}

/// What a web application answers: a location and cookies, a line each. Where it sends us can be called or is refused,
/// no password is shown, and what is sent back is a header.
pub fn webhook_answer(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let from = HttpTarget::http("https://ada:secret@app.example/voice/menu").expect("a URL");
    let mut jar = Jar::default();
    for line in text.lines() {
        jar.store(&from, line, SystemTime::UNIX_EPOCH);
        let Ok(to) = from.follow(line) else { continue };
        assert!(!to.shown().contains("secret") || line.contains("secret"));
        assert!(to.port() > 0 && !to.host().is_empty() && to.path_and_query().starts_with('/'));
        if let Some(cookies) = jar.header(&to, SystemTime::UNIX_EPOCH) {
            assert!(cookies.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
        }
    }
}

/// `bytes` as datagrams: two bytes of length before each, and a short last one.
fn datagrams(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (length, after) = rest.split_at_checked(2)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]])).min(after.len()).min(LONGEST_BYTES);
        let (datagram, after) = after.split_at(length);
        rest = after;
        Some(datagram)
    })
}

/// Datagrams that a capture of them would hold, as [`rtp`] takes them: to make seeds.
pub fn joined<'a>(datagrams: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let framed = |datagram: &[u8]| [&(datagram.len() as u16).to_be_bytes()[..], datagram].concat();
    datagrams.into_iter().flat_map(framed).collect()
}

/// A leg of PCMU with keys, on time of its own.
struct HearingLeg {
    schedule: Schedule,
    packets: PacketWriter,
    zero: Instant,
    ticks: u64,
}

impl HearingLeg {
    fn new() -> Self {
        let zero = some_instant();
        // Nothing is sent here, and a bell is what a leg needs that could.
        let _runtime = RUNTIME.enter();
        let (bell, _) = bell().expect("a pair of sockets");
        let wire = Wire::Ring(packets(1, LONGEST_BYTES).0, bell);
        let spec = LegSpec {
            codec: Codec::Pcmu,
            payload_type: 0,
            telephone_event: Some(101),
            packet_ms: 20,
            identity: Identity { ssrc: 1, first_seq: SeqNo(1), first_time: RtpTime(1), cname: "fuzz".to_owned() },
            protection: None,
            bounds: Bounds { margin_ms: 10, most_ms: 400 },
            rtcp: false,
            epoch: Epoch { instant: zero, wall: SystemTime::UNIX_EPOCH },
        };
        let ends = leg(spec, wire).expect("what is agreed on here can be done");
        let mut graph = Graph::new();
        let [receive, ear] = [graph.add(ends.receive), graph.add(Ear)];
        graph.chain(&[receive, ear]).expect("one leads to the other");
        let schedule = graph.build().expect("the graph is whole");
        Self { schedule, packets: ends.packets, zero, ticks: 0 }
    }

    fn hear(&mut self, datagram: &[u8]) {
        // A full ring drops what is new; the tick after empties it.
        let _ = self.packets.push(self.zero + Duration::from_millis(10 * self.ticks), datagram);
        self.pass(1);
    }

    fn pass(&mut self, ticks: u64) {
        for _ in 0..ticks {
            let at = Duration::from_millis(10 * self.ticks);
            self.schedule.tick(MediaTime::from_duration(at), self.zero + at);
            // The engine outlives a node that panics, so it is asked.
            assert!(self.schedule.drain_events().all(|(_, event)| event != Event::Panicked));
            self.ticks += 1;
        }
    }
}

/// Where the sockets of bells belong.
static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    runtime.expect("a runtime without threads")
});

/// Hears, and knows what sound is.
struct Ear;

impl Node for Ear {
    fn ports(&self) -> Ports {
        Ports::sink(mono(8_000))
    }

    fn process(&mut self, _: &mut Tick<'_>, inputs: &Inputs<'_>, _: &mut Outputs<'_>) -> Status {
        assert!(inputs.samples(0).iter().all(|sample| sample.abs() <= 1.0), "louder than full scale");
        Status::Silent
    }
}

/// Any instant will do: only differences are looked at.
#[expect(clippy::disallowed_methods, reason = "virtual time needs one instant to count from")]
pub(crate) fn some_instant() -> Instant {
    Instant::now()
}
