//! Accounts and sessions: from the wire to the services and back.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cita_protocol::auth::{LoginRequest, MeGetRequest, RefreshRequest, RegisterRequest, RegisterRole, SessionIn};
use cita_protocol::value::Empty;
use serde_json::json;

use super::{Answer, Answered, Call, CookieChange, SessionCookies, read};
use crate::domain::account::{NewAccount, Role};
use crate::domain::refusal::{Refusal, Violation};
use crate::domain::secret::{Password, RefreshToken};
use crate::domain::session::REFRESH_LIFETIME;
use crate::service::auth::{Device, Grant, Registration};
use crate::service::tokens::PublicKey;
use crate::session::{Services, convert};

impl Call<'_> {
    pub(super) async fn register(&self) -> Answered {
        let input: RegisterRequest = self.input()?;
        let session = self.session_in(input.session)?;
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
        let registration =
            Registration { account, password: Password::from(input.password), device: self.device(input.device) };
        let (grant, verification) = self.services.auth.register(registration).await?;
        self.services.accounts.welcome(&grant.user, verification);
        if grant.user.role == Role::Doctor {
            let user = &grant.user;
            let opened = self.services.doctors.open_calendar(user.id, &user.name, user.time_zone.as_deref()).await;
            if let Err(error) = opened {
                // It is made when it is first needed.
                tracing::warn!(%error, "calendar of a new doctor not opened yet");
            }
        }
        Ok(Answer { created: Some(grant.user.id.to_string()), ..self.granted(grant, session) })
    }

    pub(super) async fn login(&self) -> Answered {
        let input: LoginRequest = self.input()?;
        let session = self.session_in(input.session)?;
        let password = Password::from(input.password);
        Ok(self.granted(self.services.auth.login(&input.email, &password, self.device(input.device)).await?, session))
    }

    pub(super) async fn refresh(&self) -> Answered {
        let input: RefreshRequest = self.input()?;
        let (token, session) = match (input.refresh_token.map(RefreshToken::from), self.request.cookies) {
            (Some(token), _) => (token, self.session_in(input.session)?),
            (None, SessionCookies::Http { refresh: Some(token), .. }) => {
                if input.session == Some(SessionIn::Token) {
                    let detail = "a session in cookies is kept from scripts: log in for one in tokens";
                    return Err(Violation::new("/session", "invalid", detail).into());
                }
                (token.clone(), SessionIn::Cookie)
            }
            (None, _) => return Err(Refusal::Unauthenticated.into()),
        };
        Ok(self.granted(self.services.auth.refresh(&token, self.request.peer).await?, session))
    }

    pub(super) async fn logout(&self) -> Answered {
        let _: Empty = self.input()?;
        let identity = self.viewer.identity()?;
        self.services.auth.logout(identity, self.request.peer).await?;
        self.services.hub.revoke(identity.session);
        Ok(Answer { cookies: self.cleared_cookies(), ..read(&Empty {}) })
    }

    /// What becomes of the cookies of whoever was known by them, and whose session has ended.
    pub(super) fn cleared_cookies(&self) -> Option<CookieChange> {
        let known = matches!(self.request.cookies, SessionCookies::Http { known: true, .. });
        known.then_some(CookieChange::Clear)
    }

    fn device(&self, name: Option<String>) -> Device {
        Device { name, peer: self.request.peer }
    }

    pub(super) async fn me(&self) -> Answered {
        let input: MeGetRequest = self.input()?;
        self.wait(input.after.as_ref()).await?;
        Ok(read(&convert::user(&self.services.auth.me(self.viewer.identity()?.user).await?)))
    }

    /// Where the tokens are to go. Asked before anything is done.
    fn session_in(&self, asked: Option<SessionIn>) -> Result<SessionIn, Refusal> {
        match (asked.unwrap_or(SessionIn::Token), self.request.cookies) {
            (SessionIn::Token, _) => Ok(SessionIn::Token),
            (SessionIn::Cookie, SessionCookies::Unavailable) => {
                Err(Violation::new("/session", "invalid", "cookies are set over REST only").into())
            }
            // Another site's page must not log a browser in as somebody whom it chooses.
            (SessionIn::Cookie, SessionCookies::Http { foreign: true, .. }) => Err(Refusal::Forbidden),
            (SessionIn::Cookie, SessionCookies::Http { foreign: false, .. }) => Ok(SessionIn::Cookie),
        }
    }

    fn granted(&self, grant: Grant, session: SessionIn) -> Answer {
        let mut reply = convert::grant(&grant);
        match session {
            SessionIn::Token => read(&reply),
            SessionIn::Cookie => {
                reply.refresh_token = None;
                let lives = grant.expires_at.duration_since(self.services.clock.now());
                let cookies = CookieChange::Set {
                    access: grant.access_token,
                    access_seconds: lives.as_secs(),
                    refresh: grant.refresh_token,
                    refresh_seconds: REFRESH_LIFETIME.as_secs(),
                };
                Answer { cookies: Some(cookies), ..read(&reply) }
            }
        }
    }
}

/// The public keys of access tokens as a JWK set (RFC 7517), with keys of RFC 8037.
#[must_use]
pub fn public_keys(services: &Services) -> String {
    let jwk = |key: PublicKey| {
        json!({
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
            "kid": key.kid, "x": URL_SAFE_NO_PAD.encode(key.x),
        })
    };
    json!({ "keys": services.auth.public_keys().into_iter().map(jwk).collect::<Vec<_>>() }).to_string()
}
