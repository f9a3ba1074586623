//! Fake interfaces: no machine at all. They answer what Ironic's fake interfaces answer, so that what people run against
//! Ironic with `fake-hardware` (test suites, labs) runs here. Their memory is the node's record: they keep nothing.

mod delay;
mod management;
mod parts;
mod power;
mod steps;
mod vendor;

pub use delay::{Delay, FakeDelays};
pub use management::FakeManagement;
pub use parts::FakeParts;
pub use power::FakePower;
pub use steps::FakeSteps;
pub use vendor::FakeVendor;
