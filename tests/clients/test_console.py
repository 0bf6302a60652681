"""The console in Chromium.

Every test has a browser without cookies. It fails if the browser reports an error or a warning, if anything is loaded
from elsewhere, or if a response is an error, unless the test says that it expects that. Numbers are compared with those
of the API. Devices check in meanwhile in one test only, which waits until the counts are those of the end.
"""

import base64
import csv
import hashlib
import os
import re
import shutil
import unittest
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import expect, sync_playwright

from server import DEVICES, POLICIES, TENANT, change, get, new_token, origin, request, rows, send_check_ins, server
from server import sign_in_link, token

# The columns of the reference, word for word.
COLUMNS = [
    "Device name",
    "Managed by",
    "EDR onboarding status",
    "Last check-in (date and time)",
    "Defender sensor state (last known)",
]

# Devices of a page of the list.
PAGE_ROWS = 50

# Whatever is waited for happens within this time, in milliseconds. Live numbers are compared every two seconds.
TIMEOUT = 30_000

PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 900}

# The numbers of a card of the overview, by the name of the group of the counts that has them.
GROUPS = {
    "summary": "deviceCompliancePolicyDeviceStateSummary",
    "windows": "windows_onboarding_buckets",
    "edr": "edr_onboarding",
    "sensor": "sensor",
    "risk": "risk",
    "platform": "platform",
    "managedBy": "managed_by",
    "reason": "subsets",
}


def spki_hash():
    """The public key of the server as Chromium wants it: this certificate is trusted, and no other."""
    pem = (Path(server()["ca_file"]).parent / "server.pem").read_bytes()
    key = x509.load_pem_x509_certificate(pem).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


def setUpModule():
    global BROWSER
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    programs = [program for program in found if program]
    assert programs, "Chromium is not installed: scripts/setup --clients"
    driver = sync_playwright().start()
    unittest.addModuleCleanup(driver.stop)
    expect.set_options(timeout=TIMEOUT)
    arguments = [f"--ignore-certificate-errors-spki-list={spki_hash()}", "--no-proxy-server"]
    BROWSER = driver.chromium.launch(executable_path=programs[0], args=arguments)
    unittest.addModuleCleanup(BROWSER.close)


def number(text):
    return int(text.replace(",", ""))


def counted(counts, line):
    """The number that the API has for a line of the overview."""
    group, name = line.split(".")
    if group == "all":
        return counts[name]
    return counts[GROUPS[group]][name]


class ConsoleTest(unittest.TestCase):
    """A browser, and what the tests share."""

    def setUp(self):
        self.faults = []
        self.page = self.open_browser()

    def tearDown(self):
        self.assertEqual(self.faults, [])

    def open_browser(self, **options):
        """A page in a browser without cookies."""
        context = BROWSER.new_context(base_url=origin(), **{"viewport": DESKTOP, **options})
        self.addCleanup(context.close)
        context.set_default_timeout(TIMEOUT)
        page = context.new_page()

        def note(fault):
            self.faults.append(fault)

        def note_message(message):
            if message.type in ("error", "warning"):
                note(f"console: {message.text}")

        def note_request(sent):
            if not sent.url.startswith((origin() + "/", "data:")):
                note(f"loaded from elsewhere: {sent.url}")

        def note_failed(sent):
            # A browser ends the stream of an overview when the page is left.
            if urlsplit(sent.url).path != "/events":
                note(f"failed: {sent.url} {sent.failure}")

        page.on("console", note_message)
        page.on("pageerror", lambda error: note(f"error of the script: {error}"))
        page.on("request", note_request)
        page.on("requestfailed", note_failed)
        page.on("response", lambda answer: answer.status >= 400 and note(f"{answer.status}: {answer.url}"))
        return page

    def expect_faults(self, *patterns):
        """Forgets the faults that the test has caused, which must be these and no others."""
        for pattern in patterns:
            found = [fault for fault in self.faults if re.search(pattern, fault)]
            self.assertTrue(found, f"no fault {pattern} in {self.faults}")
            self.faults = [fault for fault in self.faults if fault not in found]

    def submit_token(self, page, secret):
        page.get_by_label("API token").fill(secret)
        page.get_by_role("button", name="Sign in").click()

    def signed_in(self, page=None, path="/"):
        """The page at a path, signed in as an administrator."""
        page = page or self.page
        page.goto("/sign-in?" + urlencode({"next": path}))
        self.submit_token(page, token())
        page.wait_for_url(path)
        return page

    def count_of_list(self, page):
        return number(page.locator("#count").inner_text().split()[0])

    def names(self, page):
        return page.locator("#devices tbody th").all_inner_texts()

    def names_of_all_pages(self, page):
        found = self.names(page)
        while page.locator("#next").count():
            with page.expect_navigation():
                page.locator("#next").click()
            found += self.names(page)
            self.assertLess(len(found), 5_000, "the pages do not end")
        return found


