//! Did the erase really happen? Marks are written before it, and samples read after it, past every cache.
//!
//! A device that acknowledges an erase and keeps the data would otherwise pass: on an empty disk everything reads as
//! zero anyway. So random marks are left first, at the start, at the end and at random places, and must be gone.

use super::error::DiskError;
use super::overwrite::Pattern;
use crate::sys::aligned::AlignedBuffer;
use crate::sys::block::BlockDevice;
use common::erase_proof::ReadBack;
use rand::RngExt;
use std::ops::Range;

/// Bytes of one sample. Both ends are read wider.
const SAMPLE: u64 = 64 << 10;
/// Bytes read at either end.
const END: u64 = 1 << 20;
/// Random places.
const PLACES: usize = 126;
/// Bytes of a mark.
const MARK: usize = 4096;

/// What samples must show.
#[derive(Clone, Debug)]
pub enum Expect {
    /// Zeroes everywhere.
    Zeroes,
    /// The last random pass.
    Random(Pattern),
    /// The marks are gone; what is there instead is up to the device (format by NVMe).
    MarksGone,
}

/// Where samples are taken, and the marks left there.
pub struct Samples {
    places: Vec<Range<u64>>,
    marks: AlignedBuffer,
}

impl Samples {
    /// Chooses places at random and leaves marks; whoever calls is about to erase the device.
    ///
    /// # Errors
    /// A device that does not store what is written.
    pub fn leave_marks(device: &BlockDevice) -> Result<Self, DiskError> {
        let places = places(device.size());
        let mut marks = AlignedBuffer::zeroed(MARK * places.len());
        rand::rng().fill(&mut marks[..]);
        let samples = Self { places, marks };
        for (place, mark) in samples.marked() {
            device.write_at(place.start, mark).map_err(DiskError::io("writing marks to", device.path()))?;
        }
        device.drop_cache().map_err(DiskError::io("flushing", device.path()))?;
        let mut data = AlignedBuffer::zeroed(MARK);
        for (place, mark) in samples.marked() {
            let data = &mut data[..mark.len()];
            device.read_at(place.start, data).map_err(DiskError::io("reading marks of", device.path()))?;
            if data != mark {
                return Err(DiskError::Erase(format!(
                    "{} does not store what is written at byte {}; replace the device, or add it to skip_block_devices",
                    device.path().display(),
                    place.start
                )));
            }
        }
        Ok(samples)
    }

    fn marked(&self) -> impl Iterator<Item = (&Range<u64>, &[u8])> {
        self.places.iter().zip(self.marks.chunks(MARK)).map(|(place, mark)| {
            let length = usize::try_from(place.end - place.start).unwrap_or(MARK).min(MARK);
            (place, &mark[..length])
        })
    }

