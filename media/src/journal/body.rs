//! The bodies of records: numbers in little-endian, lengths before what has one.
//!
//! Pure. Reading never panics: what a body does not hold is [`Short`], whose offset says where it was missed.

/// A body ends before what was expected of it, or holds something that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record's body is wrong at byte {at}")]
pub struct Short {
    /// Where in the body.
    pub at: usize,
}

/// Puts a body together.
#[derive(Clone, Debug, Default)]
pub struct Put(Vec<u8>);

impl Put {
    /// An empty body.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one byte.
    pub fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    /// Adds a number.
    pub fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Adds a number.
    pub fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Adds a text with its length.
    pub fn text(self, text: &str) -> Self {
        let mut put = self.u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
        put.0.extend_from_slice(text.as_bytes());
        put
    }

    /// Adds samples without a count, bit for bit: the last thing in a body.
    pub fn samples(mut self, samples: &[f32]) -> Self {
        self.0.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        self
    }

    /// The body.
    pub fn done(self) -> Vec<u8> {
        self.0
    }
}

/// Takes a body apart.
#[derive(Clone, Copy, Debug)]
pub struct Take<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Take<'a> {
    /// From the beginning of a body.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// [`Short`], as all of these.
    pub fn u8(&mut self) -> Result<u8, Short> {
        Ok(self.some(1)?[0])
    }

    /// Takes a number.
    ///
    /// # Errors
    /// [`Short`].
    pub fn u32(&mut self) -> Result<u32, Short> {
        let bytes = self.some(4)?;
        Ok(u32::from_le_bytes(bytes.try_into().expect("four bytes were taken")))
    }

    /// Takes a number.
    ///
    /// # Errors
    /// [`Short`].
    pub fn u64(&mut self) -> Result<u64, Short> {
        let bytes = self.some(8)?;
        Ok(u64::from_le_bytes(bytes.try_into().expect("eight bytes were taken")))
    }

    /// Takes a text with its length.
    ///
    /// # Errors
    /// [`Short`], also when it is no UTF-8.
    pub fn text(&mut self) -> Result<&'a str, Short> {
        let at = self.at;
        let length = self.u32()? as usize;
        std::str::from_utf8(self.some(length)?).map_err(|_| Short { at })
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        self.at = self.bytes.len();
        rest
    }

    /// Everything that is left, as samples.
    ///
    /// # Errors
    /// [`Short`] when it is no whole number of samples.
    pub fn samples(&mut self) -> Result<Vec<f32>, Short> {
        let at = self.at;
        let (samples, odd) = self.rest().as_chunks::<4>();
        if !odd.is_empty() {
            return Err(Short { at });
        }
        Ok(samples.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    /// Says that nothing may be left.
    ///
    /// # Errors
    /// [`Short`] when something is.
    pub fn end(&self) -> Result<(), Short> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(Short { at: self.at }) }
    }

    fn some(&mut self, count: usize) -> Result<&'a [u8], Short> {
        let short = Short { at: self.at };
        let end = self.at.checked_add(count).ok_or(short)?;
        let bytes = self.bytes.get(self.at..end).ok_or(short)?;
        self.at = end;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_is_taken(a: u8, b: u32, c: u64, text in ".{0,40}", samples: Vec<f32>) {
            let body = Put::new().u8(a).u32(b).u64(c).text(&text).samples(&samples).done();
            let mut take = Take::new(&body);
            prop_assert_eq!((take.u8(), take.u32(), take.u64(), take.text()), (Ok(a), Ok(b), Ok(c), Ok(text.as_str())));
            let back = take.samples().unwrap();
            prop_assert_eq!(take.end(), Ok(()));
            prop_assert!(back.iter().map(|s| s.to_bits()).eq(samples.iter().map(|s| s.to_bits())));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let mut take = Take::new(&bytes);
            let _ = (take.text(), take.u64(), take.text(), take.samples());
        }
    }
}
