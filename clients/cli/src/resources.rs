//! Commands on the rooms and devices that doctors share.

use cita_protocol::resource::{
    ArchiveResourceRequest, CreateResourceRequest, Resource, ResourceKind, ResourceListRequest, UpdateResourceRequest,
};
use cita_protocol::{Operation, Page};

use crate::args::{KindArgument, ResourcesCommand};
use crate::client::Client;
use crate::directory::PAGE_SIZE;
use crate::failure::Failure;
use crate::output::{Output, Paint, plain};

pub async fn run(client: &mut Client, what: Option<ResourcesCommand>) -> Result<(), Failure> {
    let resource: Resource = match what {
        None => return list(client).await,
        Some(ResourcesCommand::Add { name, kind, key }) => {
            let kind = match kind {
                KindArgument::Room => ResourceKind::Room,
                KindArgument::Device => ResourceKind::Device,
            };
            client.mutate(Operation::AdminCreateResource, &CreateResourceRequest { name, kind }, key).await?
        }
        Some(ResourcesCommand::Rename { id, name }) => {
            let request = UpdateResourceRequest { id: id.as_str().into(), rev: None, name: Some(name), kind: None };
            client.mutate(Operation::AdminUpdateResource, &request, None).await?
        }
        Some(ResourcesCommand::Archive { id }) => {
            let request = ArchiveResourceRequest { id: id.as_str().into(), rev: None };
            client.mutate(Operation::AdminArchiveResource, &request, None).await?
        }
    };
    client.close().await;
    show(client.output, &resource);
    Ok(())
}

async fn list(client: &mut Client) -> Result<(), Failure> {
    let mut request = ResourceListRequest { page_size: Some(PAGE_SIZE), page_token: None, after: None };
    let mut resources = Vec::new();
    loop {
        let page: Page<Resource> = client.read(Operation::ResourceList, &request).await?;
        resources.extend(page.items);
        request.page_token = page.next_page_token;
        if request.page_token.is_none() {
            break;
        }
    }
    client.close().await;
    for resource in &resources {
        show(client.output, resource);
    }
    if resources.is_empty() {
        client.output.line("There are no rooms or devices.");
    }
    Ok(())
}

fn show(output: Output, resource: &Resource) {
    output.object(resource);
    let kind = match resource.kind {
        ResourceKind::Room => "room",
        ResourceKind::Device => "device",
    };
    let archived = if resource.archived { " · archived" } else { "" };
    output.line(format!(
        "{}  {} · {kind}{archived}",
        output.paint(Paint::Faint, resource.id.as_str()),
        output.paint(Paint::Strong, &plain(&resource.name)),
    ));
}