class SignIn(ConsoleTest):
    def test_the_link_of_the_demo_signs_in_once(self):
        link = server()["page"]
        self.page.goto(link)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url("/")
        expect(self.page.get_by_role("heading", level=1)).to_have_text(TENANT)

        other = self.open_browser()
        other.goto(link)
        other.get_by_role("button", name="Sign in").click()
        expect(other.get_by_role("alert")).to_contain_text("used")
        self.expect_faults("^401: ", "console: .*401")
        other.goto("/")
        other.wait_for_url(re.compile("/sign-in"))

    def test_looking_at_a_link_does_not_use_it(self):
        link = sign_in_link()
        for _ in range(2):
            self.page.goto(link)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url("/")

    def test_the_form_takes_a_token_and_leads_to_the_page_that_was_wanted(self):
        self.page.goto("/devices?risk=high&sort=name")
        self.page.wait_for_url(re.compile("/sign-in"))
        self.submit_token(self.page, "muster_wrong")
        expect(self.page.get_by_role("alert")).to_contain_text("did not work")
        self.expect_faults("^401: ", "console: .*401")
        self.submit_token(self.page, token())
        self.page.wait_for_url("/devices?risk=high&sort=name")

    def test_signing_out_ends_the_session(self):
        page = self.signed_in()
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("/sign-in")
        self.assertEqual(page.context.cookies(), [])
        page.goto("/devices")
        page.wait_for_url(re.compile("/sign-in"))

    def test_the_secret_is_nowhere_in_the_browser(self):
        page = self.signed_in()
        [cookie] = page.context.cookies()
        self.assertTrue(cookie["httpOnly"] and cookie["secure"] and cookie["sameSite"] == "Strict", cookie)
        self.assertNotIn(token(), str(cookie) + page.url + page.content())
        self.assertEqual(page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]"), [0, 0, ""])

    def test_a_revoked_token_ends_its_session_also_of_an_open_page(self):
        created = new_token("console revoked", "Administrator")
        self.addCleanup(request, "DELETE", f"/muster/tokens/{created['id']}")
        page = self.page
        page.goto("/")
        self.submit_token(page, created["secret"])
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        change("DELETE", f"/muster/tokens/{created['id']}", status=204)
        page.wait_for_url("/sign-in")
        page.goto("/devices")
        page.wait_for_url(re.compile("/sign-in"))

    def test_a_role_sees_what_it_may_and_is_told_what_it_lacks(self):
        created = new_token("console metrics", "Metrics")
        self.addCleanup(request, "DELETE", f"/muster/tokens/{created['id']}")
        self.page.goto("/")
        self.submit_token(self.page, created["secret"])
        self.page.wait_for_url("/")
        expect(self.page.locator("#nav-devices")).to_have_count(0)
        expect(self.page.locator("a.count")).to_have_count(0)
        self.page.goto("/devices")
        expect(self.page.get_by_role("heading", level=1)).to_have_text("Not permitted")
        expect(self.page.locator("main")).to_contain_text(re.compile("_Read"))
        self.expect_faults("^403: ", "console: .*403")


