//! One's own account: from the wire to the services and back.

use cita_protocol::auth::{
    MeDeleteRequest, MeUpdateRequest, NotificationsPatch, RequestResetRequest, ResetPasswordRequest, VerifyEmailRequest,
};
use cita_protocol::export::MeExportRequest;
use cita_protocol::value::Empty;

use super::{Answer, Answered, Call, read};
use crate::domain::account::AccountChange;
use crate::domain::notifications::NotificationsChange;
use crate::domain::secret::{LinkToken, Password};
use crate::session::convert;

impl Call<'_> {
    pub(super) async fn request_reset(&self) -> Answered {
        let input: RequestResetRequest = self.input()?;
        self.services.accounts.request_reset(&input.email).await?;
        Ok(read(&Empty {}))
    }

    pub(super) async fn reset_password(&self) -> Answered {
        let input: ResetPasswordRequest = self.input()?;
        let (token, password) = (LinkToken::from(input.token), Password::from(input.password));
        self.services.accounts.reset_password(self.request.peer, &token, &password).await?;
        Ok(read(&Empty {}))
    }

    pub(super) async fn verify_email(&self) -> Answered {
        let input: VerifyEmailRequest = self.input()?;
        self.services.accounts.verify_email(self.request.peer, &LinkToken::from(input.token)).await?;
        Ok(read(&Empty {}))
    }

    pub(super) async fn request_verification(&self) -> Answered {
        let _: Empty = self.input()?;
        self.services.accounts.request_verification(self.viewer.identity()?).await?;
        Ok(read(&Empty {}))
    }

    pub(super) async fn me_update(&self) -> Answered {
        let input: MeUpdateRequest = self.input()?;
        let change = AccountChange {
            name: input.name,
            locale: input.locale,
            time_zone: input.time_zone.map(|zone| zone.0),
            notifications: input.notifications.map_or_else(NotificationsChange::default, notifications),
            email: input.email,
            new_password: input.new_password.map(Password::from),
            current_password: input.current_password.map(Password::from),
        };
        let (identity, peer, key) = (self.viewer.identity()?, self.request.peer, self.key()?);
        let changed = self.services.accounts.update(identity, peer, key, input.rev, change).await?;
        let mut cursor = self.services.hub.cursor_of_users(changed.at);
        cursor.positions.appointments = changed.renamed_at;
        Ok(Answer { cursor: Some(cursor.to_string()), ..read(&convert::user(&changed.user)) })
    }

    pub(super) async fn me_export(&self) -> Answered {
        let _: MeExportRequest = self.input()?;
        Ok(read(&convert::export(&self.services.exports.of(self.viewer.identity()?.user).await?)))
    }

    pub(super) async fn me_delete(&self) -> Answered {
        let input: MeDeleteRequest = self.input()?;
        // Nothing of a person who is erased is remembered, so neither is the key.
        self.key()?;
        let identity = self.viewer.identity()?;
        let done = self.services.erasure.close(identity, input.rev).await?;
        self.services.hub.revoke(identity.session);
        let cursor = self.services.hub.cursor_of_users(done.at).to_string();
        Ok(Answer { cursor: Some(cursor), cookies: self.cleared_cookies(), ..read(&Empty {}) })
    }
}

fn notifications(patch: NotificationsPatch) -> NotificationsChange {
    let NotificationsPatch { changes, reminders, offers, reminder_minutes } = patch;
    NotificationsChange { changes, reminders, offers, reminder_minutes }
}
