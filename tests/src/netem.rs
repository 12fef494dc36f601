//! A network that loses, delays, reorders, doubles, squeezes and rebinds packets, the same way for the same seed.
//!
//! Pure and in virtual time: what is sent at a time comes out at a time, and nobody waits. One direction a
//! value; two make a link. Tests of other packages include this file by its path, so it uses nothing but the
//! standard library, its own generator too: the same seed means the same log in every version.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

/// What a direction does to packets. The default delivers everything at once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Weather {
    /// Which packets never arrive.
    pub loss: Loss,
    /// What each packet takes at least.
    pub delay: Duration,
    /// What each packet takes more, evenly between nothing and this. It reorders what is sent more densely.
    pub jitter: Duration,
    /// The share of packets that take [`Weather::HELD_UP`] longer and so arrive after later ones, 0 to 1.
    pub reorder: f64,
    /// The share of packets that arrive twice, 0 to 1.
    pub duplicate: f64,
    /// How fast the line is, in bytes a second; packets queue behind each other, and those that would wait
    /// longer than [`Weather::LONGEST_QUEUE`] are lost. Zero is without a limit.
    pub rate_bytes_per_s: u32,
}

/// Which packets never arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Loss {
    /// All arrive.
    #[default]
    None,
    /// Each is lost by itself with this chance, 0 to 1.
    Single(f64),
    /// `share` of all are lost, always `length` in a row, and the one after them arrives.
    Bursts {
        /// Of all packets, 0 to below `length / (length + 1)`.
        share: f64,
        /// Packets in a row.
        length: u32,
    },
    /// `share` of all are lost in rows of any length, `mean_length` on average (Gilbert's model): there is no
    /// longest row.
    Gilbert {
        /// Of all packets, 0 to below 1.
        share: f64,
        /// Packets in a row, at least 1.
        mean_length: f64,
    },
}

impl Loss {
    /// The share of packets that are lost, 0 to 1.
    pub fn share(self) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Single(share) | Self::Bursts { share, .. } | Self::Gilbert { share, .. } => share,
        }
    }
}

impl Weather {
    /// How much longer a reordered packet takes: over two packets of 20 ms.
    pub const HELD_UP: Duration = Duration::from_millis(45);
    /// The longest queue before a slow line.
    pub const LONGEST_QUEUE: Duration = Duration::from_millis(500);
}

/// When it arrives, its place among those of the same time, where it comes from, and itself.
type UnderWay = (Duration, u64, u16, Vec<u8>);

/// One direction of a network.
pub struct Netem {
    weather: Weather,
    chance: Chance,
    losing: u32,
    spared: bool,
    line_free_at: Duration,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    order: u64,
    binding: u16,
}

impl Netem {
    /// A direction in this weather; `seed` decides every packet's fate.
    pub fn new(seed: u64, weather: Weather) -> Self {
        Self {
            weather,
            chance: Chance(seed),
            losing: 0,
            spared: false,
            line_free_at: Duration::ZERO,
            under_way: BinaryHeap::new(),
            order: 0,
            binding: 0,
        }
    }