class Overview(ConsoleTest):
    def numbers(self):
        """The numbers on the page, by line."""
        texts = self.page.evaluate(
            "[...document.querySelectorAll('[data-number]')].map((place) => [place.dataset.number, place.textContent])"
        )
        found = {}
        for line, text in texts:
            # A number that is shown twice is shown alike.
            self.assertEqual(found.setdefault(line, number(text)), number(text), line)
        return found

    def assert_live(self):
        expect(self.page.locator("#live")).to_have_attribute("data-state", "live")
        expect(self.page.locator("#live")).to_contain_text("Live, as of")

    def assert_numbers_are_those_of_the_api(self):
        counts = get("/muster/counts")
        for line, shown in self.numbers().items():
            if line != "reason.validityExpired":
                self.assertEqual(shown, counted(counts, line), line)

    def test_numbers_are_those_of_the_api(self):
        self.signed_in()
        self.assertGreater(len(self.numbers()), 40)
        self.assert_numbers_are_those_of_the_api()
        self.assert_live()
        self.assert_numbers_are_those_of_the_api()

    def test_a_number_links_to_exactly_these_devices(self):
        self.signed_in()
        links = self.page.evaluate(
            "[...document.querySelectorAll('a.count')].map((link) => [link.getAttribute('href'), link.textContent])"
        )
        self.assertGreater(len(links), 40)
        for link, shown in dict(links).items():
            answer = self.page.request.get(link)
            self.assertEqual(answer.status, 200, link)
            [count] = re.findall(r'id="count"[^>]*>([0-9,]+) device', answer.text())
            self.assertEqual(number(count), number(shown), link)

    def test_bars_are_as_long_as_their_numbers(self):
        self.signed_in()
        bars = self.page.evaluate(
            """[...document.querySelectorAll('.bar, .stack')].map((svg) => [
                svg.getBoundingClientRect().width,
                [...svg.querySelectorAll('g > rect:first-child')].map((bar) => bar.getBoundingClientRect().width)])"""
        )
        stacks = [(whole, sum(parts)) for whole, parts in bars if len(parts) > 1]
        self.assertEqual(len(stacks), 3)
        for whole, parts in stacks:
            self.assertAlmostEqual(whole, parts, delta=2)
        alone = self.page.evaluate(
            """[...document.querySelectorAll('.bars li')].map((line) => [
                line.querySelector('[data-share]').textContent,
                line.querySelector('rect').getBoundingClientRect().width
                    / line.querySelector('svg').getBoundingClientRect().width])"""
        )
        self.assertGreater(len(alone), 20)
        for share, length in alone:
            self.assertAlmostEqual(float(share.strip("<>%\u00a0")), 100 * length, delta=0.2)

    def test_numbers_change_while_devices_check_in_and_policies_change(self):
        self.signed_in()
        self.assert_live()
        self.page.evaluate("window.isThePageOfBefore = true")
        before = self.numbers()

        # Another fleet in each run against the same server.
        send_check_ins(seed=before["all.devices"], devices=60)
        devices = self.page.locator('[data-number="all.devices"]')
        expect(devices).to_have_text(f"{before['all.devices'] + 60:,}")
        self.assert_numbers_are_those_of_the_api()

        policies = [row for row in rows(POLICIES) if "windows10" in row["@odata.type"]]
        levels = ("deviceThreatProtectionRequiredSecurityLevel", "secured")
        for policy in policies:
            path = f"{POLICIES}/{policy['id']}"
            self.addCleanup(change, "PATCH", path, {levels[0]: policy[levels[0]]}, status=200)
            change("PATCH", path, {levels[0]: levels[1]}, status=200)
        expected = counted(get("/muster/counts"), "summary.nonCompliantDeviceCount")
        self.assertGreater(expected, before["summary.nonCompliantDeviceCount"])
        shown = self.page.locator('#card-compliance [data-number="summary.nonCompliantDeviceCount"]')
        expect(shown).to_have_text(str(expected))
        self.assert_numbers_are_those_of_the_api()
        self.assertTrue(self.page.evaluate("window.isThePageOfBefore"), "the page was loaded again")
        shares = self.page.locator('#card-compliance [data-share="summary.nonCompliantDeviceCount"]')
        enrolled = counted(get("/muster/counts"), "all.enrolled")
        self.assertAlmostEqual(float(shares.inner_text().rstrip("\u00a0%")), 100 * expected / enrolled, delta=0.06)

    def test_a_lost_stream_is_shown_and_resumed(self):
        self.page.route("**/events", lambda route: route.abort())
        self.signed_in()
        expect(self.page.locator("#live")).to_contain_text("Reconnecting, as of")
        self.page.unroute("**/events")
        self.assert_live()
        self.expect_faults("console: .*ERR_FAILED")


