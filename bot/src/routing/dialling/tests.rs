use proptest::prelude::*;

use super::*;
use crate::routing::number::Home;

#[test]
fn only_what_is_listed_is_dialled_and_premium_numbers_only_where_listed_as_such() {
    for (allow, dialled, outcome) in [
        (&[][..], "+4930123456", Err(Refusal::NotAllowed)),
        (&["+49"], "+4930123456", Ok(())),
        (&["+49"], "030 123456", Ok(())),
        (&["+49"], "0043123456", Err(Refusal::NotAllowed)),
        (&["+49"], "+499001234567", Err(Refusal::Premium)),
        (&["+49"], "0900 1234567", Err(Refusal::Premium)),
        (&["+49", "+499"], "+499001234567", Err(Refusal::Premium)),
        (&["+49", "+49900"], "+499001234567", Ok(())),
        (&["+49900123"], "+499001234567", Ok(())),
        (&["+1"], "+18765550123", Err(Refusal::Premium)),
        (&["+49"], "115", Err(Refusal::NotAllowed)),
        (&["+49", "115"], "115", Ok(())),
        (&["+49", "115"], "1155", Err(Refusal::NotAllowed)),
        (&["+49"], "alice", Err(Refusal::NotAllowed)),
        (&["+49"], "", Err(Refusal::NotAllowed)),
    ] {
        let mut dialling = Dialling::new(rules(allow), start());
        let permit = dialling.permit("alice", &[party(dialled)], start());
        assert_eq!(permit.map(|_| ()), outcome, "{allow:?} {dialled}");
    }
}

#[test]
fn a_rewritten_number_must_be_allowed_before_and_after() {
    let home = Home { country: Some("49".to_owned()), area: Some("30".to_owned()), ..Home::default() };
    let read = |text: &str| Party::read(text, &home).unwrap();
    let mut dialling = Dialling::new(rules(&["+49"]), start());
    // A carrier's prefix before the number makes it look like one of our own town.
    let smuggled = [read("+49900123456"), read("9949900123456")];
    assert_eq!(dialling.permit("alice", &smuggled, start()), Err(Refusal::Premium));
    let plain = [read("9*123"), read("+4930123456")];
    assert!(dialling.permit("alice", &plain, start()).is_ok());
}

#[test]
fn callers_and_everybody_are_limited_in_any_minute_hour_and_day() {
    let mut dialling = Dialling::new(
        Rules { caller_calls_per_minute: 2, calls_per_minute: 3, calls_per_hour: 4, ..rules(&["+49"]) },
        start(),
    );
    let mut call = |caller: &str, at_s: u64| {
        let now = start_plus(at_s);
        let permit = dialling.permit(caller, &[party("+4930123456")], now)?;
        dialling.ended(permit.id, None, now);
        Ok(())
    };
    let limit = |refused: Result<(), Refusal>| match refused {
        Err(Refusal::Limit { whose, limit, retry_after }) => (whose, limit, retry_after.as_secs()),
        other => panic!("{other:?}"),
    };
    assert_eq!(call("alice", 0), Ok(()));
    assert_eq!(call("alice", 1), Ok(()));
    assert_eq!(limit(call("alice", 2)), (Whose::Caller, Limit::PerMinute, 63));
    assert_eq!(call("bob", 3), Ok(()));
    assert_eq!(limit(call("carol", 4)), (Whose::Everybody, Limit::PerMinute, 61));
    assert_eq!(call("carol", 70), Ok(()));
    assert_eq!(limit(call("dora", 200)), (Whose::Everybody, Limit::PerHour, 3_700));
    assert_eq!(call("dora", 3_900), Ok(()));
}

#[test]
fn calls_at_once_are_limited_and_an_ended_one_makes_room() {
    let mut dialling = Dialling::new(Rules { calls_at_once: 2, caller_calls_at_once: 1, ..rules(&["+49"]) }, start());
    let number = [party("+4930123456")];
    let first = dialling.permit("alice", &number, start()).unwrap();
    let refusal = dialling.permit("alice", &number, start()).unwrap_err();
    assert!(matches!(refusal, Refusal::Limit { whose: Whose::Caller, limit: Limit::AtOnce, .. }));
    assert_eq!((refusal.status(), refusal.retry_after().is_some()), (480, true));
    dialling.permit("bob", &number, start()).unwrap();
    let refusal = dialling.permit("carol", &number, start()).unwrap_err();
    assert!(matches!(refusal, Refusal::Limit { whose: Whose::Everybody, limit: Limit::AtOnce, .. }));
    dialling.ended(first.id, None, start());
    dialling.ended(first.id, None, start());
    assert_eq!(dialling.running(), 1);
    assert!(dialling.permit("alice", &number, start()).is_ok());
}

#[test]
fn the_budget_of_a_day_counts_what_runs_and_what_was_spent_and_frees_what_was_not() {
    let mut dialling = Dialling::new(
        Rules {
            prices: prices(&[("+49", 0.10), ("+4915", 0.20)]),
            budget_per_day: Some(money(1.0)),
            reserve_minutes: 3,
            ..rules(&["+49", "+43"])
        },
        start(),
    );
    assert_eq!(dialling.permit("a", &[party("+431234567")], start()), Err(Refusal::Unpriced));
    let mobile = [party("+4915112345678")];
    let first = dialling.permit("a", &mobile, start()).unwrap();
    assert_eq!(dialling.spent(start()), money(0.6));
    assert!(matches!(dialling.permit("b", &mobile, start()), Err(Refusal::Budget { .. })));
    let second = dialling.permit("b", &[party("+4930123456")], start()).unwrap();
    // The first was answered and lasted half a minute; the second never was.
    dialling.ended(first.id, Some(start_plus(10)), start_plus(40));
    dialling.ended(second.id, None, start_plus(40));
    assert_eq!(dialling.spent(start_plus(40)), money(0.1));
    assert_eq!(dialling.spent(start_plus(40 + 26 * 3_600)), money(0.0));
}

