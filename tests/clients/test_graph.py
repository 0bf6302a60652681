"""The operators' API through the stock Python client of Microsoft Graph, msgraph-sdk.

A typed client drops what it cannot parse without an error: a member of an enumeration that it does not know, a number
that is a text, a date of another form. So the tests compare what the client has understood with the JSON that was sent
(`lost`), and the numbers with the rows of a plain request. The fleet must not change meanwhile.
"""

import asyncio
import csv
import io
import json
import re
import time
import unittest
import uuid
import zipfile
from datetime import datetime, timedelta, timezone
from enum import Enum

import httpx
from azure.core.credentials import AccessToken
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_serialization_json.json_parse_node_factory import JsonParseNodeFactory
from msgraph import GraphServiceClient
from msgraph.generated.device_management.audit_events.audit_events_request_builder import AuditEventsRequestBuilder
from msgraph.generated.device_management.device_compliance_policies.device_compliance_policies_request_builder import (
    DeviceCompliancePoliciesRequestBuilder,
)
from msgraph.generated.device_management.device_compliance_policies.item.assign.assign_post_request_body import (
    AssignPostRequestBody,
)
from msgraph.generated.device_management.device_compliance_policies.item.device_compliance_policy_item_request_builder import (
    DeviceCompliancePolicyItemRequestBuilder,
)
from msgraph.generated.device_management.managed_devices.managed_devices_request_builder import (
    ManagedDevicesRequestBuilder,
)
from msgraph.generated.models.all_devices_assignment_target import AllDevicesAssignmentTarget
from msgraph.generated.models.android_work_profile_compliance_policy import AndroidWorkProfileCompliancePolicy
from msgraph.generated.models.device import Device
from msgraph.generated.models.device_compliance_action_item import DeviceComplianceActionItem
from msgraph.generated.models.device_compliance_action_type import DeviceComplianceActionType
from msgraph.generated.models.device_compliance_policy_assignment import DeviceCompliancePolicyAssignment
from msgraph.generated.models.device_compliance_scheduled_action_for_rule import DeviceComplianceScheduledActionForRule
from msgraph.generated.models.device_management_export_job import DeviceManagementExportJob
from msgraph.generated.models.device_management_report_file_format import DeviceManagementReportFileFormat
from msgraph.generated.models.device_management_report_status import DeviceManagementReportStatus
from msgraph.generated.models.device_threat_protection_level import DeviceThreatProtectionLevel
from msgraph.generated.models.exclusion_group_assignment_target import ExclusionGroupAssignmentTarget
from msgraph.generated.models.group import Group
from msgraph.generated.models.group_assignment_target import GroupAssignmentTarget
from msgraph.generated.models.ios_compliance_policy import IosCompliancePolicy
from msgraph.generated.models.managed_device import ManagedDevice
from msgraph.generated.models.managed_device_owner_type import ManagedDeviceOwnerType
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.reference_create import ReferenceCreate
from msgraph.generated.models.windows10_compliance_policy import Windows10CompliancePolicy
from msgraph_core import PageIterator
from msgraph_core.requests.batch_request_content import BatchRequestContent
from msgraph_core.requests.batch_request_item import BatchRequestItem

from server import DEVICES, POLICIES, base, change, get, new_token, request, rows, token

JOB_SECONDS_MAX = 30


class Credential:
    """The token of Muster, as the client asks for one."""

    def __init__(self, secret):
        self.secret = secret

    def get_token(self, *_scopes, **_options):
        return AccessToken(self.secret, int(time.time()) + 3600)


def graph(secret=None):
    """The stock client; only the address and the token are not those of Microsoft."""
    client = GraphServiceClient(credentials=Credential(secret or token()), scopes=["https://muster/.default"])
    client.request_adapter.base_url = base()
    return client


def query(builder, **parameters):
    """The query options of a list or an object."""
    name = f"{builder.__name__}GetQueryParameters"
    return RequestConfiguration(query_parameters=getattr(builder, name)(**parameters))