class DeviceList(ConsoleTest):
    def headings(self, page):
        return page.evaluate(
            """[...document.querySelectorAll('#devices thead th')].map((cell) => {
                const copy = cell.cloneNode(true);
                copy.querySelectorAll('[aria-hidden]').forEach((sign) => sign.remove());
                return copy.textContent.trim(); })"""
        )

    def test_it_has_the_five_columns_and_every_device_once(self):
        page = self.signed_in(path="/devices")
        self.assertEqual(self.headings(page), COLUMNS)
        sent = rows(DEVICES)
        self.assertEqual(self.count_of_list(page), len(sent))
        self.assertEqual(len(self.names(page)), PAGE_ROWS)
        self.assertEqual(sorted(self.names_of_all_pages(page)), sorted(row["deviceName"] for row in sent))

    def test_a_row_says_what_the_api_says(self):
        page = self.signed_in(path="/devices")
        agents = {"mdm": "Intune", "msSense": "Defender for Endpoint", "configurationManagerClient": "Configuration Manager"}
        known = {row["id"]: row for row in rows(DEVICES)}
        seen = set()
        for row in page.locator("#devices tbody tr").all():
            device = known[row.get_attribute("data-device")]
            name, managed_by, _, _, _ = row.locator("th, td").all_inner_texts()
            self.assertEqual(name, device["deviceName"])
            at = row.locator("time").get_attribute("datetime")
            self.assertEqual(datetime.fromisoformat(at), datetime.fromisoformat(device["lastSyncDateTime"]))
            if device["managementAgent"] in agents:
                self.assertEqual(managed_by, agents[device["managementAgent"]])
                seen.add(managed_by)
        self.assertGreater(len(seen), 1)

    def test_filters_of_one_kind_add_up_and_different_kinds_narrow(self):
        page = self.signed_in(path="/devices")
        platforms = get("/muster/counts")["platform"]

        def choose(title, *members):
            kind = page.locator("details.filter").filter(has=page.get_by_text(title, exact=True)).first
            kind.locator("summary").click()
            for member in members:
                kind.get_by_label(member, exact=True).check()
            with page.expect_navigation():
                kind.get_by_role("button", name="Apply").click()

        choose("Platform", "Windows")
        self.assertEqual(self.count_of_list(page), platforms["windows"])
        choose("Platform", "Windows Server")
        self.assertEqual(self.count_of_list(page), platforms["windows"] + platforms["windowsServer"])
        choose("EDR onboarding status", "Not onboarded")
        expect(page.locator(".chip")).to_have_count(3)
        count = self.count_of_list(page)
        self.assertGreater(count, 0)
        states = page.locator("#devices tbody td:nth-child(3)").all_inner_texts()
        self.assertEqual(set(states), {"Not onboarded"})
        self.assertEqual(len(self.names_of_all_pages(page)), count)

        page.get_by_role("link", name="Remove the filter Platform: Windows Server").click()
        expect(page.locator(".chip")).to_have_count(2)
        self.assertLess(self.count_of_list(page), count)
        page.get_by_role("link", name="Clear all").click()
        page.wait_for_url("/devices")

    def test_a_heading_sorts_all_pages_and_reverses(self):
        page = self.signed_in(path="/devices")
        names = sorted(row["deviceName"] for row in rows(DEVICES))
        heading = page.locator("#devices thead th").first
        heading.get_by_role("link").click()
        expect(heading).to_have_attribute("aria-sort", "ascending")
        self.assertEqual(self.names_of_all_pages(page), names)
        heading.get_by_role("link").click()
        expect(heading).to_have_attribute("aria-sort", "descending")
        self.assertEqual(self.names(page), names[::-1][:PAGE_ROWS])
        page.get_by_role("link", name="Last check-in").click()
        page.wait_for_url("/devices?sort=-checkIn")
        times = [cell.get_attribute("datetime") for cell in page.locator("#devices time").all()]
        self.assertEqual(times, sorted(times, reverse=True))

    def test_a_search_finds_a_part_of_a_name(self):
        page = self.signed_in(path="/devices")
        names = [row["deviceName"] for row in rows(DEVICES)]
        part = names[21][-6:]
        found = sorted(name for name in names if part in name)
        page.get_by_label("Search by name").fill(part.upper())
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile("search="))
        self.assertEqual(sorted(self.names(page)), found)
        self.assertEqual(self.count_of_list(page), len(found))
        page.get_by_label("Search by name").fill("it's <b>none</b> & 100%")
        page.keyboard.press("Enter")
        expect(page.locator("#empty")).to_contain_text("No device matches")
        expect(page.get_by_label("Search by name")).to_have_value("it's <b>none</b> & 100%")

    def test_the_export_has_the_devices_of_the_list(self):
        page = self.signed_in(path="/devices?sensor=active&platform=macOS&platform=linux")
        names = sorted(self.names_of_all_pages(page))
        with page.expect_download() as download:
            page.get_by_role("link", name="Export CSV").click()
        with Path(download.value.path()).open(encoding="utf-8", newline="") as file:
            table = list(csv.reader(file))
        self.assertEqual(table[0], COLUMNS)
        self.assertEqual(sorted(line[0] for line in table[1:]), names)
        self.assertGreater(len(names), 3)
        self.faults = [fault for fault in self.faults if "/devices.csv" not in fault or "ERR_ABORTED" not in fault]