#[test]
fn a_call_is_renewed_while_the_budget_lasts_and_ends_at_its_longest() {
    let priced = Rules {
        prices: prices(&[("+49", 0.10)]),
        budget_per_day: Some(money(1.0)),
        reserve_minutes: 4,
        ..rules(&["+49"])
    };
    let mut dialling = Dialling::new(priced, start());
    let permit = dialling.permit("a", &[party("+4930123456")], start()).unwrap();
    assert_eq!(permit.renew_by, start_plus(240));
    assert_eq!(dialling.renew(permit.id, start_plus(10)).unwrap().renew_by, start_plus(240));
    assert_eq!(dialling.renew(permit.id, start_plus(240)).unwrap().renew_by, start_plus(480));
    assert_eq!(dialling.renew(permit.id, start_plus(480)), None);
    dialling.ended(permit.id, Some(start()), start_plus(480));
    assert_eq!(dialling.renew(permit.id, start_plus(480)), None);

    let mut dialling = Dialling::new(Rules { call_minutes_max: 7, reserve_minutes: 5, ..rules(&["+49"]) }, start());
    let permit = dialling.permit("a", &[party("+4930123456")], start()).unwrap();
    assert_eq!(dialling.renew(permit.id, start_plus(300)).unwrap().renew_by, start_plus(420));
    assert_eq!(dialling.renew(permit.id, start_plus(420)), None);
}

#[test]
fn callers_that_are_made_up_meet_the_limits_on_everybody() {
    let mut dialling =
        Dialling::new(Rules { calls_per_hour: 100, calls_per_minute: 1_000, ..rules(&["+49"]) }, start());
    let granted = (0..10_000_u32).filter(|caller| {
        let permit = dialling.permit(&caller.to_string(), &[party("+4930123456")], start());
        permit.is_ok_and(|permit| {
            dialling.ended(permit.id, None, start());
            true
        })
    });
    assert_eq!(granted.count(), 100);
    assert!(dialling.callers.len() <= CALLERS_MAX);
}

#[test]
fn rules_are_read_as_people_write_them() {
    for (text, fits) in [("+49", true), ("+49 (30)", true), ("115", true), ("*21#", true), ("", false), ("+", false)] {
        assert_eq!(text.parse::<Allowed>().is_ok(), fits, "{text}");
    }
    assert_eq!(Rules::default().fault(), None);
    assert_eq!(Rules { budget_per_day: Some(money(1.0)), ..Rules::default() }.fault().unwrap().0, "budget_per_day");
    assert_eq!(Rules { reserve_minutes: 0, ..Rules::default() }.fault().unwrap().0, "reserve_minutes");
}

proptest! {
    #[test]
    fn no_sequence_of_calls_breaks_a_limit_or_the_budget(
        steps in prop::collection::vec((0_u64..90, 0_u8..3, prop::bool::ANY), 1..120),
    ) {
        let budget = money(2.0);
        let mut dialling = Dialling::new(
            Rules {
                caller_calls_per_minute: 3,
                calls_per_minute: 5,
                calls_at_once: 4,
                prices: prices(&[("+49", 0.25)]),
                budget_per_day: Some(budget),
                reserve_minutes: 1,
                ..rules(&["+49"])
            },
            start(),
        );
        let mut now = start();
        let mut begun = Vec::new();
        let mut running: Vec<(PermitId, Instant)> = Vec::new();
        for (after_s, caller, does_end) in steps {
            now += Duration::from_secs(after_s);
            running.retain(|(id, answered)| {
                let goes_on = dialling.renew(*id, now).is_some();
                if !goes_on {
                    // Whoever holds the call ends it when the permit says so, not later.
                    dialling.ended(*id, Some((*answered).max(now - Duration::from_secs(60))), now);
                }
                goes_on
            });
            if let Ok(permit) = dialling.permit(&caller.to_string(), &[party("+4930123456")], now) {
                begun.push((now, caller));
                running.push((permit.id, now));
            }
            if does_end && !running.is_empty() {
                let (id, answered) = running.remove(0);
                dialling.ended(id, Some(answered), now);
            }
            let within = |by: Option<u8>| {
                begun.iter().filter(|(at, of)| now - *at < MINUTE && by.is_none_or(|by| by == *of)).count()
            };
            prop_assert!(within(None) <= 5 && within(Some(caller)) <= 3);
            prop_assert!(dialling.running() <= 4 && dialling.running() == running.len());
        }
    }
}

fn rules(allow: &[&str]) -> Rules {
    Rules { allow: allow.iter().map(|one| one.parse().unwrap()).collect(), ..Rules::default() }
}

fn prices(prices: &[(&str, f64)]) -> BTreeMap<Prefix, Money> {
    prices.iter().map(|(prefix, price)| (prefix.parse().unwrap(), money(*price))).collect()
}

fn money(amount: f64) -> Money {
    Money { micros: (amount * 1e6).round() as u64 }
}

fn party(text: &str) -> Party {
    Party::read(text, &Home { country: Some("49".to_owned()), ..Home::default() }).unwrap()
}

fn start_plus(seconds: u64) -> Instant {
    start() + Duration::from_secs(seconds)
}

#[expect(clippy::disallowed_methods, reason = "an instant from which virtual time runs")]
fn start() -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *START.get_or_init(Instant::now)
}
