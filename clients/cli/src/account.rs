//! Commands about who one is: log in, register, log out.

use cita_protocol::auth::{AuthReply, LoginRequest, MeGetRequest, RegisterRequest, RegisterRole, User};
use cita_protocol::value::Empty;
use cita_protocol::{ErrorCode, Operation};
use serde_json::json;

use crate::args::{Login, Register, RoleArgument};
use crate::client::Client;
use crate::credentials::Session;
use crate::failure::Failure;
use crate::output::plain;
use crate::password::{ask, password};

/// Name of this device in the user's list of sessions.
const DEVICE: &str = "cita-cli";

pub async fn login(client: &Client, login: Login) -> Result<(), Failure> {
    let email = match login.email {
        Some(email) => email,
        None => ask("E-mail address: ").await?,
    };
    let request =
        LoginRequest { email, password: password(&login.password).await?, device: Some(DEVICE.into()), session: None };
    let reply = authenticate(client, Operation::AuthLogin, request).await?;
    keep(client, reply).await
}

pub async fn register(client: &Client, register: Register) -> Result<(), Failure> {
    let request = RegisterRequest {
        email: register.email,
        password: password(&register.password).await?,
        name: register.name,
        role: match register.role {
            RoleArgument::Patient => RegisterRole::Patient,
            RoleArgument::Doctor => RegisterRole::Doctor,
        },
        locale: None,
        time_zone: register.time_zone.map(Into::into),
        device: Some(DEVICE.into()),
        session: None,
    };
    let reply = authenticate(client, Operation::AuthRegister, request).await?;
    keep(client, reply).await
}

async fn authenticate(
    client: &Client,
    operation: Operation,
    request: impl serde::Serialize,
) -> Result<AuthReply, Failure> {
    let (connection, _) = client.open().await?;
    let reply = connection.call(operation, request, None).await;
    connection.close().await;
    Ok(reply?)
}

async fn keep(client: &Client, reply: AuthReply) -> Result<(), Failure> {
    let session = Session::new(&client.profile, &client.server, reply);
    let lock = client.store.lock().await?;
    client.store.put(&lock, session.clone())?;
    tell(client, &session.user);
    Ok(())
}

pub async fn whoami(client: &mut Client) -> Result<(), Failure> {
    let user: User = client.read(Operation::MeGet, MeGetRequest::default()).await?;
    client.close().await;
    tell(client, &user);
    Ok(())
}

fn tell(client: &Client, user: &User) {
    let (profile, server) = (&client.profile, &client.server);
    client.output.object(&json!({"profile": profile, "server": server, "user": user}));
    client.output.line(format!(
        "{} <{}>, {} at {server} (profile `{profile}`, id {})",
        plain(&user.name),
        plain(&user.email),
        format!("{:?}", user.role).to_lowercase(),
        user.id,
    ));
}

pub async fn logout(client: &mut Client) -> Result<(), Failure> {
    client.required_session()?;
    match end_session(client).await {
        Err(failure) if !already_over(&failure) => {
            return Err(failure.with_hint("You are still logged in."));
        }
        _ => {}
    }
    let lock = client.store.lock().await?;
    client.store.remove(&lock, &client.profile, &client.server)?;
    client.output.object(&json!({"profile": client.profile, "server": client.server, "user": null}));
    client.output.line("Logged out.");
    Ok(())
}

async fn end_session(client: &mut Client) -> Result<Empty, Failure> {
    let reply = client.read(Operation::AuthLogout, Empty {}).await;
    client.close().await;
    reply
}

/// What has ended already needs no ending.
fn already_over(failure: &Failure) -> bool {
    failure.is_logged_out()
        || matches!(
            failure.code(),
            Some(ErrorCode::Unauthenticated | ErrorCode::SessionRevoked | ErrorCode::TokenExpired)
        )
}
