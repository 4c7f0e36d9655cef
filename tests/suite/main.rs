//! suite

mod e2e;
mod export;
mod javascript;
mod sim;
mod store;
mod tidy;
mod trace;
