//! Lists by name with the order of names in memory, compared with lists that read all devices, and lists by date with
//! those sorted here.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use muster_wire::DeviceId;
use serde_json::Value;

use super::fixture::{Fake, graph_options};
use super::page::fleet::{add_token, fleet};
use crate::{GraphGate, GraphOptions, new_secret};

/// An API over the fleet of the console.
pub(super) struct Graph {
    pub(super) gate: GraphGate,
    fake: Arc<Fake>,
    pub(super) secret: String,
}

impl Graph {
    /// An API whose orders of names may take this much memory; with none, lists read all devices.
    pub(super) fn new(name_bytes_max: usize, change: impl Fn(&mut Fake)) -> Self {
        let (mut fake, secret) = (fleet(), new_secret());
        change(&mut fake);
        add_token(&fake, 1, "Administrator", &secret, 90);
        let fake = Arc::new(fake);
        let gate = GraphGate::default();
        let options = GraphOptions {
            name_bytes_max,
            ..graph_options("muster.example.test")
        };
        gate.open(Arc::clone(&fake) as _, options);
        Self { gate, fake, secret }
    }

    async fn get(&self, path: &str) -> Value {
        let request = Request::builder()
            .uri(path.replace(' ', "%20").replace('"', "%22"))
            .header("authorization", format!("Bearer {}", self.secret));
        let request = request.body(Body::empty()).unwrap();
        let response = self.gate.answer(request).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let body = to_bytes(response.into_body(), 1 << 24).await.unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    /// The names and ids of every page, and the count.
    async fn all(&self, query: &str) -> (Vec<Vec<String>>, Value) {
        let mut path = format!("/v1.0/deviceManagement/managedDevices?{query}");
        let (mut pages, mut count) = (Vec::new(), Value::Null);
        loop {
            let document = self.get(&path).await;
            if pages.is_empty() {
                count = document["@odata.count"].clone();
            }
            let rows = document["value"].as_array().unwrap().iter();
            let rows = rows.map(|row| format!("{} {}", row["deviceName"], row["id"]));
            pages.push(rows.collect());
            let Some(next) = document["@odata.nextLink"].as_str() else {
                return (pages, count);
            };
            let (_, rest) = next.split_once("test").unwrap();
            path = rest.to_owned();
        }
    }
}

/// Some devices have the same name, and some have none.
fn with_equal_names(fake: &mut Fake) {
    for (number, device) in fake.fleet.iter_mut().enumerate() {
        match number % 10 {
            0 => device.inventory = None,
            1 | 2 => device.inventory.as_mut().unwrap().device_name = "iPhone".to_owned(),
            3 => device.inventory.as_mut().unwrap().device_name = "IPHONE".to_owned(),
            _ => (),
        }
    }
}

#[tokio::test]
async fn lists_by_name_have_the_rows_of_lists_that_read_all_devices() {
    let fast = Graph::new(1 << 20, with_equal_names);
    let slow = Graph::new(0, with_equal_names);
    let first = fast.all("$orderby=deviceName&$top=1").await.0[0][0].clone();
    let known = fast
        .get("/v1.0/deviceManagement/managedDevices?$top=1&$skip=17")
        .await;
    let known = known["value"][0]["deviceName"]
        .as_str()
        .unwrap()
        .to_lowercase();
    let filters = [
        String::new(),
        "$filter=complianceState eq 'noncompliant'&".to_owned(),
        "$filter=operatingSystem eq 'Windows'&".to_owned(),
        "$filter=deviceName eq 'iphone'&".to_owned(),
        format!("$filter=deviceName eq '{known}'&"),
        format!("$filter=deviceName eq '{known}' or deviceName eq 'iPhone' or deviceName eq 'x'&"),
        "$filter=deviceName eq 'no such name'&".to_owned(),
        "$filter=startswith(deviceName,'I')&".to_owned(),
        "$filter=startswith(deviceName,'7B1c4c9e-5')&".to_owned(),
        "$filter=startswith(deviceName,'') and isEncrypted eq false&".to_owned(),
        "$filter=startswith(deviceName,'i') and operatingSystem eq 'Windows'&".to_owned(),
        "$filter=startswith(deviceName,'i') and serialNumber eq 'ABC0011'&".to_owned(),
        "$filter=serialNumber eq 'ABC0011'&".to_owned(),
        "$search=\"ABC001\"&".to_owned(),
    ];
    let (mut compared, mut turn) = (0, 0);
    for filter in &filters {
        for order in ["", "$orderby=deviceName&", "$orderby=deviceName desc&"] {
            turn += 1;
            let pages = ["$top=31&$skip=3", "$top=100&$count=true"];
            let query = format!("{filter}{order}{}", pages[turn % pages.len()]);
            let expected = slow.all(&query).await;
            assert_eq!(fast.all(&query).await, expected, "{query}");
            compared += expected.0.concat().len();
        }
    }
    assert!(compared > 1_500, "{compared}");
    assert!(first.contains("7b1c4c9e-"), "{first}");
}

#[tokio::test]
async fn a_device_is_found_by_its_new_name_and_no_longer_by_the_old_one() {
    let renamed: DeviceId = "7b1c4c9e-5c7f-4d0f-9a2e-000000000005".parse().unwrap();
    // The fleet as it is after the order was made: the feed says which device has changed.
    let graph = Graph::new(1 << 20, |fake| {
        let inventory = fake.fleet[5].inventory.as_mut().unwrap();
        inventory.device_name = "zz-new".to_owned();
    });
    let found = |name: &str| format!("$filter=deviceName eq '{name}'");
    assert_eq!(graph.all(&found("zz-new")).await.0.concat().len(), 1);
    graph.fake.rename(renamed, "zz-newer");
    // Without an arrival, nothing says that the order is outdated; the old name is checked.
    assert_eq!(graph.all(&found("zz-new")).await.0.concat().len(), 0);
    graph.fake.arrivals.lock().unwrap().push(renamed);
    assert_eq!(graph.all(&found("zz-newer")).await.0.concat().len(), 1);
    assert_eq!(graph.all(&found("zz-new")).await.0.concat().len(), 0);
    graph.fake.rename(renamed, "zz-new");
    graph.fake.arrivals.lock().unwrap().push(renamed);
    let (pages, _) = graph.all("$filter=startswith(deviceName,'zz')").await;
    assert_eq!(pages.concat(), [format!("\"zz-new\" \"{renamed}\"")]);
}

/// The values of a property in all pages, with the ids.
async fn values(graph: &Graph, query: &str, property: &str) -> Vec<(String, String)> {
    let mut path = format!("/v1.0/deviceManagement/managedDevices?{query}");
    let mut found = Vec::new();
    loop {
        let document = graph.get(&path).await;
        for row in document["value"].as_array().unwrap() {
            let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            found.push((text(property), text("id")));
        }
        let Some(next) = document["@odata.nextLink"].as_str() else {
            return found;
        };
        let (_, rest) = next.split_once("test").unwrap();
        path = rest.to_owned();
    }
}

#[tokio::test]
async fn lists_by_date_have_the_rows_of_a_list_that_is_sorted_and_filtered_here() {
    let graph = Graph::new(1 << 20, |fake| {
        for (number, device) in fake.fleet.iter_mut().enumerate() {
            match number % 10 {
                // Some have never checked in, and many did so at the same time.
                0 => device.record.last_check_in = 0,
                1..4 => device.record.last_check_in = 1_767_200_000,
                _ => (),
            }
        }
    });
    let property = "lastSyncDateTime";
    let mut all = values(&graph, "$top=100", property).await;
    all.sort();
    let middle = all[all.len() / 2].0.clone();
    let limits = [
        (String::new(), "0", "9"),
        (
            format!(" and lastSyncDateTime le {middle}"),
            "0",
            middle.as_str(),
        ),
        (
            format!(" and lastSyncDateTime ge {middle}"),
            middle.as_str(),
            "9",
        ),
        (
            " and lastSyncDateTime lt 1990-01-01T00:00:00Z".to_owned(),
            "0",
            "1990",
        ),
    ];
    let windows = values(
        &graph,
        "$filter=operatingSystem eq 'Windows'&$top=100",
        property,
    )
    .await;
    for (limit, least, most) in limits {
        let mut expected = windows.clone();
        expected.retain(|(date, _)| least <= date.as_str() && date.as_str() <= most);
        expected.sort();
        let filter = format!("$filter=operatingSystem eq 'Windows'{limit}&$top=31");
        let ascending = format!("{filter}&$orderby=lastSyncDateTime");
        assert_eq!(
            values(&graph, &ascending, property).await,
            expected,
            "{filter}"
        );
        expected.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
        let descending = format!("{filter}&$orderby=lastSyncDateTime desc");
        assert_eq!(
            values(&graph, &descending, property).await,
            expected,
            "{filter}"
        );
        let path = format!("/v1.0/deviceManagement/managedDevices?{filter}&$count=true");
        let counted = graph.get(&path).await;
        assert_eq!(counted["@odata.count"], expected.len(), "{filter}");
    }
    assert!(windows.len() > 100, "{}", windows.len());
}
