//! Holds the golden fixtures, which every client's tests read, against the types and the schemas. It says nothing about
//! what a server does with them.
//!
//! Names: `{operation}[.variant].request.json`, `{operation}[.variant].reply.json`, `{frame}[.variant].json` for
//! everything else, `error.{code}[.variant].json` among them. Each file is a whole frame.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cita_protocol::admin::{Account, AuditEntry, HistoryEntry, Patient};
use cita_protocol::appointment::Appointment;
use cita_protocol::auth::{AuthReply, RenewReply, User};
use cita_protocol::calendar_feed::CalendarFeed;
use cita_protocol::doctor::{Availability, Doctor, Service};
use cita_protocol::export::Export;
use cita_protocol::frame::{ClientFrame, CloseCode, ServerFrame, ServerMessage};
use cita_protocol::holiday::{HolidayCalendar, HolidayYear};
use cita_protocol::operation::{ClientMessage, Kind};
use cita_protocol::resource::Resource;
use cita_protocol::review::{ModeratedReview, Review};
use cita_protocol::series::{Series, SeriesPreviewReply};
use cita_protocol::session::Session;
use cita_protocol::slot::{DoctorSlot, SlotExplainReply, SlotSearchReply};
use cita_protocol::time_off::{AvailabilityReply, DoctorReply, OutsideList, TimeOff, TimeOffReply};
use cita_protocol::topic::{SubscribeReply, UnsubscribeReply};
use cita_protocol::value::Empty;
use cita_protocol::waitlist::WaitlistEntry;
use cita_protocol::{ErrorCode, Operation, Page, Problem};
use jsonschema::Validator;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// What a fixture is, by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Request(Operation),
    Reply(Operation),
    Pong,
    Server,
}

struct Fixture {
    name: String,
    role: Role,
    frame: Value,
}

#[test]
fn every_fixture_is_its_type_and_nothing_else() {
    for Fixture { name, role, frame } in fixtures() {
        let data = || frame["data"].clone();
        match role {
            Role::Request(_) | Role::Pong => {
                assert_eq!(again::<ClientFrame<Value>>(&name, &frame), frame, "{name}: envelope");
                assert_eq!(again::<ClientMessage>(&name, &frame), bare(&frame), "{name}");
            }
            Role::Reply(operation) => {
                assert_eq!(again::<ServerFrame<Value>>(&name, &frame), frame, "{name}: envelope");
                assert_eq!(output(operation, &name, &data()), data(), "{name}");
            }
            Role::Server => {
                assert_eq!(again::<ServerFrame<Value>>(&name, &frame), frame, "{name}: envelope");
                assert_eq!(again::<ServerMessage>(&name, &frame), bare(&frame), "{name}");
            }
        }
    }
}

#[test]
fn every_fixture_is_what_the_schemas_say() {
    let (client, server) = (validator(&schema("client.json")), validator(&schema("server.json")));
    let (problem, operations) = (validator(&schema("problem.json")), operations());
    for Fixture { name, role, frame } in fixtures() {
        let data = &frame["data"];
        match role {
            Role::Request(operation) => {
                check(&client, &name, &frame);
                check(&operations[operation.name()].0, &name, data);
            }
            Role::Reply(operation) => {
                check(&server, &name, &frame);
                check(&operations[operation.name()].1, &name, data);
            }
            Role::Pong => check(&client, &name, &frame),
            Role::Server => {
                check(&server, &name, &frame);
                if frame["type"] == "error" {
                    check(&problem, &name, data);
                }
            }
        }
    }
}

