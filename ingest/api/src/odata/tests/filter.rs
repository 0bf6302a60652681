//! What filters mean, which are refused, and what a planner reads in them.

use serde_json::json;

use super::{DEVICE, ENCRYPTED, ID, NAME, STATE, device};
use crate::odata::{
    CONDITIONS_MAX, DEPTH_MAX, FILTER_BYTES_MAX, Filter, JsonRow, MemberSet, QueryError, Reason,
    Row, Value,
};

fn matches(text: &str) -> bool {
    let filter = Filter::parse(text, &DEVICE).unwrap_or_else(|error| panic!("{text}: {error}"));
    filter.matches(&JsonRow::new(&DEVICE, &device()))
}

fn error(text: &str) -> QueryError {
    match Filter::parse(text, &DEVICE) {
        Ok(filter) => panic!("{text:.60} is accepted: {filter:?}"),
        Err(error) => error,
    }
}

#[test]
fn filters_that_match_the_device() {
    for text in [
        "deviceName eq 'FIN-LAP-0142'",
        "devicename eq 'fin-lap-0142'",
        "DEVICENAME EQ 'Fin-Lap-0142'",
        "'fin-lap-0142' eq deviceName",
        "(deviceName) eq 'fin-lap-0142'",
        "tolower(deviceName) eq 'fin-lap-0142'",
        "toUpper(deviceName) eq toupper('fin-lap-0142')",
        "contains(tolower(deviceName),'LAP')",
        "startswith(deviceName,'fin')",
        "startsWith(deviceName, 'FIN')",
        "startswith(deviceName,'fin') eq true",
        "startswith(deviceName,'lap') eq false",
        "startswith(deviceName,'lap') ne true",
        "endswith(deviceName,'0142')",
        "startswith(id,'3F1C')",
        "deviceName gt 'FIN'",
        "deviceName lt 'g'",
        "deviceName in ('a','fin-lap-0142')",
        "not(deviceName eq 'a')",
        "not (deviceName in ('a','b'))",
        "not not isEncrypted",
        "serialNumber eq null",
        "serialNumber ne 'x'",
        "null eq serialNumber",
        "not(serialNumber gt 'x')",
        "deviceName ne null",
        "id eq 3F1C2A90-6b7e-4d57-9d06-2a4f0f3a9b11",
        "id eq '3F1C2A90-6b7e-4d57-9d06-2a4f0f3a9b11'",
        "complianceState eq 'noncompliant'",
        "complianceState eq 'NonCompliant'",
        "complianceState ne 'compliant'",
        "complianceState eq microsoft.graph.complianceState'noncompliant'",
        "complianceState eq '2'",
        "complianceState eq 2",
        "complianceState in ('noncompliant','inGracePeriod')",
        "not (complianceState in ('compliant', 'inGracePeriod'))",
        "managementAgent eq 'easmdm'",
        "managementAgent eq '2'",
        "technologies has 'mdm'",
        "technologies has 'microsoftSense,MDM'",
        "technologies eq 'microsoftSense,mdm'",
        "technologies ne 'mdm'",
        "not(technologies has 'windows10XManagement')",
    ] {
        assert!(matches(text), "{text}");
    }
}

#[test]
fn filters_of_other_kinds_that_match_the_device() {
    for text in [
        "isEncrypted",
        "isEncrypted eq true",
        "isEncrypted eq True",
        "isEncrypted eq 'true'",
        "isEncrypted ne false",
        "true eq isEncrypted",
        "lastSyncDateTime ge 2026-11-30T08:10:12Z",
        "lastSyncDateTime eq 2026-11-30T10:10:12.0000000+02:00",
        "lastSyncDateTime gt 2026-11-30",
        "lastSyncDateTime lt 2026-11-30T08:10:12.0000001Z",
        "lastSyncDateTime gt '2026-11-30T08:10Z'",
        "2026-12-01T00:00:00Z gt lastSyncDateTime",
        "totalStorageSpaceInBytes gt 511101108223.5",
        "totalStorageSpaceInBytes eq 511101108224.00",
        "totalStorageSpaceInBytes lt 99999999999999999999999999999999999999999999",
        "totalStorageSpaceInBytes gt -1.5",
        "totalStorageSpaceInBytes eq '511101108224'",
        "totalStorageSpaceInBytes in (1, 511101108224)",
        "roleScopeTagIds/any(t:t eq 'blue')",
        "roleScopeTagIds/any()",
        "roleScopeTagIds/any(t:startswith(t,'bl'))",
        "roleScopeTagIds/all(t:t ne 'red')",
        "roleScopeTagIds/any(t:t eq 'red') eq false",
        "actor/userPrincipalName eq 'ada@example.test'",
        "Actor/UserPrincipalName ne null",
        "not actor/isAdmin",
        "actor ne null",
        "resources/any(s:s/resourceId eq 'x')",
        "resources/Any(s:S/resourceId eq 'y' and s/size eq 5)",
        "resources/any(r:r/changes/any(c:c/displayName eq 'androidenabled'))",
        "not resources/any(s:s/resourceId eq 'x' and s/size eq 5)",
        "isof('microsoft.graph.iosDevice')",
        "isof(microsoft.graph.mobileDevice)",
        "isof('#microsoft.graph.manageddevice')",
        "not isof('microsoft.graph.windowsDevice')",
        "microsoft.graph.iosDevice/deviceName eq 'fin-lap-0142'",
        "complianceState eq 'compliant' or isEncrypted eq true and deviceName eq 'fin-lap-0142'",
        "(complianceState eq 'compliant' or isEncrypted eq true) and deviceName eq 'fin-lap-0142'",
        "((managementAgent eq 'mdm' or managementAgent eq 'easmdm' or managementAgent eq \
         'configurationmanagerclientmdm') and isEncrypted eq true)",
        "  isEncrypted\tAND\nisEncrypted  ",
    ] {
        assert!(matches(text), "{text}");
    }
}

