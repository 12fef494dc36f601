//! What is noted of a room's graph in its journal, and how: its wiring, its orders, and what its nodes took in.
//!
//! The control half ([`Told`], JSON) is noted by the graph as it is changed. The real-time half goes onto a tape:
//! first the tick, then what happened in it, in the order in which it did. A tick that says nothing happened has
//! no record. Read by [`super::replay`].

use serde::{Deserialize, Serialize};

use crate::{
    frame::Format,
    graph::{
        build::{NodeId, Port},
        node::{Control, Ports},
    },
    journal::{
        Kind, Tape,
        body::{Short, Take},
    },
    time::MediaTime,
};

/// A change of a graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// A node was added.
    Add {
        /// Its id.
        node: u32,
        /// What it is.
        is: Described,
    },
    /// A node that was added takes the place of one that is removed next.
    Succeed {
        /// The new one.
        node: u32,
        /// The old one.
        of: u32,
    },
    /// A node was removed.
    Remove(u32),
    /// An output feeds an input: node and port of each.
    Connect {
        /// The output.
        from: (u32, usize),
        /// The input.
        to: (u32, usize),
    },
    /// An input lost its edge.
    Disconnect((u32, usize)),
    /// A schedule was made, which the engine knows by this number.
    Built(u64),
}

/// A node as it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Described {
    /// Datagrams to sound.
    Receive {
        /// The codec's name, as in SDP.
        codec: String,
        /// Samples in a second.
        rate_hz: u32,
        /// Its payload type.
        payload_type: u8,
        /// That of keys.
        telephone_event: Option<u8>,
        /// How long packets were agreed to be.
        packet_ms: u32,
        /// Room for each payload.
        payload_bytes: usize,
        /// The least wait of a packet.
        margin_ms: u32,
        /// The longest.
        most_ms: u32,
        /// The payload type of comfort noise.
        #[serde(default)]
        comfort_noise: Option<u8>,
        /// Whether silence hisses.
        #[serde(default)]
        fills_silence: bool,
        /// Whether it begins silent, whatever comes.
        #[serde(default)]
        is_paused: bool,
    },
    /// What a mouth writes to sound.
    Playout {
        /// Samples in a second.
        rate_hz: u32,
    },
    /// One rate to another.
    Resample {
        /// In.
        from_hz: u32,
        /// Out.
        to_hz: u32,
        /// Silence ahead of the first block.
        shift_ticks: usize,
    },
    /// A gain.
    Gain {
        /// Rate and channels.
        format: (u32, u16),
        /// The factor to begin with, as the bits of an f32.
        factor: u32,
    },
    /// Mix-minus.
    Mixer {
        /// Rate and channels.
        format: (u32, u16),
        /// How many.
        legs: usize,
    },
    /// A sum.
    Sum {
        /// Rate and channels.
        format: (u32, u16),
        /// How many.
        legs: usize,
    },
    /// Noise suppression.
    Denoise,
    /// Something that only takes sound: what becomes of it is no matter of the graph.
    Sink {
        /// Its type.
        what: String,
        /// Rate and channels of each input.
        inputs: Vec<(u32, u16)>,
    },
    /// Something that cannot be made again from a journal.
    Other {
        /// Its type.
        what: String,
    },
}

impl Described {
    /// Of a node that does not describe itself.
    pub(super) fn by_ports(type_name: &str, ports: &Ports) -> Self {
        let what = type_name.rsplit("::").next().unwrap_or(type_name).to_owned();
        match ports.outputs.is_empty() {
            true => Self::Sink { what, inputs: ports.inputs.iter().copied().map(format).collect() },
            false => Self::Other { what },
        }
    }

    /// All rates that it has.
    pub(super) fn rates_hz(&self) -> Vec<u32> {
        match self {
            Self::Receive { rate_hz, .. } | Self::Playout { rate_hz } => vec![*rate_hz],
            Self::Resample { from_hz, to_hz, .. } => vec![*from_hz, *to_hz],
            Self::Gain { format, .. } | Self::Mixer { format, .. } | Self::Sum { format, .. } => vec![format.0],
            Self::Sink { inputs, .. } => inputs.iter().map(|format| format.0).collect(),
            Self::Denoise | Self::Other { .. } => Vec::new(),
        }
    }

    /// A word for it.
    pub fn name(&self) -> &str {
        match self {
            Self::Receive { .. } => "Receive",
            Self::Playout { .. } => "Playout",
            Self::Resample { .. } => "Resample",
            Self::Gain { .. } => "Gain",
            Self::Mixer { .. } => "Mixer",
            Self::Sum { .. } => "Sum",
            Self::Denoise => "Denoise",
            Self::Sink { what, .. } | Self::Other { what } => what,
        }
    }
}

/// A format as it is noted.
pub(crate) fn format(format: Format) -> (u32, u16) {
    (format.rate_hz, format.channels)
}

