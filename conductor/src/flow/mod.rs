//! What happens to a node: two doors (`request`, `wake`) and one loop.

pub mod request;
