//! Public holidays: the calendars that a doctor can choose.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Cursor, LocalDate};

/// A calendar of public holidays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HolidayCalendar {
    /// A country by ISO 3166-1, `CO`, or a part of one by ISO 3166-2, `US-CA`.
    pub id: String,
    /// By language: `es`, `en`.
    pub names: BTreeMap<String, String>,
}

/// `holidayCalendar.list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HolidayCalendarListRequest {
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// `holidayCalendar.get`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HolidayCalendarGetRequest {
    pub id: String,
    /// 2020 to 2040.
    pub year: u32,
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// A public holiday.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Holiday {
    pub date: LocalDate,
    /// By language: the country's own and, where they are known, `es` and `en`.
    pub names: BTreeMap<String, String>,
}

/// Answer to `holidayCalendar.get`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HolidayYear {
    #[serde(flatten)]
    pub calendar: HolidayCalendar,
    pub year: u32,
    /// In order.
    pub holidays: Vec<Holiday>,
}
