//! suite

mod e2e;
mod export;
mod sim;
mod store;
mod tidy;
mod trace;
