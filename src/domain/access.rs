//! The policy: who may do what, in one table.
