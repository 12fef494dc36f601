//! How the world sees a socket of ours: one question to a STUN server (RFC 8489), before a peer is answered.
//!
//! Pure: makes the question and reads the answer; the caller sends, waits and gives up. Only the one message
//! and the one attribute that candidates need.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const MAGIC: [u8; 4] = 0x2112_a442_u32.to_be_bytes();
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const HEADER: usize = 20;

/// A question, and how its answer is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    transaction: [u8; 12],
}

impl Question {
    /// A question under `transaction`, which a stranger must not guess.
    pub(super) fn new(transaction: [u8; 12]) -> Self {
        Self { transaction }
    }

    /// What to send.
    pub(super) fn bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..2].copy_from_slice(&BINDING_REQUEST.to_be_bytes());
        bytes[4..8].copy_from_slice(&MAGIC);
        bytes[8..].copy_from_slice(&self.transaction);
        bytes
    }

    /// The address in `datagram`, if it is the answer to this question.
    pub(super) fn answer(&self, datagram: &[u8]) -> Option<SocketAddr> {
        let (header, mut rest) = datagram.split_at_checked(HEADER)?;
        let kind = u16::from_be_bytes([header[0], header[1]]);
        if kind != BINDING_SUCCESS || header[4..8] != MAGIC || header[8..] != self.transaction {
            return None;
        }
        loop {
            let (head, after) = rest.split_at_checked(4)?;
            let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let value = after.get(..length)?;
            if u16::from_be_bytes([head[0], head[1]]) == XOR_MAPPED_ADDRESS {
                return self.unmask(value);
            }
            rest = after.get(length.next_multiple_of(4)..)?;
        }
    }

    fn unmask(&self, value: &[u8]) -> Option<SocketAddr> {
        let (head, address) = value.split_at_checked(4)?;
        let port = u16::from_be_bytes([head[2] ^ MAGIC[0], head[3] ^ MAGIC[1]]);
        let mut mask = MAGIC.iter().chain(&self.transaction);
        let mut unmasked = address.iter().map(|byte| byte ^ mask.next().copied().unwrap_or_default());
        let mut fill = |bytes: &mut [u8]| bytes.iter_mut().zip(&mut unmasked).for_each(|(byte, value)| *byte = value);
        let address = match (head[1], address.len()) {
            (1, 4) => {
                let mut bytes = [0; 4];
                fill(&mut bytes);
                IpAddr::V4(Ipv4Addr::from(bytes))
            }
            (2, 16) => {
                let mut bytes = [0; 16];
                fill(&mut bytes);
                IpAddr::V6(Ipv6Addr::from(bytes))
            }
            _ => return None,
        };
        Some(SocketAddr::new(address, port))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 5769 section 2.2 and 2.3, without the attributes that ICE adds.
    const TRANSACTION: [u8; 12] = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];

    #[test]
    fn the_rfcs_answers_are_read() {
        let question = Question::new(TRANSACTION);
        let answer = |attribute: &[u8]| {
            let mut bytes = vec![0x01, 0x01, 0x00, attribute.len() as u8];
            bytes.extend_from_slice(&MAGIC);
            bytes.extend_from_slice(&TRANSACTION);
            bytes.extend_from_slice(attribute);
            question.answer(&bytes)
        };
        let software = [0x80, 0x22, 0x00, 0x0b, b't', b'e', b's', b't', b' ', b'v', b'e', b'c', b't', b'o', b'r', 0x20];
        let v4 = [0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        assert_eq!(answer(&[&software[..], &v4].concat()), Some("192.0.2.1:32853".parse().unwrap()));
        let v6 = [
            0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25,
            0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
        ];
        assert_eq!(answer(&v6), Some("[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap()));
    }

    #[test]
    fn an_answer_to_another_question_is_none() {
        let mut bytes = vec![0x01, 0x01, 0x00, 0x0c];
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[7; 12]);
        bytes.extend_from_slice(&[0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
        assert_eq!(Question::new(TRANSACTION).answer(&bytes), None);
    }

    proptest! {
        #[test]
        fn no_byte_string_panics(tail in proptest::collection::vec(any::<u8>(), 0..200), is_headed: bool) {
            let mut bytes = Vec::new();
            if is_headed {
                bytes.extend_from_slice(&[0x01, 0x01, 0x00, 0x00]);
                bytes.extend_from_slice(&MAGIC);
                bytes.extend_from_slice(&TRANSACTION);
            }
            bytes.extend_from_slice(&tail);
            let _ = Question::new(TRANSACTION).answer(&bytes);
        }
    }
}