class OneDevice(ConsoleTest):
    def test_the_list_leads_to_a_device_with_its_why(self):
        page = self.signed_in(path="/devices?compliance=noncompliant")
        row = page.locator("#devices tbody tr").first
        device, name = row.get_attribute("data-device"), row.locator("th").inner_text()
        row.get_by_role("link").click()
        page.wait_for_url(f"/devices/{device}")
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
        expect(page.locator("#device-id")).to_have_text(device)
        expect(page.locator('[data-facet="compliance"]')).to_contain_text("Not compliant")

        reasons = page.locator("#card-why li").all_inner_texts()
        self.assertIn("Compliance: Not compliant", " ".join(reasons))
        # Each rule that the API names is explained on the page.
        told = get(f"/muster/devices/{device}/why")
        rules = set(re.findall(r"\bR\d+\b", str(told)))
        self.assertTrue(rules, told)
        self.assertLessEqual(rules, set(re.findall(r"\bR\d+\b", " ".join(reasons))))

        self.assertNotRegex(" ".join(reasons), r"\d{4}-\d\d-\d\dT", "a time that people do not read")
        self.assertEqual(
            page.locator("#card-why time").first.inner_text(), page.locator("#card-times time").nth(1).inner_text()
        )

        states = get(f"{DEVICES}/{device}/deviceCompliancePolicyStates")["value"]
        words = {"compliant": "Compliant", "nonCompliant": "Not compliant", "notApplicable": "Not applicable"}
        shown = {
            policy.get_attribute("data-policy"): policy.locator(".badge").inner_text()
            for policy in page.locator("#card-policies li").all()
        }
        self.assertTrue(states)
        self.assertEqual(shown, {state["id"]: words[state["state"]] for state in states})

    def test_a_hostile_name_is_text(self):
        hostile = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
        policy = change("POST", POLICIES, {
            "@odata.type": "#microsoft.graph.windows10CompliancePolicy",
            "displayName": hostile,
            "scheduledActionsForRule": [{"scheduledActionConfigurations": [{"actionType": "block"}]}],
            "assignments": [{"target": {"@odata.type": "#microsoft.graph.allDevicesAssignmentTarget"}}],
        }, status=201)  # fmt: skip
        self.addCleanup(change, "DELETE", f"{POLICIES}/{policy['id']}", status=204)
        page = self.signed_in(path="/devices?platform=windows&managedBy=intune")
        page.locator("#devices tbody th a").first.click()
        expect(page.locator(f'#card-policies [data-policy="{policy["id"]}"]')).to_contain_text(hostile)

    def test_an_unknown_device_is_a_page_with_the_id_of_the_request(self):
        page = self.signed_in(path="/devices")
        page.goto("/devices/00000000-0000-4000-8000-000000000000")
        expect(page.get_by_role("heading", level=1)).to_have_text("Not found")
        expect(page.locator("#request-id")).to_have_text(re.compile("^[0-9a-f-]{36}$"))
        self.expect_faults("^404: ", "console: .*404")


