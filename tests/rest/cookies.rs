//! Sessions in cookies: what is set, when it counts, and which pages may use it.

use cita::clock::Clock;
use cita_protocol::Operation;
use jiff::SignedDuration;
use reqwest::Response;
use serde_json::{Value, json};
use tokio::time::timeout;
use uuid::Uuid;

use crate::harness::cast::{Cast, login, token_issued};
use crate::harness::clinic::{Clinic, PASSWORD, PATIENCE, PRODUCTION, Person, database, key};
use crate::harness::mongo;
use crate::harness::proxy::{Fault, Proxy};
use crate::harness::rest::{Answer, Rest, client};

const LOGIN: &str = "/v1/auth/login";
const REFRESH: &str = "/v1/auth/refresh";
const LOGOUT: &str = "/v1/auth/logout";
const EVIL: &str = "https://evil.example";

/// Names and values of the cookies that an answer sets, access first; each with its attributes.
fn set(answer: &Answer) -> Vec<(String, String, String)> {
    let cookies = answer.headers.get_all("set-cookie").iter().map(|cookie| {
        let (pair, attributes) = cookie.to_str().unwrap().split_once("; ").unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        (name.to_owned(), value.to_owned(), attributes.to_owned())
    });
    cookies.collect()
}

/// A `Cookie` header with what an answer has set.
fn cookies(answer: &Answer) -> String {
    set(answer).iter().map(|(name, value, _)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}

/// A browser's log-in, from the page of the node itself.
async fn log_in(rest: Rest<'_>, person: &Person) -> Answer {
    let data = json!({ "email": person.email, "password": PASSWORD, "session": "cookie" });
    let answer = rest.send("POST", LOGIN, &[("origin", rest.url)], Some(&data)).await;
    assert_eq!(answer.code(), None, "{answer:?}");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_keeps_its_session_in_cookies() {
    let clinic = Clinic::open().await;
    let person = clinic.patient().await;
    let rest = Rest { url: clinic.url(), token: None };
    let here = ("origin", rest.url);
    let begun = log_in(rest, &person).await;
    let reply = begun.json();
    assert!(reply.get("refreshToken").is_none() && reply["accessToken"].is_string(), "{reply}");
    let [(access, token, for_all), (refresh, secret, for_one)] = set(&begun).try_into().expect("two cookies");
    assert_eq!((access.as_str(), refresh.as_str()), ("cita_access", "cita_refresh"));
    assert_eq!(reply["accessToken"], token);
    let seconds = for_all.strip_prefix("Path=/; Max-Age=").unwrap().split(';').next().unwrap().parse::<u32>().unwrap();
    assert!((590..=600).contains(&seconds), "{for_all}");
    assert!(for_all.ends_with("; HttpOnly; SameSite=Strict"), "{for_all}");
    assert_eq!(for_one, "Path=/v1/auth/refresh; Max-Age=2592000; HttpOnly; SameSite=Strict");

    let shown = format!("cita_access={token}");
    let me = rest.send("GET", "/v1/me", &[("cookie", &shown)], None).await;
    assert_eq!((me.code(), &me.json()["id"]), (None, &json!(person.id)));
    let patch = rest.send("PATCH", "/v1/doctors/x", &[("cookie", &shown), here], Some(&json!({}))).await;
    assert_eq!(patch.code().as_deref(), Some("validation_failed"), "known, but for the key");

    // The refresh cookie counts where it is sent to, and nowhere else; neither counts for the other.
    for wrong in [format!("cita_refresh={secret}"), format!("cita_access={secret}")] {
        let answer = rest.send("GET", "/v1/me", &[("cookie", &wrong)], None).await;
        assert_eq!(answer.code().as_deref(), Some("unauthenticated"), "{wrong:.20}");
    }
    let swapped = format!("cita_refresh={token}");
    let nothing = json!({});
    let answer = rest.send("POST", REFRESH, &[("cookie", &swapped), here], Some(&nothing)).await;
    assert_eq!(answer.code().as_deref(), Some("unauthenticated"));
    let answer = rest.send("POST", REFRESH, &[here], Some(&nothing)).await;
    assert_eq!(answer.code().as_deref(), Some("unauthenticated"), "neither cookie nor token");

    let own = format!("cita_refresh={secret}");
    let answer = rest.send("POST", REFRESH, &[("cookie", &own), here], Some(&json!({ "session": "token" }))).await;
    assert_eq!(answer.fields(), ["/session invalid"], "what scripts may not read they are not told");
    // The token of the body is asked first, and answered in the body.
    let other = json!({ "refreshToken": login(clinic.url(), &person).await.refresh_token });
    let answer = rest.send("POST", REFRESH, &[("cookie", &own), here], Some(&other)).await;
    assert!(answer.json()["refreshToken"].is_string() && set(&answer).is_empty(), "{answer:?}");
    // With nothing but the cookie. A stale access cookie does not stand in the way.
    let both = format!("{own}; cita_access=stale");
    let fresh = rest.send("POST", REFRESH, &[("cookie", &both), here], None).await;
    assert_eq!((fresh.code(), set(&fresh).len()), (None, 2));
    assert!(fresh.json().get("refreshToken").is_none());
    let again = rest.send("POST", REFRESH, &[("cookie", &own), here], None).await;
    assert_eq!((again.code().as_deref(), set(&again).len()), (None, 2), "a slow tab is given the same");
    let refresh_of =
        |answer: &Answer| cookies(answer).split("; ").find(|one| one.starts_with("cita_refresh")).map(str::to_owned);
    assert_eq!(refresh_of(&again), refresh_of(&fresh));

    let shown = cookies(&fresh);
    // Below the same path, and for those who are known.
    let link = rest.send("POST", "/v1/auth/request-verification", &[("cookie", &shown), here], Some(&nothing)).await;
    assert_eq!(link.code(), None);
    let out = rest.send("POST", LOGOUT, &[("cookie", &shown), here], None).await;
    assert_eq!(out.code(), None);
    for ((name, value, attributes), path) in set(&out).into_iter().zip(["/;", "/v1/auth/refresh;"]) {
        assert!(value.is_empty() && attributes.starts_with(&format!("Path={path} Max-Age=0;")), "{name} {attributes}");
    }
    assert_eq!(set(&out).len(), 2);
    let ended = rest.send("GET", "/v1/doctors", &[("cookie", &shown)], None).await;
    assert_eq!(ended.code().as_deref(), Some("session_revoked"), "never anonymous");
    // What has ended can still be got rid of: no script could remove the cookies, and no handshake be made without them.
    let again = rest.send("POST", LOGOUT, &[("cookie", &shown), here], None).await;
    assert_eq!((again.code().as_deref(), set(&again).len()), (Some("session_revoked"), 2), "{again:?}");
    assert!(set(&again).iter().all(|(_, value, attributes)| value.is_empty() && attributes.contains("Max-Age=0;")));
    let planted = rest.send("POST", LOGOUT, &[("cookie", &shown), ("origin", EVIL)], None).await;
    assert_eq!((planted.code().as_deref(), set(&planted).len()), (Some("forbidden"), 0), "{planted:?}");
    // A session whose token has only expired is still to be ended, with the refresh cookie.
    let old = token_issued(&clinic, &person, Clock.now() - SignedDuration::from_mins(10)).await;
    let old = rest.send("POST", LOGOUT, &[("cookie", &format!("cita_access={old}")), here], None).await;
    assert_eq!((old.code().as_deref(), set(&old).len()), (Some("token_expired"), 0), "{old:?}");
    assert_eq!(log_in(rest, &person).await.status, 200);

    let email = format!("{}@prueba.example", key());
    let data = json!({ "email": email, "password": PASSWORD, "name": "Nueva", "session": "cookie" });
    let registered = rest.send("POST", "/v1/auth/register", &[], Some(&data)).await;
    assert_eq!((registered.status, set(&registered).len()), (201, 2), "who names no origin is no page");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn production_has_names_that_no_neighbour_can_set() {
    let app = "https://app.example.com";
    let clinic = Clinic::open_with(&[&PRODUCTION[..], &["--allowed-origins", app]].concat()).await;
    let rest = Rest { url: clinic.url(), token: None };
    let person = clinic.patient().await;
    let data = json!({ "email": person.email, "password": PASSWORD, "session": "cookie" });
    let begun = rest.send("POST", LOGIN, &[("origin", app)], Some(&data)).await;
    let [access, refresh] = set(&begun).try_into().expect("two cookies");
    assert_eq!((access.0.as_str(), refresh.0.as_str()), ("__Host-cita_access", "__Secure-cita_refresh"));
    assert!(access.2.starts_with("Path=/;") && access.2.ends_with("; Secure") && refresh.2.ends_with("; Secure"));
    let me = rest.send("GET", "/v1/me", &[("cookie", &cookies(&begun)), ("origin", app)], None).await;
    assert_eq!(me.code(), None);
    let plain = format!("cita_access={}", access.1);
    let anonymous = rest.send("GET", "/v1/me", &[("cookie", &plain)], None).await;
    assert_eq!(anonymous.code().as_deref(), Some("unauthenticated"));
    let local = rest.send("GET", "/v1/me", &[("cookie", &cookies(&begun)), ("origin", rest.url)], None).await;
    assert_eq!(local.code().as_deref(), Some("forbidden"), "only a desk trusts its own address");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_pages_cannot_use_a_browsers_cookies() {
    let app = "https://app.example.com";
    let clinic = Clinic::open_with(&["--allowed-origins", app]).await;
    let (doctor, rest) = (clinic.practice().await.doctor, Rest { url: clinic.url(), token: None });
    let shown = cookies(&log_in(rest, &doctor).await);
    let (path, change) = (format!("/v1/doctors/{}", doctor.id), json!({ "bio": "cambiado" }));
    let before = rest.send("GET", &path, &[], None).await.json();
    let foreign = [
        "null",
        EVIL,
        "https://app.example.com.evil.example",
        "https://evilapp.example.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://APP.example.com",
        "https://xn--pp-bja.example.com",
    ];
    let forbidden = |answer: &Answer| assert_eq!(answer.code().as_deref(), Some("forbidden"), "{answer:?}");
    let key = key();
    for origin in foreign.iter().copied().map(Some).chain([None]) {
        let mut headers = vec![("cookie", shown.as_str()), ("idempotency-key", &key)];
        headers.extend(origin.map(|origin| ("origin", origin)));
        forbidden(&rest.send("PATCH", &path, &headers, Some(&change)).await);
        // What a form can send, and what has no session in it at all.
        headers.push(("content-type", "text/plain"));
        forbidden(&rest.send("POST", "/v1/appointments", &headers, None).await);
        headers[0].1 = "cita_access=x";
        forbidden(&rest.send("POST", LOGOUT, &headers, None).await);
        headers[0].1 = "cita_refresh=x";
        forbidden(&rest.send("POST", REFRESH, &headers, None).await);
        if origin.is_some() {
            headers[0].1 = &shown;
            forbidden(&rest.send("GET", "/v1/me", &headers, None).await);
            forbidden(&rest.send("GET", "/v1/events?topic=me/appointments", &headers, None).await);
        }
    }
    forbidden(&rest.send("PATCH", &path, &[("cookie", &shown), ("origin", app), ("origin", app)], Some(&change)).await);
    forbidden(&rest.send("GET", "/v1/me", &[("cookie", &shown), ("sec-fetch-site", "cross-site")], None).await);
    assert_eq!(rest.send("GET", &path, &[], None).await.json(), before, "nothing was done");

    // Nobody is logged in as somebody whom another page chooses.
    let mut data = json!({ "email": doctor.email, "password": PASSWORD, "session": "cookie" });
    let answer = rest.send("POST", LOGIN, &[("origin", EVIL)], Some(&data)).await;
    forbidden(&answer);
    assert!(set(&answer).is_empty());
    data["session"] = json!("token");
    assert_eq!(rest.send("POST", LOGIN, &[("origin", EVIL)], Some(&data)).await.code(), None, "no cookie in it");

    // Those that are allowed can, and who shows a token needs no origin.
    let allowed = [("cookie", shown.as_str()), ("idempotency-key", &key), ("origin", app)];
    let plain = [&allowed[..], &[("content-type", "text/plain")]].concat();
    let answer = rest.send("POST", "/v1/appointments", &plain, None).await;
    assert_ne!(answer.code().as_deref(), Some("forbidden"));
    assert_eq!(rest.send("PATCH", &path, &allowed, Some(&change)).await.json()["bio"], "cambiado");
    let bearer = Rest { token: Some(&doctor.token), ..rest };
    let evil = [("origin", EVIL), ("sec-fetch-site", "cross-site")];
    assert_eq!(bearer.send("GET", "/v1/me", &evil, None).await.code(), None);
    let text = client().post(format!("{}/v1/appointments", rest.url)).header("origin", app).header("cookie", &shown);
    let text =
        text.header("content-type", "text/plain").header("idempotency-key", "k").body("{}").send().await.unwrap();
    assert_eq!(text.status().as_u16(), 415);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_header_decides_alone() {
    let clinic = Clinic::open().await;
    let (one, other) = (clinic.patient().await, clinic.patient().await);
    let rest = Rest { url: clinic.url(), token: None };
    let shown = cookies(&log_in(rest, &one).await);
    for (token, expected) in [(other.token.as_str(), Ok(&other.id)), ("bad", Err("unauthenticated"))] {
        // Whatever is with it.
        for headers in [&[("cookie", shown.as_str())][..], &[("cookie", "cita_access=bad; cita_access=bad")]] {
            for origin in [&[][..], &[("origin", EVIL)]] {
                let answer = Rest { token: Some(token), ..rest };
                let answer = answer.send("GET", "/v1/me", &[headers, origin].concat(), None).await;
                let found = answer.code().map_or_else(|| Ok(answer.json()["id"].clone()), Err);
                assert_eq!(found, expected.map(|id| json!(id)).map_err(str::to_owned));
            }
        }
    }
    let secret = format!("cita_refresh={}", one.refresh_token);
    let bearer = Rest { token: Some(&one.token), ..rest };
    let answer = bearer.send("POST", REFRESH, &[("cookie", &secret), ("origin", rest.url)], None).await;
    assert_eq!(answer.code().as_deref(), Some("unauthenticated"), "no cookie is looked at");
    let out = bearer.send("POST", LOGOUT, &[("cookie", &shown)], None).await;
    assert_eq!((out.code(), set(&out).len()), (None, 0), "the cookies are of another session");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_cookie_is_never_anonymous() {
    let clinic = Clinic::open().await;
    let person = clinic.patient().await;
    let rest = Rest { url: clinic.url(), token: None };
    let token = &person.token;
    let crumbs: String = (0..200).map(|number| format!("c{number}=x; ")).collect();
    for bad in [
        format!("cita_access={token}; cita_access={token}"),
        format!("cita_access=planted; cita_access={token}"),
        format!("cita_access=\"{token}\""),
        format!("cita_access={}", &token[..token.len() - 1]),
        format!("cita_access={}", "x".repeat(8_000)),
        "cita_access=".to_owned(),
        "cita_access=%20".to_owned(),
    ] {
        let answer = rest.send("GET", "/v1/doctors", &[("cookie", &bad)], None).await;
        assert_eq!(answer.code().as_deref(), Some("unauthenticated"), "{bad:.60}");
        assert_eq!(set(&answer).len(), 0);
        // It does not keep anybody from logging in.
        let data = json!({ "email": person.email, "password": PASSWORD });
        let headers = [("cookie", bad.as_str()), ("origin", rest.url)];
        assert_eq!(rest.send("POST", LOGIN, &headers, Some(&data)).await.status, 200);
    }
    let two = format!("cita_refresh={0}; cita_refresh={0}", person.refresh_token);
    let answer = rest.send("POST", REFRESH, &[("cookie", &two), ("origin", rest.url)], None).await;
    assert_eq!(answer.code().as_deref(), Some("unauthenticated"));
    for good in
        [format!("{crumbs}cita_access={token}"), format!("cita_access={token};x"), format!("a;cita_access={token}")]
    {
        assert_eq!(rest.send("GET", "/v1/me", &[("cookie", &good)], None).await.code(), None, "{good:.60}");
    }
    let other = rest.send("GET", "/v1/me", &[("cookie", &format!("CITA_ACCESS={token}"))], None).await;
    assert_eq!(other.code().as_deref(), Some("unauthenticated"), "another cookie, so nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_events_takes_the_cookie() {
    let cast = Cast::meet().await;
    let rest = Rest { url: cast.clinic.url(), token: None };
    let shown = cookies(&log_in(rest, &cast.patient).await);
    let open = async |headers: &[(&str, &str)]| -> Response {
        let mut request = client().get(format!("{}/v1/events?topic=me/appointments", rest.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        timeout(PATIENCE, request.send()).await.expect("in time").expect("an answer")
    };
    let mut stream = open(&[("cookie", &shown), ("sec-fetch-site", "same-origin")]).await;
    assert_eq!(stream.status().as_u16(), 200);
    let policy = stream.headers()["ratelimit-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with(r#""subscribe";q="#), "{policy}");
    let first = timeout(PATIENCE, stream.chunk()).await.expect("in time").unwrap().expect("an event");
    assert!(first.starts_with(b"event: reply\n"), "{first:?}");
    assert_eq!(open(&[]).await.status().as_u16(), 401);
    assert_eq!(open(&[("cookie", &shown), ("origin", EVIL)]).await.status().as_u16(), 403);
    assert_eq!(open(&[("cookie", &shown), ("sec-fetch-site", "cross-site")]).await.status().as_u16(), 403);
}

/// What is away is away: no cookie is taken from anybody because of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_clears_no_cookie() {
    let (shared, name) = (mongo::shared().await, format!("t{}", Uuid::new_v4().simple()));
    let proxy = Proxy::to(&shared.users_uri).await;
    let clinic = Clinic::open_on(&proxy.uri(&name), &database(&shared.appointments_uri, &name), &[]).await;
    let person = clinic.patient().await;
    let rest = Rest { url: clinic.url(), token: None };
    let shown = cookies(&log_in(rest, &person).await);
    proxy.disturb("find", Fault::Refuse, usize::MAX);
    for path in [LOGOUT, REFRESH] {
        let answer = rest.send("POST", path, &[("cookie", &shown), ("origin", rest.url)], None).await;
        assert_eq!((answer.code().as_deref(), set(&answer).len()), (Some("unavailable"), 0), "{path}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn allowed_pages_may_ask_and_read() {
    let app = "https://app.example.com";
    let clinic = Clinic::open_with(&["--allowed-origins", app]).await;
    let rest = Rest { url: clinic.url(), token: None };
    for (origin, allowed) in [(app, true), (rest.url, true), (EVIL, false), ("null", false)] {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "PATCH"),
            ("access-control-request-headers", "authorization,idempotency-key"),
        ];
        let preflight = rest.send("OPTIONS", "/v1/doctors/x", &headers, None).await;
        let names = preflight.headers.keys().filter(|name| name.as_str().starts_with("access-control-")).count();
        assert_eq!((preflight.status, names > 0), (if allowed { 200 } else { 405 }, allowed), "{origin}");
        let read = rest.send("GET", "/v1/doctors", &[("origin", origin)], None).await;
        assert_eq!(read.status, 200);
        let refused = rest.send("GET", "/v1/me", &[("origin", origin)], None).await;
        for answer in [&preflight, &read, &refused] {
            assert_eq!(answer.header("access-control-allow-origin"), if allowed { origin } else { "" });
            assert_eq!(answer.header("access-control-allow-credentials"), if allowed { "true" } else { "" });
        }
        if !allowed {
            continue;
        }
        assert_eq!(preflight.header("access-control-allow-methods"), "GET,POST,PUT,PATCH,DELETE");
        let listed = |answer: &Answer, header: &str| {
            let mut names: Vec<_> = answer.header(header).split(',').map(str::to_owned).collect();
            names.sort();
            names.join(" ")
        };
        let given = "authorization cita-after content-type idempotency-key if-match last-event-id";
        assert_eq!(listed(&preflight, "access-control-allow-headers"), given);
        let told = "cita-cursor etag location ratelimit ratelimit-policy retry-after x-request-id";
        assert_eq!(listed(&read, "access-control-expose-headers"), told);
    }
}

/// Over a socket no cookie can be set, whatever is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_sets_no_cookies() {
    let cast = Cast::meet().await;
    let anon = cast.clinic.anon().await;
    for operation in [Operation::AuthRegister, Operation::AuthLogin, Operation::AuthRefresh] {
        let mut data: Value = cast.valid_input(operation).await;
        data["session"] = json!("cookie");
        let refused = anon.request(operation.name(), &data, None).await.expect_err("not here");
        let problem = refused.problem().expect("a problem");
        assert_eq!(problem.code.as_str(), "validation_failed");
        assert_eq!(problem.errors.first().map(|error| error.pointer.as_str()), Some("/session"));
        data["session"] = json!("token");
        anon.request(operation.name(), &data, None).await.expect("nothing was used up");
    }
    let refused = anon.request("auth.refresh", json!({}), None).await.expect_err("no token");
    assert_eq!(refused.code().map(|code| code.as_str()), Some("unauthenticated"));
}
