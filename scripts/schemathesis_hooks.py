"""What no JSON Schema describes, for scripts/schemathesis.

In the pass "valid", texts with a grammar of their own and references are replaced by lists of valid values, so that
every request which conforms must be accepted and any other must be refused. Tokens of links, and searches, which are
almost any text, are left to the other pass, where all of these are arbitrary texts.
"""

import os

import schemathesis

# Options and headers that are left out of the pass.
LEFT_OUT = {"skipToken", "deltaToken", "prefer"}
VALUES = {
    "rule": ['(device.manufacturer -eq "Dell")', 'device.model -startsWith "X" and device.osVersion -ne "1"'],
    "role": ["Administrator", "Read Only Operator"],
    "roleDefinition@odata.bind": ["roleDefinitions('0bd113fe-6be5-400c-a28f-ae5553f9c0be')"],
    "roleScopeTags@odata.bind": [[], ["https://example.test/beta/deviceManagement/roleScopeTags('0')"]],
    "roleScopeTagIds": [[], ["0"], None],
    "roleScopeTags": [[], ["0"], None],
    "members": [[]],
    "resourceScopes": [[], ["adadadad-808e-44e2-905a-0b7873a8a531"]],
    "scopeMembers": [[], ["adadadad-808e-44e2-905a-0b7873a8a531"]],
    "filter": ["", None, "contains(DeviceName,'a')"],
}
# Parts that may be sent only as they were read.
SEPARATE = {"assignments", "scheduledActionsForRule", "platform"}


def is_tested(parameter, left_out):
    return parameter.get("$ref", "").rsplit("/", 1)[-1] not in left_out and parameter.get("name") != "$search"


@schemathesis.hook
def before_load_schema(context, raw_schema):
    if os.environ.get("MUSTER_PASS") != "valid":
        return
    for path, item in raw_schema["paths"].items():
        # There, $skip has another limit with $orderby.
        left_out = LEFT_OUT | ({"skip"} if path.endswith("/managedDevices") else set())
        for operation in item.values():
            parameters = [each for each in operation.get("parameters", []) if is_tested(each, left_out)]
            operation["parameters"] = parameters
            for parameter in parameters:
                examples = parameter.pop("examples", None)
                if examples:
                    parameter["schema"] = {"enum": [example["value"] for example in examples.values()]}
    components = raw_schema["components"]
    components["parameters"]["ifMatch"]["schema"] = {"const": "*"}
    schemas = components["schemas"]
    for component, schema in schemas.items():
        properties = schema.get("properties", {})
        if component.endswith(("Create", "Update")):
            for name in properties.keys() & VALUES.keys():
                # What is ignored may be anything.
                if properties[name]:
                    properties[name] = {"enum": VALUES[name]}
        if component.endswith("Update"):
            for name in properties.keys() & SEPARATE:
                properties.pop(name)
    # The older name of rolePermissions is not read beside it, and a threat level of macOS needs macEnabled.
    for component, schema in schemas.items():
        properties = schema.get("properties", {})
        if component.startswith("deviceAndAppManagementRoleDefinition"):
            properties.pop("permissions", None)
        if component.startswith("macOSCompliancePolicy") and component != "macOSCompliancePolicy":
            properties.pop("deviceThreatProtectionEnabled", None)
            properties.pop("deviceThreatProtectionRequiredSecurityLevel", None)
    # Most texts are rules of dynamic groups.
    schemas["groupCreate"]["anyOf"].pop()
    # Groups and filters must exist, and each target is assigned once.
    assignments = schemas["assignments"]["properties"]["assignments"]
    assignments["maxItems"] = 1
    targets = assignments["items"]["properties"]["target"]
    targets["oneOf"] = [target for target in targets["oneOf"] if "groupId" not in target["properties"]]
    for target in targets["oneOf"]:
        for name in list(target["properties"]):
            if "AssignmentFilter" in name:
                target["properties"].pop(name)
    # The ids of a batch are unique, and a request depends on one before it.
    requests = schemas["batchRequests"]["properties"]["requests"]
    requests["maxItems"] = 1
    requests["items"]["properties"].pop("dependsOn")


@schemathesis.hook
def filter_query(context, query):
    """An empty list of names is not an option."""
    return all((query or {}).get(name) not in ([""], "", []) for name in ("$select", "$expand"))