def devices_query(**parameters):
    return query(ManagedDevicesRequestBuilder, **parameters)


def instant(text):
    """The time in a text, in UTC unless it says otherwise; None if it is not a time."""
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return at.replace(tzinfo=at.tzinfo or timezone.utc)


def property_of(model, name):
    """What a model has for the property with this name on the wire, also if it does not know it."""
    attribute = re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name.replace("@odata.", "odata_"))
    return getattr(model, attribute) if hasattr(model, attribute) else model.additional_data.get(name)


def lost(sent, understood, path=""):
    """What was sent, and is missing in a model of the client or has another value there."""
    if isinstance(sent, dict):
        names = [name for name in sent if "@odata." not in name or name == "@odata.type"]
        if isinstance(understood, dict):
            pairs = [(name, understood.get(name)) for name in names]
        elif understood is None:
            pairs = [(name, None) for name in names]
        else:
            pairs = [(name, property_of(understood, name)) for name in names]
        return [fault for name, value in pairs for fault in lost(sent[name], value, f"{path}/{name}")]
    if isinstance(sent, list) and isinstance(understood, list) and len(sent) == len(understood):
        pairs = enumerate(zip(sent, understood, strict=True))
        return [fault for index, (one, other) in pairs for fault in lost(one, other, f"{path}/{index}")]
    if isinstance(understood, Enum):
        understood = understood.value
    is_same = instant(sent) == understood if isinstance(understood, datetime) else sent == understood
    return [] if is_same else [f"{path}: {sent!r} was understood as {understood!r}"]


def block_at_once():
    """The action that every policy needs."""
    block = DeviceComplianceActionItem(action_type=DeviceComplianceActionType.Block, grace_period_hours=0)
    return [DeviceComplianceScheduledActionForRule(rule_name=None, scheduled_action_configurations=[block])]


class GraphTest(unittest.IsolatedAsyncioTestCase):
    """What the tests share. Whatever they create is deleted at their end."""

    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)
        self.client = graph()
        self.management = self.client.device_management

    def deletes(self, path):
        """Deletes an object at the end of the test, if it still exists."""
        self.addCleanup(request, "DELETE", path)

    async def devices(self, **parameters):
        return await self.management.managed_devices.get(devices_query(**parameters))

    async def all_pages(self, first):
        """The rows of all pages, by the iterator of the client."""
        found = []

        def take(row):
            found.append(row)
            return True

        await PageIterator(first, self.client.request_adapter).iterate(take)
        return found

    async def group(self, name):
        group = Group(display_name=name, mail_enabled=False, mail_nickname=name, security_enabled=True)
        created = await self.client.groups.post(group)
        self.deletes(f"/groups/{created.id}")
        return created

    async def policy(self, policy):
        created = await self.management.device_compliance_policies.post(policy)
        self.deletes(f"{POLICIES}/{created.id}")
        return created

    async def refused(self, awaitable, status):
        """The error of a request, which the client must have understood."""
        with self.assertRaises(ODataError) as caught:
            await awaitable
        error = caught.exception
        self.assertEqual(error.response_status_code, status)
        self.assertTrue(error.error.code)
        self.assertTrue(error.error.message)
        self.assertEqual(str(uuid.UUID(error.error.inner_error.request_id)), error.error.inner_error.request_id)
        age = datetime.now(timezone.utc) - error.error.inner_error.date.replace(tzinfo=timezone.utc)
        self.assertLess(abs(age), timedelta(minutes=5))
        return error.error


