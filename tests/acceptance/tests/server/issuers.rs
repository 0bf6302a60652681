//! Users of an issuer of OpenID Connect: a real provider issues their tokens, and the server checks them.

mod provider;

use serde_json::{Value, json};

use self::provider::{Provider, section};
use crate::harness::*;

const AUDIENCE: &str = "https://muster.example.test";
const DEVICES: &str = "/v1.0/deviceManagement/managedDevices";
const GROUPS: &str = "/v1.0/groups";

fn with_issuer(place: &Installation, issuer: &str, audience: &str) -> Settings {
    Settings {
        more: section(issuer, audience, &place.path("pki/ca.pem")),
        ..Settings::default()
    }
}

fn group(name: &str) -> Value {
    json!({
        "displayName": name, "mailEnabled": false, "mailNickname": name, "securityEnabled": true,
    })
}

fn status(graph: &Graph, path: &str) -> u16 {
    graph.send("GET", path, &Value::Null).status
}

#[test]
fn users_of_an_issuer_do_what_their_roles_allow() {
    let place = Installation::new();
    let Some(provider) = Provider::start(&place) else {
        return;
    };
    let server = place.start_with(&with_issuer(&place, &provider.issuer, AUDIENCE));
    let of = |client: &str| {
        let token = provider.token(client, AUDIENCE);
        Graph::with_token(&place, &server, &token)
    };
    let (admin, reader, helper) = (of("admin"), of("reader"), of("helper"));
    for user in [&admin, &reader, &helper] {
        assert_eq!(status(user, DEVICES), 200);
    }
    assert_eq!(reader.send("POST", GROUPS, &group("no")).status, 403);
    let made = admin.send("POST", GROUPS, &group("yes"));
    assert_eq!(made.status, 201, "{:?}", made.body);
    // What any of the roles allows: the helper may change devices, and read connectors as well.
    let device = format!("{DEVICES}/{}", device(1));
    let notes = json!({ "notes": "x" });
    assert_eq!(reader.send("PATCH", &device, &notes).status, 403);
    assert_eq!(
        helper.send("PATCH", &device, &notes).status,
        404,
        "it may, but the device does not exist"
    );
    let nobody = of("nobody").send("GET", DEVICES, &Value::Null);
    assert_eq!(nobody.status, 403);
    let message = nobody.body["error"]["message"].as_str().unwrap();
    assert!(message.contains("has no role"), "{message}");

    // The event names the user; the tenant is that of the issuer.
    let events = admin.all("/v1.0/deviceManagement/auditEvents?$filter=actor/userId eq 'admin'");
    assert_eq!(events.len(), 1, "{events:?}");
    let actor = &events[0]["actor"];
    assert_eq!(actor["auditActorType"], "ItPro");
    assert_eq!(actor["userPrincipalName"], "admin@example.test");
    assert_eq!(actor["applicationId"], Value::Null);
    let fabrikam = Graph::new(&place, &server, "fabrikam", "Administrator");
    let made = |graph: &Graph| {
        let all = graph.all(GROUPS);
        all.iter().filter(|row| row["displayName"] == "yes").count()
    };
    assert_eq!((made(&admin), made(&fabrikam)), (1, 0));

    // One answer for every other token.
    let foreign = provider.token("admin", "https://other.example.test");
    let good = provider.token("admin", AUDIENCE);
    let tampered = format!("{}AAAA", &good[..good.len() - 4]);
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).unwrap());
    for token in [foreign, tampered, unsigned, "a.b.c".to_owned()] {
        let reply = Graph::with_token(&place, &server, &token).send("GET", DEVICES, &Value::Null);
        assert_eq!(reply.status, 401, "{token}");
        assert_eq!(reply.body["error"]["code"], "InvalidAuthenticationToken");
        assert_eq!(
            reply.body["error"]["message"],
            "The access token is missing, unknown, expired or revoked."
        );
    }
    let metrics = server.ops.metrics();
    for cause in [
        "wrongAudience",
        "signature",
        "algorithm",
        "malformed",
        "noRole",
    ] {
        let series = format!("muster_issuer_tokens_refused_total{{cause=\"{cause}\"}}");
        assert_eq!(metrics.get(&series), 1.0, "{cause}");
    }
}

#[test]
fn rotated_keys_are_fetched_and_known_ones_kept_while_the_issuer_is_down() {
    let place = Installation::new();
    let Some(mut provider) = Provider::start(&place) else {
        return;
    };
    let settings = with_issuer(&place, &provider.issuer, AUDIENCE);
    let server = place.start_with(&settings);
    let of = |provider: &Provider| {
        let token = provider.token("admin", AUDIENCE);
        Graph::with_token(&place, &server, &token)
    };
    let old = of(&provider);
    assert_eq!(status(&old, DEVICES), 200);
    provider.rotate();
    let new = of(&provider);
    // The server fetches keys at most every ten seconds.
    eventually("the new key is known", || {
        (status(&new, DEVICES) == 200).then_some(())
    });
    assert_eq!(status(&old, DEVICES), 401, "its key was withdrawn");
    provider.stop();
    assert_eq!(status(&new, DEVICES), 200);
    let token = new.token.clone();
    server.kill();

    // A server that has never reached the issuer does not call the token a bad one.
    let server = place.start_with(&settings);
    let again = Graph::with_token(&place, &server, &token);
    let reply = again.send("GET", DEVICES, &Value::Null);
    assert_eq!(reply.status, 503, "{:?}", reply.body);
    let admin = Graph::new(&place, &server, "contoso", "Administrator");
    assert_eq!(
        status(&admin, DEVICES),
        200,
        "tokens of Muster need no issuer"
    );
}
