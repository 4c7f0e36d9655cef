//! The HTTP surface that both binaries give.
