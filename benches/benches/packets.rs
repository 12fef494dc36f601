//! What a packet costs between the wire and the graph, and a call with it.
//!
//! Budgets: an echoing PCMU call, 50 packets a second each way through real sockets on the engine's and the receiving
//! thread, ≤ 0.10 % of a core and ≤ 100 KiB; Opus, one packet encoded and one decoded every 20 ms, ≤ 1.5 % of a core; a
//! packet from the engine to UDP ≤ 10 µs, and from UDP to the engine ≤ 15 µs. All times are processor time of the
//! threads that serve; whoever plays the peers is not counted. It takes a quarter of a minute.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use benches::{Budgets, resident_mib};
use media::{
    codec::voice::{Codec, Decoder, Encoder, OpusOptions},
    engine::{
        command::Command,
        tick::{Engine, Refused, Stopped},
    },
    graph::build::Graph,
    id::RoomId,
    net::{Line, Net, Remote, Rtcp},
    rtp::{
        delay::Bounds,
        leg::{LegSpec, Wire, leg},
        packet::{Contributors, Packet},
        seq::{RtpTime, SeqNo},
        session::Identity,
    },
    time::Epoch,
};
use rustix::time::{ClockId, clock_gettime};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const CALLS: usize = 200;
const SECONDS: u64 = 10;
const PACKETS_PER_S: u64 = 50;

fn main() {
    let mut budgets = Budgets::default();
    let done = codecs(&mut budgets).and_then(|()| sending(&mut budgets)).and_then(|()| calls(&mut budgets));
    if let Err(error) = done {
        budgets.note(&error.to_string());
        std::process::exit(1);
    }
    budgets.section(&format!("{} budgets missed", budgets.misses()));
}

type Done = Result<(), Box<dyn std::error::Error>>;

/// Encoding and decoding alone.
fn codecs(budgets: &mut Budgets) -> Done {
    budgets.section("a packet of 20 ms encoded and decoded");
    let opus = |complexity| Codec::Opus(OpusOptions { complexity, ..OpusOptions::default() });
    let with = |complexity| (opus(complexity), format!("Opus, complexity {complexity}"));
    let plain = [(Codec::Pcmu, "PCMU".to_owned()), (Codec::G722, "G.722".to_owned())];
    for (codec, name) in plain.into_iter().chain([0, 1, 2, 5, 10].map(with)) {
        let samples = codec.sample_hz() as usize / 50;
        let (mut encoder, mut decoder) = (Encoder::new(codec)?, Decoder::new(codec)?);
        // Copies against a loss of ten percent are part of the price.
        encoder.expect_loss(0.1);
        let voice: Vec<f32> = (0..samples * 500).map(|n| sample(n, codec.sample_hz())).collect();
        let (mut payload, mut out) = ([0; 1_400], vec![0.0; samples * 6]);
        let mut bytes = 0;
        let began = own_ns();
        for packet in voice.chunks_exact(samples) {
            let length = encoder.encode(packet, &mut payload);
            bytes += length;
            decoder.decode(&payload[..length], &mut out).ok_or("what was encoded is decoded")?;
        }
        let each_us = (own_ns() - began) as f64 / 1e3 / 500.0;
        let share = each_us / 20_000.0 * 100.0;
        budgets.figure(&format!("{name}: each, {} bytes", bytes / 500), each_us, "us");
        match codec {
            Codec::Opus(options) if options == OpusOptions::default() => {
                budgets.at_most(&format!("{name}: of a core, the one that is used"), share, 1.5, "%");
            }
            _ => budgets.figure(&format!("{name}: of a core"), share, "%"),
        }
    }
    Ok(())
}

/// Something like a voice: harmonics that glide, louder and softer.
fn sample(n: usize, rate_hz: u32) -> f32 {
    let at = n as f32 / rate_hz as f32;
    let phase = std::f32::consts::TAU * (140.0 * at + 6.0 * (at * 5.0).sin());
    let loud = 0.1 * (1.0 + (at * 20.0).sin());
    loud * (1..8).map(|harmonic| (phase * harmonic as f32).sin() / harmonic as f32).sum::<f32>()
}

