//! Commands on sessions: on which devices one is logged in, and ending some.

use cita_protocol::Operation;
use cita_protocol::auth::{MeGetRequest, User};
use cita_protocol::session::{Session, SessionListRequest, SessionRevokeRequest};
use cita_protocol::value::{Empty, Page};
use serde_json::json;

use crate::client::Client;
use crate::failure::Failure;
use crate::output::Paint;
use crate::{screen, times};

pub async fn list(client: &mut Client) -> Result<(), Failure> {
    let user: User = client.read(Operation::MeGet, MeGetRequest::default()).await?;
    let page: Page<Session> = client.read(Operation::SessionList, SessionListRequest::default()).await?;
    client.close().await;
    let (zone, output) = (times::zone_of(&user)?, client.output);
    for session in &page.items {
        output.object(session);
        let this = if session.current == Some(true) { output.paint(Paint::Good, "  this one") } else { String::new() };
        output.line(format!("  {}{this}", screen::session(session, &zone, output)));
    }
    output.line(format!("Times in {}.", times::zone_name(&zone)));
    Ok(())
}

pub async fn end(client: &mut Client, id: &str) -> Result<(), Failure> {
    let request = SessionRevokeRequest { id: id.to_owned() };
    let Empty {} = client.mutate(Operation::SessionRevoke, &request, None).await?;
    client.close().await;
    client.output.object(&json!({ "ended": id }));
    client.output.line("Ended.");
    Ok(())
}
