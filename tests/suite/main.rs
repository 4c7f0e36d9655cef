//! suite

mod export;
mod sim;
mod store;
mod tidy;
mod trace;
