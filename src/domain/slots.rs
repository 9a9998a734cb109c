//! placeholder until merged
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule { Hours }
