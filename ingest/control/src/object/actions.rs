//! What happens to devices that fail a compliance policy, and when (`deviceComplianceScheduledActionForRule`).
//!
//! A policy has one rule with exactly one `block` action. The ids of rule and actions follow from the id of the policy
//! and the place of the action, because this crate has no randomness. Stored; R6 and R8 do not exist yet.

use serde_json::{Value as Json, json};

use crate::bytes::{EntryError, Reader, Stored};
use crate::document::{Document, Properties, document_schema, properties};
use crate::fault::FaultKind;
use crate::id::{NO_OBJECT, ObjectId};
use crate::limits::{COPIES_MAX, SCHEDULED_ACTIONS_MAX};
use crate::value::{Number, Value, choice_values, choices};

/// The property of a new policy.
pub(crate) const FOR_RULE: &str = "scheduledActionsForRule";

/// The property of the command that replaces the actions.
pub(crate) const FOR_RULES: &str = "deviceComplianceScheduledActionForRules";

const CONFIGURATIONS: &str = "scheduledActionConfigurations";
const ACTION_TYPE: &str = "actionType";
const RULE_NAME: &str = "ruleName";

/// The only name of a rule, which Graph reads back as null.
const PASSWORD_REQUIRED: &str = "PasswordRequired";

const ALLOWED: &str = "a list of one rule, with exactly one block action";

choices! {
    /// `deviceComplianceActionType`.
    ActionType {
        /// Nothing.
        NoAction = 0 "noAction",
        /// A notification by mail.
        Notification = 1 "notification",
        /// The device is noncompliant.
        Block = 2 "block",
        /// The device is listed for retirement.
        Retire = 3 "retire",
        /// The device is wiped.
        Wipe = 4 "wipe",
        /// Profiles that give access to resources are removed.
        RemoveResourceAccessProfiles = 5 "removeResourceAccessProfiles",
        /// A notification on the device.
        PushNotification = 9 "pushNotification",
        /// The device is locked.
        RemoteLock = 10 "remoteLock",
    }
}

choice_values!(ActionType);

properties! {
    /// One action.
    ScheduledAction {
        /// What happens.
        action_type: ActionType = "actionType", ActionType::Block;
        /// Hours from the first failure to the action.
        grace_hours: Number<0, 8760> = "gracePeriodHours", Number::new(0).expect("in range");
        /// The template of a notification.
        template: Template = "notificationTemplateId", Template::default();
        /// The groups that get a copy of a notification.
        copies: Copies = "notificationMessageCCList", Copies::default();
    }
}

/// The template of a notification, if any: in Graph, the id zero stands for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Template(pub Option<ObjectId>);

impl Value for Template {
    fn allowed() -> String {
        "the id of a template, or empty".to_owned()
    }

    fn read(json: &Json) -> Option<Self> {
        match json {
            Json::Null => Some(Self(None)),
            json if json == "" => Some(Self(None)),
            json => {
                let id: ObjectId = json.as_str()?.parse().ok()?;
                Some(Self(Some(id).filter(|id| *id != NO_OBJECT)))
            }
        }
    }

    fn show(&self) -> Json {
        self.0.unwrap_or(NO_OBJECT).to_string().into()
    }

    fn json_schema() -> Json {
        json!({ "anyOf": [ObjectId::json_schema(), { "enum": ["", null] }] })
    }
}

impl Stored for Template {
    fn put(&self, into: &mut Vec<u8>) {
        self.0.unwrap_or(NO_OBJECT).put(into);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        let id = ObjectId::take(from)?;
        Ok(Self(Some(id).filter(|id| *id != NO_OBJECT)))
    }
}

/// The groups that get a copy of a notification, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copies(pub Vec<ObjectId>);

impl Value for Copies {
    fn allowed() -> String {
        format!("a list of at most {COPIES_MAX} ids of groups")
    }

    fn read(json: &Json) -> Option<Self> {
        let list = match json {
            Json::Null => &Vec::new(),
            json => json.as_array()?,
        };
        let ids = list.iter().map(|id| id.as_str()?.parse().ok());
        let ids: Option<Vec<_>> = ids.collect();
        ids.filter(|ids| ids.len() <= COPIES_MAX).map(Self)
    }

    fn show(&self) -> Json {
        self.0.iter().map(ToString::to_string).collect()
    }

    fn json_schema() -> Json {
        json!({ "type": ["array", "null"], "items": ObjectId::json_schema(), "maxItems": COPIES_MAX })
    }
}

impl Stored for Copies {
    fn put(&self, into: &mut Vec<u8>) {
        put_list(&self.0, into);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        take_list(from, 0, COPIES_MAX).map(Self)
    }
}

/// The actions of a policy, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduledActions(Vec<ScheduledAction>);

