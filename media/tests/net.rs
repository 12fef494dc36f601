//! The UDP shell on loopback: who is heard, who is answered, and that nothing is left behind.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    ops::RangeInclusive,
    time::{Duration, Instant, SystemTime},
};

use media::{
    codec::voice::Codec,
    graph::{
        build::Graph,
        node::{Inputs, Node, Outputs, Ports, Status, Tick, mono},
    },
    net::{Line, Lite, Net, NetError, Remote, Rtcp},
    ring::{
        bell::bell,
        packets::{LONGEST_BYTES, PacketReader, packets},
    },
    rtp::{
        delay::Bounds,
        leg::{LegSpec, Wire, leg},
        packet::{Contributors, Packet},
        seq::{RtpTime, SeqNo},
        session::Identity,
        srtp::{Opener, Profile, Sealer},
    },
    time::{Epoch, MediaTime},
};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Ports for one test: below those that the system lends to others.
fn range(first: u16) -> RangeInclusive<u16> {
    first..=first + 99
}

#[expect(clippy::disallowed_methods, reason = "the receiving thread has a clock of its own")]
fn now() -> Instant {
    Instant::now()
}

/// Waits until the receiving thread has done its part.
fn until(what: &str, mut is_done: impl FnMut() -> bool) {
    let began = now();
    while !is_done() {
        assert!(now() - began < Duration::from_secs(20), "waited in vain: {what}");
        std::thread::yield_now();
    }
}

fn rtp(seq: u16, payload: &[u8]) -> Vec<u8> {
    rtp_of(9, seq, payload)
}

fn rtp_of(ssrc: u32, seq: u16, payload: &[u8]) -> Vec<u8> {
    let packet = Packet {
        marker: false,
        payload_type: 0,
        seq: SeqNo(seq),
        time: RtpTime(u32::from(seq) * 160),
        ssrc,
        contributors: Contributors::default(),
        extension: None,
        payload,
        padding_bytes: 0,
    };
    let mut bytes = vec![0; 1_600];
    let length = packet.write(&mut bytes).unwrap();
    bytes.truncate(length);
    bytes
}

