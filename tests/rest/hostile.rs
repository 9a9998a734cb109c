//! Values that mean something to a database, a shell, a page or a log, in every place that takes a text.

use cita_protocol::Operation;
use serde_json::{Value, json};

use crate::harness::cast::Cast;
use crate::harness::clinic::{Clinic, PASSWORD, key};
use crate::harness::rest::Rest;

/// Pointers to every text in a value.
fn texts(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(at.to_owned()),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| texts(value, &format!("{at}/{name}"), found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| texts(value, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

async fn state(cast: &Cast) -> Vec<Value> {
    let rest = Rest { url: cast.clinic.url(), token: Some(&cast.practice.doctor.token) };
    let doctor = &cast.practice.doctor.id;
    let mut state = Vec::new();
    for (operation, data) in [
        (Operation::DoctorGet, json!({ "id": doctor })),
        (Operation::ServiceList, json!({ "doctorId": doctor })),
        (Operation::AvailabilityGet, json!({ "doctorId": doctor })),
        (Operation::AppointmentList, json!({ "pageSize": 100 })),
        (Operation::DoctorSearch, json!({})),
        (Operation::MeGet, json!({})),
    ] {
        state.push(rest.call(operation, &data, None).await.json());
    }
    state
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_in_the_place_of_a_text_is_refused_and_does_nothing() {
    let cast = Cast::meet().await;
    let appointment = cast.appointment().await;
    let mut inputs = Vec::new();
    for &operation in Operation::ALL.iter().filter(|operation| operation.route().is_some()) {
        let mut input = cast.valid_input(operation).await;
        if operation.name().starts_with("appointment.") && input.get("id").is_some() {
            input["id"] = json!(appointment);
        }
        inputs.push((operation, input));
    }
    let before = state(&cast).await;
    let connection = cast.clinic.connect(&cast.admin).await;
    for (operation, input) in &inputs {
        let mut places = Vec::new();
        texts(input, "", &mut places);
        for place in places {
            for hostile in [
                json!({ "$ne": null }),
                json!({ "$gt": "" }),
                json!({ "$where": "while(1);" }),
                json!({ "$regex": "(a+)+$" }),
                json!({ "$oid": "507f1f77bcf86cd799439011" }),
                json!({ "$date": "2026-12-01T14:00:00Z" }),
                json!({ "$numberLong": "1" }),
                json!(["admin"]),
                json!([]),
                json!({}),
                json!(0),
                json!(true),
            ] {
                let mut data = input.clone();
                *data.pointer_mut(&place).unwrap() = hostile;
                let refused = connection.request(operation.name(), &data, Some(key())).await;
                let refused = refused.expect_err("it is refused");
                let problem = refused.problem().unwrap_or_else(|| panic!("{}: {data}: {refused}", operation.name()));
                assert_eq!(problem.code.as_str(), "validation_failed", "{}: {data}: {problem:?}", operation.name());
                assert!(!problem.errors.is_empty(), "{}: {data}", operation.name());
            }
        }
    }
    assert_eq!(state(&cast).await, before);
}

/// As a text, a query is a text: kept as it is where any text may stand, and refused elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_are_kept_as_they_are_or_refused() {
    let cast = Cast::meet().await;
    let rest = Rest { url: cast.clinic.url(), token: Some(&cast.practice.doctor.token) };
    let id = &cast.practice.doctor.id;
    for text in [
        r#"{"$ne":null}"#,
        "$where",
        "<script>alert(1)</script>",
        "=cmd|' /C calc'!A0",
        "'; DROP TABLE users; --",
        "${jndi:ldap://x}",
        "%s%n%x",
        "__proto__",
        "../../etc/passwd",
        "ma\u{f1}ana",
        "man\u{303}ana",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
        "\u{65}\u{301}\u{301}\u{301}",
        "\u{e000}\u{10ffff}",
        "\\\"'`",
    ] {
        let change = json!({ "id": id, "bio": text, "address": text, "specialisation": text });
        let changed = rest.call(Operation::DoctorUpdate, &change, Some(&key())).await;
        assert_eq!(changed.code(), None, "{text:?}: {changed:?}");
        let read = rest.call(Operation::DoctorGet, &json!({ "id": id }), None).await.json();
        assert_eq!((&read["bio"], &read["address"]), (&json!(text), &json!(text)), "to the letter");
        let found = rest.call(Operation::DoctorSearch, &json!({ "specialisation": text }), None).await.json();
        assert_eq!(found["items"].as_array().map(Vec::len), Some(1), "{text:?}");
    }
    // A search is for a text and never a pattern.
    for pattern in [".*", "^", "$", "(a+)+$", r#"{"$gt":""}"#] {
        let found = rest.call(Operation::DoctorSearch, &json!({ "specialisation": pattern }), None).await;
        assert_eq!(found.json()["items"], json!([]), "{pattern}");
    }
    let refused = async |change: Value, field: &str| {
        let answer = rest.call(Operation::DoctorUpdate, &change, Some(&key())).await;
        assert_eq!(answer.code().as_deref(), Some("validation_failed"), "{change:.100}");
        assert!(answer.fields()[0].starts_with(field), "{:?}", answer.fields());
    };
    let before = state(&cast).await;
    for control in ["\0", "\u{7}", "\u{1b}[31m", "\u{7f}", "\u{85}"] {
        for field in ["bio", "address", "specialisation"] {
            refused(json!({ "id": id, field: format!("a{control}b") }), &format!("/{field}")).await;
        }
    }
    for line in ["a\r\nSet-Cookie: x", "a\nb"] {
        refused(json!({ "id": id, "address": line }), "/address").await;
    }
    // Limits are counted in characters.
    for (field, most) in [("bio", 4_000), ("address", 200), ("specialisation", 100)] {
        let longest = "\u{1f600}".repeat(most);
        let change = json!({ "id": id, field: longest });
        assert_eq!(rest.call(Operation::DoctorUpdate, &change, Some(&key())).await.json()[field], longest);
        refused(json!({ "id": id, field: "x".repeat(most + 1) }), &format!("/{field}")).await;
    }
    let clear = json!({ "id": id, "bio": "", "address": "", "specialisation": "" });
    let cleared = rest.call(Operation::DoctorUpdate, &clear, Some(&key())).await.json();
    assert!(cleared.get("bio").is_none() && cleared.get("address").is_none(), "{cleared}");
    let many: Vec<_> = (0..21).map(|_| "es").collect();
    for wrong in
        [json!(many), json!([""]), json!(["es_CO"]), json!(["x"]), json!(["es", "<b>"]), json!(["a".repeat(99)])]
    {
        refused(json!({ "id": id, "languages": wrong }), "/languages").await;
    }
    assert_ne!(state(&cast).await, before, "the limits themselves were allowed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_stay_within_their_bounds() {
    let cast = Cast::meet().await;
    let rest = Rest { url: cast.clinic.url(), token: Some(&cast.practice.doctor.token) };
    let before = state(&cast).await;
    let service = json!({ "doctorId": cast.practice.doctor.id, "name": "S", "durationMinutes": 30 });
    for (field, wrong) in [
        ("durationMinutes", json!([0, 1, 7, 725, 4_294_967_295_u64, -5, 30.5, "30", null])),
        ("stepMinutes", json!([0, 3, 721, 10_000_000_000_u64])),
        ("bufferBeforeMinutes", json!([1, 245, -5])),
        ("bufferAfterMinutes", json!([1, 245, 2_147_483_650_u64])),
        ("minNoticeMinutes", json!([-1, 4_294_967_295_u64])),
        ("horizonDays", json!([-1, 4_294_967_295_u64])),
        ("capacity", json!([0, 51])),
        ("requiresApproval", json!([1, "false"])),
        ("name", json!(["", " ", "x".repeat(101), "a\nb", "a\u{0}"])),
        (
            "price",
            json!([
                {}, { "amountMinor": -1, "currency": "COP" }, { "amountMinor": 1, "currency": "cop" },
                { "amountMinor": 1, "currency": "COPS" }, { "amountMinor": 1 }, { "amountMinor": 1.5, "currency": "COP" },
                { "amountMinor": 9_223_372_036_854_775_808_u64, "currency": "COP" },
                { "amountMinor": 1, "currency": "COP", "tax": 1 }
            ]),
        ),
        ("rev", json!([1])),
        ("archived", json!([false])),
        ("id", json!(["00000000-0000-0000-0000-000000000000"])),
    ] {
        for wrong in wrong.as_array().unwrap() {
            let mut data = service.clone();
            data[field] = wrong.clone();
            let refused = rest.call(Operation::ServiceCreate, &data, Some(&key())).await;
            assert_eq!(refused.code().as_deref(), Some("validation_failed"), "{field}: {wrong}: {refused:?}");
            assert!(refused.fields()[0].starts_with(&format!("/{field}")), "{wrong}: {:?}", refused.fields());
        }
    }
    assert_eq!(state(&cast).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_are_made_of_plain_addresses_and_decent_passwords() {
    let clinic = Clinic::open().await;
    let rest = Rest { url: clinic.url(), token: None };
    let register = async |field: &str, value: &str| {
        let mut data = json!({ "email": "nueva@prueba.example", "password": PASSWORD, "name": "Nueva" });
        data[field] = json!(value);
        let answer = rest.call(Operation::AuthRegister, &data, None).await;
        (answer.code(), answer.fields())
    };
    let (local, long) = (format!("{}@b.co", "a".repeat(65)), format!("a@{}.co", "a.".repeat(200)));
    for email in [
        "",
        "@",
        "a",
        "a@",
        "@b.co",
        "a@b",
        "a@@b.co",
        " a@b.co",
        "a@b.co ",
        "a b@c.co",
        "a@b.co\r\nBcc: x@y.z",
        "a\0@b.co",
        "\"a b\"@c.co",
        "\"a\"@c.co",
        ".a@b.co",
        "a..b@c.co",
        "a@b..co",
        "a@-b.co",
        "a@[127.0.0.1]",
        "<a@b.co>",
        "a@b.co,c@d.co",
        "\u{130}@b.co",
        "\u{131}@b.co",
        "jos\u{e9}@b.co",
        "jose\u{301}@b.co",
        "a@cl\u{ed}nica.co",
        "\u{430}@b.co",
        "a@b.co\u{200b}",
        r#"{"$ne":null}"#,
        &local,
        &long,
    ] {
        let (code, fields) = register("email", email).await;
        assert_eq!(code.as_deref(), Some("validation_failed"), "{email:?}");
        assert!(fields.len() == 1 && fields[0].starts_with("/email "), "{email:?}: {fields:?}");
    }
    let (longest, too_long) = ("\u{1f5dd}".repeat(128), "x".repeat(129));
    for (field, wrong) in [
        ("password", &["", "1234567", "       ", &too_long, &"x".repeat(60_000)][..]),
        ("name", &["", " ", "a\nb", "a\0b", "a\u{202e}b", "a\u{1b}[31m", &too_long]),
        ("locale", &["", "es_CO", "e", "<b>", "../x"]),
        ("timeZone", &["", "Bogota", "GMT+3X", "+05:00", "../../etc/passwd", "EST5EDT4,M3.2.0,M11.1.0"]),
        ("device", &["a\nb", "a\0", &too_long]),
    ] {
        for wrong in wrong {
            let (code, fields) = register(field, wrong).await;
            assert_eq!(code.as_deref(), Some("validation_failed"), "{field}: {wrong:.80?}");
            assert!(fields.len() == 1 && fields[0].starts_with(&format!("/{field} ")), "{wrong:.80?}: {fields:?}");
        }
    }
    // Nothing was made of all that; and any 8 to 128 characters are a password, to the letter, however it is composed.
    for (number, password) in [
        "73905128",
        "  \0\u{7}\n\t\r  ",
        longest.as_str(),
        "ma\u{f1}ana-1",
        "man\u{303}ana-1",
        "72bytes-".repeat(9).as_str(),
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("clave-{number}+etiqueta@prueba.example");
        let data = json!({ "email": email, "password": password, "name": "Nueva" });
        assert_eq!(rest.call(Operation::AuthRegister, &data, None).await.status, 201, "{password:?}");
        let login = async |password: &str| {
            let data = json!({ "email": email, "password": password });
            rest.call(Operation::AuthLogin, &data, None).await.code()
        };
        assert_eq!(login(password).await, None, "{password:?}");
        assert_eq!(login(&password.replace('\u{f1}', "n\u{303}")).await, None, "{password:?}");
        for other in [format!("{password}x"), format!(" {password}"), password.replace("a", "A")] {
            assert_eq!(login(&other).await.is_some(), other != password, "{other:?}");
        }
    }
}
