//! Wakes a task when a real-time thread has left something for it: a ring has no way to be awaited.
//!
//! A pipe that never blocks, which needs no buffer of its own for each ring as a pair of sockets does. [`Bell::ring`] costs
//! one system call, and is to be called once a tick at most, after what is to be taken lies in its ring; a bell that was rung and
//! not heard yet stays rung. The other end hears as well when the bell is gone.

use std::{
    io::{self, ErrorKind, PipeWriter, Write as _},
    os::fd::OwnedFd,
};

use tokio::net::unix::pipe::Receiver;

/// Makes a bell and whoever hears it. To be called in a tokio runtime.
///
/// # Errors
/// When the system gives no more file descriptors: too many calls for its limit.
pub fn bell() -> io::Result<(Bell, Doorbell)> {
    let (doorbell, bell) = io::pipe()?;
    rustix::io::ioctl_fionbio(&bell, true)?;
    Ok((Bell(bell), Doorbell(Receiver::from_owned_fd(OwnedFd::from(doorbell))?)))
}

/// The end that rings.
pub struct Bell(PipeWriter);

impl Bell {
    /// Wakes the other end. Never waits: a bell with no room for another byte is ringing already.
    pub fn ring(&mut self) {
        let _ = self.0.write(&[0]);
    }
}

/// The end that hears.
pub struct Doorbell(Receiver);

impl Doorbell {
    /// Waits until it was rung since the last call; false when the bell is gone and rings no more, after which what
    /// lies in the ring is the last there will be. Can be cancelled without missing a ring.
    pub async fn rung(&mut self) -> bool {
        let mut rings = [0; 64];
        loop {
            if self.0.readable().await.is_err() {
                return false;
            }
            match self.0.try_read(&mut rings) {
                Ok(0) => return false,
                Ok(_) => return true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_ring_is_heard_and_so_is_the_end() {
        let (mut bell, mut doorbell) = bell().unwrap();
        // Far more often than there is room for.
        (0..100_000).for_each(|_| bell.ring());
        assert!(doorbell.rung().await);
        while let Ok(heard) = tokio::time::timeout(std::time::Duration::ZERO, doorbell.rung()).await {
            assert!(heard);
        }
        bell.ring();
        assert!(doorbell.rung().await);
        drop(bell);
        assert!(!doorbell.rung().await);
    }
}