impl ScheduledActions {
    /// The actions.
    #[must_use]
    pub fn list(&self) -> &[ScheduledAction] {
        &self.0
    }

    /// Hours that a failing device has until it is noncompliant (R6).
    #[must_use]
    pub fn grace_hours(&self) -> u32 {
        let mut actions = self.0.iter();
        let block = actions.find(|action| action.action_type == ActionType::Block);
        block.map_or(0, |action| action.grace_hours.get())
    }

    /// Reads the property with this name, which must be there; `None` if it has faults, which are noted.
    pub(super) fn read(name: &'static str, document: &mut Document<'_>) -> Option<Self> {
        let Some(json) = document.raw(name) else {
            document.fault(FaultKind::Missing, name, ALLOWED);
            return None;
        };
        let Some([rule]) = json.as_array().map(Vec::as_slice) else {
            document.fault(FaultKind::Invalid, name, ALLOWED);
            return None;
        };
        document.nested(&format!("{name}[0]"), rule, &["id"], read_rule)
    }

    /// The JSON Schema of the list of rules.
    pub(super) fn json_schema() -> Json {
        let mut action = ScheduledAction::json_schemas();
        action.insert("id".to_owned(), json!({}));
        let block = json!({ "properties": { ACTION_TYPE: { "const": ActionType::Block.name() } } });
        let actions = json!({
            "type": "array",
            "items": document_schema(action, &[ACTION_TYPE]),
            "contains": block,
            "minContains": 1,
            "maxContains": 1,
            "maxItems": SCHEDULED_ACTIONS_MAX,
        });
        let mut rule = Properties::new();
        rule.insert("id".to_owned(), json!({}));
        rule.insert(
            RULE_NAME.to_owned(),
            json!({ "enum": [PASSWORD_REQUIRED, null] }),
        );
        rule.insert(CONFIGURATIONS.to_owned(), actions);
        let rule = document_schema(rule, &[CONFIGURATIONS]);
        json!({ "type": "array", "items": rule, "minItems": 1, "maxItems": 1 })
    }

    /// The rule, as Graph shows it for a policy with this id.
    pub(super) fn show(&self, policy: ObjectId) -> Json {
        let actions = self.0.iter().zip(1..).map(|(action, place)| {
            let mut shown = Properties::new();
            shown.insert("id".to_owned(), action_id(policy, place).to_string().into());
            action.show(&mut shown);
            Json::from(shown)
        });
        let actions: Json = actions.collect();
        json!([{ "id": policy.to_string(), RULE_NAME: null, CONFIGURATIONS: actions }])
    }
}

/// The id of an action: that of the policy with another beginning.
fn action_id(policy: ObjectId, place: u32) -> ObjectId {
    let mut id = *policy.as_bytes();
    let [a, b, c, d, ..] = id;
    let begin = u32::from_be_bytes([a, b, c, d]).wrapping_add(place);
    id[..4].copy_from_slice(&begin.to_be_bytes());
    ObjectId::from_bytes(id)
}

fn read_rule(rule: &mut Document<'_>) -> Option<ScheduledActions> {
    let is_known = |json: &Json| json.is_null() || json == PASSWORD_REQUIRED;
    if rule.raw(RULE_NAME).is_some_and(|json| !is_known(json)) {
        rule.fault(
            FaultKind::Invalid,
            RULE_NAME,
            format!("{PASSWORD_REQUIRED}, or null"),
        );
    }
    let list = rule.raw(CONFIGURATIONS).and_then(Json::as_array);
    let Some(list) = list.filter(|list| list.len() <= SCHEDULED_ACTIONS_MAX) else {
        let allowed = format!("a list of at most {SCHEDULED_ACTIONS_MAX} actions");
        rule.fault(FaultKind::Invalid, CONFIGURATIONS, allowed);
        return None;
    };
    let mut actions = Vec::new();
    for (index, json) in list.iter().enumerate() {
        let target = format!("{CONFIGURATIONS}[{index}]");
        actions.extend(rule.nested(&target, json, &["id"], |action| {
            action.require::<ActionType>(ACTION_TYPE);
            Some(ScheduledAction::read(&ScheduledAction::default(), action))
        }));
    }
    let blocks = actions
        .iter()
        .filter(|action| action.action_type == ActionType::Block);
    if blocks.count() != 1 {
        rule.fault(
            FaultKind::Invalid,
            CONFIGURATIONS,
            "exactly one block action",
        );
    }
    Some(ScheduledActions(actions))
}

impl Stored for ScheduledActions {
    fn put(&self, into: &mut Vec<u8>) {
        put_list(&self.0, into);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        let actions: Vec<ScheduledAction> = take_list(from, 1, SCHEDULED_ACTIONS_MAX)?;
        let blocks = actions
            .iter()
            .filter(|action| action.action_type == ActionType::Block);
        match blocks.count() {
            1 => Ok(Self(actions)),
            _ => Err(EntryError::Invalid("number of block actions")),
        }
    }
}

