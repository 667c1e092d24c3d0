//! The `fermata` binary.

fn main() {}