class EveryPage(ConsoleTest):
    def every_page(self, page):
        """Opens one page after the other: its name, and its address."""
        device = rows(f"{DEVICES}?$top=1&$filter=complianceState eq 'noncompliant'")[0]["id"]
        page.goto("/sign-in")
        yield "sign-in"
        self.signed_in(page)
        yield "overview"
        for name, path in [
            ("list", "/devices"),
            ("filtered list", "/devices?risk=high&risk=medium&onboarding=onboarded&sort=name"),
            ("empty list", "/devices?search=nothing-has-this-name"),
            ("device", f"/devices/{device}"),
        ]:
            page.goto(path)
            yield name
        page.goto("/devices/nothing")
        self.expect_faults("^404: ", "console: .*404")
        yield "error"

    def test_the_content_security_policy_stops_what_is_injected(self):
        page = self.signed_in()
        page.evaluate(
            """() => { const script = document.createElement('script');
            script.textContent = 'window.injected = true'; document.head.append(script);
            const image = document.createElement('img');
            image.src = 'https://elsewhere.invalid/x.png'; document.body.append(image); }"""
        )
        self.assertIsNone(page.evaluate("window.injected ?? null"))
        page.wait_for_timeout(100)
        self.expect_faults("inline script", "elsewhere.invalid")

    def test_pages_work_without_script(self):
        page = self.open_browser(java_script_enabled=False)
        self.signed_in(page)
        expect(page.locator("#live")).to_contain_text("As of")
        shown = page.locator('[data-number="all.devices"]').first.inner_text()
        self.assertEqual(number(shown), get("/muster/counts")["devices"])
        page.locator("#nav-devices").click()
        page.wait_for_url("/devices")
        kind = page.locator('details[data-filter="platform"]')
        kind.locator("summary").click()
        kind.get_by_label("macOS").check()
        kind.get_by_role("button", name="Apply").click()
        page.wait_for_url(re.compile("platform=macOS"))
        self.assertEqual(self.count_of_list(page), get("/muster/counts")["platform"]["macOS"])
        page.locator("#devices tbody th a").first.click()
        expect(page.locator("#card-why li").first).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("/sign-in")

    def test_no_page_scrolls_sideways(self):
        for name in self.every_page(self.page):
            # 320 is the width of a page of 1,280 that is magnified four times.
            for width in (320, PHONE["width"], 768, 1024, DESKTOP["width"]):
                self.page.set_viewport_size({"width": width, "height": 740})
                with self.subTest(page=name, width=width):
                    root = "document.documentElement"
                    self.assertEqual(self.page.evaluate(f"{root}.scrollWidth - {root}.clientWidth"), 0)

    def test_the_accessibility_checks_of_axe_pass(self):
        axe = (Path(os.environ["MUSTER_NODE_MODULES"]) / "axe-core" / "axe.min.js").read_text()
        for name in self.every_page(self.page):
            if self.page.locator("details.filter").count():
                self.page.locator("details.filter summary").first.click()
            self.page.evaluate(axe)
            for scheme, size in [("light", PHONE), ("light", DESKTOP), ("dark", DESKTOP)]:
                self.page.emulate_media(color_scheme=scheme)
                self.page.set_viewport_size(size)
                found = self.page.evaluate("axe.run({ resultTypes: ['violations'] })")
                bad = [
                    f"{one['impact']}: {one['help']}: {[node['target'] for node in one['nodes']]}"
                    for one in found["violations"]
                    if one["impact"] in ("serious", "critical")
                ]
                with self.subTest(page=name, scheme=scheme, width=size["width"]):
                    self.assertGreater(len(found["passes"]), 5)
                    self.assertEqual(bad, [])

    def test_the_scheme_of_the_browser_is_followed(self):
        def brightness(scheme):
            page = self.open_browser(color_scheme=scheme)
            page.goto("/sign-in")
            colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
            return sum(int(part) for part in re.findall(r"\d+", colour)[:3])

        self.assertGreater(brightness("light"), 600)
        self.assertLess(brightness("dark"), 100)

    def test_the_keyboard_reaches_everything_in_order(self):
        page = self.signed_in(path="/devices")
        reached = []
        for _ in range(24):
            page.keyboard.press("Tab")
            reached.append(page.evaluate(
                """() => { const own = document.activeElement; const style = getComputedStyle(own);
                return [own.textContent.trim() || own.name, style.outlineStyle !== 'none' && style.outlineWidth]; }"""
            ))  # fmt: skip
        words = [word for word, _ in reached]
        self.assertEqual(words[0], "Skip to the content")
        filters = page.locator("details.filter summary").all_inner_texts()
        expected = ["Overview", "EDR onboarding", "Sign out", "search", "Search", "Export CSV", *filters]
        self.assertEqual([word for word in words if word in expected][: len(expected)], expected)
        self.assertEqual([word for word, outline in reached if outline in (False, "0px")], [])

        page.goto("/devices")
        page.locator("details.filter summary").first.focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile("managedBy=intune"))
        self.assertEqual(self.count_of_list(page), get("/muster/counts")["managed_by"]["intune"])

    def test_the_skip_link_leads_to_the_content(self):
        page = self.signed_in(path="/devices")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        self.assertEqual(page.evaluate("document.activeElement.id"), "main")

    @unittest.skipUnless("MUSTER_SCREENSHOTS" in os.environ, "no folder for pictures was given")
    def test_pictures(self):
        folder = Path(os.environ["MUSTER_SCREENSHOTS"])
        for scheme in ("light", "dark"):
            for kind, size in (("", DESKTOP), ("-phone", PHONE)):
                page = self.open_browser(color_scheme=scheme, viewport=size)
                for name in self.every_page(page):
                    # The navigation is as high as the window.
                    height = page.evaluate("document.documentElement.scrollHeight")
                    page.set_viewport_size({**size, "height": max(height, size["height"])})
                    page.wait_for_timeout(100)
                    page.screenshot(path=folder / f"{name.replace(' ', '-')}{kind}-{scheme}.png")
                    page.set_viewport_size(size)


if __name__ == "__main__":
    unittest.main()
