//! Takes one member out of a wheel.
//!
//! A wheel is a zip from the network: the member's declared size must be the expected one before anything is
//! unpacked, no more than that is ever written, and the result is named only after its hash was right.
//! Blocking; runs on a blocking thread.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Write},
    path::Path,
};

use sha2::Digest as _;
use zip::ZipArchive;

use super::manifest::{Pattern, Sha256};

/// Unpacks the first member that fits `member` from `wheel` to `to`, which must hash to `sha256`.
///
/// `to` is written, or overwritten, and removed again when the content is wrong.
///
/// # Errors
/// [`WheelError`]; only [`WheelError::Write`] is this machine's fault.
pub fn unpack(wheel: &Path, member: &Pattern, bytes: u64, sha256: Sha256, to: &Path) -> Result<(), WheelError> {
    let open = File::open(wheel).map_err(WheelError::Read)?;
    let mut archive = ZipArchive::new(BufReader::new(open)).map_err(|_| WheelError::NoWheel)?;
    let names: Vec<_> = archive.file_names().map(|name| name.map(std::borrow::Cow::into_owned)).collect();
    let fits = |name: &Result<String, _>| name.as_ref().is_ok_and(|name| member.fits(name));
    let at = names.iter().position(fits).ok_or_else(|| WheelError::NoMember(member.to_string()))?;
    let mut found = archive.by_index(at).map_err(|_| WheelError::NoWheel)?;
    if found.size() != bytes {
        return Err(WheelError::Length { found: found.size(), expected: bytes });
    }
    let unpacked = copy(&mut found, bytes, to);
    match unpacked {
        Ok(digest) if digest == sha256 => Ok(()),
        wrong => {
            let _ = fs::remove_file(to);
            wrong.and_then(|found| Err(WheelError::Hash { found, expected: sha256 }))
        }
    }
}

fn copy(member: &mut impl Read, bytes: u64, to: &Path) -> Result<Sha256, WheelError> {
    let mut file = File::create(to).map_err(WheelError::Write)?;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut written = 0;
    loop {
        let length = match member.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(WheelError::NoWheel),
        };
        written += length as u64;
        if written > bytes {
            return Err(WheelError::Length { found: written, expected: bytes });
        }
        hasher.update(&buffer[..length]);
        file.write_all(&buffer[..length]).map_err(WheelError::Write)?;
    }
    file.sync_all().map_err(WheelError::Write)?;
    Ok(Sha256(hasher.finalize().into()))
}

/// Why a member could not be taken out.
#[derive(Debug, thiserror::Error)]
pub enum WheelError {
    /// The wheel on disk cannot be opened.
    #[error("the downloaded wheel cannot be read: {0}")]
    Read(#[source] io::Error),
    /// What came is no zip, or a broken one.
    #[error("what was downloaded is no sound wheel")]
    NoWheel,
    /// The wheel is sound and has no such member.
    #[error("the wheel has no member {0}")]
    NoMember(String),
    /// The member is of another size than listed; nothing beyond the expected size was unpacked.
    #[error("the wheel's member has {found} bytes instead of {expected}")]
    Length {
        /// Its declared size, or how far it went beyond.
        found: u64,
        /// The listed size.
        expected: u64,
    },
    /// The member's content is not what is listed.
    #[error("the wheel's member hashes to {found} instead of {expected}")]
    Hash {
        /// Its digest.
        found: Sha256,
        /// The listed digest.
        expected: Sha256,
    },
    /// The unpacked file cannot be written.
    #[error("writing failed: {0}")]
    Write(#[source] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;
    use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

    fn wheel(dir: &Path, members: &[(&str, &[u8])]) -> std::path::PathBuf {
        let path = dir.join("a.whl");
        let mut zip = ZipWriter::new(File::create(&path).unwrap());
        for (name, content) in members {
            let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
            zip.start_file(*name, options).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap();
        path
    }

    fn digest(content: &[u8]) -> Sha256 {
        Sha256(sha2::Sha256::digest(content).into())
    }

    #[test]
    fn the_member_that_fits_is_unpacked() {
        let dir = tempfile::tempdir().unwrap();
        let wheel = wheel(dir.path(), &[("p/other", b"no"), ("p/q/x.onnx", b"weights")]);
        let to = dir.path().join("out");
        unpack(&wheel, &Pattern::new("*/x.onnx"), 7, digest(b"weights"), &to).unwrap();
        assert_eq!(fs::read(to).unwrap(), b"weights");
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let dir = tempfile::tempdir().unwrap();
        let bomb = vec![0; 64 << 20];
        let wheel = wheel(dir.path(), &[("x", &bomb)]);
        assert!(fs::metadata(&wheel).unwrap().len() < 1 << 20);
        let to = dir.path().join("out");
        let refused = unpack(&wheel, &Pattern::new("x"), 1000, digest(b""), &to);
        assert!(matches!(refused, Err(WheelError::Length { found: 67_108_864, expected: 1000 })), "{refused:?}");
        assert!(!to.exists());
    }

    #[test]
    fn a_bomb_that_lies_about_its_size_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = wheel(dir.path(), &[("x", &vec![0; 8 << 20])]);
        let mut bytes = fs::read(&path).unwrap();
        let honest = (8_u32 << 20).to_le_bytes();
        let mut lies = 0;
        for at in 0..bytes.len() - 4 {
            if bytes[at..at + 4] == honest {
                bytes[at..at + 4].copy_from_slice(&1000_u32.to_le_bytes());
                lies += 1;
            }
        }
        assert!(lies >= 1, "the central directory holds the size");
        fs::write(&path, bytes).unwrap();
        let to = dir.path().join("out");
        let refused = unpack(&path, &Pattern::new("x"), 1000, digest(&[0; 1000]), &to);
        assert!(matches!(refused, Err(WheelError::Length { .. } | WheelError::NoWheel)), "{refused:?}");
        assert!(!to.exists());
    }

    #[test]
    fn a_wrong_hash_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let wheel = wheel(dir.path(), &[("x", b"weights")]);
        let to = dir.path().join("out");
        let refused = unpack(&wheel, &Pattern::new("x"), 7, digest(b"others"), &to);
        assert!(matches!(refused, Err(WheelError::Hash { .. })), "{refused:?}");
        assert!(!to.exists());
    }

    #[test]
    fn a_missing_member_and_bytes_that_are_no_zip_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("out");
        let sound = wheel(dir.path(), &[("x", b"weights")]);
        let refused = unpack(&sound, &Pattern::new("y"), 7, digest(b""), &to);
        assert!(matches!(refused, Err(WheelError::NoMember(_))), "{refused:?}");
        let cut = fs::read(&sound).unwrap();
        for bytes in [&b"<html>"[..], &[], &cut[..cut.len() / 2]] {
            let broken = dir.path().join("broken.whl");
            fs::write(&broken, bytes).unwrap();
            let refused = unpack(&broken, &Pattern::new("x"), 7, digest(b""), &to);
            assert!(matches!(refused, Err(WheelError::NoWheel)), "{refused:?}");
        }
    }
}
