//! Weekly hours and overrides, expanded to instants.