#[test]
fn filters_that_do_not_match_the_device() {
    for text in [
        "deviceName eq 'no''such'",
        "deviceName ne 'fin-lap-0142'",
        "deviceName eq null",
        "deviceName gt null",
        "serialNumber gt 'a'",
        "serialNumber lt 'z'",
        "serialNumber ne null",
        "startswith(serialNumber,'')",
        "contains(deviceName,'laptop')",
        "managementAgent eq 'mdm' and managementAgent eq 'easmdm'",
        "complianceState eq null",
        "complianceState eq 'inGracePeriod'",
        "complianceState eq 254",
        "technologies has 'mdm,windows10XManagement'",
        "technologies eq 'mdm'",
        "lastSyncDateTime gt 2026-11-30T08:10:12Z",
        "lastSyncDateTime eq null",
        "totalStorageSpaceInBytes eq 511101108224.5",
        "roleScopeTagIds/any(t:t eq 'red')",
        "roleScopeTagIds/all(t:t eq 'blue')",
        "actor/isAdmin",
        "actor eq null",
        "resources/any(s:s/resourceId eq 'x' and s/size eq 5)",
        "isof('microsoft.graph.windowsDevice')",
        // The precedence: and binds closer than or.
        "(isEncrypted eq true or isEncrypted eq true) and complianceState eq 'compliant'",
        "not isEncrypted or complianceState eq 'compliant'",
    ] {
        assert!(!matches(text), "{text}");
    }
}

#[test]
fn a_null_value_is_equal_to_null_only() {
    let empty = json!({ "id": "1" });
    let row = JsonRow::new(&DEVICE, &empty);
    for (text, expected) in [
        ("deviceName eq null", true),
        ("complianceState eq null", true),
        ("complianceState ne 'compliant'", true),
        ("not(complianceState ne 'compliant')", false),
        ("complianceState in ('compliant')", false),
        ("isEncrypted", false),
        ("not isEncrypted", true),
        ("isEncrypted ne true", true),
        ("isEncrypted eq false", false),
        ("technologies eq null", true),
        ("technologies has 'none'", false),
        ("totalStorageSpaceInBytes ge 0", false),
        ("totalStorageSpaceInBytes ne 0", true),
        ("lastSyncDateTime le 9999-12-31T23:59:59Z", false),
        ("actor eq null", true),
        ("actor/userPrincipalName eq null", true),
        ("actor/userPrincipalName ne 'x'", true),
        ("actor/isAdmin eq false", false),
        ("resources/any()", false),
        ("resources/all(r:r/size eq 1)", true),
        ("roleScopeTagIds/any(t:t eq null)", false),
    ] {
        let filter = Filter::parse(text, &DEVICE).unwrap();
        assert_eq!(filter.matches(&row), expected, "{text}");
    }
}