/// A packet of PCMU out of a socket.
fn sending(budgets: &mut Budgets) -> Done {
    budgets.section("engine to UDP, a packet of 172 bytes on loopback");
    let net = Net::start(30_000..=30_099)?;
    let line = net.open(HERE, Rtcp::Muxed)?;
    let far = UdpSocket::bind((HERE, 0))?;
    far.set_nonblocking(true)?;
    line.talk_to(Remote { rtp: far.local_addr()?, rtcp: None, latch: false });
    let (sender, datagram) = (line.sender(), rtp(1, 1));
    while !sender.try_send(&datagram) {
        std::thread::yield_now();
    }
    const PACKETS: u64 = 20_000;
    let (mut used_ns, mut bytes) = (0, [0; 2_000]);
    for _ in 0..PACKETS / 100 {
        let began = own_ns();
        (0..100).for_each(|_| {
            sender.try_send(&datagram);
        });
        used_ns += own_ns() - began;
        while far.recv_from(&mut bytes).is_ok() {}
    }
    budgets.at_most("each", used_ns as f64 / 1e3 / PACKETS as f64, 10.0, "us");
    Ok(())
}

/// Calls that echo, with everything: sockets, the receiving thread, the engine.
fn calls(budgets: &mut Budgets) -> Done {
    budgets.section(&format!("{CALLS} PCMU calls that echo, {SECONDS} s of real time through sockets"));
    let before_mib = resident_mib();
    let net = Net::start(30_100..=30_999)?;
    let (engine, _reports) = Engine::start(1)?;
    let epoch = Epoch { instant: now(), wall: SystemTime::UNIX_EPOCH };
    let (mut lines, mut peers) = (Vec::new(), Vec::new());
    for call in 0..CALLS {
        let peer = UdpSocket::bind((HERE, 0))?;
        peer.set_nonblocking(true)?;
        let line = net.open(HERE, Rtcp::Muxed)?;
        line.talk_to(Remote { rtp: peer.local_addr()?, rtcp: None, latch: false });
        let leg = leg(spec(call as u32, epoch), Wire::Socket(line.sender()))?;
        line.hear(leg.packets);
        let mut graph = Graph::new();
        let (receive, send) = (graph.add(leg.receive), graph.add(leg.send));
        graph.chain(&[receive, send])?;
        let open =
            Command::Open { room: RoomId(call as u64), epoch: epoch.instant, schedule: Box::new(graph.build()?) };
        open_room(&engine, open)?;
        peer.connect(line.local())?;
        lines.push(line);
        peers.push(peer);
    }
    let per_call_kib = (resident_mib() - before_mib) * 1_024.0 / CALLS as f64;
    let (stop, echoed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let speaking = std::thread::Builder::new().name("peers".to_owned()).spawn({
        let (stop, echoed) = (Arc::clone(&stop), Arc::clone(&echoed));
        move || speak(&peers, &stop, &echoed)
    })?;
    wait(Duration::from_secs(2));
    let (before, heard_before, echoed_before) =
        ([thread_ns("net-0")?, thread_ns("engine-0")?], heard(&lines), echoed.load(Ordering::Relaxed));
    wait(Duration::from_secs(SECONDS));
    let after = [thread_ns("net-0")?, thread_ns("engine-0")?];
    let packets = (heard(&lines) - heard_before) as f64;
    let echoed_packets = (echoed.load(Ordering::Relaxed) - echoed_before) as f64;
    stop.store(true, Ordering::Relaxed);
    speaking.join().map_err(|_| "the peers panicked")?;
    let expected = (CALLS as u64 * SECONDS * PACKETS_PER_S) as f64;
    if packets < expected * 0.9 || echoed_packets < expected * 0.9 {
        return Err(format!("{packets} packets were heard and {echoed_packets} echoed, of {expected}").into());
    }
    let [net_us, engine_us] = [0, 1].map(|thread: usize| (after[thread] - before[thread]) as f64 / 1e3);
    let share = |used_us: f64| used_us / 1e6 / SECONDS as f64 / CALLS as f64 * 100.0;
    budgets.at_most("UDP to engine: the receiving thread, each packet", net_us / packets, 15.0, "us");
    budgets.figure("engine: decode, graph, encode and UDP, each packet", engine_us / packets, "us");
    budgets.figure("the receiving thread, of a core for each call", share(net_us), "%");
    budgets.figure("the engine, of a core for each call", share(engine_us), "%");
    budgets.at_most("both, of a core for each call", share(net_us + engine_us), 0.10, "%");
    budgets.at_most("memory of each call", per_call_kib, 100.0, "KiB");
    Ok(())
}

/// Sends the command that opens a room, again while the ring is full.
fn open_room(engine: &Engine, command: Command) -> Result<(), Stopped> {
    let mut command = command;
    loop {
        command = match engine.try_send(command) {
            Ok(()) => return Ok(()),
            Err(Refused::Full(back)) => back,
            Err(Refused::Stopped(stopped)) => return Err(stopped),
        };
        std::thread::yield_now();
    }
}

fn heard(lines: &[Line]) -> u64 {
    lines.iter().map(|line| line.counts().heard).sum()
}

/// The peers: each says a packet every 20 ms, evenly spread, and takes what comes back.
fn speak(peers: &[UdpSocket], stop: &AtomicBool, echoed: &AtomicU64) {
    let pause = Duration::from_micros(1_000_000 / PACKETS_PER_S / peers.len() as u64);
    let (began, mut bytes) = (now(), [0; 2_000]);
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        while now() < began + pause * turn {
            std::thread::park_timeout((began + pause * turn).saturating_duration_since(now()));
        }
        let (peer, seq) = (turn as usize % peers.len(), turn as usize / peers.len());
        // Whatever is lost on loopback shows in what was echoed.
        let _ = peers[peer].send(&rtp(peer as u32 + 1_000, seq as u16));
        while peers[peer].recv(&mut bytes).is_ok() {
            echoed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn rtp(ssrc: u32, seq: u16) -> Vec<u8> {
    let payload: [u8; 160] = std::array::from_fn(|n| (n as u8).wrapping_mul(7) | 0x80);
    let packet = Packet {
        marker: false,
        payload_type: 0,
        seq: SeqNo(seq),
        time: RtpTime(u32::from(seq) * 160),
        ssrc,
        contributors: Contributors::default(),
        extension: None,
        payload: &payload,
        padding_bytes: 0,
    };
    let mut bytes = vec![0; 172];
    packet.write(&mut bytes).expect("12 bytes of header and 160 of payload");
    bytes
}

fn spec(call: u32, epoch: Epoch) -> LegSpec {
    LegSpec {
        codec: Codec::Pcmu,
        payload_type: 0,
        telephone_event: Some(101),
        packet_ms: 20,
        identity: Identity { ssrc: call, first_seq: SeqNo(1), first_time: RtpTime(1), cname: "bench".to_owned() },
        protection: None,
        bounds: Bounds { margin_ms: 10, most_ms: 400 },
        rtcp: true,
        epoch,
    }
}

/// Processor time of this thread, in nanoseconds.
fn own_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Processor time of the thread of this name, in nanoseconds. What cannot be read is an error: it would meet any budget.
fn thread_ns(name: &str) -> Result<u64, String> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let of_name = |path: &std::path::Path| fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name);
    let path = threads.map(|thread| thread.path()).find(|path| of_name(path));
    let path = path.ok_or_else(|| format!("there is no thread {name} in /proc/self/task"))?;
    let stat = fs::read_to_string(path.join("schedstat")).unwrap_or_default();
    let used_ns = stat.split_whitespace().next().and_then(|ns| ns.parse::<u64>().ok()).filter(|ns| *ns > 0);
    used_ns.ok_or_else(|| format!("the processor time of the thread {name} is not known"))
}

fn wait(time: Duration) {
    let until = now() + time;
    while now() < until {
        std::thread::park_timeout(until.saturating_duration_since(now()));
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn now() -> Instant {
    Instant::now()
}