class Devices(GraphTest):
    async def test_the_client_understands_every_property_of_every_device(self):
        found = {device.id: device for device in await self.all_pages(await self.devices(top=150))}
        sent = rows(DEVICES)
        self.assertGreater(len(sent), 150, "the fleet must have more than one page")
        self.assertEqual(len(found), len(sent))
        self.assertEqual([fault for row in sent for fault in lost(row, found[row["id"]])], [])
        for device in found.values():
            # Null is allowed on the wire for none of them.
            self.assertIsInstance(device.last_sync_date_time, datetime)
            self.assertIsInstance(device.compliance_grace_period_expiration_date_time, datetime)
            self.assertIsNotNone(device.compliance_state)
            self.assertIsNotNone(device.management_agent)
            self.assertIsNotNone(device.partner_reported_threat_state)

    async def test_a_filtered_and_sorted_list_keeps_its_options_on_every_page(self):
        sent = rows(DEVICES)
        expected = [row for row in sent if row["operatingSystem"] == "Windows" and row["complianceState"] == "compliant"]
        first = await self.devices(
            filter="operatingSystem eq 'Windows' and complianceState eq 'compliant'",
            orderby=["deviceName desc"],
            select=["id", "deviceName", "complianceState"],
            count=True,
            top=20,
        )
        self.assertGreater(len(expected), 40, "the fleet must have more than two pages of them")
        self.assertEqual(first.odata_count, len(expected))
        self.assertEqual(len(first.value), 20)
        found = await self.all_pages(first)
        names = sorted((row["deviceName"] for row in expected), reverse=True)
        self.assertEqual([device.device_name for device in found], names)
        self.assertEqual({device.serial_number for device in found}, {None})

    async def test_filters_mean_what_they_say(self):
        sent = rows(DEVICES)
        name = sent[len(sent) // 2]["deviceName"]
        at = sorted(row["lastSyncDateTime"] for row in sent)[len(sent) // 2]
        for text, is_meant in {
            f"deviceName eq '{name.upper()}'": lambda row: row["deviceName"] == name,
            f"startswith(deviceName,'{name[:-2]}')": lambda row: row["deviceName"].startswith(name[:-2]),
            "complianceState in ('noncompliant','error')": lambda row: row["complianceState"] in ("noncompliant", "error"),
            "not(managementAgent eq 'mdm')": lambda row: row["managementAgent"] != "mdm",
            f"lastSyncDateTime ge {at}": lambda row: instant(row["lastSyncDateTime"]) >= instant(at),
            "isEncrypted eq false or jailBroken eq 'True'": lambda row: not row["isEncrypted"] or row["jailBroken"] == "True",
            "deviceName eq 'it''s none'": lambda row: False,
        }.items():
            with self.subTest(text):
                found = await self.devices(filter=text, count=True, select=["id"])
                expected = {row["id"] for row in sent if is_meant(row)}
                self.assertEqual({device.id for device in found.value}, expected)
                self.assertEqual(found.odata_count, len(expected))

    async def test_a_count_is_a_number(self):
        self.assertEqual(await self.management.managed_devices.count.get(), len(rows(DEVICES)))

    async def test_one_device_and_its_policies_are_understood(self):
        noncompliant = (await self.devices(filter="complianceState eq 'noncompliant'", top=1)).value[0]
        builder = self.management.managed_devices.by_managed_device_id(noncompliant.id)
        path = f"{DEVICES}/{noncompliant.id}"
        self.assertEqual(lost(get(path), await builder.get()), [])
        states = await builder.device_compliance_policy_states.get()
        self.assertEqual(lost(get(f"{path}/deviceCompliancePolicyStates"), states), [])
        self.assertIn("nonCompliant", [state.state.value for state in states.value])

    async def test_a_patch_changes_what_it_names_and_nothing_else(self):
        before = rows(DEVICES)[7]
        builder = self.management.managed_devices.by_managed_device_id(before["id"])
        own = ManagedDevice(notes="Café €", managed_device_owner_type=ManagedDeviceOwnerType.Personal)
        self.addCleanup(
            change, "PATCH", f"{DEVICES}/{before['id']}",
            {"notes": before["notes"], "managedDeviceOwnerType": before["managedDeviceOwnerType"]}, status=200,
        )
        changed = await builder.patch(own)
        after = get(f"{DEVICES}/{before['id']}")
        self.assertEqual(lost(after, changed), [])
        expected = {**before, "notes": "Café €", "managedDeviceOwnerType": "personal"}
        self.assertEqual({name: after[name] for name in expected}, expected)

    async def test_the_client_speaks_http_2(self):
        versions = []

        async def note(response):
            versions.append(response.http_version)

        self.client.request_adapter._http_client.event_hooks["response"].append(note)
        await self.devices(top=1)
        self.assertEqual(versions, ["HTTP/2"])


class Policies(GraphTest):
    async def test_a_policy_keeps_its_type_and_its_properties(self):
        for policy in [
            Windows10CompliancePolicy(
                display_name="client windows", os_minimum_version="10.0.19045", storage_require_encryption=False
            ),
            IosCompliancePolicy(
                display_name="client ios",
                device_threat_protection_enabled=True,
                device_threat_protection_required_security_level=DeviceThreatProtectionLevel.Low,
            ),
            AndroidWorkProfileCompliancePolicy(
                display_name="client android",
                device_threat_protection_enabled=True,
                device_threat_protection_required_security_level=DeviceThreatProtectionLevel.Secured,
            ),
        ]:
            with self.subTest(policy.display_name):
                wanted = type(policy)
                policy.scheduled_actions_for_rule = block_at_once()
                # The rules that are not evaluated yet are stored only if the client says so.
                lenient = RequestConfiguration()
                lenient.headers.add("Prefer", "handling=lenient")
                created = await self.management.device_compliance_policies.post(policy, lenient)
                self.deletes(f"{POLICIES}/{created.id}")
                self.assertIs(type(created), wanted)
                read = await self.management.device_compliance_policies.by_device_compliance_policy_id(created.id).get()
                self.assertIs(type(read), wanted)
                self.assertEqual(lost(get(f"{POLICIES}/{created.id}"), read), [])
                self.assertEqual((read.display_name, read.version), (policy.display_name, 1))
                for name in (
                    "os_minimum_version",
                    "device_threat_protection_required_security_level",
                ):
                    self.assertEqual(getattr(read, name, None), getattr(policy, name, None))

    async def test_assignments_and_actions_are_read_back_with_their_types(self):
        group, other = await self.group("client-assigned"), await self.group("client-excluded")
        created = await self.policy(
            IosCompliancePolicy(display_name="client assigned", scheduled_actions_for_rule=block_at_once())
        )
        builder = self.management.device_compliance_policies.by_device_compliance_policy_id(created.id)
        targets = [GroupAssignmentTarget(group_id=group.id), ExclusionGroupAssignmentTarget(group_id=other.id)]
        assignments = [DeviceCompliancePolicyAssignment(target=target) for target in targets]
        assigned = await builder.assign.post(AssignPostRequestBody(assignments=assignments))
        self.assertEqual(
            {(type(one.target), one.target.group_id) for one in assigned.value},
            {(type(target), target.group_id) for target in targets},
        )
        expand = ["assignments", "scheduledActionsForRule($expand=scheduledActionConfigurations)"]
        read = await builder.get(query(DeviceCompliancePolicyItemRequestBuilder, expand=expand))
        self.assertEqual({type(one.target) for one in read.assignments}, {type(target) for target in targets})
        [block] = read.scheduled_actions_for_rule[0].scheduled_action_configurations
        self.assertEqual((block.action_type, block.grace_period_hours), (DeviceComplianceActionType.Block, 0))

        everyone = [DeviceCompliancePolicyAssignment(target=AllDevicesAssignmentTarget())]
        await builder.assign.post(AssignPostRequestBody(assignments=everyone))
        [only] = (await builder.assignments.get()).value
        self.assertIs(type(only.target), AllDevicesAssignmentTarget)

    async def test_an_object_that_was_read_can_be_sent_back(self):
        created = await self.policy(
            IosCompliancePolicy(display_name="client before", scheduled_actions_for_rule=block_at_once())
        )
        builder = self.management.device_compliance_policies.by_device_compliance_policy_id(created.id)
        read = await builder.get()
        read.display_name = "client after"
        changed = await builder.patch(read)
        self.assertEqual((changed.display_name, changed.version), ("client after", 2))
        self.assertEqual((await builder.get()).display_name, "client after")

    async def test_every_policy_of_the_list_has_its_type(self):
        found = await self.management.device_compliance_policies.get(
            query(DeviceCompliancePoliciesRequestBuilder, expand=["assignments"])
        )
        sent = get(f"{POLICIES}?$expand=assignments")
        self.assertGreater(len(sent["value"]), 3)
        self.assertEqual(lost(sent, found), [])
        for policy, row in zip(found.value, sent["value"], strict=True):
            self.assertEqual(policy.odata_type, row["@odata.type"])
            self.assertNotEqual(type(policy).__name__, "DeviceCompliancePolicy")

    async def test_a_stale_etag_changes_nothing(self):
        created = await self.policy(
            IosCompliancePolicy(display_name="client etag", scheduled_actions_for_rule=block_at_once())
        )
        path = f"{POLICIES}/{created.id}"
        builder = self.management.device_compliance_policies.by_device_compliance_policy_id(created.id)
        first = request("GET", path).headers["ETag"]

        def condition(tag):
            configuration = RequestConfiguration()
            configuration.headers.add("If-Match", tag)
            return configuration

        await builder.patch(IosCompliancePolicy(description="first"), condition(first))
        error = await self.refused(builder.patch(IosCompliancePolicy(description="second"), condition(first)), 412)
        self.assertEqual(error.code, "PreconditionFailed")
        await self.refused(builder.delete(condition(first)), 412)
        self.assertEqual((await builder.get()).description, "first")


class Groups(GraphTest):
    async def test_members_are_added_read_with_their_type_and_removed(self):
        group = await self.group("client-members")
        builder = self.client.groups.by_group_id(group.id)
        self.assertEqual(lost(get(f"/groups/{group.id}"), await builder.get()), [])
        ids = sorted(row["id"] for row in rows(f"{DEVICES}?$top=3&$select=id")[:3])
        for device in ids:
            await builder.members.ref.post(ReferenceCreate(odata_id=f"{base()}/directoryObjects/{device}"))
        members = (await builder.members.get()).value
        self.assertEqual(sorted(member.id for member in members), ids)
        self.assertEqual({type(member) for member in members}, {Device})
        await builder.members.by_directory_object_id(ids[0]).ref.delete()
        self.assertEqual(sorted(member.id for member in (await builder.members.get()).value), ids[1:])
        again = ReferenceCreate(odata_id=f"{base()}/directoryObjects/{ids[1]}")
        await self.refused(builder.members.ref.post(again), 400)
        unknown = ReferenceCreate(odata_id=f"{base()}/directoryObjects/{uuid.uuid4()}")
        await self.refused(builder.members.ref.post(unknown), 404)


class Reports(GraphTest):
    async def test_summaries_are_understood_and_add_up(self):
        overview = await self.management.managed_device_overview.get()
        self.assertEqual(lost(get("/deviceManagement/managedDeviceOverview"), overview), [])
        states = await self.management.device_compliance_policy_device_state_summary.get()
        path = "/deviceManagement/deviceCompliancePolicyDeviceStateSummary"
        self.assertEqual(lost(get(path), states), [])
        buckets = [
            states.compliant_device_count, states.in_grace_period_count, states.non_compliant_device_count,
            states.remediated_device_count, states.error_device_count, states.conflict_device_count,
            states.unknown_device_count, states.not_applicable_device_count, states.config_manager_count,
        ]  # fmt: skip
        self.assertEqual(sum(buckets), overview.enrolled_device_count)
        sent = rows(DEVICES)
        self.assertEqual(
            overview.device_operating_system_summary.windows_count,
            sum(row["operatingSystem"].startswith("Windows") for row in sent),
        )
        self.assertEqual(
            states.non_compliant_device_count, sum(row["complianceState"] == "noncompliant" for row in sent)
        )

    async def test_a_report_is_exported_and_downloaded(self):
        jobs = self.management.reports.export_jobs
        job = await jobs.post(
            DeviceManagementExportJob(
                report_name="Devices", format=DeviceManagementReportFileFormat.Csv, select=["DeviceId", "DeviceName"]
            )
        )
        path = f"/deviceManagement/reports/exportJobs/{job.id}"
        self.deletes(path)
        deadline = time.monotonic() + JOB_SECONDS_MAX
        while job.status is not DeviceManagementReportStatus.Completed:
            self.assertIn(
                job.status, (DeviceManagementReportStatus.NotStarted, DeviceManagementReportStatus.InProgress)
            )
            self.assertLess(time.monotonic(), deadline, "the export takes too long")
            await asyncio.sleep(0.1)
            job = await jobs.by_device_management_export_job_id(job.id).get()
        self.assertEqual(lost(get(path), job), [])
        self.assertGreater(job.expiration_date_time, datetime.now(timezone.utc))
        # The link works without a token, as scripts expect.
        archive = zipfile.ZipFile(io.BytesIO(httpx.get(job.url).raise_for_status().content))
        self.assertEqual(archive.namelist(), [f"{job.id}.csv"])
        table = list(csv.reader(io.StringIO(archive.read(f"{job.id}.csv").decode("utf-8-sig"))))
        self.assertEqual(table[0], ["DeviceId", "DeviceName"])
        self.assertEqual(sorted(table[1:]), sorted([row["id"], row["deviceName"]] for row in rows(DEVICES)))

    async def test_audit_events_are_understood(self):
        created = await self.policy(
            IosCompliancePolicy(display_name="client audited", scheduled_actions_for_rule=block_at_once())
        )
        text = f"resources/any(s:s/resourceId eq '{created.id}')"
        events = await self.management.audit_events.get(query(AuditEventsRequestBuilder, filter=text))
        self.assertEqual(lost(get(f"/deviceManagement/auditEvents?$filter={text}"), events), [])
        [event] = events.value
        self.assertEqual((event.activity_operation_type, event.activity_result), ("Create", "Success"))
        self.assertLess(datetime.now(timezone.utc) - event.activity_date_time, timedelta(minutes=5))
        changed = {one.display_name: one.new_value for one in event.resources[0].modified_properties}
        self.assertEqual(changed["displayName"], "client audited")
        everything = await self.management.audit_events.get()
        self.assertEqual(lost(get("/deviceManagement/auditEvents"), everything), [])


class Others(GraphTest):
    def test_what_the_client_drops_is_found(self):
        def understood(document):
            node = JsonParseNodeFactory().get_root_parse_node("application/json", json.dumps(document).encode())
            return node.get_object_value(ManagedDevice)

        good = {"complianceState": "compliant", "isEncrypted": True, "lastSyncDateTime": "2026-11-30T08:15:00Z"}
        self.assertEqual(lost(good, understood(good)), [])
        for name, value in {"complianceState": "fine", "isEncrypted": "true", "lastSyncDateTime": "yesterday"}.items():
            [fault] = lost({**good, name: value}, understood({**good, name: value}))
            self.assertIn(name, fault)

    async def test_other_objects_are_understood(self):
        for path, builder in [
            ("/deviceManagement/mobileThreatDefenseConnectors", self.management.mobile_threat_defense_connectors),
            ("/deviceManagement/roleDefinitions", self.management.role_definitions),
            (
                "/deviceManagement/deviceCompliancePolicySettingStateSummaries",
                self.management.device_compliance_policy_setting_state_summaries,
            ),
        ]:
            with self.subTest(path):
                sent = get(path)
                self.assertTrue(sent["value"])
                self.assertEqual(lost(sent, await builder.get()), [])


class BatchAndDelta(GraphTest):
    async def test_a_batch_answers_each_request(self):
        ids = [row["id"] for row in rows(f"{DEVICES}?$top=5&$select=id")[:5]] + [str(uuid.uuid4())]
        content = BatchRequestContent({})
        for number, device in enumerate(ids):
            information = self.management.managed_devices.by_managed_device_id(device).to_get_request_information()
            information.path_parameters["baseurl"] = base()
            content.add_request(str(number), BatchRequestItem(information, id=str(number)))
        answers = await self.client.batch.post(content)
        statuses = {key: int(status) for key, status in answers.get_response_status_codes().items()}
        self.assertEqual(statuses, {str(number): 200 if number < 5 else 404 for number in range(6)})

    async def test_a_delta_round_ends_and_the_next_one_has_the_change(self):
        async def round_of(url):
            found = []
            for _ in range(50):
                page = await self.management.managed_devices.with_url(url).get()
                found += page.value
                link = page.additional_data.get("@odata.deltaLink")
                if link:
                    self.assertIsNone(page.odata_next_link)
                    return found, link
                url = page.odata_next_link
            self.fail("the round does not end")

        sent = rows(DEVICES)
        found, link = await round_of(f"{base()}{DEVICES}/delta")
        self.assertEqual({device.id for device in found}, {row["id"] for row in sent})
        found, link = await round_of(link)
        self.assertEqual(found, [])
        self.addCleanup(change, "PATCH", f"{DEVICES}/{sent[3]['id']}", {"notes": sent[3]["notes"]}, status=200)
        change("PATCH", f"{DEVICES}/{sent[3]['id']}", {"notes": "delta"}, status=200)
        found, _ = await round_of(link)
        self.assertEqual([(device.id, device.notes) for device in found], [(sent[3]["id"], "delta")])


class Errors(GraphTest):
    async def test_errors_are_understood(self):
        device = self.management.managed_devices.by_managed_device_id(str(uuid.uuid4()))
        self.assertEqual((await self.refused(device.get(), 404)).code, "ResourceNotFound")
        error = await self.refused(self.devices(filter="noSuchProperty eq 1"), 400)
        self.assertIn("noSuchProperty", error.message)
        await self.refused(self.devices(filter="complianceState eq"), 400)
        await self.refused(self.devices(select=["noSuchProperty"]), 400)

    async def test_an_unknown_property_is_refused_by_name(self):
        policy = IosCompliancePolicy(display_name="client unknown", scheduled_actions_for_rule=block_at_once())
        policy.additional_data["noSuchProperty"] = 1
        error = await self.refused(self.management.device_compliance_policies.post(policy), 400)
        self.assertIn("noSuchProperty", error.message)
        device = rows(f"{DEVICES}?$top=1&$select=id")[0]["id"]
        change_of_unknown = ManagedDevice(additional_data={"noSuchProperty": 1})
        builder = self.management.managed_devices.by_managed_device_id(device)
        self.assertIn("noSuchProperty", (await self.refused(builder.patch(change_of_unknown), 400)).message)

    async def test_every_fault_of_a_document_is_listed(self):
        error = await self.refused(
            self.management.device_compliance_policies.post(
                IosCompliancePolicy(additional_data={"noSuchProperty": 1})
            ),
            400,
        )
        self.assertGreater(len(error.details), 1)
        self.assertTrue(all(detail.code and detail.message for detail in error.details))

    async def test_an_unknown_token_and_a_missing_right_are_told_apart(self):
        unknown = graph("muster_nonsense").device_management.managed_devices.get()
        self.assertEqual((await self.refused(unknown, 401)).code, "InvalidAuthenticationToken")
        created = new_token("client metrics", "Metrics")
        self.deletes(f"/muster/tokens/{created['id']}")
        missing = graph(created["secret"]).device_management.managed_devices.get()
        self.assertEqual((await self.refused(missing, 403)).code, "Authorization_RequestDenied")


if __name__ == "__main__":
    unittest.main()
