//! Every operation of the API, in one table: the router and the OpenAPI document both come from it.
//!
//! To add an operation, add a row here, then run the test `the_openapi_document_is_that_of_the_operations` as its message
//! says. The objects of the control plane have their rows in `objects.rs`.

use axum::Router;
use muster_control::{Action, DocumentType};

use super::devices::{self, row};
use super::operation::{
    COUNT, Content, DELTA, ENTITY, LIST, MEMBERS, Operation, QueryOption, Sent, Type, delete, get,
    patch, post,
};
use super::own_types as own;
use super::{
    assignments, audit, exports, groups, objects, roles, schemas, settings, sign_in_codes,
    summaries, tokens, users,
};

/// Every operation.
pub(super) fn all() -> Vec<Operation> {
    let mut all = objects::operations();
    all.extend(policies_and_groups());
    all.extend(roles::operations());
    all.extend(managed_devices());
    all.extend(users::operations());
    all.extend(counts());
    all.extend(audit_events());
    all.extend(export_jobs());
    all.extend(interactive_reports());
    all.extend(tenant());
    all
}

/// The router of all operations. Its paths are in the form of `path.rs`, without the version.
pub(super) fn router() -> Router {
    let mut router = Router::new();
    for operation in all() {
        if let Some(handler) = operation.handler {
            router = router.route(&operation.path.to_lowercase(), handler);
        }
    }
    router
}

const ASSIGNMENT: Type = Type::Own("deviceCompliancePolicyAssignment", own::assignment);

fn policies_and_groups() -> Vec<Operation> {
    let policy = |path: &str| format!("/deviceManagement/deviceCompliancePolicies/{{id}}/{path}");
    let members = |path: &str| format!("/groups/{{id}}/members{path}");
    vec![
        post(
            policy("assign"),
            "Replace the assignments of a policy",
            assignments::assign,
        )
        .needs(&[Action::AssignCompliancePolicies])
        .takes(Sent::Own("assignments", DocumentType::assignments))
        .answers(Content::Page(ASSIGNMENT))
        .conditional(),
        get(
            policy("assignments"),
            "List the assignments of a policy",
            assignments::list,
        )
        .needs(&[Action::ReadCompliancePolicies])
        .answers(Content::Page(ASSIGNMENT)),
        post(
            policy("scheduleActionsForRules"),
            "Replace the scheduled actions of a policy",
            assignments::schedule,
        )
        .needs(&[Action::UpdateCompliancePolicies])
        .takes(Sent::Own(
            "scheduledActions",
            DocumentType::scheduled_actions,
        ))
        .conditional(),
        get(members(""), "List the members of a group", groups::members)
            .needs(&[Action::ReadOrganization])
            .options(MEMBERS, &schemas::MEMBER)
            .answers(Content::Page(Type::Rows(&schemas::MEMBER)))
            // The group of all devices.
            .fails(&[400]),
        get(
            members("/$count"),
            "Count the members of a group",
            groups::count,
        )
        .needs(&[Action::ReadOrganization])
        .answers(Content::Number)
        .fails(&[400]),
        post(members("/$ref"), "Add a member to a group", groups::add)
            .needs(&[Action::UpdateGroups])
            .takes(Sent::Own("reference", DocumentType::reference))
            .conditional(),
        delete(
            members("/{member}/$ref"),
            "Remove a member from a group",
            groups::remove,
        )
        .needs(&[Action::UpdateGroups])
        .conditional(),
    ]
}

const DEVICE: Type = Type::Rows(&row::SCHEMA);

const DEVICE_EXPANDS: &[&str] = &["deviceCompliancePolicyStates", "users"];

