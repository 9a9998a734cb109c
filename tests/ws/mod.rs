//! The WebSocket from outside: who is let in, what may be said, and what breaks a connection.

mod cookies;
mod frames;
mod handshake;
mod limits;
mod messages;
mod renew;
