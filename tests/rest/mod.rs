//! REST and server-sent events from outside: every operation's route, every refusal, and what hostile input does.

mod conditional;
mod documents;
mod hostile;
mod operations;
mod refusals;
mod sse;
mod times;
