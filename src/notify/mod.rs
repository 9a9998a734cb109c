//! What reaches people outside of a connection: e-mail. What a service decides to send is taken from a queue; what people are
//! told of appointments follows from what is committed.

mod letter;
pub mod mail;
pub mod meters;
mod notice;
pub mod notifier;
