//! What the mails about appointments say, in Spanish and in English. They go to verified addresses only. What others have
//! written, such as names and a reason, stands on lines that say what it is.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::letter::Language;
use crate::domain::account::breaks_line;
use crate::domain::notice::{Event, Notice, Side, Time};

const WEEKDAYS: [&str; 7] = ["lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"];
const MONTHS: [&str; 12] = [
    "enero",
    "febrero",
    "marzo",
    "abril",
    "mayo",
    "junio",
    "julio",
    "agosto",
    "septiembre",
    "octubre",
    "noviembre",
    "diciembre",
];

/// Subject line and text. Times are told in `zone`, or else in the doctor's.
pub(super) fn written(
    language: Language,
    notice: &Notice,
    zone: Option<&str>,
    public_url: &str,
) -> (&'static str, String) {
    let words = Words::of(language);
    let (subject, says) = match language {
        Language::Spanish => spanish(notice),
        Language::English => english(notice),
    };
    let doctors = zone_of(&notice.time_zone).unwrap_or(TimeZone::UTC);
    let clocks =
        Clocks { language, words, readers: zone.and_then(zone_of).unwrap_or_else(|| doctors.clone()), doctors };
    let mut text = format!("{says}\n\n");
    let mut line = |label: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("{label}: {}\n", value.replace(breaks_line, " ")));
        }
    };
    match notice.side {
        Side::Patient => line(words.with, &notice.doctor_name),
        Side::Doctor => line(words.patient, &notice.patient_name),
    }
    line(words.service, &notice.service_name);
    for Time { start, before } in &notice.times {
        line(words.when, &clocks.tell(*start));
        if let Some(before) = before {
            line(words.before, &clocks.tell(*before));
        }
    }
    if let Some(until) = notice.until {
        line(words.until, &clocks.tell(until));
    }
    if let Some(reason) = &notice.reason {
        text.push_str(&format!("\n{}:\n", words.reason));
        for line in reason.lines() {
            text.push_str(&format!("> {}\n", line.replace(breaks_line, " ")));
        }
    }
    let page = match notice.side {
        Side::Patient => "appointments",
        Side::Doctor => "practice",
    };
    text.push_str(&format!("\n{public_url}/{page}\n\n{}\n{public_url}/account\n", words.choose));
    (subject, text)
}

/// What stands before what others have written, and at the end.
#[derive(Clone, Copy)]
struct Words {
    with: &'static str,
    patient: &'static str,
    service: &'static str,
    when: &'static str,
    before: &'static str,
    until: &'static str,
    reason: &'static str,
    at_the_doctors: &'static str,
    choose: &'static str,
}

impl Words {
    fn of(language: Language) -> Self {
        match language {
            Language::Spanish => Self {
                with: "Con",
                patient: "Paciente",
                service: "Servicio",
                when: "Fecha y hora",
                before: "Antes",
                until: "Responda hasta",
                reason: "Motivo",
                at_the_doctors: "en el consultorio",
                choose: "Para elegir qué avisos recibe:",
            },
            Language::English => Self {
                with: "With",
                patient: "Patient",
                service: "Service",
                when: "Date and time",
                before: "Before",
                until: "Answer by",
                reason: "Reason",
                at_the_doctors: "at the practice",
                choose: "To choose what you are told by e-mail:",
            },
        }
    }
}

fn spanish(notice: &Notice) -> (&'static str, &'static str) {
    let is_one = notice.times.len() == 1;
    match (notice.event, notice.side) {
        (Event::Requested, _) => {
            ("Una solicitud espera su aprobación", "Un paciente pide lo siguiente. Apruébelo o rechácelo.")
        }
        (Event::Booked, Side::Patient) if is_one => ("Su cita está reservada", "Su cita está reservada."),
        (Event::Booked, Side::Patient) => ("Sus citas están reservadas", "Sus citas están reservadas."),
        (Event::Booked, Side::Doctor) if is_one => ("Nueva cita", "Un paciente reservó una cita con usted."),
        (Event::Booked, Side::Doctor) => ("Nuevas citas", "Un paciente reservó varias citas con usted."),
        (Event::Approved, _) => ("Su cita está confirmada", "El consultorio confirmó la cita que usted pidió."),
        (Event::Declined, _) => {
            ("Su solicitud no fue aceptada", "El consultorio no pudo aceptar la cita que usted pidió.")
        }
        (Event::Moved, Side::Patient) if is_one => ("Su cita cambió de hora", "Su cita cambió de hora."),
        (Event::Moved, Side::Patient) => ("Sus citas cambiaron de hora", "Sus citas cambiaron de hora."),
        (Event::Moved, Side::Doctor) if is_one => ("Una cita cambió de hora", "Un paciente cambió la hora de su cita."),
        (Event::Moved, Side::Doctor) => ("Unas citas cambiaron de hora", "Un paciente cambió la hora de sus citas."),
        (Event::Cancelled, Side::Patient) if is_one => ("Su cita fue cancelada", "Su cita fue cancelada."),
        (Event::Cancelled, Side::Patient) => ("Sus citas fueron canceladas", "Sus citas fueron canceladas."),
        (Event::Cancelled, Side::Doctor) if is_one => ("Una cita fue cancelada", "Un paciente canceló su cita."),
        (Event::Cancelled, Side::Doctor) => ("Unas citas fueron canceladas", "Un paciente canceló sus citas."),
        (Event::Offered, _) => (
            "Hay una cita libre para usted",
            "Se liberó una hora como la que usted está esperando. Se guarda para usted.",
        ),
        (Event::Near, _) => ("Recordatorio de su cita", "Le recordamos su cita."),
    }
}

