// The operators' API through the stock JavaScript client of Microsoft Graph.
//
// Other than the Python client it takes links apart to send them again, sends filters without encoding them, and has no
// types: the tests are about links, options, batches and errors. `scripts/clients` sets the environment.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { before, test } from "node:test";

// The libraries are not beside this file, where imports would look for them.
const require = createRequire(`${process.env.MUSTER_NODE_MODULES}/`);
const { BatchRequestContent, BatchResponseContent, Client, PageIterator } = require("@microsoft/microsoft-graph-client");

const server = JSON.parse(readFileSync(process.env.MUSTER_SERVER, "utf8"));
const token = readFileSync(server.token_file, "utf8").trim();
const origin = new URL(server.api).origin;

const management = "/deviceManagement";
const devices = `${management}/managedDevices`;
const policies = `${management}/deviceCompliancePolicies`;

/** The stock client; only address, trusted host and token are not those of Microsoft. */
function graph(secret) {
  const customHosts = new Set([new URL(origin).hostname]);
  return Client.init({ authProvider: (done) => done(null, secret), baseUrl: `${origin}/`, defaultVersion: "v1.0", customHosts });
}

const client = graph(token);
const api = (path) => client.api(path);

/** A request without a Graph client. */
async function plain(method, path, document) {
  const response = await fetch(path.startsWith("https:") ? path : server.api + path, {
    method,
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: document && JSON.stringify(document),
  });
  const text = await response.text();
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
  return { headers: response.headers, document: text && JSON.parse(text) };
}

/** The rows of all pages, by the iterator of the client, and the link of a delta query. */
async function allPages(first) {
  const found = [];
  const iterator = new PageIterator(client, first, (row) => found.push(row) > 0);
  await iterator.iterate();
  return { found, link: iterator.getDeltaLink() };
}

/** Fails unless the client has understood an error with this status. Returns the error. */
async function refused(request, status) {
  const error = await request.then(() => assert.fail("the request succeeded"), (error) => error);
  assert.equal(error.statusCode, status, error.message);
  assert.ok(error.code && error.message);
  assert.match(error.requestId, /^[0-9a-f-]{36}$/);
  assert.ok(Math.abs(Date.now() - error.date) < 300_000, `the date is ${error.date}`);
  return error;
}

const blockAtOnce = [{ ruleName: null, scheduledActionConfigurations: [{ actionType: "block", gracePeriodHours: 0 }] }];

/** Creates an object, which is deleted after the test. */
async function create(context, path, document) {
  const created = await api(path).post(document);
  context.after(() => plain("DELETE", `${path}/${created.id}`));
  return created;
}

const group = (context, name) =>
  create(context, "/groups", { displayName: name, mailEnabled: false, mailNickname: name, securityEnabled: true });

const policy = (context, name) =>
  create(context, policies, {
    "@odata.type": "#microsoft.graph.iosCompliancePolicy",
    displayName: name,
    scheduledActionsForRule: blockAtOnce,
  });

let fleet = [];

before(async () => {
  for (let path = devices; path; ) {
    const { document } = await plain("GET", path);
    fleet.push(...document.value);
    path = document["@odata.nextLink"];
  }
  assert.ok(fleet.length > 150, `the fleet has ${fleet.length} devices`);
});

test("the iterator visits every device once", async () => {
  const first = await api(devices).top(70).count().get();
  assert.equal(first["@odata.count"], fleet.length);
  const { found } = await allPages(first);
  assert.deepEqual(found.map((device) => device.id).sort(), fleet.map((device) => device.id).sort());
});

test("every page keeps filter, order and selection, although the client does not encode them", async () => {
  const first = await api(devices)
    .filter("(complianceState eq 'compliant') and startswith(operatingSystem,'win')")
    .select(["id", "deviceName"])
    .orderby("deviceName desc")
    .top(25)
    .count()
    .get();
  const expected = fleet
    .filter((device) => device.complianceState === "compliant" && /^win/i.test(device.operatingSystem))
    .map((device) => device.deviceName);
  assert.ok(expected.length > 50, "more than two pages");
  assert.equal(first["@odata.count"], expected.length);
  const { found } = await allPages(first);
  assert.deepEqual(found.map((device) => device.deviceName), expected.sort().reverse());
  assert.ok(found.every((device) => device.serialNumber === undefined));
});

test("a search finds a device by a part of its name", async () => {
  const wanted = fleet[11];
  const { found } = await allPages(await api(devices).search(`"${wanted.deviceName.slice(-5)}"`).get());
  assert.deepEqual(found.map((device) => device.id), [wanted.id]);
});

