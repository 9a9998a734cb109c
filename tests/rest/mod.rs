//! REST, server-sent events and the dashboard from outside: every operation's route, every refusal, and what hostile input does.

mod conditional;
mod cookies;
mod dashboard;
mod documents;
mod hostile;
mod operations;
mod rates;
mod refusals;
mod sse;
mod times;
