//! Scalars that every message shares. They travel as JSON strings; clients compare or display them, nothing more.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! text {
    ($(#[$doc:meta])* $name:ident { $($schema:tt)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars($($schema)*)]
        pub struct $name(pub String);

        impl $name {
            /// The text as it travels.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

text! {
    /// Identifier of an entity: a UUID in lower case, opaque to clients.
    Id { extend("format" = "uuid") }
}
text! {
    /// Point in time: RFC 3339 in UTC, `2026-12-01T14:00:00Z`.
    Instant { extend("format" = "date-time") }
}
text! {
    /// Calendar date without a zone: `2026-12-01`.
    LocalDate { extend("format" = "date") }
}
text! {
    /// Time of day without a zone: `09:30`.
    LocalTime { extend("pattern" = "^([01][0-9]|2[0-3]):[0-5][0-9]$") }
}
text! {
    /// Date and time of day without a zone: `2026-12-01T09:30:00`.
    LocalDateTime { extend("pattern" = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}$") }
}
text! {
    /// IANA time zone: `America/Bogota`.
    TimeZone { extend("maxLength" = 64) }
}
text! {
    /// Opaque position in the stream of committed changes. It holds on every node.
    Cursor { extend("maxLength" = 128) }
}

/// An amount of money in the smallest unit of its currency (ISO 4217).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Money {
    /// Amount in minor units: 9000000 is 90,000.00 COP.
    #[schemars(range(min = 0))]
    pub amount_minor: i64,
    /// ISO 4217 code in upper case.
    #[schemars(regex(pattern = r"^[A-Z]{3}$"))]
    pub currency: String,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    /// The entries of this page.
    pub items: Vec<T>,
    /// Present when there is more: pass it as `pageToken`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// A request without fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Empty {}