test("a patch changes what it names and nothing else", async (context) => {
  const { id, notes } = fleet[5];
  context.after(() => plain("PATCH", `${devices}/${id}`, { notes }));
  await api(`${devices}/${id}`).patch({ notes: "client" });
  const { "@odata.context": _, ...after } = await api(`${devices}/${id}`).get();
  assert.deepEqual(after, { ...fleet[5], notes: "client" });
});

test("a policy is created, assigned, changed, and its members follow the group", async (context) => {
  const target = await group(context, "client-js");
  const created = await policy(context, "client js");
  const path = `${policies}/${created.id}`;
  await api(`${path}/assign`).post({
    assignments: [{ target: { "@odata.type": "#microsoft.graph.groupAssignmentTarget", groupId: target.id } }],
  });
  await api(path).patch({ "@odata.type": "#microsoft.graph.iosCompliancePolicy", description: "changed" });
  const read = await api(path).expand("assignments,scheduledActionsForRule($expand=scheduledActionConfigurations)").get();
  assert.equal(read["@odata.type"], "#microsoft.graph.iosCompliancePolicy");
  assert.equal(read.description, "changed");
  assert.deepEqual(read.assignments.map((one) => one.target.groupId), [target.id]);
  assert.equal(read.scheduledActionsForRule[0].scheduledActionConfigurations[0].actionType, "block");

  const members = `/groups/${target.id}/members`;
  for (const device of fleet.slice(0, 2)) {
    await api(`${members}/$ref`).post({ "@odata.id": `${server.api}/directoryObjects/${device.id}` });
  }
  await api(`${members}/${fleet[0].id}/$ref`).delete();
  const { value } = await api(members).get();
  assert.deepEqual(value.map((member) => [member.id, member["@odata.type"]]), [[fleet[1].id, "#microsoft.graph.device"]]);
});

test("a stale ETag changes nothing", async (context) => {
  const created = await policy(context, "client js etag");
  const path = `${policies}/${created.id}`;
  const tag = (await plain("GET", path)).headers.get("ETag");
  await api(path).header("If-Match", tag).patch({ description: "first" });
  const error = await refused(api(path).header("If-Match", tag).patch({ description: "second" }), 412);
  assert.equal(error.code, "PreconditionFailed");
  assert.equal((await api(path).get()).description, "first");
});

/** The responses to a batch, by id. */
async function batch(...requests) {
  const content = new BatchRequestContent(
    requests.map(([id, path, dependsOn]) => ({ id, request: new Request(server.api + path, { method: "GET" }), dependsOn })),
  );
  const answers = new BatchResponseContent(await api("/$batch").post(await content.getContent()));
  return requests.map(([id]) => answers.getResponseById(id));
}

test("a batch answers each request", async () => {
  const [known, unknown] = await batch(["1", `${devices}/${fleet[3].id}?$select=id,deviceName`], ["2", `${devices}/${randomUUID()}`]);
  assert.deepEqual([known.status, unknown.status], [200, 404]);
  assert.equal((await known.json()).deviceName, fleet[3].deviceName);
  assert.equal((await unknown.json()).error.code, "ResourceNotFound");
});

test("a request of a batch that depends on a failed one is not carried out", async () => {
  const [first, second] = await batch(["1", `${devices}/${randomUUID()}`], ["2", `${management}/managedDeviceOverview`, ["1"]]);
  assert.deepEqual([first.status, second.status], [404, 424]);
});

test("a delta round ends, and the next one has the change", async (context) => {
  const everything = await allPages(await api(`${devices}/delta`).get());
  assert.equal(new Set(everything.found.map((device) => device.id)).size, fleet.length);
  const nothing = await allPages(await api(everything.link).get());
  assert.deepEqual(nothing.found, []);
  const { id, notes } = fleet[8];
  context.after(() => plain("PATCH", `${devices}/${id}`, { notes }));
  await api(`${devices}/${id}`).patch({ notes: "delta" });
  const change = await allPages(await api(nothing.link).get());
  assert.deepEqual(change.found.map((device) => [device.id, device.notes]), [[id, "delta"]]);
});

test("errors are understood", async () => {
  assert.equal((await refused(api(`${devices}/${randomUUID()}`).get(), 404)).code, "ResourceNotFound");
  assert.match((await refused(api(devices).filter("noSuch eq 1").get(), 400)).message, /noSuch/);
  assert.match((await refused(api(`${devices}/${fleet[0].id}`).patch({ noSuch: 1 }), 400)).message, /noSuch/);
  await refused(api("/noSuchSegment").get(), 404);
  await refused(graph("muster_wrong").api(devices).get(), 401);
});

test("an error has the id that the client gave its request", async () => {
  const own = randomUUID();
  const error = await refused(api(`${devices}/x`).header("client-request-id", own).get(), 404);
  assert.equal(JSON.parse(error.body).innerError["client-request-id"], own);
});
