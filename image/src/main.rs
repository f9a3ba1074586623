//! The `image` program.

fn main() {}
