//! Counts in the shape of Graph, and by any two dimensions: sums of cells, whatever the number of devices. For a
//! principal whose roles have not all scope tags, the devices that it sees are counted by a scan.

use std::collections::BTreeMap;

use axum::extract::RawQuery;
use axum::response::{IntoResponse, Response};
use muster_control::Action;
use muster_engine::{Counts, Facets};
use muster_wire::{ManagementAgent, Platform};
use serde_json::{Map, Value, json};

use super::call::Call;
use super::collection::{self, Collection, entity};
use super::error::GraphError;
use crate::backend::Cell;
use crate::odata::{Kind, Options, Property, Schema};

/// The counts of the devices that exist for the principal when it carries out these actions, which it must be allowed.
async fn counted(call: &Call, actions: &[Action]) -> Result<(Vec<Cell>, Counts), GraphError> {
    actions
        .iter()
        .try_for_each(|action| call.require(*action))?;
    let sight = call.sight(&call.control(), actions);
    let cells = call.cells(sight.as_ref()).await?;
    let mut counts = Counts::default();
    for cell in &cells {
        counts.add(&cell.facets, cell.count);
    }
    Ok((cells, counts))
}

/// The members of a group of counts as properties.
fn group(counts: &Counts, name: &str) -> Map<String, Value> {
    let groups = counts.groups();
    let found = groups.into_iter().find(|(group, _)| *group == name);
    let members = found.map(|(_, members)| members).unwrap_or_default();
    let property = |(name, number): (&str, u64)| (name.to_owned(), number.into());
    members.into_iter().map(property).collect()
}

/// A summary has an id in Graph: that of the tenant's only one.
fn with_id(name: &str, properties: Map<String, Value>) -> Value {
    let mut document = Map::new();
    document.insert("id".to_owned(), name.into());
    document.extend(properties);
    Value::Object(document)
}

/// `GET deviceManagement/managedDeviceOverview`.
pub(super) async fn overview(call: Call, _: RawQuery) -> Result<Response, GraphError> {
    let (cells, counts) = counted(&call, &[Action::ReadDeviceReports]).await?;
    let sum = |of: &dyn Fn(&Facets) -> bool| -> u64 {
        let own = cells.iter().filter(|cell| of(&cell.facets));
        own.map(|cell| cell.count).sum()
    };
    let on = |platforms: &[Platform]| sum(&|facets| platforms.contains(&facets.platform));
    let by_agent =
        |agents: &[ManagementAgent]| sum(&|facets| agents.contains(&facets.management_agent));
    let co_managed = [
        ManagementAgent::ConfigurationManagerClientMdm,
        ManagementAgent::ConfigurationManagerClientMdmEas,
    ];
    let dual = by_agent(&co_managed);
    let config_manager = by_agent(&[ManagementAgent::ConfigurationManagerClient]);
    let enrolled = counts.enrolled();
    let document = json!({
        "id": "managedDeviceOverview",
        "enrolledDeviceCount": enrolled,
        "mdmEnrolledCount": enrolled - config_manager,
        "dualEnrolledDeviceCount": dual,
        "deviceOperatingSystemSummary": {
            "androidCount": on(&[Platform::Android, Platform::AndroidEnterprise]),
            "iosCount": on(&[Platform::Ios]),
            "macOSCount": on(&[Platform::MacOs]),
            "windowsCount": on(&[Platform::Windows, Platform::WindowsServer]),
            "windowsMobileCount": 0,
            "unknownCount": on(&[Platform::Unknown, Platform::Other]),
            "configMgrDeviceCount": config_manager,
            "androidDedicatedCount": 0,
            "androidDeviceAdminCount": on(&[Platform::Android]),
            "androidFullyManagedCount": 0,
            "androidWorkProfileCount": on(&[Platform::AndroidEnterprise]),
            "androidCorporateWorkProfileCount": 0,
            // [OWN] Graph has no count of these.
            "linuxCount": on(&[Platform::Linux]),
        },
        // Check-ins do not tell the access to Exchange.
        "deviceExchangeAccessStateSummary": {
            "allowedDeviceCount": 0,
            "blockedDeviceCount": 0,
            "quarantinedDeviceCount": 0,
            "unknownDeviceCount": enrolled,
            "unavailableDeviceCount": 0,
        },
    });
    Ok(entity(
        &call,
        "deviceManagement/managedDeviceOverview",
        document,
    ))
}

