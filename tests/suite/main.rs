//! suite

mod store;
mod tidy;
