//! Commands on what becomes of an appointment: approve, decline, check in and so on, and its history.

use cita_protocol::admin::{HistoryEntry, HistoryRequest};
use cita_protocol::appointment::{DeclineRequest, MoveRequest};
use cita_protocol::{Operation, Page};

use crate::appointments::{get, tell};
use crate::args::Move;
use crate::client::Client;
use crate::failure::Failure;
use crate::screen;

pub async fn advance(client: &mut Client, operation: Operation, to: Move) -> Result<(), Failure> {
    let request = MoveRequest { id: to.id.into(), rev: None };
    let moved = client.mutate(operation, &request, to.key).await?;
    tell(client, &moved).await
}

pub async fn decline(
    client: &mut Client,
    id: &str,
    reason: Option<String>,
    key: Option<String>,
) -> Result<(), Failure> {
    let request = DeclineRequest { id: id.into(), rev: None, reason };
    let declined = client.mutate(Operation::AppointmentDecline, &request, key).await?;
    tell(client, &declined).await
}

pub async fn history(client: &mut Client, id: &str) -> Result<(), Failure> {
    let appointment = get(client, id).await?;
    let request = HistoryRequest { id: id.into(), after: None };
    let page: Page<HistoryEntry> = client.read(Operation::AppointmentHistory, request).await?;
    client.close().await;
    for entry in &page.items {
        client.output.object(entry);
        client.output.line(screen::history_entry(entry, &appointment));
    }
    Ok(())
}
