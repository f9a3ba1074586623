//! Writes a disk image so that a half-written disk never boots.
//!
//! Order: refuse what does not fit; wipe both ends of the disk (old boot sectors, both partition tables, RAID
//! superblocks); write everything but the first and the last MiB; only when the caller knows that every byte was right,
//! [`DiskWriter::finish`] writes the last and then the first MiB.

mod error;
mod worker;

pub use error::WriteError;

use crate::sys::aligned::{AlignedBuffer, BufferPool, PooledBuffer};
use crate::sys::block::{Access, BlockDevice};
use bytes::Bytes;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use worker::Worker;

/// Held back at either end until the image is verified, bytes. Boot sector, both partition tables and every RAID
/// superblock lie within.
pub const END: u64 = 1 << 20;
/// Wiped at either end before the first byte, bytes. More than [`END`]: a RAID superblock at the end of the old last
/// partition would come to life again at the end of a new one.
const WIPE: u64 = 8 << 20;
/// Small pieces are gathered to chunks of this size and alignment, bytes.
const CHUNK: usize = 2 << 20;
/// Pieces of at least so many bytes are written from where they are, if they lie well in memory.
const LARGE: usize = 256 << 10;
/// Zeroes are looked for in blocks of this size: a run of them is ordered, not written.
const BLOCK: usize = 256 << 10;
/// Orders of zeroes are gathered up to this many bytes.
const ZEROES: u64 = 256 << 20;
/// Writes that wait; with the size of a piece this bounds the memory.
const WAITING: usize = 3;
/// Threads that wait for the disk: one writes while the next order is on its way to the device.
const WORKERS: usize = 2;

enum Order {
    Write { at: u64, bytes: Bytes },
    Zero { at: u64, length: u64 },
}

/// A disk being written. Bytes may come in any order.
pub struct DiskWriter {
    device: Arc<BlockDevice>,
    room: u64,
    orders: Option<SyncSender<Order>>,
    threads: Vec<JoinHandle<Result<(), WriteError>>>,
    pool: BufferPool,
    chunk: Option<PooledBuffer>,
    at: u64,
    filled: usize,
    /// Zeroes that were not ordered yet: from, to.
    zeroes: (u64, u64),
    head: Vec<u8>,
    tail: Vec<u8>,
    tail_touched: bool,
}

impl DiskWriter {
    /// Opens a block device, exclusively, or a plain file. Touches nothing yet.
    ///
    /// # Errors
    /// [`WriteError::Open`], [`WriteError::ReadOnly`].
    pub fn open(path: &Path) -> Result<Self, WriteError> {
        let open = BlockDevice::open(path, Access::Exclusive);
        Self::on(open.map_err(|cause| WriteError::Open { disk: path.to_path_buf(), cause })?)
    }

    /// Writes to a device that is open, or to a window of one: a partition is treated as a disk of its own.
    ///
    /// # Errors
    /// [`WriteError::ReadOnly`].
    pub fn on(device: BlockDevice) -> Result<Self, WriteError> {
        if device.is_read_only() {
            return Err(WriteError::ReadOnly(device.path().to_path_buf()));
        }
        let device = Arc::new(device);
        Ok(Self {
            room: device.size(),
            device,
            orders: None,
            threads: Vec::new(),
            pool: BufferPool::new(CHUNK, WAITING + WORKERS),
            chunk: None,
            at: 0,
            filled: 0,
            zeroes: (0, 0),
            head: Vec::new(),
            tail: Vec::new(),
            tail_touched: false,
        })
    }

    /// Bytes of the disk.
    pub fn size(&self) -> u64 {
        self.device.size()
    }

    /// Bytes that an image may have.
    pub fn room(&self) -> u64 {
        self.room
    }

    /// Nothing of an image may go beyond the first `bytes`.
    pub fn limit(&mut self, bytes: u64) {
        self.room = self.room.min(bytes);
    }

    /// Bytes of a logical sector.
    pub fn sector(&self) -> u32 {
        self.device.logical_sector()
    }

