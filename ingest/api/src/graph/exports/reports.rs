//! The reports of devices: their columns, and which devices are in them (section 5 of the domain).

use muster_engine::{Compliance, Facets};
use muster_wire::Owner;
use serde_json::Value as Json;

use crate::backend::Device;
use crate::graph::devices::projection::{ManagedDevices, Projection};
use crate::graph::devices::row::{DeviceRow, Formatted, SCHEMA as DEVICE, json};
use crate::graph::error::GraphError;
use crate::graph::jobs::Localization;
use crate::odata::{Kind, Property, Row, Schema, Value};

/// A report.
#[derive(Debug)]
pub(in crate::graph) struct Report {
    /// Its name.
    pub(super) name: &'static str,
    /// Its columns, as properties of a row.
    pub(super) schema: &'static Schema,
    /// The property of a managed device behind each column.
    sources: &'static [usize],
    /// Whether a device is in it.
    pub(super) has: fn(&Facets) -> bool,
}

/// The index of a property of a managed device.
const fn source(name: &str) -> usize {
    let mut index = 0;
    while index < DEVICE.properties.len() {
        if same(DEVICE.properties[index].name, name) {
            return index;
        }
        index += 1;
    }
    panic!("no property has this name")
}

const fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut index = 0;
    while index < one.len() {
        if one[index] != other[index] {
            return false;
        }
        index += 1;
    }
    true
}

/// The column that shows a property of a managed device.
const fn column(name: &'static str, property: &str) -> Property {
    let shown = DEVICE.properties[source(property)];
    Property {
        name,
        filterable: true,
        ..shown
    }
}

/// Declares reports: for each column its name and the property of a managed device that it shows.
macro_rules! reports {
    ($($report:ident $name:literal, $has:expr => { $($column:literal = $property:literal),+ $(,)? })+) => {
        $(pub(super) const $report: Report = Report {
            name: $name,
            schema: &Schema {
                name: concat!("microsoft.graph.", $name),
                properties: &[$(column($column, $property)),+],
                subtypes: &[],
            },
            sources: &[$(source($property)),+],
            has: $has,
        };)+

        /// Every report.
        const REPORTS: &[&Report] = &[$(&$report),+];
    };
}

reports! {
    DEVICES "Devices", |_| true => {
        "DeviceId" = "id", "DeviceName" = "deviceName", "ManagedBy" = "managementAgent",
        "OwnerType" = "managedDeviceOwnerType", "ComplianceState" = "complianceState", "OS" = "operatingSystem",
        "OSVersion" = "osVersion", "LastContact" = "lastSyncDateTime", "EnrolledDateTime" = "enrolledDateTime",
        "UPN" = "userPrincipalName", "Model" = "model", "Manufacturer" = "manufacturer",
        "SerialNumber" = "serialNumber", "AadDeviceId" = "azureADDeviceId", "JailBroken" = "jailBroken",
        "IsEncrypted" = "isEncrypted", "IsSupervised" = "isSupervised",
        "DeviceHealthThreatLevel" = "partnerReportedThreatState",
    }
    COMPLIANCE "DeviceCompliance", |_| true => {
        "DeviceId" = "id", "IntuneDeviceId" = "id", "AadDeviceId" = "azureADDeviceId", "DeviceName" = "deviceName",
        "OSDescription" = "operatingSystem", "OSVersion" = "osVersion", "OwnerType" = "managedDeviceOwnerType",
        "LastContact" = "lastSyncDateTime", "InGracePeriodUntil" = "complianceGracePeriodExpirationDateTime",
        "IMEI" = "imei", "SerialNumber" = "serialNumber", "ManagementAgents" = "managementAgent",
        "PrimaryUser" = "userId", "UserId" = "userId", "UPN" = "userPrincipalName", "UserEmail" = "emailAddress",
        "UserName" = "userDisplayName", "DeviceHealthThreatLevel" = "partnerReportedThreatState",
        "PartnerDeviceId" = "id", "ComplianceState" = "complianceState", "OS" = "operatingSystem",
    }
    NONCOMPLIANCE "DeviceNonCompliance", is_noncompliant => {
        "DeviceId" = "id", "IntuneDeviceId" = "id", "AadDeviceId" = "azureADDeviceId", "DeviceName" = "deviceName",
        "OSDescription" = "operatingSystem", "OSVersion" = "osVersion", "OwnerType" = "managedDeviceOwnerType",
        "LastContact" = "lastSyncDateTime", "InGracePeriodUntil" = "complianceGracePeriodExpirationDateTime",
        "IMEI" = "imei", "SerialNumber" = "serialNumber", "ManagementAgents" = "managementAgent",
        "PrimaryUser" = "userId", "UserId" = "userId", "UPN" = "userPrincipalName", "UserEmail" = "emailAddress",
        "UserName" = "userDisplayName", "DeviceHealthThreatLevel" = "partnerReportedThreatState",
        "PartnerDeviceId" = "id", "ComplianceState" = "complianceState", "OS" = "operatingSystem",
    }
    WITHOUT_POLICY "DevicesWithoutCompliancePolicy", Facets::is_without_policy => {
        "DeviceName" = "deviceName", "UPN" = "userPrincipalName", "OS" = "operatingSystem",
        "OSVersion" = "osVersion", "DeviceModel" = "model", "DeviceId" = "id",
    }
}

