//! The console with a fake backend of 300 devices.

pub(super) mod fleet;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode};

use self::fleet::{DEVICES, FORMULA, HOSTILE, add_token, fleet, revoke_token};
use super::fixture::{Fake, graph_options};
use crate::{GraphGate, new_secret};

/// A console and the secret of an administrator.
struct Console {
    gate: GraphGate,
    fake: Arc<Fake>,
    secret: String,
}

/// A response.
#[derive(Debug)]
struct Page {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Page {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The text of the element with this id, up to its end.
    fn after(&self, mark: &str) -> &str {
        let from = self
            .text
            .find(mark)
            .unwrap_or_else(|| panic!("no {mark} in {}", self.text));
        let rest = &self.text[from + mark.len()..];
        let rest = &rest[rest.find('>').unwrap() + 1..];
        rest.split('<').next().unwrap()
    }

    /// The value of the field that forms of the session carry.
    fn form(&self) -> &str {
        let mark = "name=\"form\" value=\"";
        let from = self.text.find(mark).expect("a form") + mark.len();
        self.text[from..].split('"').next().unwrap()
    }
}

impl Console {
    fn new() -> Self {
        Self::with_role("Administrator")
    }

    fn with_role(role: &str) -> Self {
        let (fake, secret) = (fleet(), new_secret());
        add_token(&fake, 1, role, &secret, 90);
        let fake = Arc::new(fake);
        let gate = GraphGate::default();
        gate.open(Arc::clone(&fake) as _, graph_options("muster.example.test"));
        Self { gate, fake, secret }
    }

    async fn send(&self, request: Request<Body>) -> Page {
        let (head, body) = self.gate.answer(request).await.into_parts();
        let text = to_bytes(body, 1 << 20).await.unwrap().to_vec();
        Page {
            status: head.status,
            headers: head.headers,
            text: String::from_utf8(text).unwrap(),
        }
    }

