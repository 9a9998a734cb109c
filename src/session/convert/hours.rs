//! Hours and public holidays: from the domain to the wire.

use std::collections::BTreeMap;

use cita_protocol::doctor::{
    Availability as WireAvailability, DayRange, Override, Season as WireSeason, Weekday as WireWeekday, WeeklyRange,
};
use cita_protocol::holiday::{Holiday, HolidayCalendar as WireCalendar, HolidayYear};
use cita_protocol::time_off::{
    KeptOfAppointments, LeftOutside, Outside as WireOutside, OutsideList, TimeOff as WireTimeOff,
};
use cita_protocol::value::{LocalTime, TimeZone};
use jiff::civil::{Time, Weekday};

use super::{appointment, free_slot, id, instant};
use crate::domain::doctor::{Doctor, LocalRange, Season};
use crate::domain::holidays::{HolidayCalendar, Names};
use crate::domain::time_off::TimeOff;
use crate::service::doctors::{Keep, Outside, Task};

pub fn availability(doctor: &Doctor) -> WireAvailability {
    let hours = &doctor.availability;
    let overrides = hours.overrides.iter().map(|(date, ranges)| Override {
        date: date.to_string().into(),
        ranges: ranges.iter().map(day_range).collect(),
    });
    WireAvailability {
        doctor_id: id(doctor.id.0),
        rev: hours.rev,
        time_zone: TimeZone(hours.zone_name().to_owned()),
        weekly: weekly(&hours.weekly),
        overrides: overrides.collect(),
        seasons: hours.seasons.iter().map(season).collect(),
        holiday_calendars: hours.holiday_calendars.iter().map(|calendar| calendar.id().to_owned()).collect(),
    }
}

fn season(season: &Season) -> WireSeason {
    WireSeason {
        from: season.from.to_string().into(),
        to: season.to.to_string().into(),
        weekly: weekly(&season.weekly),
    }
}

fn weekly(ranges: &[(Weekday, LocalRange)]) -> Vec<WeeklyRange> {
    let range = |(day, range): &(Weekday, LocalRange)| WeeklyRange {
        weekday: weekday(*day),
        from: time(range.from),
        to: time(range.to),
    };
    ranges.iter().map(range).collect()
}

fn day_range(range: &LocalRange) -> DayRange {
    DayRange { from: time(range.from), to: time(range.to) }
}

fn time(time: Time) -> LocalTime {
    LocalTime(format!("{:02}:{:02}", time.hour(), time.minute()))
}

fn weekday(weekday: Weekday) -> WireWeekday {
    match weekday {
        Weekday::Monday => WireWeekday::Monday,
        Weekday::Tuesday => WireWeekday::Tuesday,
        Weekday::Wednesday => WireWeekday::Wednesday,
        Weekday::Thursday => WireWeekday::Thursday,
        Weekday::Friday => WireWeekday::Friday,
        Weekday::Saturday => WireWeekday::Saturday,
        Weekday::Sunday => WireWeekday::Sunday,
    }
}

pub fn holiday_calendar(calendar: HolidayCalendar) -> WireCalendar {
    WireCalendar { id: calendar.id().to_owned(), names: names(calendar.names()) }
}

pub fn holidays(calendar: HolidayCalendar, year: i16) -> HolidayYear {
    let holidays = calendar.of_year(year);
    HolidayYear {
        calendar: holiday_calendar(calendar),
        year: u32::from(year.unsigned_abs()),
        holidays: holidays
            .map(|(date, named)| Holiday { date: date.to_string().into(), names: names(named) })
            .collect(),
    }
}

fn names(names: &Names) -> BTreeMap<String, String> {
    names.iter().map(|(language, name)| ((*language).to_owned(), (*name).to_owned())).collect()
}

pub fn time_off(doctor: &Doctor, off: &TimeOff) -> WireTimeOff {
    WireTimeOff {
        id: id(off.id.0),
        doctor_id: id(doctor.id.0),
        rev: off.rev,
        from: instant(off.from.instant()),
        to: instant(off.to.instant()),
        time_zone: TimeZone(doctor.zone_name().to_owned()),
        reason: off.reason.clone(),
    }
}

/// The domain's word for what stays of appointments.
pub fn keep_of(kept: KeptOfAppointments) -> Keep {
    match kept {
        KeptOfAppointments::KeepInstants => Keep::Instants,
        KeptOfAppointments::KeepLocalTimes => Keep::LocalTimes,
    }
}

pub fn outside(outside: &Outside) -> OutsideList {
    OutsideList {
        time_zone: TimeZone(outside.time_zone.clone()),
        items: outside.tasks.iter().map(task).collect(),
        more: outside.more,
    }
}

/// The same, within the answer to what left them outside.
pub fn left(outside: &Outside) -> LeftOutside {
    LeftOutside { outside: outside.tasks.iter().map(task).collect(), more_outside: outside.more }
}

fn task(task: &Task) -> WireOutside {
    WireOutside {
        appointment: appointment(&task.appointment),
        rule: task.rule.as_str().to_owned(),
        alternatives: task.alternatives.iter().map(free_slot).collect(),
    }
}
