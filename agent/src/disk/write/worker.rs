//! A thread that waits for the disk: takes orders in turn and carries them out.

use super::{Order, WriteError};
use crate::sys::block::BlockDevice;
use std::io;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

/// A thread that waits for the disk.
pub(super) struct Worker {
    pub device: Arc<BlockDevice>,
    /// The disk promises zeroes where it is told to forget.
    pub unmap: bool,
    /// It is asked to zero ranges by order.
    pub zero_out: bool,
}

/// Where orders come from; nothing once a worker failed, so that whoever sends hears of it.
pub(super) type Todo = Mutex<Option<Receiver<Order>>>;

impl Worker {
    /// Does what is ordered until nothing is, or something fails.
    pub fn run(mut self, todo: &Todo) -> Result<(), WriteError> {
        loop {
            let order = match &*todo.lock().unwrap_or_else(PoisonError::into_inner) {
                Some(orders) => orders.recv(),
                None => return Ok(()),
            };
            let Ok(order) = order else { return Ok(()) };
            let (at, done) = match order {
                Order::Zero { at, length } => (at, self.zero(at, length)),
                Order::Write { at, bytes } => (at, self.write(at, &bytes)),
            };
            if let Err(cause) = done {
                *todo.lock().unwrap_or_else(PoisonError::into_inner) = None;
                return Err(WriteError::Io { disk: self.device.path().to_path_buf(), at, cause });
            }
        }
    }

    /// What does not end at a sector goes through the page cache, the rest past it.
    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let whole = bytes.len() - bytes.len() % self.device.physical_sector() as usize;
        self.device.write_at(at, &bytes[..whole])?;
        if whole < bytes.len() { self.device.write_at(at + whole as u64, &bytes[whole..]) } else { Ok(()) }
    }

    /// Old data must not shine through: what the disk promises to read as zeroes, or zeroes written.
    fn zero(&mut self, at: u64, length: u64) -> io::Result<()> {
        let sector = u64::from(self.device.logical_sector());
        let end = at + length;
        let (from, to) = (at.next_multiple_of(sector).min(end), end - end % sector);
        if from >= to || !self.zero_whole(from, to - from) {
            return self.device.write_zeroes(at, length);
        }
        self.device.write_zeroes(at, from - at)?;
        self.device.write_zeroes(to, end - to)
    }

    /// Whole sectors, by order. A disk that refuses one way once is not asked for it again.
    fn zero_whole(&mut self, at: u64, length: u64) -> bool {
        if self.unmap {
            match self.device.unmap_to_zeroes(at, length) {
                Ok(()) => return true,
                Err(cause) => tracing::info!(%cause, "the disk does not give blocks back as zeroes"),
            }
            self.unmap = false;
        }
        if self.zero_out {
            match self.device.zero_out(at, length) {
                Ok(()) => return true,
                Err(cause) => tracing::warn!(%cause, "the disk cannot zero ranges by order, writing zeroes instead"),
            }
            self.zero_out = false;
        }
        false
    }
}
