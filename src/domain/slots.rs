//! Which times can be booked: one predicate for search, live topics, hold and book.
