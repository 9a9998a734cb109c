//! How many connections there may be: what the operating system gives, less what MongoDB and the rest need. A node without a
//! file descriptor left would lose its databases to those who only knock.

use std::fs;

use tokio::sync::Semaphore;

/// Two pools of 64 connections, their monitors, listeners, files, and a little.
const RESERVED: usize = 192;

/// How many clients may be connected. Where nobody says how many descriptors there are (elsewhere than on Linux), as many
/// as like.
#[must_use]
pub fn for_clients() -> usize {
    fs::read_to_string("/proc/self/limits")
        .ok()
        .and_then(|limits| soft(&limits))
        .map_or(Semaphore::MAX_PERMITS, clients)
}

/// `Max open files            1024                 1048576              files`; `unlimited` is no number.
fn soft(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Of very few the clients have half.
fn clients(descriptors: usize) -> usize {
    descriptors.saturating_sub(RESERVED).max(descriptors / 2).clamp(1, Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_descriptors_are_kept() {
        let line =
            "Limit   Soft   Hard   Units\nMax open files            1024                 1048576              files\n";
        assert_eq!(soft(line), Some(1_024));
        assert_eq!(soft("Max open files   unlimited   unlimited   files"), None);
        assert_eq!([0, 1, 100, 384, 1_024].map(clients), [1, 1, 50, 192, 832]);
        assert!(for_clients() > 0);
    }
}
