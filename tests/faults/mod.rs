//! What must be survived: databases and servers that are killed in the middle of bookings, wires that lose replies,
//! streams that break. What was acknowledged is there, once, and whoever watches misses nothing.

mod ahead;
mod bookers;
mod database;
mod follower;
mod join;
mod members;
mod odd;
mod outage;
mod process;
mod reply;
mod series;
mod stale;
mod start;
mod stream;
mod ward;