#[test]
fn messages_name_the_problem_and_its_place() {
    for (text, message, position) in [
        (
            "devicename2 eq 'x'",
            "Could not find a property named 'devicename2' on managedDevice.",
            0,
        ),
        (
            "isEncrypted and actor/name eq 'x'",
            "Could not find a property named 'name' on auditActor.",
            16,
        ),
        (
            "resources/any(r:r/name eq 'x')",
            "Could not find a property named 'name' on auditResource.",
            16,
        ),
        (
            "deviceName/x eq 'x'",
            "Could not find a property named 'x' on deviceName.",
            0,
        ),
        (
            "complianceState eq 'x'",
            "'x' is not a value of the property 'complianceState'.",
            0,
        ),
        (
            "year(lastSyncDateTime) eq 2026",
            "The function 'year' is not supported.",
            0,
        ),
        (
            "lastSyncDateTime gt 'notadate'",
            "The property 'lastSyncDateTime' must be compared with a date such as 2026-11-30T08:15:00Z.",
            0,
        ),
        (
            "complianceState gt 'compliant'",
            "'gt' is not defined for the property 'complianceState'.",
            0,
        ),
        (
            "notes eq 'x'",
            "The property 'notes' does not support $filter.",
            0,
        ),
        (
            "isof('microsoft.graph.group')",
            "The type 'microsoft.graph.group' is unknown or not derived from managedDevice.",
            5,
        ),
    ] {
        let error = error(text);
        assert_eq!(error.to_string(), message, "{text}");
        assert_eq!(error.position, Some(position), "{text}");
    }
}

#[test]
fn syntax_errors_name_what_is_expected_and_where() {
    for (text, message, position) in [
        (
            "complianceState eq 'compliant' and",
            "Syntax error: a condition is expected, not the end (at position 34)",
            34,
        ),
        (
            "complianceState eq",
            "Syntax error: a property or a literal is expected, not the end (at position 18)",
            18,
        ),
        (
            "deviceName eq 'é' zz",
            "Syntax error: 'and', 'or' or the end is expected, not 'zz' (at position 18)",
            18,
        ),
        (
            "deviceName eq 'unclosed",
            "Syntax error: the string has no closing quote (at position 14)",
            14,
        ),
        (
            "\0",
            "Syntax error: the character '\\u{0}' is not expected (at position 0)",
            0,
        ),
    ] {
        let error = error(text);
        assert_eq!(error.to_string(), message, "{text}");
        assert_eq!(error.position, Some(position), "{text}");
    }
}

#[test]
fn malformed_filters_are_refused() {
    for text in [
        "",
        " ",
        "eq 'x'",
        "complianceState zz 'x'",
        "(((",
        ")",
        "()",
        "isEncrypted)",
        "startswith(deviceName)",
        "startswith(deviceName,)",
        "startswith('a',deviceName)",
        "startswith(deviceName,5)",
        "contains(complianceState,'c')",
        "deviceName eq",
        "deviceName eq compliant",
        "deviceName eq serialNumber",
        "1 eq 1",
        "'a'",
        "deviceName",
        "deviceName eq 5",
        "deviceName eq true",
        "deviceName has 'x'",
        "deviceName in 'x'",
        "deviceName in ()",
        "deviceName in ('a',)",
        "deviceName in (serialNumber)",
        "deviceName eq \"x\"",
        "deviceName = 'x'",
        "isEncrypted eq 'yes'",
        "isEncrypted gt false",
        "totalStorageSpaceInBytes eq 'many'",
        "totalStorageSpaceInBytes eq 1.",
        "totalStorageSpaceInBytes eq 1e5",
        "lastSyncDateTime gt 2026-11-30T08:10:12",
        "lastSyncDateTime gt 2026-11-30T10:10:12.0000000 02:00",
        "lastSyncDateTime gt 5",
        "technologies has 'nope'",
        "technologies gt 'mdm'",
        "'mdm' has technologies",
        "complianceState eq 7",
        "complianceState eq 1.5",
        "complianceState eq true",
        "roleScopeTagIds eq '0'",
        "roleScopeTagIds/any(t:t/x eq '0')",
        "roleScopeTagIds/any(t:u eq '0')",
        "roleScopeTagIds/any(t)",
        "roleScopeTagIds/all()",
        "resources/any(r:deviceName eq 'x')",
        "resources/any(r:r eq 'x')",
        "resources/any(r:isof('microsoft.graph.iosDevice'))",
        "resources/resourceId eq 'x'",
        "deviceName/any(x:x eq 'x')",
        "actor eq 'x'",
        "actor/ eq 'x'",
        "actor/microsoft.graph.managedDevice/isAdmin",
        "isof(5)",
        "isof()",
        "microsoft.graph.iosDevice eq 'x'",
        "not",
        "isEncrypted and and isEncrypted",
        "isEncrypted or",
        "isEncrypted eq true isEncrypted eq true",
        "startswith(deviceName,'x') eq 5",
        "deviceName eq 'x' $top",
        "ｄeviceName eq 'x'",
    ] {
        error(text);
    }
}

