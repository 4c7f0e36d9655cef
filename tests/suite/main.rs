//! suite

mod e2e;
mod export;
mod hostile;
mod javascript;
mod sim;
mod store;
mod tidy;
mod trace;
