//! `harmony bench`, small: real sockets, the real engine, callers in a process of their own. Speed is not judged here.

use std::process::Command;

use serde_json::Value;
use tests::server::binary;

#[test]
fn a_few_calls_hear_every_sound_of_theirs_again() {
    let output = Command::new(binary())
        .args(["bench", "--calls", "3", "--seconds", "2", "--json"])
        .output()
        .expect("the binary is built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON and nothing else");
    println!("{report:#}");
    let callers = &report["callers"];
    assert_eq!(callers["calls"], 3);
    assert_eq!(callers["sent"], 300, "3 calls, 2 s, 50 packets a second");
    // One of five is what a machine that stands still for a while may cost; whoever hears nothing loses all.
    for (who, lost) in [
        ("callers", &callers["lost"]),
        ("callers, of their sound", &callers["missing"]),
        ("legs", &report["legs"]["lost"]),
    ] {
        assert!(lost.as_u64().is_some_and(|lost| lost <= 60), "{who} lost {lost}");
    }
    // A hundred a second, for as long as it took.
    assert!(report["engine"]["ticks"].as_u64().is_some_and(|ticks| (90..=510).contains(&ticks)));
    // A sound cannot be back before it was packed, nor later than a jitter buffer of 400 ms lets it.
    let p50 = callers["round_trip_ms"]["p50"].as_f64().expect("a number");
    assert!((5.0..450.0).contains(&p50), "{p50} ms");
    let budgets = report["budgets"].as_array().expect("budgets");
    assert_eq!(budgets[0]["name"], "processor per call, % of a core");
    assert!(budgets.iter().all(|budget| budget["is_kept"].is_boolean() && budget["figure"].is_number()));
}

#[test]
fn callers_with_nobody_to_call_say_so() {
    let output = Command::new(binary())
        .args(["bench-callers", "--seconds", "1"])
        .stdin(std::process::Stdio::null())
        .output()
        .expect("the binary is built");
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("nobody to call"));
}
