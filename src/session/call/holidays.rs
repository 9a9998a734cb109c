//! Calendars of public holidays: from the wire to the domain and back. They are the same for everybody, and part of the program.

use cita_protocol::holiday::{HolidayCalendarGetRequest, HolidayCalendarListRequest};
use cita_protocol::value::Page;

use super::{Answered, Call, read};
use crate::domain::holidays::HolidayCalendar;
use crate::domain::refusal::Refusal;
use crate::session::convert;
use crate::session::parse::Fields;

impl Call<'_> {
    pub(super) async fn holiday_calendars(&self) -> Answered {
        let input: HolidayCalendarListRequest = self.input()?;
        self.wait(input.after.as_ref()).await?;
        let items = HolidayCalendar::all().map(convert::holiday_calendar).collect();
        Ok(read(&Page { items, next_page_token: None }))
    }

    pub(super) async fn holidays(&self) -> Answered {
        let input: HolidayCalendarGetRequest = self.input()?;
        let mut fields = Fields::default();
        let year = fields.holiday_year("/year", input.year);
        fields.finish()?;
        self.wait(input.after.as_ref()).await?;
        let calendar = HolidayCalendar::named(&input.id).ok_or(Refusal::NotFound)?;
        Ok(read(&convert::holidays(calendar, year)))
    }
}
