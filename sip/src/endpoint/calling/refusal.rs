//! What a call that we place does when it is refused: asks with a password, for a longer session timer, or elsewhere.

use super::{Calling, MOST_LENGTHENED};
use crate::{
    endpoint::{CallEvent, Ended, call::Next, flight::Landed, peer::Cx, way::Way},
    message::{NameAddr, Response},
};

impl Calling {
    pub(super) fn hear_refusal(&mut self, cx: &mut Cx<'_>, landed: &Landed, response: &Response) -> Next {
        match response.status {
            401 | 407 => {
                let Some(prover) = &mut cx.ours.prover else { return self.refused(cx, response) };
                if cx.core.prove(cx.now, landed.flight, response, Some((prover, self.cseq + 1))) {
                    self.cseq += 1;
                    self.drop_forks(cx);
                    return Next::Stay;
                }
            }
            422 if self.lengthened < MOST_LENGTHENED && self.expires_s.is_some() => {
                let min_se_s = response.headers.number("Min-SE").ok().flatten();
                if let Some(min_se_s) = min_se_s.filter(|min_se_s| Some(*min_se_s) > self.expires_s) {
                    self.lengthened += 1;
                    self.expires_s = Some(min_se_s);
                    return self.try_again(cx);
                }
            }
            300..=399 => return self.redirected(cx, response),
            // Whoever knows for everybody (6xx) or is busy is believed.
            404 | 408 | 410 | 480 | 500..600 if !self.contacts.is_empty() => {
                if let Some(next) = self.next_contact(cx) {
                    return next;
                }
            }
            _ => {}
        }
        self.refused(cx, response)
    }

    fn refused(&mut self, cx: &mut Cx<'_>, response: &Response) -> Next {
        self.drop_forks(cx);
        Next::Over(Ended::Rejected(Box::new(response.clone())))
    }

    fn redirected(&mut self, cx: &mut Cx<'_>, response: &Response) -> Next {
        let mut contacts = response.headers.name_addrs("Contact").unwrap_or_default();
        let quality = |contact: &NameAddr| -> u32 {
            let q = contact.param("q").flatten().and_then(|q| q.parse::<f32>().ok());
            (q.filter(|q| (0.0..=1.0).contains(q)).unwrap_or(1.0) * 1_000.0) as u32
        };
        contacts.sort_by_key(|contact| std::cmp::Reverse(quality(contact)));
        // Nobody has more numbers than these.
        contacts.truncate(16);
        self.contacts.extend(contacts.iter().map(|contact| contact.uri.clone()));
        let before = self.uri.clone();
        let next = self.next_contact(cx);
        let followed = next.is_some().then(|| self.uri.clone()).filter(|uri| !uri.same_as(&before));
        let is_followed = followed.is_some();
        cx.tell(CallEvent::Redirected { contacts, followed });
        match next {
            Some(next) if is_followed => next,
            _ => self.refused(cx, response),
        }
    }

    /// Asks the best of those whom redirects name and who was not asked; `None` where nobody is left.
    pub(super) fn next_contact(&mut self, cx: &mut Cx<'_>) -> Option<Next> {
        while let Some(uri) = self.contacts.pop_front() {
            let is_new = !self.tried.iter().any(|tried| tried.same_as(&uri));
            let Ok(way) = Way::of(&uri) else { continue };
            if !is_new || self.redirects_left == 0 {
                continue;
            }
            self.redirects_left -= 1;
            // A proxy of ours stays between; without one, who is named is asked, and is not to learn a password that
            // is for somebody else.
            if self.invite.routes.is_empty() {
                if uri.host != self.invite.uri.host {
                    cx.ours.prover = None;
                }
                self.redirected = Some(way);
            }
            self.uri = uri;
            return Some(self.try_again(cx));
        }
        None
    }

    fn try_again(&mut self, cx: &mut Cx<'_>) -> Next {
        self.drop_forks(cx);
        self.cseq += 1;
        match self.send(cx) {
            Ok(()) => Next::Stay,
            Err(failure) => Next::Over(Ended::Failed(failure)),
        }
    }
}