/// `GET deviceManagement/deviceCompliancePolicyDeviceStateSummary` (C4).
pub(super) async fn compliance(call: Call, _: RawQuery) -> Result<Response, GraphError> {
    let (_, counts) = counted(&call, &[Action::ReadComplianceReports]).await?;
    let name = "deviceCompliancePolicyDeviceStateSummary";
    let mut properties = group(&counts, name);
    properties.extend(group(&counts, "subsets"));
    let context = "deviceManagement/deviceCompliancePolicyDeviceStateSummary";
    Ok(entity(&call, context, with_id(name, properties)))
}

/// `GET deviceManagement/advancedThreatProtectionOnboardingStateSummary` (C3).
pub(super) async fn onboarding(call: Call, _: RawQuery) -> Result<Response, GraphError> {
    let (_, counts) = counted(&call, &[Action::ReadOnboarding]).await?;
    let name = "advancedThreatProtectionOnboardingStateSummary";
    let context = "deviceManagement/advancedThreatProtectionOnboardingStateSummary";
    Ok(entity(&call, context, with_id(name, group(&counts, name))))
}

pub(super) const SETTING_SUMMARY: Schema = Schema {
    name: "microsoft.graph.deviceCompliancePolicySettingStateSummary",
    properties: &[
        Property::new("id", Kind::Text).filterable().orderable(),
        Property::new("setting", Kind::Text)
            .filterable()
            .orderable(),
        Property::new("settingName", Kind::Text)
            .filterable()
            .orderable(),
        Property::new("platformType", Kind::Text)
            .filterable()
            .orderable(),
        Property::new("unknownDeviceCount", Kind::Int).orderable(),
        Property::new("notApplicableDeviceCount", Kind::Int).orderable(),
        Property::new("compliantDeviceCount", Kind::Int).orderable(),
        Property::new("remediatedDeviceCount", Kind::Int).orderable(),
        Property::new("nonCompliantDeviceCount", Kind::Int).orderable(),
        Property::new("errorDeviceCount", Kind::Int).orderable(),
        Property::new("conflictDeviceCount", Kind::Int).orderable(),
    ],
    subtypes: &[],
};

/// The platform type and the policy type of Graph by platform; `None` if no policy type exists.
const fn policy_type(platform: Platform) -> Option<(&'static str, &'static str)> {
    match platform {
        Platform::Windows => Some(("windows10AndLater", "Windows10CompliancePolicy")),
        Platform::Ios => Some(("iOS", "IosCompliancePolicy")),
        Platform::Android => Some(("android", "AndroidCompliancePolicy")),
        Platform::AndroidEnterprise => {
            Some(("androidForWork", "AndroidWorkProfileCompliancePolicy"))
        }
        _ => None,
    }
}