fn is_noncompliant(facets: &Facets) -> bool {
    matches!(
        facets.compliance,
        Compliance::Noncompliant | Compliance::InGracePeriod
    )
}

/// Every report with its columns.
pub(in crate::graph) fn columns() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    REPORTS.iter().map(|report| {
        let columns = report.schema.properties.iter();
        (report.name, columns.map(|column| column.name).collect())
    })
}

impl Report {
    /// The report with this name, in any case.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        let all = REPORTS.iter().copied();
        all.into_iter()
            .find(|report| report.name.eq_ignore_ascii_case(name))
    }

    /// All names.
    pub(super) fn names() -> String {
        let names: Vec<_> = REPORTS.iter().map(|report| report.name).collect();
        names.join(", ")
    }

    /// The columns with these names, in this order; all if there are none.
    pub(super) fn columns(&self, names: &[String]) -> Result<Vec<usize>, GraphError> {
        if names.is_empty() {
            return Ok((0..self.schema.properties.len()).collect());
        }
        let column = |name: &String| {
            self.schema.index_of(name).ok_or_else(|| {
                let shown: String = name.chars().take(100).collect();
                GraphError::bad_request(format!(
                    "The report {} has no column '{shown}'.",
                    self.name
                ))
            })
        };
        names.iter().map(column).collect()
    }
}

/// A device as a row of a report.
#[derive(Clone, Copy, Debug)]
pub(in crate::graph) struct ReportRow<'a> {
    report: &'static Report,
    device: DeviceRow<'a>,
}

impl Row for ReportRow<'_> {
    fn value(&self, property: usize) -> Value<'_> {
        self.device.value(self.report.sources[property])
    }
}

/// Devices as rows of a report.
impl Projection for &'static Report {
    type Row<'d> = ReportRow<'d>;

    fn row<'d>(self, device: &'d Device, formatted: &'d Formatted) -> ReportRow<'d> {
        ReportRow {
            report: self,
            device: DeviceRow::new(device, formatted),
        }
    }

    fn facet_properties(self) -> Vec<usize> {
        let decided = ManagedDevices.facet_properties();
        let columns = self.sources.iter().enumerate();
        let columns = columns.filter(|(_, source)| decided.contains(source));
        columns.map(|(column, _)| column).collect()
    }

    fn facet_value(self, facets: &Facets, property: usize) -> Value<'static> {
        ManagedDevices.facet_value(facets, self.sources[property])
    }
}

/// The columns of a report that a request wants, in their order.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) report: &'static Report,
    pub(super) chosen: Vec<usize>,
    pub(super) localization: Localization,
}

impl Columns {
    /// The name and kind of each column, with those that localization adds.
    pub(super) fn headings(&self) -> Vec<(String, Kind)> {
        let mut headings = Vec::new();
        for &column in &self.chosen {
            let property = &self.report.schema.properties[column];
            let kind = match property.kind {
                Kind::Enum(_) if self.adds_column(property.kind) => Kind::Int,
                Kind::Enum(_) => Kind::Text,
                kind => kind,
            };
            headings.push((property.name.to_owned(), kind));
            if self.adds_column(property.kind) {
                headings.push((format!("{}_loc", property.name), Kind::Text));
            }
        }
        headings
    }

    pub(super) fn adds_column(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Enum(_)) && self.localization == Localization::AdditionalColumn
    }

    /// The values of a row, as many as there are headings.
    pub(super) fn values(&self, row: &ReportRow<'_>) -> Vec<Json> {
        let mut values = Vec::new();
        for &column in &self.chosen {
            let kind = self.report.schema.properties[column].kind;
            match (row.value(column), kind) {
                (Value::Member(index), Kind::Enum(members)) => {
                    let words = localized(members.names()[usize::from(index)]);
                    if self.adds_column(kind) {
                        values.push(members.number(index).into());
                    }
                    values.push(words.into());
                }
                (value, kind) => values.push(json(value, kind)),
            }
        }
        values
    }
}

/// The words that the portal shows for a value of a column; the name of the member if it has no other.
pub(super) fn localized(name: &str) -> &str {
    match name {
        "company" => "Company",
        "personal" => "Personal",
        "unknown" => "Unknown",
        "compliant" => "Compliant",
        "noncompliant" => "Not compliant",
        "inGracePeriod" => "In grace period",
        "configManager" => "See ConfigMgr",
        "conflict" => "Conflict",
        "error" => "Error",
        name => name,
    }
}

const _: () = assert!(Owner::ALL.len() == 3);