#[test]
fn every_operation_frame_and_error_has_a_fixture() {
    let fixtures = fixtures();
    for operation in Operation::ALL {
        for role in [Role::Request(*operation), Role::Reply(*operation)] {
            assert!(fixtures.iter().any(|fixture| fixture.role == role), "{} lacks a fixture", operation.name());
        }
    }
    let frames = |file| kinds(&schema(file));
    let is_plain = |kind: &&String| Operation::named(kind).is_none() && *kind != "reply";
    for kind in frames("client.json").union(&frames("server.json")).filter(is_plain) {
        assert!(fixtures.iter().any(|fixture| fixture.frame["type"] == **kind), "`{kind}` lacks a fixture");
    }
    for code in ErrorCode::ALL {
        let name = format!("error.{}", code.as_str());
        assert!(fixtures.iter().any(|fixture| fixture.name == name), "{name} lacks a fixture");
    }
}

#[test]
fn a_fixture_is_named_after_what_it_holds() {
    for Fixture { name, role, frame } in fixtures() {
        let expected = match role {
            Role::Request(operation) => operation.name(),
            Role::Reply(_) => "reply",
            Role::Pong => "pong",
            Role::Server => name.split('.').next().unwrap_or_default(),
        };
        assert_eq!(frame["type"], expected, "{name}");
        if expected == "error" {
            assert_eq!(frame["data"]["code"].as_str(), name.split('.').nth(1), "{name}");
        }
    }
}

#[test]
fn keys_and_cursors_stand_where_the_kind_of_operation_says() {
    for Fixture { name, role, frame } in fixtures() {
        match role {
            Role::Request(operation) => {
                assert_eq!(frame.get("key").is_some(), operation.kind() == Kind::Mutation, "{name}");
            }
            Role::Reply(operation) => {
                assert_eq!(frame.get("cursor").is_some(), operation.kind() == Kind::Mutation, "{name}");
            }
            Role::Pong | Role::Server => {}
        }
    }
}

#[test]
fn a_request_with_an_unknown_field_is_refused() {
    let client = validator(&schema("client.json"));
    for Fixture { name, role, frame } in fixtures() {
        if !matches!(role, Role::Request(_) | Role::Pong) {
            continue;
        }
        for at in objects(&frame, String::new()) {
            let mut more = frame.clone();
            more.pointer_mut(&at).expect("a place in the fixture")["unknownField"] = json!(1);
            let read = serde_json::from_value::<ClientFrame<Value>>(more.clone()).is_ok()
                && serde_json::from_value::<ClientMessage>(more.clone()).is_ok();
            assert!(!read, "{name}: taken with an unknown field in `{at}`");
            assert!(!client.is_valid(&more), "{name}: valid with an unknown field in `{at}`");
        }
    }
}

#[test]
fn a_frame_from_the_server_may_have_more_fields_one_day() {
    let server = validator(&schema("server.json"));
    for Fixture { name, role, frame } in fixtures() {
        if matches!(role, Role::Request(_) | Role::Pong) {
            continue;
        }
        for at in objects(&frame, String::new()) {
            let mut more = frame.clone();
            more.pointer_mut(&at).expect("a place in the fixture")["unknownField"] = json!(1);
            check(&server, &format!("{name} with one more field in `{at}`"), &more);
        }
    }
}

#[test]
fn a_mutation_without_a_key_is_not_valid() {
    let client = validator(&schema("client.json"));
    for Fixture { name, role, mut frame } in fixtures() {
        if matches!(role, Role::Request(operation) if operation.kind() == Kind::Mutation) {
            frame.as_object_mut().expect("a frame").remove("key");
            assert!(!client.is_valid(&frame), "{name}");
        }
    }
}

#[test]
fn every_error_is_what_the_registry_says() {
    for code in ErrorCode::ALL {
        let text = Value::from(code.as_str());
        assert_eq!(serde_json::to_value(code).expect("JSON"), text);
        assert_eq!(serde_json::from_value::<ErrorCode>(text).expect("a code"), *code);
    }
    for Fixture { name, frame, .. } in fixtures() {
        if frame["type"] == "error" {
            let problem: Problem = serde_json::from_value(frame["data"].clone()).expect("a problem");
            let plain = Problem::new(problem.code);
            let own = (problem.status, &problem.title, problem.retryable);
            assert_eq!(own, (plain.status, &plain.title, plain.retryable), "{name}");
        }
    }
}

