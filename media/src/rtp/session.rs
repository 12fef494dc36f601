//! One end of an RTP session: a half that judges what is heard and a half that numbers what is sent.
//!
//! They live in two nodes of one room. A report speaks of both directions, so [`Hearing`] leaves what it counted
//! where [`Sending`] finds it: single numbers, each for itself, because both run on one engine thread and a report
//! that mixed two packets would be no worse. Told packets, the time and the wall clock; the numbers that a stranger
//! must not guess are given, not drawn. Nothing allocates after [`session`].

mod hearing;
mod ledger;
mod sending;

use std::{sync::Arc, time::Duration};

pub use self::{hearing::Hearing, sending::Sending};
use super::{
    seq::{Clock, RtpTime, SeqNo},
    source::Counts,
};

/// Who we are: all of it fresh from a good generator for each session.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Our source.
    pub ssrc: u32,
    /// The number of our first packet.
    pub first_seq: SeqNo,
    /// The timestamp at the room's beginning.
    pub first_time: RtpTime,
    /// Our name for good; says nothing of a person (RFC 7022).
    pub cname: String,
}

/// What the far end said in a datagram of RTCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// It reported on our stream.
    pub report: bool,
    /// It leaves.
    pub goodbye: bool,
}

/// How the session does, both ways, as far as the hearing half knows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Health {
    /// What was counted of what we hear.
    pub heard: Counts,
    /// Interarrival jitter of what we hear, in milliseconds.
    pub jitter_ms: f64,
    /// Time to the far end and back; `None` until it reported on us.
    pub round_trip: Option<Duration>,
    /// The share of our packets that the far end missed between its last two reports, 0 to 1.
    pub far_loss: Option<f64>,
}

/// What was sent so far; both wrap, as RTCP says them.
#[derive(Clone, Copy, Default)]
struct Sent {
    packets: u32,
    /// Of payload.
    bytes: u32,
}