fn managed_devices() -> Vec<Operation> {
    const READ: &[Action] = &[Action::ReadDevices];
    let at = |path: &str| format!("/deviceManagement/managedDevices{path}");
    let state = "deviceCompliancePolicyState";
    let setting = "deviceCompliancePolicySettingState";
    vec![
        get(at(""), "List the managed devices", devices::list)
            .needs(READ)
            .options(LIST, &row::SCHEMA)
            .expands(DEVICE_EXPANDS)
            .answers(Content::Page(DEVICE)),
        get(at("/$count"), "Count the managed devices", devices::count)
            .needs(READ)
            .options(COUNT, &row::SCHEMA)
            .answers(Content::Number),
        get(
            at("/delta"),
            "Follow the changes of the managed devices",
            devices::delta::delta,
        )
        .needs(READ)
        .options(DELTA, &row::SCHEMA)
        .expands(DEVICE_EXPANDS)
        .answers(Content::Page(Type::Own(
            "managedDeviceChange",
            own::device_change,
        ))),
        get(at("/{id}"), "Read a managed device", devices::one)
            .needs(READ)
            .options(ENTITY, &row::SCHEMA)
            .expands(DEVICE_EXPANDS)
            .answers(Content::One(DEVICE)),
        patch(
            at("/{id}"),
            "Change what operators set on a managed device",
            devices::patch,
        )
        .needs(&[Action::UpdateDevices])
        .takes(Sent::Changed(&[DocumentType::Device]))
        .answers(Content::One(DEVICE))
        .conditional(),
        delete(at("/{id}"), "Remove a managed device", devices::delete)
            .needs(&[Action::DeleteDevices])
            .conditional(),
        get(
            at("/{id}/deviceCompliancePolicyStates"),
            "List the states of the compliance policies of a device",
            devices::policy_states,
        )
        .needs(READ)
        .answers(Content::Page(Type::Own(state, own::policy_state))),
        get(
            at("/{id}/deviceCompliancePolicyStates/{state}/settingStates"),
            "List the states of the settings of a compliance policy of a device",
            devices::setting_states,
        )
        .needs(READ)
        .answers(Content::Page(Type::Own(setting, own::setting_state))),
        get(
            "/muster/devices/{id}/why",
            "Explain the states of a device by the rows of the rules",
            devices::reasons,
        )
        .needs(READ)
        .answers(Content::One(Type::Own("why", own::why))),
    ]
}

fn counts() -> Vec<Operation> {
    let at = |path: &str| format!("/deviceManagement/{path}");
    let overview = Type::Own("managedDeviceOverview", own::overview);
    let compliance = Type::Own("deviceCompliancePolicyDeviceStateSummary", own::compliance);
    let onboarding = "advancedThreatProtectionOnboardingStateSummary";
    let settings = &summaries::SETTING_SUMMARY;
    vec![
        get(
            at("managedDeviceOverview"),
            "Count the devices by system",
            summaries::overview,
        )
        .needs(&[Action::ReadDeviceReports])
        .answers(Content::One(overview)),
        get(
            at("deviceCompliancePolicyDeviceStateSummary"),
            "Count the devices by compliance (C4)",
            summaries::compliance,
        )
        .needs(&[Action::ReadComplianceReports])
        .answers(Content::One(compliance)),
        get(
            at("deviceCompliancePolicySettingStateSummaries"),
            "Count the devices by the state of each setting (C6)",
            summaries::settings,
        )
        .needs(&[Action::ReadComplianceReports])
        .options(LIST, settings)
        .answers(Content::Page(Type::Rows(settings))),
        get(
            at(onboarding),
            "Count the devices by onboarding (C3)",
            summaries::onboarding,
        )
        .needs(&[Action::ReadOnboarding])
        .answers(Content::One(Type::Own(onboarding, own::onboarding))),
        get(
            "/muster/counts",
            "Every count, or a cross table of two dimensions",
            summaries::counts,
        )
        .needs(&[Action::ReadOnboarding, Action::ReadComplianceReports])
        .options(&[QueryOption::By], &row::SCHEMA)
        .answers(Content::One(Type::Own("counts", own::counts))),
    ]
}

fn audit_events() -> Vec<Operation> {
    const READ: &[Action] = &[Action::ReadAudit];
    const EVENT: Type = Type::Rows(&schemas::AUDIT_EVENT);
    let at = |path: &str| format!("/deviceManagement/auditEvents{path}");
    vec![
        get(at(""), "List the audit events, newest first", audit::list)
            .needs(READ)
            .options(LIST, &schemas::AUDIT_EVENT)
            .answers(Content::Page(EVENT)),
        get(
            at("/getAuditCategories"),
            "List the categories of audit events",
            audit::categories,
        )
        .needs(READ)
        .answers(Content::Page(Type::Own("auditCategory", own::category))),
        get(at("/{id}"), "Read an audit event", audit::one)
            .needs(READ)
            .options(ENTITY, &schemas::AUDIT_EVENT)
            .answers(Content::One(EVENT)),
        get(
            "/muster/audit/verify",
            "Verify the audit log",
            audit::verify,
        )
        .needs(READ)
        .options(&[QueryOption::Pin], &schemas::AUDIT_EVENT)
        .answers(Content::One(Type::Own(
            "auditVerification",
            own::audit_verification,
        ))),
    ]
}