/// `GET deviceManagement/deviceCompliancePolicySettingStateSummaries` (C6): the threat level, by platform.
pub(super) async fn settings(
    call: Call,
    RawQuery(query): RawQuery,
) -> Result<Response, GraphError> {
    let (cells, _) = counted(&call, &[Action::ReadComplianceReports]).await?;
    let mut by_platform: BTreeMap<usize, BTreeMap<&str, u64>> = BTreeMap::new();
    for cell in &cells {
        if policy_type(cell.facets.platform).is_some() && cell.facets.summary().is_some() {
            let states = by_platform.entry(cell.facets.platform.index()).or_default();
            let status = cell.facets.threat_setting.status();
            *states.entry(status).or_default() += cell.count;
        }
    }
    let row = |(platform, states): (usize, BTreeMap<&str, u64>)| {
        let (platform_type, policy) = policy_type(Platform::ALL[platform])?;
        let of = |status: &str| states.get(status).copied().unwrap_or_default();
        let setting = "DeviceThreatProtectionRequiredSecurityLevel";
        Some(json!({
            "id": format!("{policy}_{setting}"),
            "setting": format!("{policy}.{setting}"),
            "settingName": setting,
            "platformType": platform_type,
            "unknownDeviceCount": of("unknown") + of("notAssigned"),
            "notApplicableDeviceCount": of("notApplicable"),
            "compliantDeviceCount": of("compliant"),
            "remediatedDeviceCount": 0,
            "nonCompliantDeviceCount": of("nonCompliant"),
            "errorDeviceCount": of("error"),
            "conflictDeviceCount": 0,
        }))
    };
    let rows = by_platform.into_iter().filter_map(row).collect();
    let collection = Collection {
        schema: &SETTING_SUMMARY,
        context: "deviceManagement/deviceCompliancePolicySettingStateSummaries",
        order: "setting",
    };
    collection::list(
        &call,
        query.as_deref(),
        collection,
        rows,
        &collection::no_expansion,
    )
}

/// A dimension of the cross table.
pub(super) type Dimension = (&'static str, fn(&Facets) -> &'static str);

/// \[OWN\] Every dimension, by the name that `/muster/counts` takes.
pub(super) const DIMENSIONS: &[Dimension] = &[
    ("complianceState", |facets| facets.compliance.name()),
    ("onboardingStatus", |facets| {
        facets.onboarding_status().name()
    }),
    ("healthStatus", |facets| facets.sensor.name()),
    ("riskScore", |facets| facets.risk.name()),
    ("platform", |facets| facets.platform.name()),
    ("managedBy", |facets| facets.managed_by().name()),
    ("managementAgent", |facets| facets.management_agent.name()),
    ("partnerReportedThreatState", |facets| {
        facets.partner_threat.name()
    }),
    ("threatSetting", |facets| facets.threat_setting.name()),
];

/// \[OWN\] `GET muster/counts`: every group of counts; with `by=a,b` a cross table of one or two dimensions.
pub(super) async fn counts(call: Call, RawQuery(query): RawQuery) -> Result<Response, GraphError> {
    let actions = [Action::ReadOnboarding, Action::ReadComplianceReports];
    let (cells, counts) = counted(&call, &actions).await?;
    let options = Options::parse(query.as_deref().unwrap_or_default(), &["by"])?;
    let Some(by) = options.custom("by") else {
        let mut document = Map::new();
        for (name, number) in counts.totals() {
            document.insert(name.to_owned(), number.into());
        }
        for (name, _) in counts.groups() {
            document.insert(name.to_owned(), group(&counts, name).into());
        }
        return Ok(axum::Json(document).into_response());
    };
    let dimensions = by
        .split(',')
        .map(dimension)
        .collect::<Result<Vec<_>, _>>()?;
    if dimensions.len() > 2 {
        return Err(GraphError::bad_request(
            "The option 'by' takes one or two dimensions.",
        ));
    }
    let mut table: BTreeMap<Vec<&str>, u64> = BTreeMap::new();
    for cell in &cells {
        let key = dimensions.iter().map(|(_, of)| of(&cell.facets)).collect();
        *table.entry(key).or_default() += cell.count;
    }
    let row = |(key, count): (Vec<&str>, u64)| {
        let mut row = Map::new();
        for ((name, _), value) in dimensions.iter().zip(key) {
            row.insert((*name).to_owned(), value.into());
        }
        row.insert("count".to_owned(), count.into());
        Value::Object(row)
    };
    let rows: Vec<_> = table.into_iter().map(row).collect();
    Ok(axum::Json(json!({ "value": rows })).into_response())
}

fn dimension(name: &str) -> Result<Dimension, GraphError> {
    let found = DIMENSIONS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name.trim()));
    found.copied().ok_or_else(|| {
        let names: Vec<_> = DIMENSIONS.iter().map(|(name, _)| *name).collect();
        GraphError::bad_request(format!(
            "The option 'by' takes one or two of: {}.",
            names.join(", ")
        ))
    })
}
