//! The binary itself: started, signalled, killed, and looked at from outside.

mod binary;
mod commands;
mod memory;
mod restart;
mod secrets;
mod signals;
mod tls;
