//! suite

mod export;
mod store;
mod tidy;
mod trace;