/// A peer on a socket of its own.
fn peer() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((HERE, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let at = socket.local_addr().unwrap();
    (socket, at)
}

fn remote(rtp: SocketAddr) -> Remote {
    Remote { rtp, rtcp: None, latch: false }
}

fn heard(reader: &mut PacketReader) -> Option<Vec<u8>> {
    let mut datagram = [0; LONGEST_BYTES];
    reader.pop(&mut datagram).map(|(_, length)| datagram[..length].to_vec())
}

fn listening(line: &Line) -> PacketReader {
    let (writer, reader) = packets(64, 64 * LONGEST_BYTES);
    line.hear(writer);
    reader
}

#[test]
fn the_peer_is_heard_and_answered_and_a_stranger_is_neither() {
    let net = Net::start(range(20_000)).unwrap();
    let line = net.open(HERE, Rtcp::Muxed).unwrap();
    let ((socket, at), (stranger, _)) = (peer(), peer());
    assert!(!line.sender().try_send(&rtp(0, &[1])), "nobody said whereto");
    line.talk_to(remote(at));
    let mut reader = listening(&line);
    for seq in 0..20 {
        stranger.send_to(&rtp(seq, &[66; 160]), line.local()).unwrap();
        socket.send_to(&rtp(seq, &[7; 160]), line.local()).unwrap();
    }
    until("20 packets each", || line.counts().heard == 20 && line.counts().strangers == 20);
    for seq in 0..20 {
        assert_eq!(heard(&mut reader), Some(rtp(seq, &[7; 160])));
    }
    assert_eq!(heard(&mut reader), None);
    assert!(line.sender().try_send(&rtp(1, &[3; 160])));
    let mut bytes = [0; 2_000];
    let (length, from) = socket.recv_from(&mut bytes).unwrap();
    assert_eq!((&bytes[..length], from), (&rtp(1, &[3; 160])[..], line.local()));
    stranger.set_nonblocking(true).unwrap();
    assert!(stranger.recv_from(&mut bytes).is_err(), "never answered");
    assert_eq!(line.counts().unsent, 1);
}

#[test]
fn a_line_of_ipv6_talks_to_a_peer_of_ipv4() {
    let net = Net::start(range(20_700)).unwrap();
    let Ok(line) = net.open("::".parse().unwrap(), Rtcp::Muxed) else {
        println!("skipped: no IPv6 on this machine");
        return;
    };
    let (socket, at) = peer();
    line.talk_to(remote(at));
    let _reader = listening(&line);
    socket.send_to(&rtp(1, &[7; 160]), (HERE, line.local().port())).unwrap();
    until("a packet", || line.counts().heard == 1);
    assert!(line.sender().try_send(&rtp(1, &[3])));
    assert_eq!(socket.recv_from(&mut [0; 99]).unwrap().0, 13);
}

#[test]
fn rtcp_has_the_port_beside_where_it_is_not_muxed() {
    let net = Net::start(range(20_100)).unwrap();
    let line = net.open(HERE, Rtcp::Beside).unwrap();
    assert_eq!(line.rtcp_local().unwrap().port(), line.local().port() + 1);
    let ((sound, sound_at), (reports, reports_at)) = (peer(), peer());
    line.talk_to(Remote { rtp: sound_at, rtcp: Some(reports_at), latch: false });
    let mut reader = listening(&line);
    let report = [0x80, 201, 0, 1, 0, 0, 0, 9];
    reports.send_to(&report, line.rtcp_local().unwrap()).unwrap();
    until("the report", || line.counts().heard == 1);
    assert_eq!(heard(&mut reader).unwrap(), report);
    assert!(line.sender().try_send(&report) && line.sender().try_send(&rtp(5, &[1])));
    let mut bytes = [0; 2_000];
    assert_eq!(reports.recv_from(&mut bytes).unwrap(), (8, line.rtcp_local().unwrap()));
    assert_eq!(sound.recv_from(&mut bytes).unwrap(), (13, line.local()));
}

#[test]
fn a_peer_behind_a_translator_is_found_answered_and_kept() {
    let net = Net::start(range(20_200)).unwrap();
    let line = net.open(HERE, Rtcp::Muxed).unwrap();
    let ((translated, _), (stranger, _)) = (peer(), peer());
    let said = "192.0.2.1:4000".parse().unwrap();
    line.talk_to(Remote { latch: true, ..remote(said) });
    let mut reader = listening(&line);
    for seq in 0..10 {
        translated.send_to(&rtp(seq, &[7; 160]), line.local()).unwrap();
    }
    until("10 packets", || line.counts().heard + line.counts().strangers == 10);
    assert_eq!(line.counts().heard, 6, "from the fifth on");
    for seq in 0..50 {
        stranger.send_to(&rtp_of(10, seq, &[66; 160]), line.local()).unwrap();
    }
    until("50 of a stranger", || line.counts().strangers == 54);
    while let Some(datagram) = heard(&mut reader) {
        assert_eq!(datagram[12..], [7; 160]);
    }
    assert!(line.sender().try_send(&rtp(1, &[3])));
    assert_eq!(translated.recv_from(&mut [0; 99]).unwrap().0, 13);
    // Signalling may say that it moves again.
    let (elsewhere, at) = peer();
    line.talk_to(remote(at));
    until("the move", || {
        line.sender().try_send(&rtp(2, &[4]));
        elsewhere.set_nonblocking(true).unwrap();
        elsewhere.recv_from(&mut [0; 99]).is_ok()
    });
}

#[test]
fn sealed_packets_find_their_peer_by_the_first_that_opens() {
    let profile = Profile::AesCm128HmacSha1_80;
    let net = Net::start(range(20_800)).unwrap();
    let line = net.open(HERE, Rtcp::Beside).unwrap();
    let ((translated, _), (stranger, _), (reports, _)) = (peer(), peer(), peer());
    line.believe(Some(Opener::new(profile, &[7; 30]).unwrap()));
    line.talk_to(Remote { latch: true, ..remote("192.0.2.1:4000".parse().unwrap()) });
    let mut reader = listening(&line);
    let (mut right, mut wrong) = (Sealer::new(profile, &[7; 30]).unwrap(), Sealer::new(profile, &[8; 30]).unwrap());
    let sealed = |sealer: &mut Sealer, seq| {
        let mut bytes = rtp(seq, &[3; 160]);
        let length = bytes.len();
        bytes.resize(length + Profile::LONGEST_TRAILER_BYTES, 0);
        let length = sealer.seal_rtp(&mut bytes, length).unwrap();
        bytes.truncate(length);
        bytes
    };
    for seq in 0..40 {
        stranger.send_to(&sealed(&mut wrong, seq), line.local()).unwrap();
    }
    until("40 forged packets", || line.counts().strangers == 40);
    // Close to the wrap of its numbers: the one who checks has to count with it.
    let first = sealed(&mut right, 65_500);
    translated.send_to(&first, line.local()).unwrap();
    until("the first that opens", || line.counts().heard == 1);
    assert_eq!(heard(&mut reader), Some(first), "it is handed on as it came");
    for seq in 65_501..=65_535_u16 {
        translated.send_to(&sealed(&mut right, seq), line.local()).unwrap();
    }
    until("the packets before the wrap", || line.counts().heard == 36);
    while heard(&mut reader).is_some() {}
    let mut report = vec![0x80, 201, 0, 1, 0, 0, 0, 9];
    report.resize(8 + 4 + 10, 0);
    right.seal_rtcp(&mut report, 8).unwrap();
    reports.send_to(&report, line.rtcp_local().unwrap()).unwrap();
    until("the report", || line.counts().heard == 37);
    translated.send_to(&sealed(&mut right, 0), line.local()).unwrap();
    until("the packet after the wrap", || line.counts().heard == 38);
    // Its port changes: after a fifth of a second without it, one packet is enough.
    let moved = peer().0;
    moved.set_nonblocking(true).unwrap();
    let began = now();
    let (mut seq, mut last) = (0, began);
    until("the move", || {
        if now() - last > Duration::from_millis(10) {
            (seq, last) = (seq + 1, now());
            moved.send_to(&sealed(&mut right, seq), line.local()).unwrap();
            line.sender().try_send(&rtp(seq, &[4]));
        }
        moved.recv_from(&mut [0; 99]).is_ok()
    });
    // How soon is told on virtual time, beside the rule; here the machine may have other things to do.
    assert!(now() - began >= Duration::from_millis(150), "{:?}", now() - began);
}

#[test]
fn a_far_end_is_where_its_checks_choose_to_be() {
    let net = Net::start(range(21_000)).unwrap();
    let line = net.open(HERE, Rtcp::Muxed).unwrap();
    let ((chosen, _), (stranger, _)) = (peer(), peer());
    // The answer and the choice of a check that was made for these names (RFC 8445): see the tests beside the rule.
    line.answer_checks(Lite::new("ours", "twenty-two-letters-or-more"));
    line.talk_to(remote("192.0.2.1:4000".parse().unwrap()));
    let mut reader = listening(&line);
    let check = check();
    stranger.send_to(&check[..check.len() - 1], line.local()).unwrap();
    until("a check that is not whole", || line.counts().strangers == 1);
    chosen.send_to(&check, line.local()).unwrap();
    let mut bytes = [0; 99];
    let (length, from) = chosen.recv_from(&mut bytes).unwrap();
    assert_eq!((&bytes[..2], from), (&[1, 1][..], line.local()), "{length} bytes");
    chosen.send_to(&rtp(1, &[7; 160]), line.local()).unwrap();
    until("a packet", || line.counts().heard == 1);
    assert_eq!(heard(&mut reader), Some(rtp(1, &[7; 160])));
    assert!(line.sender().try_send(&rtp(1, &[3; 160])));
    assert_eq!(chosen.recv_from(&mut [0; 200]).unwrap().0, 172);
    stranger.set_nonblocking(true).unwrap();
    assert!(stranger.recv_from(&mut bytes).is_err(), "never answered");
}

#[tokio::test]
async fn a_handshake_that_overtakes_the_answer_is_kept_for_the_peer_and_a_strangers_is_not() {
    let net = Net::start(range(21_100)).unwrap();
    let hello = |letter: u8| [&[22, 254, 253], &[letter; 60][..]].concat();
    for (is_peer_last, latch) in [(true, false), (false, false), (false, true)] {
        let line = net.open(HERE, Rtcp::Muxed).unwrap();
        let ((socket, at), (stranger, _)) = (peer(), peer());
        let ((writer, mut reader), (bell, mut doorbell)) = (packets(4, 4 * LONGEST_BYTES), bell().unwrap());
        line.shake(writer, bell);
        let first = if is_peer_last { &socket } else { &stranger };
        first.send_to(&hello(1), line.local()).unwrap();
        // What is told behind it is obeyed before or after it: then it comes again, as one does that was not answered.
        line.talk_to(Remote { latch, ..remote(at) });
        assert!(doorbell.rung().await, "it is known where the peer is");
        socket.send_to(&hello(2), line.local()).unwrap();
        let all = [hello(1), hello(2)];
        let expected = match (is_peer_last, latch) {
            (true, _) => &all[..],
            (false, false) => &all[1..],
            // The first who begins is listened to, where the peer may be elsewhere than it says.
            (false, true) => &all[..1],
        };
        until("everything", || {
            let counts = line.counts();
            counts.heard + counts.strangers == 2
        });
        assert_eq!(line.counts().strangers, 2 - expected.len() as u64);
        let came: Vec<_> = std::iter::from_fn(|| heard(&mut reader)).collect();
        assert_eq!(came, expected, "{is_peer_last} {latch}");
        assert!(line.sender().try_send(&hello(3)));
        let is_answered = |socket: &UdpSocket| socket.recv_from(&mut [0; 99]).is_ok();
        assert!(is_answered(if latch { &stranger } else { &socket }));
        stranger.set_nonblocking(true).unwrap();
        assert!(latch || !is_answered(&stranger), "never answered");
    }
}

#[test]
fn a_choice_that_overtakes_the_answer_is_kept() {
    let net = Net::start(range(21_200)).unwrap();
    let line = net.open(HERE, Rtcp::Muxed).unwrap();
    let (chosen, _) = peer();
    line.answer_checks(Lite::new("ours", "twenty-two-letters-or-more"));
    chosen.set_nonblocking(true).unwrap();
    // It is asked again, as by any far end, until we have heard that checks are to be answered.
    until("the answer to a check", || {
        chosen.send_to(&check(), line.local()).unwrap();
        chosen.recv_from(&mut [0; 99]).is_ok()
    });
    line.talk_to(remote("192.0.2.1:4000".parse().unwrap()));
    let _reader = listening(&line);
    until("a packet", || {
        chosen.send_to(&rtp(1, &[7; 160]), line.local()).unwrap();
        line.counts().heard > 0
    });
}

/// A check that chooses, signed with the secret of the test above.
fn check() -> Vec<u8> {
    let hex = "000100482112a442000102030405060708090a0b0006000b6f7572733a74686569727300002400046e001eff802a00080101\
        0101010101010025000000080014a079a0b1402f1b3d85ae5c9acfd4e437542712bd8028000458388d81\
        ";
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn reports_go_through_the_port_of_sound_when_that_was_agreed_on_late() {
    let net = Net::start(range(20_900)).unwrap();
    let line = net.open(HERE, Rtcp::Beside).unwrap();
    let (socket, at) = peer();
    line.talk_to(Remote { rtcp: Some(at), ..remote(at) });
    let mut reader = listening(&line);
    let report = [0x80, 201, 0, 1, 0, 0, 0, 9];
    socket.send_to(&report, line.local()).unwrap();
    until("the report", || line.counts().heard == 1);
    assert_eq!(heard(&mut reader).unwrap(), report);
    assert!(line.sender().try_send(&report));
    assert_eq!(socket.recv_from(&mut [0; 99]).unwrap(), (8, line.local()));
}

#[test]
fn a_full_ring_loses_new_packets_and_counts_them_and_what_comes_early_is_not_kept() {
    let net = Net::start(range(20_300)).unwrap();
    let line = net.open(HERE, Rtcp::Muxed).unwrap();
    let (socket, at) = peer();
    for seq in 0..10 {
        socket.send_to(&rtp(seq, &[1]), line.local()).unwrap();
    }
    until("10 early packets", || line.counts().unheard == 10);
    line.talk_to(remote(at));
    let mut reader = listening(&line);
    for seq in 0..100 {
        socket.send_to(&rtp(seq, &[1; 160]), line.local()).unwrap();
    }
    until("100 packets", || line.counts().heard + line.counts().overflowed == 100);
    assert_eq!(line.counts().heard, 64);
    assert_eq!(heard(&mut reader), Some(rtp(0, &[1; 160])));
    socket.send_to(&rtp(0, &[1; 1_580]), line.local()).unwrap();
    until("a packet that is too long", || line.counts().overflowed == 37);
}

#[test]
fn when_all_ports_are_taken_the_next_leg_is_refused_until_one_ends() {
    let net = Net::start(20_401..=20_403).unwrap();
    let lines: Vec<_> = (0..3).map(|_| net.open(HERE, Rtcp::Muxed).unwrap()).collect();
    assert!(matches!(net.open(HERE, Rtcp::Muxed), Err(NetError::NoPort)));
    assert!(matches!(net.open(HERE, Rtcp::Beside), Err(NetError::NoPort)));
    drop(lines);
    until("a pair", || net.open(HERE, Rtcp::Beside).is_ok());
    assert!(matches!(net.open("192.0.2.9".parse().unwrap(), Rtcp::Muxed), Err(NetError::Io(_))));
}

/// Open files of this process.
fn files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn spec() -> LegSpec {
    LegSpec {
        codec: Codec::Pcmu,
        payload_type: 0,
        telephone_event: Some(101),
        packet_ms: 20,
        identity: Identity { ssrc: 1, first_seq: SeqNo(1), first_time: RtpTime(1), cname: "a@b".to_owned() },
        protection: None,
        bounds: Bounds { margin_ms: 10, most_ms: 400 },
        rtcp: true,
        epoch: Epoch { instant: now(), wall: SystemTime::UNIX_EPOCH },
    }
}

#[test]
fn five_hundred_legs_leave_no_socket_behind_and_say_goodbye() {
    let net = Net::start(range(20_500)).unwrap();
    let (far, at) = peer();
    far.set_nonblocking(true).unwrap();
    let before = files();
    let mut goodbyes = 0;
    for _ in 0..50 {
        let calls: Vec<_> = (0..10).map(|_| call(&net, at)).collect();
        assert!(files() >= before + 20);
        drop(calls);
        let mut bytes = [0; 2_000];
        while let Ok((length, _)) = far.recv_from(&mut bytes) {
            goodbyes += usize::from(bytes[..length].windows(2).any(|pair| pair == [0x81, 203]));
        }
        until("sockets to be closed", || files() == before);
    }
    assert!(goodbyes >= 400, "{goodbyes} of 500 goodbyes; loopback loses few");
}

/// A call that was up for a few ticks: its graph and its line.
fn call(net: &Net, at: SocketAddr) -> (media::graph::schedule::Schedule, Line) {
    let line = net.open(HERE, Rtcp::Beside).unwrap();
    line.talk_to(Remote { rtcp: Some(at), ..remote(at) });
    let leg = leg(spec(), Wire::Socket(line.sender())).unwrap();
    line.hear(leg.packets);
    let mut graph = Graph::new();
    let (receive, send) = (graph.add(leg.receive), graph.add(leg.send));
    graph.chain(&[receive, send]).unwrap();
    let mut schedule = graph.build().unwrap();
    // Told in order: what was sent through is what the thread has obeyed.
    until("the address", || line.sender().try_send(&rtp(0, &[])));
    (0..4).for_each(|tick| schedule.tick(MediaTime::from_millis(tick * 10), now()));
    (schedule, line)
}

/// Keeps what it hears, up to a point.
struct Ear(std::sync::mpsc::SyncSender<f32>);

impl Node for Ear {
    fn ports(&self) -> Ports {
        Ports::sink(mono(8_000))
    }

    fn process(&mut self, _: &mut Tick<'_>, inputs: &Inputs<'_>, _: &mut Outputs<'_>) -> Status {
        let loudest = inputs.samples(0).iter().fold(0.0, |most: f32, sample| most.max(sample.abs()));
        let _ = self.0.try_send(loudest);
        Status::Silent
    }
}

#[test]
fn sound_goes_from_a_socket_through_a_leg_to_an_ear() {
    let net = Net::start(range(20_600)).unwrap();
    let line = net.open(HERE, Rtcp::Muxed).unwrap();
    let (socket, at) = peer();
    line.talk_to(remote(at));
    let leg = leg(spec(), Wire::Socket(line.sender())).unwrap();
    line.hear(leg.packets);
    let (loud, loudest) = std::sync::mpsc::sync_channel(1_000);
    let mut graph = Graph::new();
    let (receive, ear) = (graph.add(leg.receive), graph.add(Ear(loud)));
    graph.chain(&[receive, ear]).unwrap();
    let mut schedule = graph.build().unwrap();
    for seq in 0..50_u16 {
        socket.send_to(&rtp(seq, &[0x80; 160]), line.local()).unwrap();
        until("its arrival", || line.counts().heard == u64::from(seq) + 1);
        for half in 0..2 {
            schedule.tick(MediaTime::from_millis(u64::from(seq) * 20 + half * 10), now());
        }
    }
    assert!(loudest.try_iter().filter(|loud| *loud > 0.9).count() > 90);
}
