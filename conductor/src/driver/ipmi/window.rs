//! Which sequence numbers of the other side are taken: each once, and none from long ago (IPMI 2.0 section 6.12.13).

/// How far behind the newest a late packet may be.
const REACH: u32 = 64;

/// The numbers seen so far. Asked only for packets whose integrity code held.
#[derive(Debug, Default)]
pub struct Window {
    newest: u32,
    /// Bit n: `newest - n` was seen.
    seen: u64,
}

impl Window {
    /// A window that takes `first` and what follows.
    pub fn before(first: u32) -> Self {
        Self { newest: first.wrapping_sub(1), seen: 1 }
    }

    /// True for a number not seen before; it is then remembered.
    pub fn take(&mut self, number: u32) -> bool {
        let ahead = number.wrapping_sub(self.newest);
        if ahead != 0 && ahead < u32::MAX / 2 {
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.newest = number;
            return true;
        }
        let behind = self.newest.wrapping_sub(number);
        if behind >= REACH || self.seen & 1 << behind != 0 {
            return false;
        }
        self.seen |= 1 << behind;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Window;
    use proptest::prelude::proptest;

    #[test]
    fn late_packets_are_taken_once_and_old_ones_never() {
        let mut window = Window::before(1);
        assert!(!window.take(0), "0 is not a number of a session");
        assert!(window.take(1) && window.take(5) && window.take(3));
        assert!(!window.take(3) && !window.take(5) && !window.take(1));
        assert!(window.take(200) && window.take(137) && !window.take(136));
    }

    proptest! {
        #[test]
        fn no_number_is_taken_twice(numbers in proptest::collection::vec(1u32..200, 1..300)) {
            let mut window = Window::before(1);
            let mut taken = std::collections::BTreeSet::new();
            for number in numbers {
                if window.take(number) {
                    assert!(taken.insert(number), "{number} twice");
                }
            }
        }

        #[test]
        fn it_wraps(start: u32) {
            let mut window = Window::before(start);
            for step in 0..100 {
                assert!(window.take(start.wrapping_add(step)));
                assert!(!window.take(start.wrapping_add(step)));
            }
        }
    }
}
