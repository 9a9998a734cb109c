//! What reaches people outside of a connection: e-mail. It never decides who is told what; the services do.

mod letter;
pub mod mail;
