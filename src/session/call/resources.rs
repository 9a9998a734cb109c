//! Rooms and devices: from the wire to the service and back.

use cita_protocol::resource::{
    ArchiveResourceRequest, CreateResourceRequest, Resource as WireResource, ResourceKind as WireKind,
    ResourceListRequest, UpdateResourceRequest,
};
use jiff::Timestamp;
use uuid::Uuid;

use super::{Answer, Answered, Call, page};
use crate::domain::ids::ResourceId;
use crate::domain::resource::{Resource, ResourceKind};
use crate::service::resources::ResourceChange;
use crate::session::convert;
use crate::session::parse::Fields;

impl Call<'_> {
    pub(super) async fn resource_list(&self) -> Answered {
        let input: ResourceListRequest = self.input()?;
        let mut fields = Fields::default();
        let limit = fields.page_size(input.page_size);
        let token = |token: &str| {
            let (made, id) = token.split_once('_')?;
            let made = Timestamp::from_millisecond(made.parse().ok()?).ok()?;
            Some((made, ResourceId(Uuid::try_parse(id).ok()?)))
        };
        let after = fields.page_token(input.page_token.as_ref(), token);
        fields.finish()?;
        self.wait(input.after.as_ref()).await?;
        let found = self.services.resources.list(self.viewer, after, limit + 1).await?;
        Ok(page(found, limit, resource, |last| format!("{}_{}", last.created_at.as_millisecond(), last.id)))
    }

    pub(super) async fn admin_create_resource(&self) -> Answered {
        let input: CreateResourceRequest = self.input()?;
        let mut fields = Fields::default();
        let name = fields.line("/name", &input.name, 1, 100);
        fields.finish()?;
        let (peer, key) = (self.request.peer, self.key()?);
        let done = self.services.resources.create(self.viewer, peer, key, name, kind_of(input.kind)).await?;
        Ok(Answer { created: Some(done.value.id.to_string()), ..self.done(&done, resource) })
    }

    pub(super) async fn admin_update_resource(&self) -> Answered {
        let input: UpdateResourceRequest = self.input()?;
        let mut fields = Fields::default();
        let id = ResourceId(fields.id("/id", &input.id));
        let name = input.name.as_ref().map(|name| fields.line("/name", name, 1, 100));
        fields.finish()?;
        let change = ResourceChange { name, kind: input.kind.map(kind_of) };
        let (peer, key) = (self.request.peer, self.key()?);
        let done = self.services.resources.update(self.viewer, peer, key, id, input.rev, &change).await?;
        Ok(self.done(&done, resource))
    }

    pub(super) async fn admin_archive_resource(&self) -> Answered {
        let input: ArchiveResourceRequest = self.input()?;
        let mut fields = Fields::default();
        let id = ResourceId(fields.id("/id", &input.id));
        fields.finish()?;
        let (peer, key) = (self.request.peer, self.key()?);
        let done = self.services.resources.archive(self.viewer, peer, key, id, input.rev).await?;
        Ok(self.done(&done, resource))
    }
}

fn resource(resource: &Resource) -> WireResource {
    WireResource {
        id: convert::id(resource.id.0),
        rev: resource.rev,
        name: resource.name.clone(),
        kind: match resource.kind {
            ResourceKind::Room => WireKind::Room,
            ResourceKind::Device => WireKind::Device,
        },
        archived: resource.archived,
        created_at: convert::instant(resource.created_at),
        updated_at: convert::instant(resource.updated_at),
    }
}

fn kind_of(kind: WireKind) -> ResourceKind {
    match kind {
        WireKind::Room => ResourceKind::Room,
        WireKind::Device => ResourceKind::Device,
    }
}
