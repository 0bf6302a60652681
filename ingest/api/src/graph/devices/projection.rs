//! What a query makes of devices: rows of managed devices, of machines, of reports; and what facets alone decide of a row.
//!
//! Pure. Each kind of rows has a schema of its own, whose properties a filter and an order name.

use muster_engine::Facets;

use super::row::{DeviceRow, Formatted, SCHEMA, system};
use crate::backend::Device;
use crate::odata::{Row, Value};

/// What a list makes of a device: a managed device, a machine, a row of a report.
pub(in crate::graph) trait Projection: Copy + Send + Sync + 'static {
    /// A device as a row of its schema.
    type Row<'d>: Row;

    /// Whether its schema is that of managed devices, whose names and dates lists know without reading all devices.
    const IS_OF_DEVICES: bool = false;

    /// A device as a row.
    fn row<'d>(self, device: &'d Device, formatted: &'d Formatted) -> Self::Row<'d>;

    /// The properties that facets decide: what a list can filter by without the record of a device.
    fn facet_properties(self) -> Vec<usize>;

    /// The value of one of them.
    fn facet_value(self, facets: &Facets, property: usize) -> Value<'static>;
}

/// The values of a row that the facets of its device decide.
#[derive(Clone, Copy, Debug)]
pub(in crate::graph) struct FacetRow<P> {
    pub(in crate::graph) projection: P,
    pub(in crate::graph) facets: Facets,
}

impl<P: Projection> Row for FacetRow<P> {
    fn value(&self, property: usize) -> Value<'_> {
        self.projection.facet_value(&self.facets, property)
    }
}

/// Devices as managed devices.
#[derive(Clone, Copy, Debug)]
pub(in crate::graph) struct ManagedDevices;

/// The names of the properties that facets decide.
const FACET_PROPERTIES: &[&str] = &[
    "complianceState",
    "managementAgent",
    "operatingSystem",
    "partnerReportedThreatState",
    "managementState",
];

impl Projection for ManagedDevices {
    type Row<'d> = DeviceRow<'d>;

    const IS_OF_DEVICES: bool = true;

    fn row<'d>(self, device: &'d Device, formatted: &'d Formatted) -> DeviceRow<'d> {
        DeviceRow::new(device, formatted)
    }

    fn facet_properties(self) -> Vec<usize> {
        let index = |name: &&str| SCHEMA.index_of(name).expect("the name is in the schema");
        FACET_PROPERTIES.iter().map(index).collect()
    }

    fn facet_value(self, facets: &Facets, property: usize) -> Value<'static> {
        match SCHEMA.properties[property].name {
            "complianceState" => Value::Member(facets.compliance.index() as u8),
            "managementAgent" => Value::Member(facets.management_agent.index() as u8),
            "operatingSystem" => Value::Text(system(facets.platform)),
            "partnerReportedThreatState" => Value::Member(facets.partner_threat.index() as u8),
            "managementState" => Value::Member(0),
            _ => Value::Null,
        }
    }
}
