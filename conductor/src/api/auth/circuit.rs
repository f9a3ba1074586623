//! A service that is down is not asked by every request: after some failures in a row nobody tries for a moment.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many failures in a row open the circuit.
const FAILURES: u32 = 3;

/// How long it stays open; then one request tries.
pub const REST: Duration = Duration::from_secs(5);

#[derive(Default)]
struct State {
    failures: u32,
    /// Nobody tries before.
    rests_until: Option<Instant>,
}

/// One per service.
#[derive(Default)]
pub struct Circuit(Mutex<State>);

impl Circuit {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// May this request try? Whoever is let through after a rest is alone until he reports.
    pub fn lets_through(&self) -> bool {
        let mut state = self.state();
        match state.rests_until {
            Some(until) if Instant::now() < until => false,
            Some(_) => {
                state.rests_until = Some(Instant::now() + REST);
                true
            }
            None => true,
        }
    }

    /// The service answered, whatever it said.
    pub fn answered(&self) {
        *self.state() = State::default();
    }

    /// It did not.
    pub fn failed(&self) {
        let mut state = self.state();
        state.failures += 1;
        if state.failures >= FAILURES {
            state.rests_until = Some(Instant::now() + REST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_with_an_answer() {
        let circuit = Circuit::default();
        for _ in 1..FAILURES {
            circuit.failed();
        }
        circuit.answered();
        for _ in 0..FAILURES {
            assert!(circuit.lets_through());
            circuit.failed();
        }
        assert!(!circuit.lets_through());
        circuit.state().rests_until = Some(Instant::now());
        assert!(circuit.lets_through(), "one tries");
        assert!(!circuit.lets_through(), "and only one");
        circuit.answered();
        assert!(circuit.lets_through() && circuit.lets_through());
    }
}
