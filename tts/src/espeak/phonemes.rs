//! How words sound, in the International Phonetic Alphabet: espeak-ng asked for its phonemes rather than its sound.
//!
//! One process for each question, which takes ten milliseconds: texts in by stdin, a line for each of them out by
//! stdout. Runs on `tts-N` threads; a process that is stopped or late is killed by its id and always waited for.

use std::{
    ffi::{OsStr, OsString},
    io::{Read as _, Write as _},
    process::Child,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{name_of, now, process::spawn};
use crate::voice::{Error, Language, Speaker, VoiceId};

/// How long a read waits before it is looked whether to stop.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The longest a question may take: a hundred times what it takes.
const WITHIN: Duration = Duration::from_secs(2);

/// The longest answer: a sentence's phonemes are some hundred bytes.
const ANSWER_BYTES_MAX: usize = 65_536;

/// Whoever knows how words sound.
#[derive(Clone, Debug)]
pub struct Phonemes {
    program: OsString,
    within: Duration,
}

impl Default for Phonemes {
    fn default() -> Self {
        Self::new("espeak-ng")
    }
}

impl Phonemes {
    /// The program of this name on the path, or at this path.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self { program: program.into(), within: WITHIN }
    }

    /// The same with another time limit for a question.
    pub fn within(self, within: Duration) -> Self {
        Self { within, ..self }
    }

    /// How each of `texts` sounds in `language`, in their order: phonemes with stress marks, words parted by spaces.
    /// Punctuation is not heard; what is nothing but that is empty.
    ///
    /// # Errors
    /// As [`crate::voice::Voice::speak`].
    pub fn of(&self, texts: &[&str], language: Language, stop: &AtomicBool) -> Result<Vec<String>, Error> {
        let plain: Vec<String> = texts.iter().map(|text| without_marks(text)).collect();
        let heard: Vec<usize> = (0..plain.len()).filter(|at| plain[*at].contains(char::is_alphanumeric)).collect();
        let mut sounds = vec![String::new(); texts.len()];
        if heard.is_empty() {
            return Ok(sounds);
        }
        // An empty line ends a text: what stands on both sides of it is never read as one.
        let question = heard.iter().map(|at| plain[*at].as_str()).collect::<Vec<_>>().join("\n\n");
        let answer = self.ask(&question, language, stop)?;
        if answer.len() == heard.len() {
            for (at, line) in heard.into_iter().zip(answer) {
                sounds[at] = line;
            }
            return Ok(sounds);
        }
        // Some text made more lines than one, or none: each is asked alone.
        for at in heard {
            sounds[at] = self.ask(&plain[at], language, stop)?.join(" ");
        }
        Ok(sounds)
    }

    /// The lines of the answer that say something.
    fn ask(&self, question: &str, language: Language, stop: &AtomicBool) -> Result<Vec<String>, Error> {
        let mut asked = Asked::start(&self.program, language)?;
        asked.tell(question)?;
        let answer = asked.read(self.within, stop)?;
        let answer = String::from_utf8_lossy(&answer);
        Ok(answer.lines().map(cleaned).filter(|line| !line.is_empty()).collect())
    }
}

/// A process that was asked. Dropping it kills it and waits for it.
struct Asked {
    child: Child,
    has_ended: bool,
}

impl Asked {
    fn start(program: &OsStr, language: Language) -> Result<Self, Error> {
        let voice = name_of(VoiceId { language, speaker: Speaker::Man });
        let child = spawn(program, &["-v", &voice, "-b", "1", "-q", "--ipa", "--stdin"])?;
        Ok(Self { child, has_ended: false })
    }

    /// Hands over the question. It is smaller than what a pipe holds, so this does not wait.
    fn tell(&mut self, question: &str) -> Result<(), Error> {
        let failed = |why: String| Error::Failed(format!("the program for phonemes does not take text: {why}"));
        let mut stdin = self.child.stdin.take().ok_or_else(|| failed("its stdin is closed".to_owned()))?;
        stdin.write_all(question.as_bytes()).map_err(|error| failed(error.to_string()))
    }

    fn read(&mut self, within: Duration, stop: &AtomicBool) -> Result<Vec<u8>, Error> {
        let failed = |why: String| Error::Failed(format!("the program for phonemes {why}"));
        let deadline = now() + within;
        let mut stdout = self.child.stdout.take().ok_or_else(|| failed("has no stdout".to_owned()))?;
        let (mut answer, mut buffer) = (Vec::new(), [0; 4_096]);
        loop {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Stopped);
            }
            if now() > deadline {
                return Err(Error::TimedOut(within.as_millis() as u64));
            }
            let timeout = Timespec { tv_sec: 0, tv_nsec: LOOK_EVERY.as_nanos() as _ };
            match poll(&mut [PollFd::new(&stdout, PollFlags::IN)], Some(&timeout)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(failed(format!("cannot be read: {error}"))),
            }
            match stdout.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => answer.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(format!("cannot be read: {error}"))),
            }
            if answer.len() > ANSWER_BYTES_MAX {
                return Err(failed("does not stop".to_owned()));
            }
        }
        // It has closed its stdout, so it has said all.
        let _ = self.child.kill();
        self.has_ended = self.child.wait().is_ok();
        Ok(answer)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.has_ended {
            // Killing fails only when it has ended already; waiting after that returns at once.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A text whose sound is one line: whatever would end a clause becomes a space, and so does what would begin the
/// program's own notation.
fn without_marks(text: &str) -> String {
    let keeps = |c: char| matches!(c, '\'' | '-' | '\u{2019}');
    let is_mark = |c: char| {
        c.is_control()
            || (c.is_ascii_punctuation() && !keeps(c))
            || (matches!(c, '\u{2010}'..='\u{205e}' | '\u{3001}' | '\u{3002}' | '\u{0964}' | '\u{061f}') && !keeps(c))
    };
    let spaced: String = text.chars().map(|c| if is_mark(c) { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A line of phonemes without the flags that tell of another language, `(en)`, and without what joins letters.
fn cleaned(line: &str) -> String {
    let mut clean = String::with_capacity(line.len());
    let mut is_flag = false;
    for c in line.chars() {
        match c {
            '(' => is_flag = true,
            ')' => is_flag = false,
            '\u{200d}' | '_' => {}
            c if is_flag || c.is_control() => {}
            c => clean.push(c),
        }
    }
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_clause_is_not_asked() {
        assert_eq!(without_marks("Guten Tag, [[h]] it's – well-known… ja?\n"), "Guten Tag h it's well-known ja");
    }

    #[test]
    fn flags_and_joiners_are_no_sounds() {
        assert_eq!(cleaned("(en)dˈaʊnləʊd(de) hˈɔ\u{200d}øtə "), "dˈaʊnləʊd hˈɔøtə");
        assert_eq!(cleaned("(unclosed"), "");
    }
}
