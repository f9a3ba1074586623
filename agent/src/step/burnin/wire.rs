//! What two agents say to each other while they burn in the network between them.
//!
//! The reader connects and greets; the writer sends numbered blocks of bytes that both can compute, then one with the last number; the
//! reader answers how many blocks it found right. TCP already sums what it carries, but weakly, and cards compute those sums themselves.

use super::{BurnIn, Until};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// First bytes from the reader.
pub const GREETING: &[u8; 16] = b"wrought-burnin 1";
/// Bytes of a block: number, then data.
pub const BLOCK: usize = 64 * 1024;
/// Number of the block after the last one.
const LAST: u64 = u64::MAX;
/// How long a partner may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// How often a waiting thread looks whether it is to stop.
const LOOK: Duration = Duration::from_secs(1);

/// What the two talk over.
pub trait Line: Read + Write {
    /// From now on reading and writing return after [`LOOK`] at the latest.
    ///
    /// # Errors
    /// The kernel's.
    fn prepare(&self) -> io::Result<()>;
}

impl Line for TcpStream {
    fn prepare(&self) -> io::Result<()> {
        self.set_nonblocking(false)?;
        self.set_read_timeout(Some(LOOK))?;
        self.set_write_timeout(Some(LOOK))
    }
}

/// Sends until the time is over, and hears how much arrived. Returns the blocks.
///
/// # Errors
/// The partner got something else, or is gone.
pub fn send(mut stream: impl Line, stream_number: u64, until: &Until<'_>) -> Result<u64, BurnIn> {
    stream.prepare().map_err(lost)?;
    let mut block = vec![0; BLOCK];
    let mut number = 0;
    while until.go_on()? {
        fill(&mut block, stream_number, number);
        write_all(&mut stream, &block, until)?;
        number += 1;
    }
    fill(&mut block, stream_number, LAST);
    write_all(&mut stream, &block, until)?;
    let mut count = [0; 8];
    read_exact(&mut stream, &mut count, until)?;
    match u64::from_le_bytes(count) {
        count if count == number => Ok(number),
        LAST => {
            Err(BurnIn::Failed("the partner got other bytes than were sent; look at cards, cables and switches".into()))
        }
        count => Err(BurnIn::Failed(format!("the partner counted {count} blocks of {number}"))),
    }
}

/// Reads until the writer's last block, compares every byte, and tells how much arrived.
///
/// # Errors
/// A byte is not what it should be, or the partner is gone.
pub fn receive(mut stream: impl Line, stream_number: u64, until: &Until<'_>) -> Result<u64, BurnIn> {
    stream.prepare().map_err(lost)?;
    write_all(&mut stream, GREETING, until)?;
    write_all(&mut stream, &stream_number.to_le_bytes(), until)?;
    let (mut block, mut wanted) = (vec![0; BLOCK], vec![0; BLOCK]);
    let mut number = 0;
    loop {
        read_exact(&mut stream, &mut block, until)?;
        let last = block.starts_with(&LAST.to_le_bytes());
        fill(&mut wanted, stream_number, if last { LAST } else { number });
        if block != wanted {
            let _ = write_all(&mut stream, &LAST.to_le_bytes(), until);
            return Err(BurnIn::Failed(format!(
                "block {number} of stream {stream_number} arrived changed; look at cards, cables and switches"
            )));
        }
        if last {
            write_all(&mut stream, &number.to_le_bytes(), until)?;
            return Ok(number);
        }
        number += 1;
    }
}

/// The reader's greeting and the number of its stream.
///
/// # Errors
/// Something else than a reader's greeting.
pub fn greeted(stream: &mut impl Line, until: &Until<'_>) -> Result<u64, BurnIn> {
    stream.prepare().map_err(lost)?;
    let (mut greeting, mut number) = ([0; 16], [0; 8]);
    read_exact(stream, &mut greeting, until)?;
    read_exact(stream, &mut number, until)?;
    match &greeting == GREETING {
        true => Ok(u64::from_le_bytes(number)),
        false => Err(BurnIn::Failed("what connected speaks another protocol: both machines need this agent".into())),
    }
}

/// The block's bytes: a small generator, seeded by stream and number.
fn fill(block: &mut [u8], stream: u64, number: u64) {
    let mut state = (stream << 48) ^ number ^ 0x9e37_79b9_7f4a_7c15;
    for part in block.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        part.copy_from_slice(&state.to_le_bytes()[..part.len()]);
    }
    let (head, _) = block.split_at_mut(8);
    head.copy_from_slice(&number.to_le_bytes());
}

fn write_all(stream: &mut impl Line, mut data: &[u8], until: &Until<'_>) -> Result<(), BurnIn> {
    let mut moved = Instant::now();
    while !data.is_empty() {
        match stream.write(data) {
            Ok(0) => return Err(lost(ErrorKind::WriteZero.into())),
            Ok(count) => {
                data = &data[count..];
                moved = Instant::now();
            }
            Err(cause) => patience(cause, moved, until)?,
        }
    }
    Ok(())
}

fn read_exact(stream: &mut impl Line, mut data: &mut [u8], until: &Until<'_>) -> Result<(), BurnIn> {
    let mut moved = Instant::now();
    while !data.is_empty() {
        match stream.read(data) {
            Ok(0) => return Err(lost(ErrorKind::UnexpectedEof.into())),
            Ok(count) => {
                data = &mut data[count..];
                moved = Instant::now();
            }
            Err(cause) => patience(cause, moved, until)?,
        }
    }
    Ok(())
}

/// A time-out is a moment to look whether to stop; anything else, or too many of them, is the end.
fn patience(cause: io::Error, moved: Instant, until: &Until<'_>) -> Result<(), BurnIn> {
    until.go_on()?;
    match cause.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut if moved.elapsed() < SILENCE => Ok(()),
        ErrorKind::Interrupted => Ok(()),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            Err(BurnIn::Failed(format!("nothing moved between the two machines for {} s", SILENCE.as_secs())))
        }
        _ => Err(lost(cause)),
    }
}

fn lost(cause: io::Error) -> BurnIn {
    BurnIn::Failed(format!("the connection to the partner broke: {cause}"))
}
