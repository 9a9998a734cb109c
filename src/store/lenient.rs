//! Documents that are read one by one, so that one which cannot be read keeps nobody from the others.

use mongodb::bson::{RawBsonRef, RawDocumentBuf, deserialize_from_slice};
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// What `read` makes of each document. One that is not as Cita writes it is left out, and its id goes to the log: what is in it may
/// not.
pub(super) fn each<D: DeserializeOwned, T, E>(
    collection: &str,
    documents: Vec<RawDocumentBuf>,
    read: impl Fn(D) -> Result<T, E>,
) -> Vec<T> {
    let one = |document: RawDocumentBuf| {
        let found = deserialize_from_slice(document.as_bytes()).ok().and_then(|document| read(document).ok());
        if found.is_none() {
            let id = match document.get("_id") {
                Ok(Some(RawBsonRef::Binary(id))) => Uuid::from_slice(id.bytes).unwrap_or_default(),
                _ => Uuid::nil(),
            };
            tracing::error!(collection, %id, "a document cannot be read: it is left out");
        }
        found
    };
    documents.into_iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Document, doc, rawdoc};

    use super::*;

    #[test]
    fn what_cannot_be_read_is_left_out_alone() {
        let documents =
            vec![rawdoc! { "_id": 1, "n": 1 }, rawdoc! { "_id": 2, "n": "two" }, rawdoc! { "_id": 3, "n": 3 }];
        let read = |document: Document| document.get_i32("n");
        assert_eq!(each("numbers", documents, read), [1, 3]);
        let odd = vec![rawdoc! { "_id": 4 }];
        assert_eq!(each("numbers", odd, |_: Vec<u8>| Ok::<_, ()>(doc! {})), Vec::<Document>::new());
    }
}
