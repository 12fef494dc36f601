//! What there is on this machine: processor, memory, ports, programs. Only looks; ports are bound and freed at
//! once.

use std::{
    fs,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    path::PathBuf,
};

use serde::Serialize;

use crate::{config::Config, engine, models::manifest::PLATFORM};

/// Processor and memory.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    pub(super) platform: &'static str,
    pub(super) cores: usize,
    /// Those that recognition is faster with.
    pub(super) instructions: Vec<&'static str>,
    /// What this process may use; `None` where the system does not say.
    pub(super) memory_bytes: Option<u64>,
    pub(super) memory_free_bytes: Option<u64>,
}

impl Machine {
    pub(super) fn look() -> Self {
        let report = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let limit = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
        let used = fs::read_to_string("/sys/fs/cgroup/memory.current").ok().and_then(|text| text.trim().parse().ok());
        let (memory_bytes, memory_free_bytes) = memory(&report, limit, used);
        Self {
            platform: PLATFORM,
            cores: engine::cores(),
            instructions: instructions(),
            memory_bytes,
            memory_free_bytes,
        }
    }
}

/// Total and free memory: what the kernel reports, within the limit of the container.
fn memory(report: &str, limit: Option<u64>, used: Option<u64>) -> (Option<u64>, Option<u64>) {
    let row = |name: &str| {
        let kib: u64 =
            report.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse().ok())?;
        kib.checked_mul(1024)
    };
    let (total, free) = (row("MemTotal:"), row("MemAvailable:"));
    let Some(limit) = limit else { return (total, free) };
    let left = limit.saturating_sub(used.unwrap_or_default());
    (Some(total.map_or(limit, |total| total.min(limit))), Some(free.map_or(left, |free| free.min(left))))
}

#[cfg(target_arch = "x86_64")]
fn instructions() -> Vec<&'static str> {
    let has = [
        ("AVX2", std::is_x86_feature_detected!("avx2")),
        ("FMA", std::is_x86_feature_detected!("fma")),
        ("AVX-512", std::is_x86_feature_detected!("avx512f")),
        ("AVX-512-VNNI", std::is_x86_feature_detected!("avx512vnni")),
    ];
    has.into_iter().filter_map(|(name, has)| has.then_some(name)).collect()
}

#[cfg(target_arch = "aarch64")]
fn instructions() -> Vec<&'static str> {
    let has = [
        ("NEON", std::arch::is_aarch64_feature_detected!("neon")),
        ("dot product", std::arch::is_aarch64_feature_detected!("dotprod")),
        ("SVE", std::arch::is_aarch64_feature_detected!("sve")),
    ];
    has.into_iter().filter_map(|(name, has)| has.then_some(name)).collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn instructions() -> Vec<&'static str> {
    Vec::new()
}

/// A port that the configuration names.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Port {
    pub(super) name: &'static str,
    pub(super) address: String,
    /// `free`, or why it cannot be listened on.
    pub(super) state: String,
    pub(super) is_free: bool,
}

/// Every port of the configuration that is not switched off; of the range for audio, its ends.
pub(super) fn ports(config: &Config) -> Vec<Port> {
    let sip = |port| SocketAddr::new(config.sip.host, port);
    let audio: IpAddr = config.sip.host;
    let tcp = |at: SocketAddr| TcpListener::bind(at).map(drop);
    let udp = |at: SocketAddr| UdpSocket::bind(at).map(drop);
    type Bind<'a> = &'a dyn Fn(SocketAddr) -> std::io::Result<()>;
    let rows: [(&str, SocketAddr, Bind<'_>); 6] = [
        ("HTTP", SocketAddr::new(config.http.host, config.http.port), &tcp),
        ("SIP UDP", sip(config.sip.port), &udp),
        ("SIP TCP", sip(config.sip.port), &tcp),
        ("SIP TLS", sip(config.sip.tls_port), &tcp),
        ("RTP first", SocketAddr::new(audio, config.rtp.port_min), &udp),
        ("RTP last", SocketAddr::new(audio, config.rtp.port_max), &udp),
    ];
    let on = rows.into_iter().filter(|(_, address, _)| address.port() != 0);
    on.map(|(name, address, bind)| {
        let bound = bind(address);
        let state = match &bound {
            Ok(()) => "free".to_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                "taken (a server that runs already?)".to_owned()
            }
            Err(error) => error.to_string(),
        };
        Port { name, address: address.to_string(), state, is_free: bound.is_ok() }
    })
    .collect()
}

/// A program that parts of the server start.
#[derive(Debug, Serialize)]
pub(super) struct Program {
    pub(super) name: &'static str,
    /// What it is for, for those who lack it.
    pub(super) purpose: &'static str,
    pub(super) path: Option<String>,
}

/// The programs that add something and are never needed to listen.
pub(super) fn programs() -> Vec<Program> {
    let folders: Vec<PathBuf> =
        std::env::var_os("PATH").map_or_else(Vec::new, |path| std::env::split_paths(&path).collect());
    let find = |names: &[&str]| {
        let found = names
            .iter()
            .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
            .find(|path| path.is_file());
        found.map(|path| path.display().to_string())
    };
    vec![
        Program {
            name: "espeak-ng",
            purpose: "speaks: `harmony speak` and menus of the telephone (apt-get install espeak-ng)",
            path: find(&["espeak-ng"]),
        },
        Program {
            name: "chromium",
            purpose: "joins meetings that have only a web page (Debian package chromium)",
            path: find(&["chromium", "chromium-browser", "google-chrome"]),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_the_container_leaves() {
        let report = "MemTotal:       1000 kB\nMemFree:         10 kB\nMemAvailable:    600 kB\n";
        assert_eq!(memory(report, None, None), (Some(1_024_000), Some(614_400)));
        assert_eq!(memory(report, Some(500_000), Some(100_000)), (Some(500_000), Some(400_000)));
        assert_eq!(memory(report, Some(9_000_000), Some(0)), (Some(1_024_000), Some(614_400)));
        assert_eq!(memory("", None, None), (None, None));
    }

    #[test]
    fn a_taken_port_is_told_from_a_free_one_and_from_one_switched_off() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = Config::default();
        config.http.port = taken.local_addr().unwrap().port();
        config.sip.port = 0;
        config.sip.tls_port = 0;
        (config.rtp.port_min, config.rtp.port_max) = (0, 0);
        let found = ports(&config);
        assert_eq!(found.len(), 1);
        assert!(!found[0].is_free && found[0].state.starts_with("taken"), "{found:?}");
        drop(taken);
        assert!(ports(&config)[0].is_free);
    }
}
