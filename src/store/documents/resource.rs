//! Documents of the resources collection: a room or a device each.

use mongodb::bson::{DateTime, Uuid};
use serde::{Deserialize, Serialize};

use super::doctor::DoctorHistoryDoc;
use super::{Remembered, Undecodable, int};
use crate::domain::ids::ResourceId;
use crate::domain::resource::{Resource, ResourceKind};
use crate::store::value::{bson_id, bson_time, instant, uuid_of};

/// A room or a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceDoc {
    #[serde(rename = "_id")]
    pub id: Uuid,
    pub rev: i32,
    pub name: String,
    pub kind: String,
    pub archived: bool,
    pub created_at: DateTime,
    pub updated_at: DateTime,
    pub history: Vec<DoctorHistoryDoc>,
    pub keys: Vec<Remembered>,
}

impl ResourceDoc {
    /// The document of a resource.
    #[must_use]
    pub fn from_domain(resource: &Resource, keys: Vec<Remembered>) -> Self {
        Self {
            id: bson_id(resource.id.0),
            rev: int(resource.rev),
            name: resource.name.clone(),
            kind: resource.kind.as_str().to_owned(),
            archived: resource.archived,
            created_at: bson_time(resource.created_at),
            updated_at: bson_time(resource.updated_at),
            history: resource.history.iter().map(DoctorHistoryDoc::from_domain).collect(),
            keys,
        }
    }

    /// The resource of a document.
    ///
    /// # Errors
    /// When a field holds what Cita never writes.
    pub fn to_domain(&self) -> Result<Resource, Undecodable> {
        let bad = |what| Undecodable { id: self.id.to_string(), what };
        let history: Option<_> = self.history.iter().map(DoctorHistoryDoc::to_domain).collect();
        Ok(Resource {
            id: ResourceId(uuid_of(self.id)),
            rev: u32::try_from(self.rev).map_err(|_| bad("rev"))?,
            name: self.name.clone(),
            kind: ResourceKind::named(&self.kind).ok_or_else(|| bad("kind"))?,
            archived: self.archived,
            created_at: instant(self.created_at).map_err(|_| bad("createdAt"))?,
            updated_at: instant(self.updated_at).map_err(|_| bad("updatedAt"))?,
            history: history.ok_or_else(|| bad("history"))?,
        })
    }
}