#[test]
fn the_size_of_a_filter_is_bounded() {
    let deep = |levels: usize| format!("{}isEncrypted{}", "(".repeat(levels), ")".repeat(levels));
    assert!(matches(&deep(DEPTH_MAX)));
    let too_many = |error: QueryError| matches!(error.reason, Reason::TooMany { .. });
    assert!(too_many(error(&deep(DEPTH_MAX + 1))));
    assert!(too_many(error(&"(".repeat(3000))));
    assert!(too_many(error(&format!(
        "{}{}",
        "(".repeat(3000),
        ")".repeat(3000)
    ))));
    assert!(too_many(error(&"not ".repeat(3000))));
    assert!(too_many(error(&"tolower(".repeat(2000))));
    assert!(too_many(error(&"resources/any(r:".repeat(1000))));

    let wide = |count: usize| vec!["isEncrypted"; count].join(" or ");
    assert!(matches(&wide(CONDITIONS_MAX)));
    assert!(too_many(error(&wide(CONDITIONS_MAX + 1))));
    let list = vec!["'a'"; CONDITIONS_MAX].join(",");
    assert!(too_many(error(&format!("deviceName in ({list})"))));

    let long = |bytes: usize| format!("deviceName ne '{}'", "a".repeat(bytes - 16));
    assert!(matches(&long(FILTER_BYTES_MAX)));
    for text in [long(FILTER_BYTES_MAX + 1), long(60_000)] {
        assert!(matches!(error(&text).reason, Reason::TooLong { .. }));
    }
}

/// A row whose id is bytes.
struct GuidRow([u8; 16]);

impl Row for GuidRow {
    fn value(&self, property: usize) -> Value<'_> {
        match property {
            ID => Value::Guid(self.0),
            _ => Value::Null,
        }
    }
}

#[test]
fn a_guid_in_bytes_is_compared_as_its_text() {
    let row = GuidRow([0xab; 16]);
    for (text, expected) in [
        ("id eq 'ABABABAB-abab-abab-abab-abababababab'", true),
        ("id eq abababab-abab-abab-abab-abababababab", true),
        ("id ne abababab-abab-abab-abab-abababababac", true),
        ("id eq 'abababababababababababababababab'", false),
        ("startswith(id,'ABAB')", true),
        ("contains(id,'ab-ab')", true),
        ("endswith(id,'-abababababab')", true),
        ("id gt 'aaaa'", true),
        ("id in ('x','abababab-abab-abab-abab-abababababab')", true),
    ] {
        let filter = Filter::parse(text, &DEVICE).unwrap();
        assert_eq!(filter.matches(&row), expected, "{text}");
    }
}

#[test]
fn a_planner_reads_what_a_filter_requires() {
    let parse = |text| Filter::parse(text, &DEVICE).unwrap();
    let filter = parse(
        "(complianceState eq 'noncompliant' or complianceState eq 'error') and isEncrypted eq true and \
         (startswith(deviceName,'FIN') and serialNumber in ('A','b'))",
    );
    assert_eq!(filter.conjuncts().len(), 4);
    let set = |mask, has_null| Some(MemberSet { mask, has_null });
    assert_eq!(filter.allowed(STATE), set(0b10100, false));
    assert_eq!(filter.allowed(ENCRYPTED), set(0b10, false));
    assert_eq!(filter.allowed(NAME), None);
    assert_eq!(filter.prefix(NAME), Some("fin"));
    assert_eq!(filter.equal_to(NAME), None);
    assert_eq!(filter.equal_to(2), Some(vec!["a", "b"]));
    assert!(filter.uses_only(&[STATE, ENCRYPTED, NAME, 2]));
    assert!(!filter.uses_only(&[STATE, ENCRYPTED]));

    for (text, allowed) in [
        ("complianceState ne 'compliant'", set(0b111_1101, true)),
        (
            "not(complianceState in ('compliant','error'))",
            set(0b110_1101, true),
        ),
        ("not(complianceState ne 'compliant')", set(0b10, false)),
        ("complianceState eq null", set(0, true)),
        ("complianceState eq 'compliant' or deviceName eq 'x'", None),
        (
            "complianceState eq 'compliant' and complianceState eq 'error'",
            set(0, false),
        ),
        (
            "not(complianceState eq 'compliant' or complianceState eq 'error')",
            set(0b110_1101, true),
        ),
        (
            "not(complianceState eq 'compliant' and deviceName eq 'x')",
            None,
        ),
    ] {
        let filter = parse(text);
        assert_eq!(filter.allowed(STATE), allowed, "{text}");
    }
    assert_eq!(parse("deviceName ne 'x'").equal_to(NAME), None);
    assert_eq!(
        parse("deviceName eq 'X' or isEncrypted").equal_to(NAME),
        None
    );
    assert_eq!(parse("not startswith(deviceName,'x')").prefix(NAME), None);
    assert_eq!(parse("deviceName eq 'X'").conjuncts().len(), 1);
}