    /// Refuses an image larger than the disk; then wipes both ends of the disk. Called again, it starts over.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn begin(&mut self, size: Option<u64>) -> Result<(), WriteError> {
        self.fits(size.unwrap_or(0), 0)?;
        // What was ordered for an image that was given up must not be written over the next one.
        self.orders = None;
        self.join()?;
        let have = self.size();
        let head = END.min(have);
        let tail = END.min(have - head);
        self.head = vec![0; head as usize];
        self.tail = vec![0; tail as usize];
        self.tail_touched = false;
        self.filled = 0;
        self.zeroes = (0, 0);
        tracing::info!(disk = %self.device.path().display(), size, "wiping old signatures at both ends of the disk");
        let wipe = WIPE.min(have);
        for (at, length) in [(0, wipe), (have - wipe, wipe)] {
            self.device.write_zeroes(at, length).map_err(|cause| self.io(at, cause))?;
        }
        self.device.sync().map_err(|cause| self.io(0, cause))?;
        self.start()
    }

    /// Starts the threads that wait for the disk.
    fn start(&mut self) -> Result<(), WriteError> {
        let (orders, todo) = sync_channel(WAITING);
        let todo = Arc::new(Mutex::new(Some(todo)));
        for _ in 0..WORKERS {
            let (worker, todo) =
                (Worker { device: Arc::clone(&self.device), unmap: true, zero_out: true }, Arc::clone(&todo));
            let thread = std::thread::Builder::new().name("write".into()).spawn(move || worker.run(&todo));
            self.threads.push(thread.map_err(|_| WriteError::Thread(self.device.path().to_path_buf()))?);
        }
        self.orders = Some(orders);
        Ok(())
    }

    /// Bytes at their place.
    ///
    /// # Errors
    /// [`WriteError::TooLarge`] beyond the end of the disk; a failed write may show some calls later.
    pub fn data(&mut self, offset: u64, bytes: &[u8]) -> Result<(), WriteError> {
        self.fits(offset, bytes.len() as u64)?;
        let middle = self.keep_ends(offset, bytes);
        self.gather(offset + middle.start as u64, &bytes[middle])
    }

    /// The same for memory that can be written from where it is.
    ///
    /// # Errors
    /// As from [`DiskWriter::data`].
    pub fn piece(&mut self, offset: u64, bytes: &Bytes) -> Result<(), WriteError> {
        self.fits(offset, bytes.len() as u64)?;
        let middle = self.keep_ends(offset, bytes);
        let (at, bytes) = (offset + middle.start as u64, bytes.slice(middle));
        let page = u64::from(self.device.physical_sector()).max(4096);
        let whole = bytes.len() - bytes.len() % page as usize;
        if whole < LARGE || !at.is_multiple_of(page) || !bytes.as_ptr().addr().is_multiple_of(4096) {
            return self.gather(at, &bytes);
        }
        self.flush()?;
        self.send(at, &bytes.slice(..whole))?;
        self.gather(at + whole as u64, &bytes[whole..])
    }

    /// Copies small pieces together.
    fn gather(&mut self, mut at: u64, mut bytes: &[u8]) -> Result<(), WriteError> {
        while !bytes.is_empty() {
            if self.filled > 0 && at != self.at + self.filled as u64 {
                self.flush()?;
            }
            if self.filled == 0 {
                self.at = at;
            }
            // Chunks end at multiples of their size, so that the next one is aligned again.
            let room = CHUNK - (self.at % CHUNK as u64) as usize - self.filled;
            let (now, later) = bytes.split_at(bytes.len().min(room));
            let chunk = self.chunk.get_or_insert_with(|| self.pool.take());
            chunk.as_mut()[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            if now.len() == room {
                self.flush()?;
            }
            at += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }

    /// A run that must read as zeroes.
    ///
    /// # Errors
    /// As from [`DiskWriter::data`].
    pub fn zero(&mut self, offset: u64, length: u64) -> Result<(), WriteError> {
        self.fits(offset, length)?;
        let (start, end) = (self.head.len() as u64, self.size() - self.tail.len() as u64);
        // Both ends are zeroes since `begin`, and no byte comes twice.
        let from = offset.clamp(start, end);
        let to = (offset + length).clamp(from, end);
        self.gather_zeroes(from, to)
    }

    /// The image was complete and right: writes what was held back, the first MiB last. Returns the open device.
    ///
    /// # Errors
    /// See [`WriteError`]; the disk does not boot then.
    pub fn finish(mut self) -> Result<Arc<BlockDevice>, WriteError> {
        self.flush()?;
        self.order_zeroes()?;
        self.orders = None;
        self.join()?;
        let device = Arc::clone(&self.device);
        let put = |at: u64, bytes: &[u8]| {
            let mut buffer = AlignedBuffer::zeroed(bytes.len());
            buffer[..bytes.len()].copy_from_slice(bytes);
            device.write_at(at, &buffer[..bytes.len()])?;
            device.sync()
        };
        let last = self.size() - self.tail.len() as u64;
        if self.tail_touched {
            put(last, &self.tail).map_err(|cause| self.io(last, cause))?;
        }
        device.sync().map_err(|cause| self.io(0, cause))?;
        put(0, &self.head).map_err(|cause| self.io(0, cause))?;
        Ok(device)
    }

    /// Copies what belongs to the ends aside; returns the rest of `bytes`.
    fn keep_ends(&mut self, offset: u64, bytes: &[u8]) -> Range<usize> {
        let start = self.head.len() as u64;
        let first = start.saturating_sub(offset).min(bytes.len() as u64) as usize;
        if first > 0 {
            let at = offset as usize;
            self.head[at..at + first].copy_from_slice(&bytes[..first]);
        }
        let (at, rest) = (offset + first as u64, &bytes[first..]);
        let border = self.size() - self.tail.len() as u64;
        let middle = border.saturating_sub(at).min(rest.len() as u64) as usize;
        if middle < rest.len() {
            let into = (at + middle as u64 - border) as usize;
            self.tail[into..into + rest.len() - middle].copy_from_slice(&rest[middle..]);
            self.tail_touched = true;
        }
        first..first + middle
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        let length = std::mem::take(&mut self.filled);
        match self.chunk.take().filter(|_| length > 0) {
            Some(chunk) => self.send(self.at, &chunk.freeze(length)),
            None => Ok(()),
        }
    }

    /// Orders runs of data to be written, and runs of zeroes to be made by the disk.
    fn send(&mut self, at: u64, bytes: &Bytes) -> Result<(), WriteError> {
        let mut start = 0;
        while start < bytes.len() {
            let block = |from: usize| &bytes[from..bytes.len().min(from + BLOCK)];
            let empty = is_zero(block(start));
            let mut end = start + block(start).len();
            while end < bytes.len() && is_zero(block(end)) == empty {
                end += block(end).len();
            }
            let from = at + start as u64;
            match empty {
                true => self.gather_zeroes(from, at + end as u64)?,
                false => self.order(Order::Write { at: from, bytes: bytes.slice(start..end) })?,
            }
            start = end;
        }
        Ok(())
    }

    fn gather_zeroes(&mut self, from: u64, to: u64) -> Result<(), WriteError> {
        if from != self.zeroes.1 || to - self.zeroes.0 > ZEROES {
            self.order_zeroes()?;
            self.zeroes.0 = from;
        }
        self.zeroes.1 = to.max(from);
        Ok(())
    }

    fn order_zeroes(&mut self) -> Result<(), WriteError> {
        let (from, to) = std::mem::take(&mut self.zeroes);
        if to > from { self.order(Order::Zero { at: from, length: to - from }) } else { Ok(()) }
    }

    fn order(&mut self, order: Order) -> Result<(), WriteError> {
        let sent = self.orders.as_ref().is_some_and(|orders| orders.send(order).is_ok());
        if sent { Ok(()) } else { Err(self.stopped()) }
    }

    /// The workers hung up: one says why.
    fn stopped(&mut self) -> WriteError {
        self.orders = None;
        match self.join() {
            Err(error) => error,
            Ok(()) => WriteError::Thread(self.device.path().to_path_buf()),
        }
    }

    fn join(&mut self) -> Result<(), WriteError> {
        let dead = |_| WriteError::Thread(self.device.path().to_path_buf());
        let outcomes: Vec<_> = self.threads.drain(..).map(|thread| thread.join().map_err(dead)).collect();
        outcomes.into_iter().try_for_each(|outcome| outcome?)
    }

    fn fits(&self, offset: u64, length: u64) -> Result<(), WriteError> {
        let need = offset.saturating_add(length);
        let have = self.room;
        if need <= have {
            return Ok(());
        }
        Err(WriteError::TooLarge { disk: self.device.path().to_path_buf(), need, have })
    }

    fn io(&self, at: u64, cause: io::Error) -> WriteError {
        WriteError::Io { disk: self.device.path().to_path_buf(), at, cause }
    }
}

impl Drop for DiskWriter {
    /// Whoever tries again opens the disk alone, so nothing of this writer may be left at work.
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.join();
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(4096).all(|part| part.iter().fold(0, |all, byte| all | byte) == 0)
}

#[cfg(test)]
mod tests;
