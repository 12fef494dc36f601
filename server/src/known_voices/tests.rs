//! Known voices on a disk: kept, listed, damaged, erased.

use super::*;

fn print(model: &str, at: usize) -> VoicePrint {
    let voice: Vec<f32> = (0..192).map(|part| if part == at { 1.0 } else { 0.0 }).collect();
    VoicePrint::new(model, &voice).unwrap()
}

fn wish(name: &str) -> Wish {
    Wish::new(name, "signed on paper").unwrap()
}

fn at(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(second).unwrap()
}

#[test]
fn somebody_is_kept_as_they_were_given_and_erased_for_good() {
    let data = tempfile::tempdir().unwrap();
    let voices = KnownVoices::at(data.path());
    assert_eq!(voices.list().unwrap(), People::default());
    assert!(!data.path().join("speakers").exists(), "asking makes no folder");
    let ada = voices.add(wish(" Ada "), print("campplus", 0), at(20)).unwrap();
    let ben = voices.add(wish("Ben"), print("campplus", 1), at(10)).unwrap();
    assert_eq!((&*ada.name, &*ada.consent.how, ada.consent.given_at), ("Ada", "signed on paper", at(20)));
    // Another process, as it were.
    let again = KnownVoices::at(data.path());
    assert_eq!(again.list().unwrap().people, [ben.clone(), ada.clone()]);
    again.erase(&ben.id).unwrap();
    assert_eq!(voices.list().unwrap().people, [ada]);
    assert!(matches!(voices.erase(&ben.id), Err(Error::Unknown { .. })));
    let left: Vec<_> = fs::read_dir(data.path().join("speakers")).unwrap().map(Result::unwrap).collect();
    assert_eq!(left.len(), 2, "one person and the lock: {left:?}");
}

#[test]
fn a_model_recognizes_its_own_prints_alone() {
    let data = tempfile::tempdir().unwrap();
    let voices = KnownVoices::at(data.path());
    voices.add(wish("Ada"), print("campplus", 0), at(1)).unwrap();
    voices.add(wish("Ben"), print("redimnet-b2", 1), at(2)).unwrap();
    voices.add(wish("Eve"), print("campplus", 2), at(3)).unwrap();
    let known = voices.known("campplus").unwrap();
    assert_eq!(known.names.iter().map(|name| &**name).collect::<Vec<_>>(), ["Ada", "Eve"]);
    assert_eq!(known.prints, [print("campplus", 0), print("campplus", 2)]);
    assert_eq!(voices.known("resemblyzer-ge2e").unwrap(), Known::default());
    let people = voices.list().unwrap().people;
    let used = |model| people.iter().map(|person| person.shown(model).is_used).collect::<Vec<_>>();
    assert_eq!(used(Some("campplus")), [true, false, true], "what is not used is kept, and that is said");
    assert_eq!(used(None), [false; 3]);
    let shown = people[1].shown(Some("campplus"));
    assert!(shown.why.as_ref().is_some_and(|why| why.contains("redimnet-b2")), "{shown:?}");
    assert!(!serde_json::to_string(&shown).unwrap().contains("voice"), "a print is shown to nobody");
}

#[test]
fn a_damaged_file_costs_nobody_else_their_name_and_can_be_erased() {
    let data = tempfile::tempdir().unwrap();
    let voices = KnownVoices::at(data.path());
    let ada = voices.add(wish("Ada"), print("campplus", 0), at(1)).unwrap();
    let dir = data.path().join("speakers");
    let whole = fs::read(dir.join(format!("{}.json", ada.id))).unwrap();
    fs::write(dir.join("sp_0000000000000001.json"), &whole[..whole.len() / 2]).unwrap();
    // Somebody else's file under another name: a copy is no second person.
    fs::write(dir.join("sp_0000000000000002.json"), &whole).unwrap();
    fs::write(dir.join("sp_0000000000000003.json"), vec![b' '; FILE_BYTES_MAX as usize + 1]).unwrap();
    fs::write(dir.join("notes.json"), "{}").unwrap();
    let found = voices.list().unwrap();
    assert_eq!(found.people, [ada]);
    let damaged = [1, 2, 3].map(|number| format!("sp_000000000000000{number}.json"));
    assert_eq!(found.damaged, damaged);
    for number in 1..=3 {
        voices.erase(&format!("sp_000000000000000{number}")).unwrap();
    }
    assert!(voices.list().unwrap().damaged.is_empty());
}

#[test]
fn what_a_process_that_died_left_is_gone_with_the_next_change() {
    let data = tempfile::tempdir().unwrap();
    let voices = KnownVoices::at(data.path());
    let ada = voices.add(wish("Ada"), print("campplus", 0), at(1)).unwrap();
    let left = data.path().join("speakers/sp_0000000000000001.new");
    fs::write(&left, "half a voice").unwrap();
    assert_eq!(voices.list().unwrap().people.len(), 1);
    voices.erase(&ada.id).unwrap();
    assert!(!left.exists());
}

#[test]
fn an_id_leads_nowhere_but_to_a_person() {
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("keys.json"), "{}").unwrap();
    let voices = KnownVoices::at(data.path());
    voices.add(wish("Ada"), print("campplus", 0), at(1)).unwrap();
    for id in ["", "../keys", "sp_", "sp_000000000000000G", "sp_../../../../keys", ".lock", "sp_0000000000000009"] {
        assert!(matches!(voices.erase(id), Err(Error::Unknown { .. })), "{id}");
    }
    assert!(data.path().join("keys.json").exists());
}

#[test]
fn the_folder_holds_a_thousand_people_and_no_more() {
    let data = tempfile::tempdir().unwrap();
    let voices = KnownVoices::at(data.path());
    let ada = voices.add(wish("Ada"), print("campplus", 0), at(1)).unwrap();
    for number in 1..PEOPLE_MAX {
        fs::write(data.path().join(format!("speakers/sp_{number:016x}.json")), "{}").unwrap();
    }
    assert!(matches!(voices.add(wish("Ben"), print("campplus", 1), at(2)), Err(Error::Full)));
    voices.erase(&ada.id).unwrap();
    assert!(voices.add(wish("Ben"), print("campplus", 1), at(2)).is_ok());
}

#[test]
fn nobody_is_known_without_a_name_and_consent() {
    assert_eq!(Wish::new("", "yes"), Err(BadWish::Name));
    assert_eq!(Wish::new(" \t", "yes"), Err(BadWish::Name));
    assert_eq!(Wish::new("A\nB", "yes"), Err(BadWish::Name));
    assert_eq!(Wish::new(&"ä".repeat(81), "yes"), Err(BadWish::Name));
    assert!(Wish::new(&"ä".repeat(80), "yes").is_ok());
    assert_eq!(Wish::new("Ada", ""), Err(BadWish::NoConsent));
    assert_eq!(Wish::new("Ada", "  "), Err(BadWish::NoConsent));
    assert_eq!(Wish::new("Ada", &"x".repeat(501)), Err(BadWish::Consent));
}

#[cfg(unix)]
#[test]
fn only_the_owner_reads_a_print() {
    use std::os::unix::fs::PermissionsExt as _;
    let data = tempfile::tempdir().unwrap();
    let voices = KnownVoices::at(data.path());
    let ada = voices.add(wish("Ada"), print("campplus", 0), at(1)).unwrap();
    let dir = data.path().join("speakers");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&dir), mode(&dir.join(format!("{}.json", ada.id)))), (0o700, 0o600));
}
