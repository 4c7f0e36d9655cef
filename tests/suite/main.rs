//! suite

