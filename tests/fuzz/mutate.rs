//! Small damage to known inputs, without knowledge of what it reaches: for the moment each parser gets on every build.

/// Larger inputs are not made.
const MAX: usize = 64 << 10;
/// Numbers that break arithmetic.
const EDGES: [u64; 8] = [0, 1, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, i64::MAX as u64, u64::MAX];

/// A source of damage, the same for the same seed.
pub struct Mutator(u64);

impl Mutator {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % sides.max(1)
    }

    /// One of `corpus`, damaged in a few places.
    pub fn next(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut data = corpus.get(self.roll(corpus.len())).cloned().unwrap_or_default();
        for _ in 0..=self.roll(6) {
            self.damage(&mut data, corpus);
        }
        data.truncate(MAX);
        data
    }

    fn damage(&mut self, data: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.roll(data.len());
        match self.roll(8) {
            0 | 1 if !data.is_empty() => data[at] ^= 1 << self.roll(8),
            2 if !data.is_empty() => data[at] = self.roll(256) as u8,
            3 => data.insert(at, self.roll(256) as u8),
            4 => data.truncate(at),
            5 => {
                let edge = EDGES[self.roll(EDGES.len())];
                let width = [1, 2, 4, 8][self.roll(4)];
                let bytes = if self.roll(2) == 0 {
                    edge.to_le_bytes()
                } else {
                    edge.rotate_left(64 - 8 * width as u32).to_be_bytes()
                };
                let end = data.len().min(at + width);
                data[at..end].copy_from_slice(&bytes[..end - at]);
            }
            6 => {
                let end = at + self.roll(data.len() - at);
                let part = data[at..end].to_vec();
                let into = self.roll(data.len());
                data.splice(into..into, part);
            }
            _ => {
                if let Some(other) = corpus.get(self.roll(corpus.len())).filter(|other| !other.is_empty()) {
                    let from = self.roll(other.len());
                    data.truncate(at);
                    data.extend_from_slice(&other[from..]);
                }
            }
        }
    }
}