/// A port as it is noted.
pub(super) fn port(port: Port) -> (u32, usize) {
    (port.node.0, port.index)
}

/// What the engine did to a room, before the tick that it names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Obeyed {
    /// It began, with this schedule.
    Open(u64),
    /// It went on with this schedule.
    Rebuild(u64),
    /// A node was told something.
    Tell(NodeId, Control),
    /// It ended.
    Close,
    /// Its time jumped from here, because the machine stood still.
    Jump(MediaTime),
    /// A second began: said so that a replay knows it even where nothing else happens.
    Beat,
}

const OPEN: u8 = 1;
const REBUILD: u8 = 2;
const TELL: u8 = 3;
const CLOSE: u8 = 4;
const JUMP: u8 = 5;
const BEAT: u8 = 6;
const UNKNOWN_ORDER: u8 = 255;

impl Obeyed {
    /// Notes it for the tick `at`.
    pub(super) fn note(self, tape: &mut Tape, at: MediaTime) {
        let (node, mut body) = (if let Self::Tell(node, _) = self { node.0 } else { 0 }, [0; 10]);
        let number = match self {
            Self::Open(number) => {
                body[0] = OPEN;
                number
            }
            Self::Rebuild(number) => {
                body[0] = REBUILD;
                number
            }
            Self::Tell(_, control) => {
                body[0] = TELL;
                let (order, value) = order(control);
                body[9] = order;
                value
            }
            Self::Close => {
                body[0] = CLOSE;
                0
            }
            Self::Jump(from) => {
                body[0] = JUMP;
                from.ticks()
            }
            Self::Beat => {
                body[0] = BEAT;
                0
            }
        };
        body[1..9].copy_from_slice(&number.to_le_bytes());
        tape.note(Kind::GraphObeyed, node, &[&at.ticks().to_le_bytes(), &body]);
    }

    /// Reads what follows the tick; `None` for an order that a journal does not hold.
    pub(super) fn read(node: u32, body: &mut Take<'_>) -> Result<Option<Self>, Short> {
        let (what, number, order) = (body.u8()?, body.u64()?, body.u8()?);
        body.end()?;
        Ok(match what {
            OPEN => Some(Self::Open(number)),
            REBUILD => Some(Self::Rebuild(number)),
            TELL => control(order, number).map(|control| Self::Tell(NodeId(node), control)),
            CLOSE => Some(Self::Close),
            BEAT => Some(Self::Beat),
            JUMP => Some(Self::Jump(MediaTime::from_ticks(number))),
            _ => return Err(Short { at: 8 }),
        })
    }
}

/// An order in a byte and a number. Tones are not played by the rooms of today, and are not held.
fn order(control: Control) -> (u8, u64) {
    match control {
        Control::Gain(db) => (1, u64::from(db.to_bits())),
        Control::Flush(turn) => (2, turn),
        Control::Pause => (3, 0),
        Control::Resume => (4, 0),
        Control::Stop => (5, 0),
        Control::Noise(dbfs) => (6, u64::from(dbfs.to_bits())),
        Control::Suppress(is_on) => (7, u64::from(is_on)),
        Control::Play(_) => (UNKNOWN_ORDER, 0),
    }
}

fn control(order: u8, value: u64) -> Option<Control> {
    Some(match order {
        1 => Control::Gain(f32::from_bits(value as u32)),
        2 => Control::Flush(value),
        3 => Control::Pause,
        4 => Control::Resume,
        5 => Control::Stop,
        6 => Control::Noise(f32::from_bits(value as u32)),
        7 => Control::Suppress(value != 0),
        _ => return None,
    })
}

/// The checksum of samples, bit for bit. Allocates nothing.
pub(super) fn checksum(samples: &[f32]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    let mut bytes = [0; 256];
    for some in samples.chunks(bytes.len() / 4) {
        for (slot, sample) in bytes.chunks_exact_mut(4).zip(some) {
            slot.copy_from_slice(&sample.to_le_bytes());
        }
        hasher.update(&bytes[..4 * some.len()]);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_that_a_journal_holds_are_read_as_they_were_given() {
        for control_given in [
            Control::Gain(-3.5),
            Control::Gain(f32::NEG_INFINITY),
            Control::Flush(7),
            Control::Pause,
            Control::Resume,
            Control::Stop,
            Control::Noise(-60.0),
            Control::Suppress(true),
            Control::Suppress(false),
        ] {
            let (byte, value) = order(control_given);
            assert_eq!(control(byte, value), Some(control_given));
        }
    }

    #[test]
    fn the_checksum_is_that_of_all_bytes_in_one_piece() {
        let samples: Vec<f32> = (0..481).map(|n| (n as f32).sin()).collect();
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        assert_eq!(checksum(&samples), crc32fast::hash(&bytes));
    }
}
