//! Several documents in one transaction: all of them are changed, or none.
//!
//! A single document needs none; see `docs/ARCHITECTURE.md` for the few paths that do. Each write in it is guarded or has a
//! derived id, so that the whole may be repeated when its outcome is unknown.

use futures::future::BoxFuture;
use mongodb::ClientSession;
use mongodb::bson::Document;
use mongodb::error::{Error as DriverError, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use mongodb::options::ReadConcern;
use mongodb::{Collection, options::TransactionOptions};
use serde::Serialize;
use tokio::time::Instant;

use super::cluster::Cluster;
use super::whole::reached;
use super::write::{Verdict, WRITE_DEADLINE, until_decided};
use crate::domain::change::Position;
use crate::error::Result;

/// How often a commit is sent again within one attempt, because its answer was lost.
const COMMIT_ATTEMPTS: usize = 3;

/// Carries out `body` in a transaction and commits it. A value of `None`: a guard did not match, and nothing was changed.
///
/// Reads in it see one snapshot. What others write meanwhile to the same documents or index keys makes it begin anew, so
/// `body` may run several times.
///
/// # Errors
/// `unavailable` when the outcome could not be learnt.
pub(super) async fn in_transaction<T, B>(cluster: &Cluster, body: B) -> Result<Verdict<Option<(T, Position)>>>
where
    T: Send + 'static,
    B: for<'a> Fn(&'a mut ClientSession) -> BoxFuture<'a, Result<Option<T>, DriverError>>
        + Clone
        + Send
        + Sync
        + 'static,
{
    let deadline = Instant::now() + WRITE_DEADLINE;
    until_decided(cluster, || {
        let (cluster, body) = (cluster.clone(), body.clone());
        async move {
            let mut session = cluster.session().await?;
            let options = TransactionOptions::builder().read_concern(ReadConcern::snapshot()).build();
            session.start_transaction().with_options(options).await?;
            let done = match body(&mut session).await {
                Ok(Some(done)) => done,
                // An abort that fails ends with its session.
                Ok(None) => return session.abort_transaction().await.or(Ok(())).map(|()| None),
                Err(error) => {
                    let _ended_with_its_session = session.abort_transaction().await;
                    return Err(error);
                }
            };
            commit(&mut session, deadline).await?;
            Ok(Some((done, reached(&session))))
        }
    })
    .await
}

/// Once the deadline has passed, whoever asked has been told what is known, and may have asked again: nothing is committed after it.
async fn commit(session: &mut ClientSession, deadline: Instant) -> Result<(), DriverError> {
    if Instant::now() >= deadline {
        let _ended_with_its_session = session.abort_transaction().await;
        return Err(DriverError::custom("the deadline has passed"));
    }
    let mut attempts = 0;
    loop {
        attempts += 1;
        match session.commit_transaction().await {
            Err(error)
                if attempts < COMMIT_ATTEMPTS
                    && Instant::now() < deadline
                    && error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) => {}
            result => return result,
        }
    }
}

/// Within a transaction: puts a document in the place of the one that the guard describes. `false`: there is none.
pub(super) async fn replace<D>(
    session: &mut ClientSession,
    collection: &Collection<D>,
    guard: Document,
    document: &D,
) -> Result<bool, DriverError>
where
    D: Serialize + Send + Sync,
{
    Ok(collection.replace_one(guard, document).session(session).await?.matched_count == 1)
}