fn put_list<T: Stored>(list: &[T], into: &mut Vec<u8>) {
    let count = u8::try_from(list.len()).expect("the limits are lower");
    count.put(into);
    list.iter().for_each(|value| value.put(into));
}

fn take_list<T: Stored>(
    from: &mut Reader<'_>,
    min: usize,
    max: usize,
) -> Result<Vec<T>, EntryError> {
    let count = usize::from(u8::take(from)?);
    if !(min..=max).contains(&count) {
        return Err(EntryError::Invalid("length of a list"));
    }
    (0..count).map(|_| T::take(from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Handling;

    fn read(json: Json) -> Result<ScheduledActions, Vec<String>> {
        let properties = json!({ FOR_RULE: json });
        let properties = properties.as_object().unwrap();
        let mut document = Document::new(properties, &[], Handling::Strict);
        let actions = ScheduledActions::read(FOR_RULE, &mut document);
        let faults = document.finish();
        let targets: Vec<_> = faults
            .listed()
            .iter()
            .map(|fault| fault.target.clone())
            .collect();
        actions.filter(|_| targets.is_empty()).ok_or(targets)
    }

    fn rule(actions: &Json) -> Json {
        json!([{ "ruleName": "PasswordRequired", "scheduledActionConfigurations": actions }])
    }

    #[test]
    fn a_rule_has_exactly_one_block_action() {
        let block = json!({ "actionType": "block", "gracePeriodHours": 8760, "notificationTemplateId": "" });
        let push = json!({ "actionType": "PushNotification" });
        let actions = read(rule(&json!([push, block]))).unwrap();
        assert_eq!(actions.grace_hours(), 8760);
        let whole = format!("{FOR_RULE}[0].{CONFIGURATIONS}");
        for (json, expected) in [
            (json!([]), FOR_RULE.to_owned()),
            (Json::Null, FOR_RULE.to_owned()),
            (json!([1, 2]), FOR_RULE.to_owned()),
            (json!([1]), format!("{FOR_RULE}[0]")),
            (json!([{}]), whole.clone()),
            (rule(&json!([])), whole.clone()),
            (rule(&json!([push])), whole.clone()),
            (rule(&json!([block, block])), whole.clone()),
            (rule(&json!([7, block])), format!("{whole}[0]")),
            (
                rule(&json!([block, { "gracePeriodHours": 0, "actionType": "page" }])),
                format!("{whole}[1].actionType"),
            ),
            (
                rule(&json!([block, { "actionType": "retire", "gracePeriodHours": 8761 }])),
                format!("{whole}[1].gracePeriodHours"),
            ),
            (
                rule(&json!([block, { "actionType": "retire", "x": 8761 }])),
                format!("{whole}[1].x"),
            ),
            (
                rule(&json!(vec![block.clone(); SCHEDULED_ACTIONS_MAX + 1])),
                whole.clone(),
            ),
        ] {
            let faults = read(json.clone()).unwrap_err();
            assert!(faults.contains(&expected), "{json}: {faults:?}");
        }
        let mut named = rule(&json!([block]));
        named[0]["ruleName"] = "DeviceNonCompliance".into();
        assert_eq!(read(named), Err(vec![format!("{FOR_RULE}[0].ruleName")]));
    }

    #[test]
    fn what_is_shown_can_be_read_and_stored() {
        let group = "0f2c0000-0000-4000-8000-000000000001";
        let notification = json!({
            "actionType": "notification",
            "gracePeriodHours": 24,
            "notificationTemplateId": group,
            "notificationMessageCCList": [group],
        });
        let actions = read(rule(&json!([{ "actionType": "block" }, notification]))).unwrap();
        let policy: ObjectId = "7a0b1c2d-0000-4000-8000-0000000000aa".parse().unwrap();
        let shown = actions.show(policy);
        assert_eq!(read(shown.clone()), Ok(actions.clone()));
        assert_eq!(shown[0]["ruleName"], Json::Null);
        let first = &shown[0][CONFIGURATIONS][0];
        assert_eq!(
            first["notificationTemplateId"],
            "00000000-0000-0000-0000-000000000000"
        );
        assert_eq!(first["id"], "7a0b1c2e-0000-4000-8000-0000000000aa");
        assert_eq!(
            shown[0][CONFIGURATIONS][1]["id"],
            "7a0b1c2f-0000-4000-8000-0000000000aa"
        );
        let mut bytes = Vec::new();
        actions.put(&mut bytes);
        assert_eq!(
            ScheduledActions::take(&mut Reader::new(&bytes)),
            Ok(actions)
        );
        // Without its block action it is not a rule.
        bytes[1] = 4;
        assert!(ScheduledActions::take(&mut Reader::new(&bytes)).is_err());
    }
}
