//! Among several people: who is meant, and what is told of what was understood.

use super::*;
use crate::{ivr::key::Key, understand::emotion::Emotion};

fn among(people: usize) -> World {
    let mut persona = persona();
    persona.wake = vec!["hey harmony".to_owned(), "hallo harmony".to_owned()];
    persona.turn.idle_after = Duration::ZERO;
    let mut world = World::new(persona);
    world.tell(Input::Begin);
    world.tell(Input::Company(people));
    world.hear_all();
    world.pass(10_000);
    world.log.clear();
    world
}

fn is_asked(world: &mut World) -> bool {
    world.log().iter().any(|line| line.starts_with("ask"))
}

#[test]
fn among_several_people_it_answers_who_says_its_name_and_what_follows() {
    let mut world = among(3);
    world.says("Wie spät ist es eigentlich?");
    assert!(world.log().is_empty(), "that was said to somebody else");
    let not_meant = |notice: &&Notice| matches!(notice, Notice::NotMeant { .. });
    assert_eq!(world.notices.iter().filter(not_meant).count(), 1);
    assert!(!world.notices.iter().any(|notice| matches!(notice, Notice::TurnEnded { .. })));
    world.says("Hallo Harmonie, wie spät ist es?");
    assert!(is_asked(&mut world));
    // What was said to others is no part of the conversation.
    assert_eq!(world.told().last().map(String::as_str), Some("user: Hallo Harmonie, wie spät ist es?"));
    world.answers("Es ist drei Uhr.");
    world.hear_all();
    world.pass(3_000);
    world.says("Und in London, bitte?");
    assert!(is_asked(&mut world));
    world.answers("Dort ist es zwei Uhr.");
    world.hear_all();
    world.pass(9_000);
    world.log.clear();
    world.says("Und in New York, bitte?");
    assert!(!is_asked(&mut world));
    // Keys and written words are for nobody else.
    world.tell(Input::Key(Key::from_char('1').unwrap()));
    world.tell(Input::Key(Key::POUND));
    assert!(is_asked(&mut world));
}

#[test]
fn whoever_speaks_over_a_long_answer_goes_on_with_it() {
    let mut world = among(3);
    world.says("Hallo Harmonie, wie spät ist es?");
    world.answers("Es ist drei Uhr nachmittags und in London erst zwei.");
    world.begins();
    for words in 1..=6 {
        world.pass(2_000);
        world.hears_words(words);
    }
    world.log.clear();
    world.says("Und in New York, bitte?");
    world.pass(1_500);
    assert!(is_asked(&mut world));
}

#[test]
fn with_one_person_nobody_else_can_be_meant() {
    let mut world = among(1);
    world.says("Wie spät ist es eigentlich?");
    assert!(is_asked(&mut world));
}

#[test]
fn what_was_understood_is_told_with_each_turn_that_says_something() {
    let mut persona = Persona::parse("salon", include_str!("../../../../examples/personas/salon.toml")).unwrap();
    persona.greeting = PerLanguage::default();
    let mut world = World::new(persona);
    world.tell(Input::Begin);
    world.says("Das ist schon wieder ärgerlich, ich brauche einen Termin.");
    let understood = |world: &World| {
        let told = world.notices.iter().filter_map(|notice| match notice {
            Notice::Understood { intents, emotion, .. } => Some((intents.clone(), emotion.map(|(emotion, _)| emotion))),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(understood(&world), [(vec![("book".to_owned(), 1.0)], Some(Emotion::Annoyed))]);
    assert!(world.asked.last().unwrap().1.system.contains("The caller sounds annoyed"));
    world.answers("Gern. Wann?");
    world.hear_all();
    world.says("Ich schaue eben nach.");
    world.answers("Ja?");
    world.hear_all();
    world.says("Das Wetter ist heute so.");
    assert_eq!(understood(&world).len(), 2, "a feeling fades, and no wish is none");
}