fn english(notice: &Notice) -> (&'static str, &'static str) {
    let is_one = notice.times.len() == 1;
    match (notice.event, notice.side) {
        (Event::Requested, _) => {
            ("A request waits for your approval", "A patient asks for this. Approve or decline it.")
        }
        (Event::Booked, Side::Patient) if is_one => ("Your appointment is booked", "Your appointment is booked."),
        (Event::Booked, Side::Patient) => ("Your appointments are booked", "Your appointments are booked."),
        (Event::Booked, Side::Doctor) if is_one => ("New appointment", "A patient has booked an appointment with you."),
        (Event::Booked, Side::Doctor) => ("New appointments", "A patient has booked appointments with you."),
        (Event::Approved, _) => {
            ("Your appointment is confirmed", "The practice has confirmed the appointment that you asked for.")
        }
        (Event::Declined, _) => {
            ("Your request was declined", "The practice cannot take the appointment that you asked for.")
        }
        (Event::Moved, Side::Patient) if is_one => ("Your appointment was moved", "Your appointment was moved."),
        (Event::Moved, Side::Patient) => ("Your appointments were moved", "Your appointments were moved."),
        (Event::Moved, Side::Doctor) if is_one => {
            ("An appointment was moved", "A patient has moved their appointment.")
        }
        (Event::Moved, Side::Doctor) => ("Appointments were moved", "A patient has moved their appointments."),
        (Event::Cancelled, Side::Patient) if is_one => {
            ("Your appointment was cancelled", "Your appointment was cancelled.")
        }
        (Event::Cancelled, Side::Patient) => ("Your appointments were cancelled", "Your appointments were cancelled."),
        (Event::Cancelled, Side::Doctor) if is_one => {
            ("An appointment was cancelled", "A patient has cancelled their appointment.")
        }
        (Event::Cancelled, Side::Doctor) => {
            ("Appointments were cancelled", "A patient has cancelled their appointments.")
        }
        (Event::Offered, _) => {
            ("A time is free for you", "A time like the one you wait for has become free. It is kept for you.")
        }
        (Event::Near, _) => ("A reminder of your appointment", "This is a reminder of your appointment."),
    }
}

/// Tells the time.
struct Clocks {
    language: Language,
    words: Words,
    readers: TimeZone,
    doctors: TimeZone,
}

impl Clocks {
    /// In the reader's zone, and in the doctor's where the clock shows another time there.
    fn tell(&self, at: Timestamp) -> String {
        let (here, there) = (at.to_zoned(self.readers.clone()), at.to_zoned(self.doctors.clone()));
        let readers = self.in_words(&here);
        match here.datetime() == there.datetime() {
            true => readers,
            false => format!("{readers}; {} {}", self.words.at_the_doctors, self.in_words(&there)),
        }
    }

    fn in_words(&self, at: &Zoned) -> String {
        let zone = at.time_zone().iana_name().unwrap_or("UTC");
        // Where the clocks go back, an hour comes twice.
        let time = match at.time_zone().to_ambiguous_zoned(at.datetime()).is_ambiguous() {
            true => at.strftime("%H:%M %:z"),
            false => at.strftime("%H:%M"),
        };
        match self.language {
            Language::English => format!("{}, {time} ({zone})", at.strftime("%A %-d %B %Y")),
            Language::Spanish => {
                let weekday = WEEKDAYS[usize::from(at.weekday().to_monday_zero_offset().unsigned_abs()) % 7];
                let month = MONTHS[usize::from(at.month().unsigned_abs() + 11) % 12];
                format!("{weekday} {} de {month} de {}, {time} ({zone})", at.day(), at.year())
            }
        }
    }
}