#[test]
fn close_codes_are_distinct_and_fit_in_a_close_frame() {
    let codes: BTreeSet<u16> = CloseCode::ALL.iter().map(|code| code.code()).collect();
    assert_eq!(codes.len(), CloseCode::ALL.len());
    assert!(CloseCode::ALL.iter().all(|code| code.reason().len() <= 123), "RFC 6455 leaves 123 bytes for the reason");
}

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read_json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn fixtures() -> Vec<Fixture> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory("fixtures"))
        .expect("the directory of fixtures")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    let read = |path: &PathBuf| {
        let file = path.file_name().and_then(|name| name.to_str()).expect("a name");
        let name = file.strip_suffix(".json").unwrap_or_else(|| panic!("{file} is no fixture")).to_owned();
        Fixture { role: role(&name), frame: read_json(path), name }
    };
    paths.iter().map(read).collect()
}

fn role(name: &str) -> Role {
    let operation = |stem: &str| {
        let is_of = |operation: &&Operation| {
            stem.strip_prefix(operation.name()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        *Operation::ALL.iter().find(is_of).unwrap_or_else(|| panic!("{name}: there is no such operation"))
    };
    if let Some(stem) = name.strip_suffix(".request") {
        Role::Request(operation(stem))
    } else if let Some(stem) = name.strip_suffix(".reply") {
        Role::Reply(operation(stem))
    } else if name == "pong" {
        Role::Pong
    } else {
        Role::Server
    }
}

/// The output of an operation, read as its type and written again.
fn output(operation: Operation, name: &str, data: &Value) -> Value {
    use Operation as O;
    match operation {
        O::AuthRegister | O::AuthLogin | O::AuthRefresh => again::<AuthReply>(name, data),
        O::AuthLogout
        | O::AuthRequestReset
        | O::AuthResetPassword
        | O::AuthVerifyEmail
        | O::AuthRequestVerification
        | O::SessionRevoke
        | O::CalendarFeedRevoke
        | O::MeDelete => again::<Empty>(name, data),
        O::CalendarFeedCreate => again::<CalendarFeed>(name, data),
        O::SessionList => again::<Page<Session>>(name, data),
        O::ResourceList => again::<Page<Resource>>(name, data),
        O::AdminCreateResource | O::AdminUpdateResource | O::AdminArchiveResource => again::<Resource>(name, data),
        O::AuthRenew => again::<RenewReply>(name, data),
        O::MeGet | O::MeUpdate => again::<User>(name, data),
        O::MeExport => again::<Export>(name, data),
        O::DoctorSearch => again::<Page<Doctor>>(name, data),
        O::DoctorGet => again::<Doctor>(name, data),
        O::ServiceList => again::<Page<Service>>(name, data),
        O::ServiceCreate | O::ServiceUpdate | O::ServiceArchive => again::<Service>(name, data),
        O::AvailabilityGet => again::<Availability>(name, data),
        O::TimeOffList => again::<Page<TimeOff>>(name, data),
        O::TimeOffCreate => again::<TimeOffReply>(name, data),
        O::TimeOffDelete => again::<Empty>(name, data),
        O::AppointmentListOutside => again::<OutsideList>(name, data),
        O::AvailabilitySet => again::<AvailabilityReply>(name, data),
        O::DoctorUpdate => again::<DoctorReply>(name, data),
        O::HolidayCalendarList => again::<Page<HolidayCalendar>>(name, data),
        O::HolidayCalendarGet => again::<HolidayYear>(name, data),
        O::SlotSearch => again::<SlotSearchReply>(name, data),
        O::SlotSearchDoctors => again::<Page<DoctorSlot>>(name, data),
        O::SlotExplain => again::<SlotExplainReply>(name, data),
        O::AppointmentList => again::<Page<Appointment>>(name, data),
        O::SlotHold
        | O::HoldRelease
        | O::AppointmentBook
        | O::AppointmentGet
        | O::AppointmentReschedule
        | O::AppointmentCancel
        | O::AppointmentApprove
        | O::AppointmentDecline
        | O::AppointmentCheckIn
        | O::AppointmentComplete
        | O::AppointmentNoShow
        | O::AppointmentUndo
        | O::AppointmentSetNotes => again::<Appointment>(name, data),
        O::SeriesPreview => again::<SeriesPreviewReply>(name, data),
        O::SeriesBook | O::SeriesGet | O::SeriesReschedule | O::SeriesCancel => again::<Series>(name, data),
        O::WaitlistJoin | O::WaitlistLeave | O::WaitlistPass => again::<WaitlistEntry>(name, data),
        O::WaitlistList => again::<Page<WaitlistEntry>>(name, data),
        O::WaitlistAccept => again::<Appointment>(name, data),
        O::AppointmentHistory | O::DoctorHistory => again::<Page<HistoryEntry>>(name, data),
        O::PatientFind => again::<Patient>(name, data),
        O::StaffListDoctors | O::AdminListDoctors => again::<Page<Doctor>>(name, data),
        O::AdminApproveDoctor | O::AdminSetStaff => again::<Doctor>(name, data),
        O::MeListAudit | O::AdminListAudit => again::<Page<AuditEntry>>(name, data),
        O::AdminListUsers => again::<Page<Account>>(name, data),
        O::AdminUpdateUser => again::<Account>(name, data),
        O::ReviewList => again::<Page<Review>>(name, data),
        O::ReviewCreate | O::ReviewUpdate | O::ReviewReply | O::ReviewReport => again::<Review>(name, data),
        O::AdminListReviews => again::<Page<ModeratedReview>>(name, data),
        O::AdminHideReview | O::AdminRestoreReview => again::<ModeratedReview>(name, data),
        O::Subscribe => again::<SubscribeReply>(name, data),
        O::Unsubscribe => again::<UnsubscribeReply>(name, data),
    }
}

/// Reads JSON as `T` and writes it again.
fn again<T: DeserializeOwned + Serialize>(name: &str, value: &Value) -> Value {
    let read: T = serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::to_value(read).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A frame without what stands beside `type` and `data`.
fn bare(frame: &Value) -> Value {
    json!({"type": frame["type"], "data": frame["data"]})
}

/// Where the objects of a frame are.
fn objects(value: &Value, at: String) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let inner = fields.iter().flat_map(|(field, value)| objects(value, format!("{at}/{field}")));
            std::iter::once(at.clone()).chain(inner).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(index, value)| objects(value, format!("{at}/{index}"))).collect()
        }
        _ => Vec::new(),
    }
}

fn schema(file: &str) -> Value {
    read_json(&directory("schema").join(file))
}

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::options().should_validate_formats(true).build(schema).expect("a schema")
}

fn check(validator: &Validator, name: &str, value: &Value) {
    let errors: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{name}: {}", errors.join("; "));
}

/// The input and output of each operation.
fn operations() -> BTreeMap<String, (Validator, Validator)> {
    let schema = schema("operations.json");
    let of = |part: &Value| {
        let mut whole = part.clone();
        whole["$defs"] = schema["$defs"].clone();
        validator(&whole)
    };
    let rows = schema["operations"].as_array().expect("a list of operations");
    let name = |row: &Value| row["name"].as_str().expect("a name").to_owned();
    rows.iter().map(|row| (name(row), (of(&row["input"]), of(&row["output"])))).collect()
}

/// The types of frames of a union.
fn kinds(schema: &Value) -> BTreeSet<String> {
    let frames = schema["oneOf"].as_array().expect("a union of frames");
    frames.iter().filter_map(|frame| frame.pointer("/properties/type/const")?.as_str()).map(str::to_owned).collect()
}
