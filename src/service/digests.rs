//! What is kept of secrets that we made ourselves: SHA-256, which is enough where nobody can guess.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};

use crate::domain::session::Digest;

pub(super) fn sha256(bytes: &[u8]) -> Digest {
    let mut out = Digest::default();
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

/// Whether two digests are equal, in the same time either way.
pub(super) fn same(a: &Digest, b: &Digest) -> bool {
    verify_slices_are_equal(a, b).is_ok()
}
