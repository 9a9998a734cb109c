//! The caller's sessions: from the wire to the services and back.

use cita_protocol::session::{SessionListRequest, SessionRevokeRequest};
use cita_protocol::value::{Empty, Id, Page};

use super::{Answer, Answered, Call, read};
use crate::domain::ids::SessionId;
use crate::service::sessions::Revoked;
use crate::session::convert;
use crate::session::parse::Fields;

/// What stands for every session of the caller but the one that asks.
const OTHERS: &str = "others";

impl Call<'_> {
    pub(super) async fn session_list(&self) -> Answered {
        let input: SessionListRequest = self.input()?;
        self.wait(input.after.as_ref()).await?;
        let identity = self.viewer.identity()?;
        let (sessions, _) = self.services.auth.sessions(identity.user).await?;
        let items = sessions.iter().map(|session| convert::session(session, Some(identity.session))).collect();
        Ok(read(&Page { items, next_page_token: None }))
    }

    pub(super) async fn session_revoke(&self) -> Answered {
        let input: SessionRevokeRequest = self.input()?;
        // Repeating it does no harm, so the key is not remembered.
        self.key()?;
        let mut fields = Fields::default();
        let which = match input.id.as_str() {
            OTHERS => Revoked::Others,
            id => Revoked::One(SessionId(fields.id("/id", &Id::from(id)))),
        };
        fields.finish()?;
        let ended = self.services.auth.revoke(self.viewer.identity()?, self.request.peer, which).await?;
        // The other nodes hear of it from their feeds; this one need not wait for its own.
        ended.sessions.iter().for_each(|session| self.services.hub.revoke(*session));
        let cursor = Some(self.services.hub.cursor_of_users(ended.at).to_string());
        Ok(Answer { cursor, ..read(&Empty {}) })
    }
}