    async fn get(&self, path: &str, cookie: &str) -> Page {
        let request = Request::builder().uri(path).header("cookie", cookie);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, cookie: &str, form: &[(&str, &str)]) -> Page {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = Request::builder()
            .method("POST")
            .uri(path)
            .header("cookie", cookie);
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    /// Signs in; the cookie.
    async fn signed_in(&self) -> String {
        let page = self.post("/sign-in", "", &[("token", &self.secret)]).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        cookie(&page)
    }
}

fn cookie(page: &Page) -> String {
    page.header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn whoever_is_not_signed_in_is_sent_to_sign_in_and_back() {
    let console = Console::new();
    for path in [
        "/",
        "/devices?risk=high",
        "/devices/x",
        "/devices.csv",
        "/events",
    ] {
        let page = console.get(path, "").await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{path}");
        let encoded: String = form_urlencoded::byte_serialize(path.as_bytes()).collect();
        assert_eq!(page.header("location"), format!("/sign-in?next={encoded}"));
    }
    let next = [
        ("token", console.secret.as_str()),
        ("next", "/devices?risk=high"),
    ];
    let page = console.post("/sign-in", "", &next).await;
    assert_eq!(page.header("location"), "/devices?risk=high");
}

#[tokio::test]
async fn the_cookie_is_sealed_and_has_no_secret() {
    let console = Console::new();
    let page = console
        .post("/sign-in", "", &[("token", &console.secret)])
        .await;
    let set = page.header("set-cookie");
    assert!(set.starts_with("__Host-muster="), "{set}");
    for attribute in [
        "Path=/",
        "Secure",
        "HttpOnly",
        "SameSite=Strict",
        "Max-Age=28800",
    ] {
        assert!(
            set.split("; ").any(|own| own == attribute),
            "{attribute}: {set}"
        );
    }
    assert!(!set.contains(&console.secret));
    let cookie = cookie(&page);
    assert_eq!(console.get("/", &cookie).await.status, StatusCode::OK);
    let at = cookie.len() / 2;
    let other = if &cookie[at..=at] == "A" { "B" } else { "A" };
    let forged = format!("{}{other}{}", &cookie[..at], &cookie[at + 1..]);
    for refused in [
        forged.as_str(),
        "__Host-muster=",
        &format!("{cookie}; {cookie}"),
    ] {
        assert_eq!(
            console.get("/", refused).await.status,
            StatusCode::SEE_OTHER,
            "{refused}"
        );
    }
}

#[tokio::test]
async fn a_session_ends_with_its_token() {
    let console = Console::new();
    let cookie = console.signed_in().await;
    assert_eq!(console.get("/", &cookie).await.status, StatusCode::OK);
    revoke_token(&console.fake, 1);
    assert_eq!(
        console.get("/", &cookie).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(
        console.get("/events", &cookie).await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn every_failure_has_one_message_and_too_many_are_refused() {
    let console = Console::new();
    let unknown = new_secret();
    let mut texts = BTreeSet::new();
    for form in [
        ("token", ""),
        ("token", "x"),
        ("token", &*unknown),
        ("code", "x"),
    ]
    .iter()
    .cycle()
    .take(10)
    {
        let page = console.post("/sign-in", "", &[*form]).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED);
        assert!(page.header("set-cookie").is_empty());
        texts.insert(page.text);
    }
    assert_eq!(texts.len(), 1, "an attacker learns nothing");
    let page = console
        .post("/sign-in", "", &[("token", &console.secret)])
        .await;
    assert_eq!(
        page.status,
        StatusCode::TOO_MANY_REQUESTS,
        "even with the secret"
    );
    assert!(page.header("retry-after").parse::<u64>().unwrap() <= 60);
    let mut elsewhere = Request::post("/sign-in")
        .body(Body::from(format!("token={}", console.secret)))
        .unwrap();
    elsewhere
        .extensions_mut()
        .insert(ConnectInfo(SocketAddr::from(([10, 0, 0, 2], 1))));
    assert_eq!(console.send(elsewhere).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_code_signs_in_once() {
    let console = Console::new();
    let request = Request::post("/v1.0/muster/signInCodes")
        .header("authorization", format!("Bearer {}", console.secret))
        .header("host", "muster.example.test:7443");
    let made = console.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let made: serde_json::Value = serde_json::from_str(&made.text).unwrap();
    let url = made["url"].as_str().unwrap();
    let (origin, code) = url.split_once("/sign-in?code=").unwrap();
    assert_eq!(origin, "https://muster.example.test:7443");
    let preview = console.get(&format!("/sign-in?code={code}"), "").await;
    assert_eq!(preview.status, StatusCode::OK);
    assert!(preview.text.contains(code) && !preview.text.contains("type=\"password\""));
    let page = console.post("/sign-in", "", &[("code", code)]).await;
    assert_eq!(
        page.status,
        StatusCode::SEE_OTHER,
        "the preview has not used it up"
    );
    assert_eq!(
        console.get("/", &cookie(&page)).await.status,
        StatusCode::OK
    );
    let again = console.post("/sign-in", "", &[("code", code)]).await;
    assert_eq!(again.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn codes_are_bounded() {
    let console = Console::new();
    let mut statuses = Vec::new();
    for _ in 0..17 {
        let request = Request::post("/beta/muster/signInCodes")
            .header("authorization", format!("Bearer {}", console.secret));
        statuses.push(
            console
                .send(request.body(Body::empty()).unwrap())
                .await
                .status,
        );
    }
    assert_eq!(statuses.pop().unwrap(), StatusCode::CONFLICT);
    assert!(statuses.iter().all(|status| *status == StatusCode::CREATED));
}

#[tokio::test]
async fn signing_out_takes_a_form_of_the_same_session() {
    let console = Console::new();
    let (one, other) = (console.signed_in().await, console.signed_in().await);
    let form = console.get("/", &one).await.form().to_owned();
    for (cookie, value) in [(&one, ""), (&one, "x"), (&other, form.as_str())] {
        let page = console.post("/sign-out", cookie, &[("form", value)]).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(page.header("set-cookie").is_empty());
    }
    let page = console.post("/sign-out", &one, &[("form", &form)]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert!(
        page.header("set-cookie").starts_with("__Host-muster=; ")
            && page.header("set-cookie").contains("Max-Age=0")
    );
}

#[tokio::test]
async fn every_response_has_the_strict_policy() {
    let console = Console::new();
    let cookie = console.signed_in().await;
    let overview = console.get("/", &cookie).await;
    let style = overview
        .text
        .split("rel=\"stylesheet\" href=\"")
        .nth(1)
        .unwrap();
    let style = style.split('"').next().unwrap().to_owned();
    for path in [
        "/",
        "/devices",
        "/devices/x",
        "/sign-in",
        "/assets/x.css",
        &style,
        "/devices?colour=red",
    ] {
        let page = console.get(path, &cookie).await;
        let policy = page.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; style-src 'self'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(page.header("referrer-policy"), "no-referrer", "{path}");
        let is_asset = path == style;
        assert_eq!(
            page.header("cache-control") == "no-store",
            !is_asset,
            "{path}"
        );
        assert!(
            is_asset || !page.text.contains("style=") && !page.text.contains("<style"),
            "{path}"
        );
        assert!(
            page.text
                .split("<script")
                .skip(1)
                .all(|tag| tag.starts_with(" src=\"/assets/")),
            "{path}"
        );
    }
    assert_eq!(
        console.get(&style, "").await.status,
        StatusCode::OK,
        "before signing in"
    );
}

#[tokio::test]
async fn the_overview_counts_what_its_links_list() {
    let console = Console::new();
    let cookie = console.signed_in().await;
    let overview = console.get("/", &cookie).await;
    let mut links = 0;
    for part in overview.text.split("<a class=\"count\" href=\"").skip(1) {
        let (link, rest) = part.split_once('"').unwrap();
        let number = rest.split("data-number=").nth(1).unwrap();
        let number = number.split(['>', '<']).nth(1).unwrap();
        let list = console.get(&link.replace("&amp;", "&"), &cookie).await;
        let count = list.after("id=\"count\"");
        let count = count.split(' ').next().unwrap();
        assert_eq!(number, count, "{link}");
        links += 1;
    }
    assert!(links > 30, "{links}");
}

#[tokio::test]
async fn pages_of_the_list_have_every_device_once() {
    let console = Console::new();
    let cookie = console.signed_in().await;
    for first in [
        "/devices",
        "/devices?sort=name",
        "/devices?sort=-checkIn",
        "/devices?search=a",
    ] {
        let (mut next, mut seen, mut pages) = (Some(first.to_owned()), BTreeSet::new(), 0);
        while let Some(address) = next {
            let page = console.get(&address, &cookie).await;
            assert_eq!(page.status, StatusCode::OK, "{address}");
            for row in page.text.split("data-device=\"").skip(1) {
                assert!(seen.insert(row[..36].to_owned()), "{first}: twice");
            }
            next = page.text.split("id=\"next\"").nth(1).map(|link| {
                let link = link
                    .split("href=\"")
                    .nth(1)
                    .unwrap()
                    .split('"')
                    .next()
                    .unwrap();
                link.replace("&amp;", "&")
            });
            pages += 1;
        }
        let is_whole = !first.contains("search");
        assert!(
            pages > 1 && (seen.len() == DEVICES || !is_whole && seen.len() > 50),
            "{first}"
        );
    }
    let foreign = console.get("/devices?risk=high", &cookie).await;
    assert!(!foreign.text.contains("id=\"next\""));
}

#[tokio::test]
async fn hostile_names_are_text() {
    let console = Console::new();
    let cookie = console.signed_in().await;
    for path in [
        "/devices?search=script",
        "/devices/7b1c4c9e-5c7f-4d0f-9a2e-000000000040",
    ] {
        let page = console.get(path, &cookie).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(
            !page.text.contains(HOSTILE) && !page.text.contains("<script>"),
            "{path}"
        );
        assert!(
            page.text
                .contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;'&amp;"),
            "{path}"
        );
    }
    let search = console
        .get("/devices?search=%22%3E%3Cscript%3E", &cookie)
        .await;
    assert!(!search.text.contains("\"><script>"));
    assert!(search.text.contains("No device matches"));
}

#[tokio::test]
async fn the_export_has_what_is_shown() {
    let console = Console::new();
    let cookie = console.signed_in().await;
    let all = console.get("/devices.csv", &cookie).await;
    let mut lines = all.text.lines();
    assert_eq!(
        lines.next().unwrap(),
        "Device name,Managed by,EDR onboarding status,Last check-in (date and time),Defender sensor state (last known)"
    );
    assert_eq!(lines.count(), DEVICES);
    assert!(
        all.text.contains(&format!("\n'{FORMULA},")),
        "a spreadsheet runs no formula"
    );
    let list = console.get("/devices?risk=high", &cookie).await;
    let count = list
        .after("id=\"count\"")
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    let some = console.get("/devices.csv?risk=high", &cookie).await;
    assert_eq!((some.text.lines().count() - 1).to_string(), count);
}

/// The cards with these names have no number, and all others have no other state.
fn assert_hidden(overview: &Page, role: &str, cards: &str) {
    let hidden: BTreeSet<_> = cards.split(' ').collect();
    for section in overview.text.split("<section").skip(1) {
        let id = section.split("id=\"").nth(1).unwrap();
        let id = id.split('"').next().unwrap();
        let name = match id.split_once('-').unwrap() {
            ("tile", "compliant") => "compliance",
            (_, name) => name,
        };
        let is_hidden = hidden.contains(name);
        let says_so = section.contains("data-state=\"forbidden\"");
        assert_eq!(says_so, is_hidden, "{role}: {id}");
        let has_numbers = section.contains("data-number");
        assert_eq!(
            has_numbers,
            !is_hidden && name != "connector",
            "{role}: {id}"
        );
    }
}

#[tokio::test]
async fn a_role_sees_only_what_it_may() {
    for (role, cards, sees_list) in [
        ("Read Only Operator", "", true),
        (
            "Policy and Profile Manager",
            "devices platform managed-by",
            false,
        ),
        (
            "Application Manager",
            "devices platform managed-by compliance",
            true,
        ),
        ("Metrics", "connector", false),
        (
            "Intune Role Administrator",
            "devices platform managed-by compliance windows risk sensor edr connector",
            false,
        ),
    ] {
        let console = Console::with_role(role);
        let cookie = console.signed_in().await;
        let overview = console.get("/", &cookie).await;
        assert_hidden(&overview, role, cards);
        let status = if sees_list {
            StatusCode::OK
        } else {
            StatusCode::FORBIDDEN
        };
        for path in [
            "/devices",
            "/devices.csv",
            "/devices/7b1c4c9e-5c7f-4d0f-9a2e-000000000001",
        ] {
            let page = console.get(path, &cookie).await;
            assert_eq!(page.status, status, "{role}: {path}");
            assert_eq!(page.text.contains("MacBook-"), sees_list, "{role}: {path}");
        }
        assert_eq!(
            overview.text.contains("href=\"/devices"),
            sees_list,
            "{role}"
        );
    }
}

#[tokio::test]
async fn an_error_is_a_page_with_the_id_of_the_request() {
    let console = Console::new();
    let cookie = console.signed_in().await;
    for (path, status) in [
        ("/devices/x", StatusCode::NOT_FOUND),
        (
            "/devices/7b1c4c9e-5c7f-4d0f-9a2e-0000000fffff",
            StatusCode::NOT_FOUND,
        ),
        ("/devices?colour=red", StatusCode::BAD_REQUEST),
        ("/devices?after=x", StatusCode::BAD_REQUEST),
    ] {
        let page = console.get(path, &cookie).await;
        assert_eq!(page.status, status, "{path}");
        assert_eq!(
            page.after("id=\"request-id\""),
            page.header("request-id"),
            "{path}"
        );
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    }
}

#[tokio::test(start_paused = true)]
async fn the_stream_has_numbers_and_ends_with_the_session() {
    let console = Console::new();
    let cookie = console.signed_in().await;
    let request = Request::get("/events").header("cookie", &cookie);
    let request = request.body(Body::empty()).unwrap();
    let response = console.gate.answer(request).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    let mut next = async || {
        let frame = http_body_util::BodyExt::frame(&mut body).await;
        frame.map(|frame| String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap())
    };
    assert!(next().await.unwrap().starts_with("retry: "));
    let first = next().await.unwrap();
    assert!(
        first.contains("\"all.devices\":{\"number\":\"300\""),
        "{first}"
    );
    assert!(
        next().await.unwrap().contains("\"lines\":{}"),
        "nothing has changed"
    );
    revoke_token(&console.fake, 1);
    let mut last = next().await.unwrap();
    while let Some(event) = next().await {
        last = event;
    }
    assert!(last.starts_with("event: ended"), "{last}");
}

#[tokio::test]
async fn before_the_server_has_recovered_every_request_is_told_to_retry() {
    let gate = GraphGate::default();
    let request = Request::get("/v1.0/groups").body(Body::empty()).unwrap();
    let (head, body) = gate.answer(request).await.into_parts();
    let body = to_bytes(body, 1 << 10).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(head.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(head.headers["retry-after"], "1");
    assert_eq!(body["error"]["code"], "serviceNotAvailable");
}