fn export_jobs() -> Vec<Operation> {
    const NEEDS: &[Action] = &exports::NEEDS;
    const JOB: Type = Type::Rows(&exports::JOB);
    let at = |path: &str| format!("/deviceManagement/reports/exportJobs{path}");
    vec![
        get(at(""), "List the export jobs", exports::list)
            .needs(NEEDS)
            .options(LIST, &exports::JOB)
            .answers(Content::Page(JOB)),
        post(
            at(""),
            "Export a report of devices as a file",
            exports::create,
        )
        .needs(NEEDS)
        .takes(Sent::Own("exportJobCreate", own::export_job))
        .creates(JOB)
        .location()
        .fails(&[409]),
        get(at("/{id}"), "Read an export job", exports::one)
            .needs(NEEDS)
            .options(ENTITY, &exports::JOB)
            .answers(Content::One(JOB)),
        delete(
            at("/{id}"),
            "Delete an export job and its file",
            exports::delete,
        )
        .needs(NEEDS),
    ]
}

fn interactive_reports() -> Vec<Operation> {
    const ASKED: Sent = Sent::Own("reportParameters", own::report_parameters);
    let at = |name: &str| format!("/deviceManagement/reports/{name}");
    let all = vec![
        post(
            at("getDeviceNonComplianceReport"),
            "Read rows of the report of noncompliant devices",
            exports::noncompliant_devices,
        ),
        post(
            at("getDevicesWithoutCompliancePolicyReport"),
            "Read rows of the report of devices without a policy",
            exports::without_policy,
        ),
    ];
    let asked = all.into_iter().map(|operation| {
        operation
            .needs(&exports::NEEDS)
            .takes(ASKED)
            .answers(Content::Bytes)
    });
    asked.collect()
}

fn tenant() -> Vec<Operation> {
    const READ: &[Action] = &[Action::ReadOrganization];
    let parent = Type::Own("deviceManagement", own::parent);
    let settings_type = Type::Own("deviceManagementSettings", own::settings);
    let created = Type::Own("tokenWithSecret", own::token_with_secret);
    let link = Type::Own("signInCode", own::sign_in_code);
    let responses = Type::Own("batchResponses", own::batch_responses);
    vec![
        get(
            "/deviceManagement",
            "Read the settings of the tenant",
            settings::parent,
        )
        .needs(READ)
        .options(&[QueryOption::Select], &settings::PARENT)
        .answers(Content::One(parent)),
        patch(
            "/deviceManagement",
            "Change the settings of the tenant",
            settings::patch,
        )
        .needs(&[Action::UpdateCompliancePolicies])
        .takes(Sent::Own("deviceManagementUpdate", own::parent_update))
        .answers(Content::One(parent))
        .conditional(),
        get(
            "/deviceManagement/settings",
            "Read the settings alone",
            settings::read,
        )
        .needs(READ)
        .answers(Content::One(settings_type)),
        get("/muster/tokens", "List the API tokens", tokens::list)
            .needs(&[Action::ReadRoles])
            .options(LIST, &schemas::TOKEN)
            .answers(Content::Page(Type::Rows(&schemas::TOKEN))),
        post(
            "/muster/tokens",
            "Make an API token, whose secret is shown once",
            tokens::create,
        )
        .needs(&[Action::ManageTokens])
        .takes(Sent::Own("tokenCreate", own::token_create))
        .creates(created)
        .location()
        .creation(),
        get("/muster/tokens/{id}", "Read an API token", tokens::one)
            .needs(&[Action::ReadRoles])
            .options(ENTITY, &schemas::TOKEN)
            .answers(Content::One(Type::Rows(&schemas::TOKEN))),
        delete("/muster/tokens/{id}", "Revoke an API token", tokens::revoke)
            .needs(&[Action::ManageTokens])
            .conditional(),
        post(
            "/muster/signInCodes",
            "Make a link that signs in once",
            sign_in_codes::create,
        )
        .creates(link)
        .fails(&[409]),
        // Answered before it is routed, because it routes the requests in it.
        Operation::new("post", "/$batch", "Carry out up to 20 requests", None)
            .takes(Sent::Own("batchRequests", own::batch_requests))
            .answers(Content::One(responses)),
    ]
}