    /// Changes the weather for packets sent from here on.
    pub fn turn(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// A translator of addresses forgets the sender and gives it another port: what is sent from here on comes from
    /// the next [`Netem::binding`]. What is under way does not.
    pub fn rebind(&mut self) {
        self.binding += 1;
    }

    /// Where what is sent now seems to come from: 0 until it was rebound.
    pub fn binding(&self) -> u16 {
        self.binding
    }

    /// Sends `bytes` at `at`.
    pub fn send(&mut self, at: Duration, bytes: &[u8]) {
        // Every packet draws the same numbers, so that a change of one share leaves the others' fates alone.
        let (loss, jitter) = (self.chance.unit(), self.chance.unit());
        let (held_up, doubled, echo) = (self.chance.unit(), self.chance.unit(), self.chance.unit());
        if self.loses(loss) {
            return;
        }
        let mut leaves = at;
        if self.weather.rate_bytes_per_s > 0 {
            leaves = leaves.max(self.line_free_at);
            if leaves - at > Weather::LONGEST_QUEUE {
                return;
            }
            leaves += Duration::from_secs_f64(bytes.len() as f64 / f64::from(self.weather.rate_bytes_per_s));
            self.line_free_at = leaves;
        }
        let mut arrives = leaves + self.weather.delay + self.weather.jitter.mul_f64(jitter);
        if held_up < self.weather.reorder {
            arrives += Weather::HELD_UP;
        }
        self.put_under_way(arrives, bytes);
        if doubled < self.weather.duplicate {
            self.put_under_way(arrives + Duration::from_millis(30).mul_f64(echo), bytes);
        }
    }

    /// When the next packet arrives; `None` when none is under way.
    pub fn next_at(&self) -> Option<Duration> {
        self.under_way.peek().map(|Reverse((at, ..))| *at)
    }

    /// The next packet that has arrived by `now`, with its time.
    pub fn arrived(&mut self, now: Duration) -> Option<(Duration, Vec<u8>)> {
        if self.next_at()? > now {
            return None;
        }
        self.under_way.pop().map(|Reverse((at, _, _, bytes))| (at, bytes))
    }

    /// As [`Netem::arrived`], with the binding that it came from.
    pub fn arrived_from(&mut self, now: Duration) -> Option<(Duration, u16, Vec<u8>)> {
        let binding = self.under_way.peek().map(|Reverse((_, _, binding, _))| *binding)?;
        self.arrived(now).map(|(at, bytes)| (at, binding, bytes))
    }

    fn put_under_way(&mut self, at: Duration, bytes: &[u8]) {
        self.order += 1;
        self.under_way.push(Reverse((at, self.order, self.binding, bytes.to_vec())));
    }

    fn loses(&mut self, chance: f64) -> bool {
        match self.weather.loss {
            Loss::None => false,
            Loss::Single(share) => chance < share,
            Loss::Bursts { share, length } => {
                if self.losing > 0 {
                    self.losing -= 1;
                    self.spared = self.losing == 0;
                    return true;
                }
                if std::mem::take(&mut self.spared) {
                    return false;
                }
                // A cycle is `length` lost and on average 1 / starts that arrive.
                let starts = share / (f64::from(length) * (1.0 - share));
                let lost = chance < starts;
                if lost {
                    self.losing = length.saturating_sub(1);
                    self.spared = self.losing == 0;
                }
                lost
            }
            Loss::Gilbert { share, mean_length } => {
                let stays = 1.0 - 1.0 / mean_length;
                let starts = share / (mean_length * (1.0 - share));
                let lost = chance < if self.losing > 0 { stays } else { starts };
                self.losing = u32::from(lost);
                lost
            }
        }
    }
}

/// SplitMix64: small, even, and the same everywhere.
struct Chance(u64);

impl Chance {
    /// Evenly between 0 and below 1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKETS: u32 = 20_000;