    /// Are the marks on this device, too? Then it is another way to the same disk; a name alone is no proof of that.
    ///
    /// # Errors
    /// A device that cannot be read.
    pub fn are_on(&self, device: &BlockDevice) -> Result<bool, DiskError> {
        device.drop_cache().map_err(DiskError::io("flushing", device.path()))?;
        let mut data = AlignedBuffer::zeroed(MARK);
        for (place, mark) in self.marked() {
            let data = &mut data[..mark.len()];
            if place.end > device.size() {
                return Ok(false);
            }
            device.read_at(place.start, data).map_err(DiskError::io("reading marks of", device.path()))?;
            if data != mark {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads the samples and compares; returns what was read, for the proof.
    ///
    /// # Errors
    /// [`DiskError::Erase`] names the first place that still has data.
    pub fn check(&self, device: &BlockDevice, expect: &Expect) -> Result<ReadBack, DiskError> {
        device.drop_cache().map_err(DiskError::io("flushing", device.path()))?;
        let mut data = AlignedBuffer::zeroed(usize::try_from(END).unwrap_or(1 << 20));
        for (place, mark) in self.marked() {
            let data = &mut data[..usize::try_from(place.end - place.start).unwrap_or(MARK)];
            device.read_at(place.start, data).map_err(DiskError::io("reading back", device.path()))?;
            let wrong = match expect {
                Expect::Zeroes => data.iter().position(|&byte| byte != 0),
                Expect::Random(pattern) => pattern.difference(place.start, data),
                Expect::MarksGone => data.starts_with(mark).then_some(0),
            };
            if let Some(at) = wrong {
                return Err(DiskError::Erase(format!(
                    "{} said it was erased, but byte {} does not read as it should; the erase had no effect there. Replace the device, or erase it by other means",
                    device.path().display(),
                    place.start + at as u64
                )));
            }
        }
        let expected = match expect {
            Expect::Zeroes => "zeroes",
            Expect::Random(_) => "random",
            Expect::MarksGone => "marks-gone",
        };
        let places = self.places.iter().map(|place| (place.start, place.end - place.start)).collect();
        Ok(ReadBack { expected: expected.into(), places, verdict: "pass".into() })
    }
}

/// Both ends, and random places between; a small device is read whole. Sorted, not overlapping.
fn places(size: u64) -> Vec<Range<u64>> {
    if size <= 2 * END + SAMPLE {
        let starts = (0..size.div_ceil(SAMPLE)).map(|at| at * SAMPLE);
        return starts.map(|start| start..(start + SAMPLE).min(size)).collect();
    }
    let blocks = (size - 2 * END) / SAMPLE;
    let mut random = rand::rng();
    let mut chosen: Vec<u64> = (0..PLACES).map(|_| END + random.random_range(0..blocks) * SAMPLE).collect();
    chosen.sort_unstable();
    chosen.dedup();
    let end = (size - END) / SAMPLE * SAMPLE;
    std::iter::once(0..END)
        .chain(chosen.into_iter().filter(|start| start + SAMPLE <= end).map(|start| start..start + SAMPLE))
        .chain((0..(size - end).div_ceil(END)).map(|at| end + at * END..(end + (at + 1) * END).min(size)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{END, Expect, Samples, places};
    use crate::disk::overwrite::Pattern;
    use crate::sys::block::{Access, BlockDevice};
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    fn device(bytes: u64) -> (tempfile::NamedTempFile, BlockDevice) {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(bytes).unwrap();
        let device = BlockDevice::open(file.path(), Access::Exclusive).unwrap();
        (file, device)
    }

    #[test]
    fn an_erase_without_effect_is_caught_also_on_an_empty_disk() {
        let (_file, device) = device(32 << 20);
        let samples = Samples::leave_marks(&device).unwrap();
        for expect in [Expect::Zeroes, Expect::MarksGone, Expect::Random(Pattern::new())] {
            let error = samples.check(&device, &expect).unwrap_err();
            assert!(error.to_string().contains("no effect"), "{error}");
        }
        device.write_zeroes(0, 32 << 20).unwrap();
        samples.check(&device, &Expect::Zeroes).unwrap();
        samples.check(&device, &Expect::MarksGone).unwrap();
    }

    #[test]
    fn one_byte_left_at_either_end_is_found() {
        for at in [0, 1, (32 << 20) - 1, (32 << 20) - 4096] {
            let (_file, device) = device(32 << 20);
            let samples = Samples::leave_marks(&device).unwrap();
            device.write_zeroes(0, 32 << 20).unwrap();
            device.write_at(at, b"x").unwrap();
            let error = samples.check(&device, &Expect::Zeroes).unwrap_err().to_string();
            assert!(error.contains(&format!("byte {at} ")), "{error}");
        }
    }

    proptest! {
        #[test]
        fn places_cover_both_ends_in_order_and_stay_inside(sectors in 1_u64..40_000) {
            let size = sectors * 4096 + sectors % 8 * 512;
            let places = places(size);
            prop_assert_eq!(places[0].start, 0);
            prop_assert_eq!(places.last().unwrap().end, size);
            prop_assert!(places.windows(2).all(|pair| pair[0].end <= pair[1].start));
            prop_assert!(places.iter().all(|place| place.end > place.start && place.end - place.start <= END));
            let first: u64 = places.iter().take_while(|place| place.start < END).map(|place| place.end - place.start).sum();
            prop_assert!(first >= END.min(size));
        }
    }
}
