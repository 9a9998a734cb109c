//! Accounts and sessions: from the wire to the services and back.

use cita_protocol::auth::{LoginRequest, MeGetRequest, RefreshRequest, RegisterRequest, RegisterRole};
use cita_protocol::value::Empty;

use super::{Answer, Answered, Call, read};
use crate::domain::account::{NewAccount, Role};
use crate::domain::secret::{Password, RefreshToken};
use crate::service::auth::{Grant, Registration};
use crate::session::convert;

impl Call<'_> {
    pub(super) async fn register(&self) -> Answered {
        let input: RegisterRequest = self.input()?;
        let role = match input.role {
            RegisterRole::Patient => Role::Patient,
            RegisterRole::Doctor => Role::Doctor,
        };
        let account = NewAccount {
            role,
            email: input.email,
            name: input.name,
            locale: input.locale,
            time_zone: input.time_zone.map(|zone| zone.0),
        };
        let registration = Registration { account, password: Password::from(input.password), device: input.device };
        let grant = self.services.auth.register(registration, self.request.peer).await?;
        if grant.user.role == Role::Doctor {
            let user = &grant.user;
            let opened = self.services.doctors.open_calendar(user.id, &user.name, user.time_zone.as_deref()).await;
            if let Err(error) = opened {
                // It is made when it is first needed.
                tracing::warn!(%error, "calendar of a new doctor not opened yet");
            }
        }
        Ok(Answer { created: Some(grant.user.id.to_string()), ..granted(&grant) })
    }

    pub(super) async fn login(&self) -> Answered {
        let input: LoginRequest = self.input()?;
        let password = Password::from(input.password);
        let peer = self.request.peer;
        Ok(granted(&self.services.auth.login(&input.email, &password, input.device, peer).await?))
    }

    pub(super) async fn refresh(&self) -> Answered {
        let input: RefreshRequest = self.input()?;
        Ok(granted(&self.services.auth.refresh(&RefreshToken::from(input.refresh_token)).await?))
    }

    pub(super) async fn logout(&self) -> Answered {
        let _: Empty = self.input()?;
        let identity = self.viewer.identity()?;
        self.services.auth.logout(identity).await?;
        self.services.hub.revoke(identity.session);
        Ok(read(&Empty {}))
    }

    pub(super) async fn me(&self) -> Answered {
        let input: MeGetRequest = self.input()?;
        self.wait(input.after.as_ref()).await?;
        Ok(read(&convert::user(&self.services.auth.me(self.viewer.identity()?.user).await?)))
    }
}

fn granted(grant: &Grant) -> Answer {
    read(&convert::grant(grant))
}