    /// When each of `PACKETS` packets of 100 bytes, sent every 20 ms, arrived, by its number.
    fn arrivals(seed: u64, weather: Weather) -> Vec<(Duration, u32)> {
        let mut net = Netem::new(seed, weather);
        for number in 0..PACKETS {
            let mut bytes = [0; 100];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            net.send(Duration::from_millis(20) * number, &bytes);
        }
        let mut log = Vec::new();
        while let Some((at, bytes)) = net.arrived(Duration::MAX) {
            log.push((at, u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])));
        }
        log
    }

    fn lost_rows(log: &[(Duration, u32)]) -> Vec<u32> {
        log.windows(2).map(|pair| pair[1].1 - pair[0].1 - 1).filter(|row| *row > 0).collect()
    }

    #[test]
    fn the_same_seed_is_the_same_log_and_another_is_not() {
        let weather = Weather {
            loss: Loss::Single(0.1),
            jitter: Duration::from_millis(60),
            reorder: 0.05,
            duplicate: 0.05,
            ..Weather::default()
        };
        assert_eq!(arrivals(7, weather), arrivals(7, weather));
        assert_ne!(arrivals(7, weather), arrivals(8, weather));
    }

    #[test]
    fn fine_weather_delivers_everything_in_order_and_at_once() {
        let log = arrivals(1, Weather::default());
        let wanted: Vec<_> = (0..PACKETS).map(|number| (Duration::from_millis(20) * number, number)).collect();
        assert_eq!(log, wanted);
    }

    #[test]
    fn each_kind_of_loss_takes_its_share() {
        for share in [0.01, 0.05, 0.1, 0.3] {
            for loss in
                [Loss::Single(share), Loss::Bursts { share, length: 3 }, Loss::Gilbert { share, mean_length: 3.0 }]
            {
                let came = arrivals(3, Weather { loss, ..Weather::default() }).len();
                let lost = 1.0 - came as f64 / f64::from(PACKETS);
                assert!((lost - share).abs() < 0.2 * share + 0.002, "{loss:?} lost {lost}");
            }
        }
    }

    #[test]
    fn bursts_have_their_length_and_gilberts_rows_only_on_average() {
        let burst = Weather { loss: Loss::Bursts { share: 0.3, length: 3 }, ..Weather::default() };
        assert!(lost_rows(&arrivals(4, burst)).iter().all(|row| *row == 3));
        let gilbert = Weather { loss: Loss::Gilbert { share: 0.3, mean_length: 3.0 }, ..Weather::default() };
        let rows = lost_rows(&arrivals(4, gilbert));
        let mean = f64::from(rows.iter().sum::<u32>()) / rows.len() as f64;
        assert!((mean - 3.0).abs() < 0.2, "rows of {mean}");
        assert!(rows.iter().any(|row| *row > 8));
    }

    #[test]
    fn reordering_doubling_and_jitter_do_what_they_say() {
        let reordered = arrivals(5, Weather { reorder: 0.1, ..Weather::default() });
        let turned = reordered.windows(2).filter(|pair| pair[1].1 < pair[0].1).count();
        assert!((1_500..2_500).contains(&turned), "{turned} turned");
        let doubled = arrivals(5, Weather { duplicate: 0.1, ..Weather::default() });
        assert!((21_800..22_200).contains(&doubled.len()));
        let jitter = Duration::from_millis(60);
        let shaken = arrivals(5, Weather { jitter, ..Weather::default() });
        let late = shaken.iter().map(|(at, number)| *at - Duration::from_millis(20) * *number).max();
        assert!(late < Some(jitter) && late > Some(jitter.mul_f64(0.99)));
    }

    #[test]
    fn after_a_rebinding_packets_come_from_elsewhere_but_not_those_under_way() {
        let mut net = Netem::new(7, Weather { delay: Duration::from_millis(30), ..Weather::default() });
        for number in 0..4_u64 {
            if number == 2 {
                net.rebind();
            }
            net.send(Duration::from_millis(20 * number), &[number as u8]);
        }
        let came: Vec<_> =
            std::iter::from_fn(|| net.arrived_from(Duration::MAX)).map(|(_, from, b)| (from, b[0])).collect();
        assert_eq!(came, [(0, 0), (0, 1), (1, 2), (1, 3)]);
        assert_eq!(net.arrived_from(Duration::MAX), None);
    }

    #[test]
    fn a_slow_line_queues_and_then_drops() {
        // 100 bytes every 20 ms are 5000 a second.
        let fits = arrivals(6, Weather { rate_bytes_per_s: 6_000, ..Weather::default() });
        assert_eq!(fits.len(), PACKETS as usize);
        let squeezed = arrivals(6, Weather { rate_bytes_per_s: 2_500, ..Weather::default() });
        assert!((9_900..10_100).contains(&squeezed.len()), "{} arrived", squeezed.len());
    }
}
