//! Calendar feeds: from the wire to the service and back, and what a calendar program reads.

use aws_lc_rs::digest::{SHA256, digest};
use cita_protocol::value::Empty;
use cita_protocol::{Operation, Problem};

use super::{Answer, Answered, Call};
use crate::domain::account::Viewer;
use crate::domain::peer::Peer;
use crate::domain::secret::LinkToken;
use crate::session::limiter::Rate;
use crate::session::{Services, convert};

impl Call<'_> {
    pub(super) async fn calendar_feed_create(&self) -> Answered {
        let _: Empty = self.input()?;
        let (identity, peer, key) = (self.viewer.identity()?, self.request.peer, self.key()?);
        let done = self.services.calendar_feeds.create(identity, peer, key).await?;
        let created = done.value.url.clone();
        Ok(Answer { created: Some(created), ..self.done_with_users(&done, convert::calendar::feed) })
    }

    pub(super) async fn calendar_feed_revoke(&self) -> Answered {
        let _: Empty = self.input()?;
        let (identity, peer, key) = (self.viewer.identity()?, self.request.peer, self.key()?);
        let done = self.services.calendar_feeds.revoke(identity, peer, key).await?;
        Ok(self.done_with_users(&done, |()| Empty {}))
    }
}

/// The appointments behind a calendar feed, as iCalendar (RFC 5545).
pub struct Calendar {
    pub text: String,
    /// Another one where the text is: an entity tag, in quotes.
    pub tag: String,
}

/// Reads the calendar feed of a secret. It counts as a read of its address.
///
/// # Errors
/// `not_found` for whatever does not work; `rate_limited`, `unavailable`.
pub async fn calendar(services: &Services, peer: Peer, secret: &LinkToken) -> (Rate, Result<Calendar, Problem>) {
    let (rate, admitted) = services.limiter.check(Operation::AppointmentList, &Viewer::Anonymous, peer);
    let calendar = async {
        admitted?;
        let shown = services.calendar_feeds.read(secret).await.map_err(convert::problem)?;
        let text = convert::calendar::text(&shown);
        let digits: String =
            digest(&SHA256, text.as_bytes()).as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let tag = format!("\"{digits}\"");
        Ok(Calendar { text, tag })
    };
    (rate, calendar.await)
}
