//! suite

mod tidy;
