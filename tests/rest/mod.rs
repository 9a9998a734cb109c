//! REST and server-sent events from outside: every operation's route, every refusal, and what hostile input does.

mod conditional;
mod cookies;
mod documents;
mod hostile;
mod operations;
mod rates;
mod refusals;
mod sse;
mod times;
