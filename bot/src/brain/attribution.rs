//! Who said what, put right: what a brain is told when voices on one stream are told apart better than before.

use std::time::Duration;

use asr::event::UtteranceId;
use media::{id::ParticipantId, time::Span};

/// Who said the words of one utterance, as far as is known now.
#[derive(Clone, Debug)]
pub struct Attributed {
    /// Whose stream it was heard on.
    pub participant: ParticipantId,
    /// Which utterance.
    pub utterance: UtteranceId,
    /// Who said which stretch of it.
    pub stretches: Vec<Stretch>,
}

/// Words one after another that one person said.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// From the first to the last word, on the room's timeline.
    pub span: Span,
    /// Who; `None` when that is not known.
    pub speaker: Option<String>,
}

/// Somebody is called otherwise.
#[derive(Clone, Debug)]
pub struct Renamed {
    /// On whose stream they were heard.
    pub participant: ParticipantId,
    /// What they were called.
    pub from: String,
    /// What they are called now.
    pub to: String,
}

impl Attributed {
    /// Everybody who is named.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.stretches.iter().filter_map(|stretch| stretch.speaker.as_deref())
    }

    /// Who said most of what was said in `span` of an utterance, where it is this one: the outer option says whether it
    /// is, the inner one whether they are known.
    pub(super) fn speaker(
        &self,
        participant: Option<ParticipantId>,
        utterance: UtteranceId,
        span: Span,
    ) -> Option<Option<String>> {
        if participant != Some(self.participant) || utterance != self.utterance {
            return None;
        }
        // Whoever is interrupted and goes on said both parts.
        let mut shares: Vec<(Option<&str>, Duration)> = Vec::new();
        for stretch in &self.stretches {
            let (start, end) = (stretch.span.start.max(span.start), stretch.span.end.min(span.end));
            if start > end {
                continue;
            }
            let (speaker, common) = (stretch.speaker.as_deref(), end.since(start));
            match shares.iter_mut().find(|(known, _)| *known == speaker) {
                Some((_, share)) => *share += common,
                None => shares.push((speaker, common)),
            }
        }
        let (speaker, _) = shares.into_iter().max_by_key(|(_, share)| *share)?;
        Some(speaker.map(str::to_owned))
    }
}

impl Renamed {
    /// Puts one name right, where it is the one that changes.
    pub(super) fn put_right(&self, participant: Option<ParticipantId>, name: &mut Option<String>) {
        if participant == Some(self.participant) && name.as_deref() == Some(self.from.as_str()) {
            *name = Some(self.to.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use media::time::MediaTime;

    use super::*;

    fn span(from_s: u64, until_s: u64) -> Span {
        Span::new(MediaTime::from_millis(from_s * 1_000), MediaTime::from_millis(until_s * 1_000))
    }

    #[test]
    fn whoever_is_interrupted_and_goes_on_said_it() {
        let stretch = |span, speaker: &str| Stretch { span, speaker: Some(speaker.to_owned()) };
        let stretches = vec![stretch(span(0, 2), "Ada"), stretch(span(2, 5), "Bob"), stretch(span(5, 7), "Ada")];
        let (participant, utterance) = (ParticipantId(1), UtteranceId(4));
        let attributed = Attributed { participant, utterance, stretches };
        let speaker = |utterance, span| attributed.speaker(Some(participant), utterance, span);
        assert_eq!(speaker(utterance, span(0, 7)), Some(Some("Ada".to_owned())));
        assert_eq!(speaker(utterance, span(2, 4)), Some(Some("Bob".to_owned())));
        assert_eq!(speaker(utterance, span(8, 9)), None, "it lies elsewhere");
        assert_eq!(speaker(UtteranceId(5), span(0, 7)), None);
        assert_eq!(attributed.speaker(None, utterance, span(0, 7)), None);
    }
}
