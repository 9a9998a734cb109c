//! What new rules leave outside: told with the change, listed until it is done.

use serde_json::{Value, json};

use super::{ask, hours};
use crate::harness::clinic::{Clinic, at, date};

/// Starts and rules of tasks.
fn told(tasks: &Value) -> Vec<(String, String)> {
    let field = |task: &Value, pointer: &str| task.pointer(pointer).unwrap().as_str().unwrap().to_owned();
    tasks.as_array().unwrap().iter().map(|task| (field(task, "/appointment/start"), field(task, "/rule"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_hours_tell_whom_they_leave_outside_until_it_is_rebooked() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let (patient, doctor) = (clinic.patient().await, &practice.doctor);
    let book = async |day: i32, time: &str| {
        ask(&clinic, &patient, "appointment.book", practice.booking(&at(&date(day), time))).await.unwrap()
    };
    let late = book(3, "16:00").await;
    book(3, "09:00").await;
    let closed = book(4, "10:00").await;
    // Longer breaks and another step leave nobody outside: 9:00 to 9:30 is still open.
    let fields = json!({ "overrides": [
        { "date": date(3), "ranges": [{ "from": "08:05", "to": "12:00" }, { "from": "13:00", "to": "16:15" }] },
        { "date": date(4), "ranges": [] },
    ] });
    let set = ask(&clinic, doctor, "availability.set", hours(&practice, fields)).await.unwrap();
    let (start_of, rule) = (|one: &Value| one["start"].as_str().unwrap().to_owned(), "hours".to_owned());
    assert_eq!(told(&set["outside"]), [(start_of(&late), rule.clone()), (start_of(&closed), rule.clone())]);
    let alternatives = set["outside"][0]["alternatives"].as_array().unwrap();
    assert_eq!(alternatives.len(), 5);
    assert_eq!(set.get("moreOutside"), None);

    let list = async || {
        ask(&clinic, doctor, "appointment.listOutside", json!({ "doctorId": doctor.id })).await.unwrap()["items"]
            .clone()
    };
    assert_eq!(list().await, set["outside"]);
    let to = json!({ "id": late["id"], "start": alternatives[0]["start"] });
    ask(&clinic, doctor, "appointment.reschedule", to).await.unwrap();
    assert_eq!(told(&list().await), [(start_of(&closed), rule)]);
    // Moved by way of exception, it is where the practice wants it.
    let to = json!({ "id": closed["id"], "start": at(&date(4), "20:00"), "override": { "reason": "Urgencia" } });
    ask(&clinic, doctor, "appointment.reschedule", to).await.unwrap();
    assert_eq!(list().await, json!([]));
    // But not where the doctor is away.
    let off = json!({ "doctorId": doctor.id, "from": { "date": date(4) }, "to": { "date": date(4) } });
    let off = ask(&clinic, doctor, "timeOff.create", off).await.unwrap();
    assert_eq!(told(&off["outside"]), [(at(&date(4), "20:00"), "time_off".to_owned())]);
    assert_eq!(list().await, off["outside"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_calendar_of_holidays_tells_what_was_booked_on_them() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let (patient, doctor) = (clinic.patient().await, &practice.doctor);
    let soon = date(2);
    let year: i16 = soon[..4].parse().unwrap();
    let mut holiday = None;
    for year in [year, year + 1] {
        let data = json!({ "id": "CO", "year": year });
        let found = clinic.anon().await.request("holidayCalendar.get", data, None).await.unwrap().data;
        let dates: Vec<String> =
            found["holidays"].as_array().unwrap().iter().map(|day| day["date"].as_str().unwrap().to_owned()).collect();
        holiday = holiday.or(dates.into_iter().find(|date| *date >= soon));
    }
    let holiday = holiday.unwrap();
    let booked = ask(&clinic, &patient, "appointment.book", practice.booking(&at(&holiday, "09:00"))).await.unwrap();
    let set = ask(&clinic, doctor, "availability.set", hours(&practice, json!({ "holidayCalendars": ["CO"] }))).await;
    let expected = (booked["start"].as_str().unwrap().to_owned(), "holiday".to_owned());
    assert_eq!(told(&set.unwrap()["outside"]), [expected]);
}