fn zone_of(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(event: Event, side: Side) -> Notice {
        let time = |text: &str| text.parse().unwrap();
        Notice {
            id: "7-1-patient".to_owned(),
            side,
            event,
            doctor_name: "Daniel Duarte".to_owned(),
            patient_name: "Paula\r\nCon: otra".to_owned(),
            service_name: "Consulta".to_owned(),
            time_zone: "America/Bogota".to_owned(),
            times: vec![Time {
                start: time("2026-12-01T14:00:00Z"),
                before: (event == Event::Moved).then(|| time("2026-11-30T20:30:00Z")),
            }],
            reason: (event == Event::Cancelled).then(|| "Se dañó\nCon: el equipo".to_owned()),
            until: (event == Event::Offered).then(|| time("2026-11-30T14:05:00Z")),
        }
    }

    fn text(language: Language, notice: &Notice, zone: Option<&str>) -> String {
        written(language, notice, zone, "https://citas.example").1
    }

    #[test]
    fn a_confirmation_says_with_whom_and_when() {
        let spanish = text(Language::Spanish, &notice(Event::Booked, Side::Patient), None);
        assert_eq!(
            spanish,
            "Su cita está reservada.\n\n\
             Con: Daniel Duarte\n\
             Servicio: Consulta\n\
             Fecha y hora: martes 1 de diciembre de 2026, 09:00 (America/Bogota)\n\n\
             https://citas.example/appointments\n\n\
             Para elegir qué avisos recibe:\n\
             https://citas.example/account\n"
        );
        let moved = text(Language::English, &notice(Event::Moved, Side::Patient), Some("Europe/Madrid"));
        let (now, then) = (
            "Date and time: Tuesday 1 December 2026, 15:00 (Europe/Madrid); at the practice Tuesday 1 December 2026, 09:00 \
             (America/Bogota)\n",
            "Before: Monday 30 November 2026, 21:30 (Europe/Madrid); at the practice Monday 30 November 2026, 15:30 \
             (America/Bogota)\n",
        );
        assert!(moved.contains(now) && moved.contains(then), "{moved}");
        let same_clock = text(Language::English, &notice(Event::Near, Side::Patient), Some("America/Lima"));
        assert!(same_clock.contains("09:00 (America/Lima)\n"), "{same_clock}");
        let offer = text(Language::English, &notice(Event::Offered, Side::Patient), None);
        assert!(offer.contains("Answer by: Monday 30 November 2026, 09:05 (America/Bogota)\n"), "{offer}");
    }

    #[test]
    fn an_hour_that_comes_twice_says_which() {
        let at = |start: &str| {
            let times = vec![Time { start: start.parse().unwrap(), before: None }];
            text(Language::English, &Notice { times, ..notice(Event::Near, Side::Patient) }, Some("Europe/Madrid"))
        };
        assert!(at("2026-10-25T00:30:00Z").contains("02:30 +02:00 (Europe/Madrid)"));
        assert!(at("2026-10-25T01:30:00Z").contains("02:30 +01:00 (Europe/Madrid)"));
        assert!(at("2026-10-25T02:30:00Z").contains("03:30 (Europe/Madrid)"));
    }

    #[test]
    fn each_reads_of_the_page_that_is_theirs() {
        let page = |side| text(Language::Spanish, &notice(Event::Booked, side), None);
        assert!(page(Side::Patient).contains("\nhttps://citas.example/appointments\n"));
        assert!(page(Side::Doctor).contains("\nhttps://citas.example/practice\n"));
    }

    #[test]
    fn nobody_can_write_a_line_of_their_own() {
        let to_doctor = text(Language::Spanish, &notice(Event::Booked, Side::Doctor), None);
        assert!(to_doctor.contains("Paciente: Paula  Con: otra\n") && !to_doctor.contains("Daniel"), "{to_doctor}");
        let cancelled = text(Language::Spanish, &notice(Event::Cancelled, Side::Patient), None);
        assert!(cancelled.contains("\nMotivo:\n> Se dañó\n> Con: el equipo\n"), "{cancelled}");
        assert!(!cancelled.contains("Paula"), "{cancelled}");
        let sly =
            Notice { reason: Some("a\u{2028}Con: b\u{202e}c".to_owned()), ..notice(Event::Cancelled, Side::Patient) };
        assert!(text(Language::Spanish, &sly, None).contains("\n> a Con: b c\n"));
        let erased = Notice { doctor_name: String::new(), ..notice(Event::Cancelled, Side::Patient) };
        assert!(!text(Language::English, &erased, None).contains("With:"));
    }

    #[test]
    fn every_mail_has_a_short_subject_in_both_languages() {
        use Event::{Approved, Booked, Cancelled, Declined, Moved, Near, Offered, Requested};
        for event in [Requested, Booked, Approved, Declined, Moved, Cancelled, Offered, Near] {
            for side in [Side::Patient, Side::Doctor] {
                let one = notice(event, side);
                let two = Notice { times: [&one.times[..], &one.times[..]].concat(), ..one.clone() };
                for notice in [one, two] {
                    let subject = |language| written(language, &notice, None, "https://citas.example").0;
                    let (spanish, english) = (subject(Language::Spanish), subject(Language::English));
                    assert!(spanish.chars().count() <= 50 && english.len() <= 50 && spanish != english, "{spanish}");
                }
            }
        }
    }
}