/// Both halves of one end, of a stream that ticks by `clock` both ways.
pub fn session(identity: Identity, clock: Clock) -> (Hearing, Sending) {
    let ledger = Arc::new(ledger::Ledger::default());
    (Hearing::new(identity.ssrc, clock, Arc::clone(&ledger)), Sending::new(identity, clock, ledger))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::{
        super::{
            quality,
            rtcp::{Compound, Ntp, Rtcp},
        },
        *,
    };
    use crate::time::MediaTime;

    fn ntp(ms: u64) -> Ntp {
        Ntp::at(UNIX_EPOCH + Duration::from_millis(1_700_000_000_000 + ms))
    }

    struct End {
        hearing: Hearing,
        sending: Sending,
    }

    fn end(ssrc: u32) -> End {
        let identity = Identity {
            ssrc,
            first_seq: SeqNo(65_530),
            first_time: RtpTime(u32::MAX - 500),
            cname: format!("{ssrc}@x"),
        };
        let (hearing, mut sending) = session(identity, Clock::TELEPHONE);
        assert!(!sending.is_report_due(MediaTime::ZERO));
        End { hearing, sending }
    }

    /// Sends `packets` of 20 ms from one end to the other, `way_ms` long; every `lost_in`th is lost.
    fn talk(from: &mut End, to: &mut End, packets: u64, way_ms: u64, lost_in: u64) {
        for number in 0..packets {
            let now = MediaTime::from_millis(number * 20);
            let time = from.sending.time_of(now);
            let packet = from.sending.send(now, time, 0, number == 0, &[0xff; 160]);
            if number % lost_in != lost_in - 1 {
                to.hearing.hear(&packet, now + Duration::from_millis(way_ms));
            }
        }
    }

    #[test]
    fn both_ends_learn_the_round_trip_and_what_was_lost() {
        let (mut here, mut there) = (end(1), end(2));
        talk(&mut here, &mut there, 500, 30, 10);
        talk(&mut there, &mut here, 500, 30, u64::MAX);
        let mut bytes = [0; 400];
        let at = |ms| MediaTime::from_millis(ms);
        assert!(here.sending.is_report_due(at(10_000)));
        let length = here.sending.report(at(10_000), ntp(10_000), &mut bytes).unwrap();
        let said = Compound::parse(&bytes[..length]).unwrap().next();
        let Some(Rtcp::SenderReport { sent, .. }) = said else { panic!("it has sent") };
        assert_eq!((sent.packets, sent.bytes), (500, 80_000));
        assert!(!here.sending.is_report_due(at(12_499)) && here.sending.is_report_due(at(17_501)));
        there.hearing.hear_rtcp(&bytes[..length], at(10_030), ntp(10_030)).unwrap();
        let length = there.sending.report(at(10_500), ntp(10_500), &mut bytes).unwrap();
        let said = here.hearing.hear_rtcp(&bytes[..length], at(10_530), ntp(10_530)).unwrap();
        assert_eq!(said, Said { report: true, goodbye: false });
        let health = here.hearing.health();
        let round_trip = health.round_trip.unwrap().as_secs_f64();
        assert!((round_trip - 0.060).abs() < 0.001, "{round_trip} s");
        assert!((health.far_loss.unwrap() - 0.1).abs() < 0.01);
        assert!((here.sending.far_loss().unwrap() - 0.1).abs() < 0.01);
        assert_eq!(health.heard.lost(), 0);
        assert_eq!(there.hearing.health().heard.lost(), 49, "the last loss is not missed yet");
        assert!(health.jitter_ms < 0.1);
        let robust = quality::Robustness::G711_CONCEALED;
        assert!(
            here.hearing.mos(Duration::from_millis(20), robust) > there.hearing.mos(Duration::from_millis(20), robust)
        );
    }

    #[test]
    fn a_second_report_tells_of_the_time_since_the_first() {
        let (mut here, mut there) = (end(1), end(2));
        talk(&mut here, &mut there, 100, 0, 2);
        let mut bytes = [0; 400];
        there.sending.report(MediaTime::ZERO, ntp(0), &mut bytes).unwrap();
        let length = there.sending.report(MediaTime::ZERO, ntp(0), &mut bytes).unwrap();
        here.hearing.hear_rtcp(&bytes[..length], MediaTime::ZERO, ntp(0)).unwrap();
        assert_eq!(here.hearing.health().far_loss, Some(0.0));
    }

    #[test]
    fn one_who_only_hears_sends_a_receivers_report() {
        let (mut here, mut there) = (end(1), end(2));
        talk(&mut here, &mut there, 10, 0, u64::MAX);
        let mut bytes = [0; 400];
        let length = there.sending.report(MediaTime::from_millis(200), ntp(200), &mut bytes).unwrap();
        assert!(matches!(Compound::parse(&bytes[..length]).unwrap().next(), Some(Rtcp::ReceiverReport { .. })));
        let length = here.sending.report(MediaTime::from_millis(200), ntp(200), &mut bytes).unwrap();
        assert!(matches!(Compound::parse(&bytes[..length]).unwrap().next(), Some(Rtcp::SenderReport { .. })));
    }

    #[test]
    fn a_goodbye_counts_only_from_the_one_who_is_heard() {
        let (mut here, mut there, mut stranger) = (end(1), end(2), end(3));
        talk(&mut there, &mut here, 10, 0, u64::MAX);
        let mut bytes = [0; 400];
        let length = stranger.sending.goodbye(MediaTime::ZERO, ntp(0), &mut bytes).unwrap();
        assert!(!here.hearing.hear_rtcp(&bytes[..length], MediaTime::ZERO, ntp(0)).unwrap().goodbye);
        let length = there.sending.goodbye(MediaTime::ZERO, ntp(0), &mut bytes).unwrap();
        assert!(here.hearing.hear_rtcp(&bytes[..length], MediaTime::ZERO, ntp(0)).unwrap().goodbye);
        assert!(there.sending.goodbye(MediaTime::ZERO, ntp(0), &mut bytes[..40]).is_err());
    }

    #[test]
    fn an_echo_of_our_own_stream_is_not_heard() {
        let (mut here, mut there) = (end(1), end(2));
        let packet = here.sending.send(MediaTime::ZERO, RtpTime(0), 0, false, &[1]);
        assert!(here.hearing.hear(&packet, MediaTime::ZERO).is_none());
        assert!(there.hearing.hear(&packet, MediaTime::ZERO).is_some());
    }
}
