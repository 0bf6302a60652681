//! The list of managed devices: a scan of the facets of all devices, then the records of those that may match.
//!
//! Conditions that facets decide are tested in the scan; the others need the record, and some the inventory, which is in
//! the store. Without `$orderby` a list is in the order of positions, where a page continues; with one, every page is
//! the smallest rows after the last one. Bounded: a thousand devices at a time in memory, and twice [`SORTED_SKIP_MAX`] and
//! a page more for a sorted page; two passes over all devices at a time.

mod dated;
mod named;

use std::cmp::Ordering;
use std::sync::Arc;

use axum::response::Response;
use muster_control::{Action, ControlPlane, Sight};
use muster_engine::{FacetWord, Facets, ShardId, SlotIndex};

use super::projection::{FacetRow, ManagedDevices, Projection};
use super::row::{Formatted, SCHEMA};
use crate::backend::{Device, Matches, Position, ROWS_MAX};
use crate::graph::call::Call;
use crate::graph::collection::{Links, answer, conditions, options, plain_count};
use crate::graph::error::GraphError;
use crate::odata::{Filter, Options, OrderBy, PAGE_MAX, Select, TokenError};

/// The context of the list.
pub(in crate::graph) const CONTEXT: &str = "deviceManagement/managedDevices";

/// The largest `$skip` of a sorted list, whose first page keeps the skipped rows in memory.
pub(in crate::graph) const SORTED_SKIP_MAX: u64 = 10_000;

/// A device with its place.
pub(in crate::graph) type Found = (Position, Device);

/// A condition on facets for which Graph has no property.
pub(in crate::graph) type FacetTest = Arc<dyn Fn(&Facets) -> bool + Send + Sync>;

/// A query over the devices of a tenant. Filter and order are those of the rows that the projection makes of them.
pub(in crate::graph) struct Query<'a, P = ManagedDevices> {
    call: &'a Call,
    projection: P,
    filter: Option<Filter>,
    /// The objects, of one moment for the whole query.
    control: Arc<ControlPlane>,
    /// The devices that exist for the principal.
    sight: Option<Sight>,
    test: Option<FacetTest>,
}

impl<'a> Query<'a> {
    /// A query of a principal that carries out these actions.
    pub(in crate::graph) fn new(
        call: &'a Call,
        filter: Option<Filter>,
        actions: &[Action],
    ) -> Self {
        Self::of(ManagedDevices, call, filter, actions)
    }
}

impl<'a, P: Projection> Query<'a, P> {
    /// A query of a principal that carries out these actions.
    pub(in crate::graph) fn of(
        projection: P,
        call: &'a Call,
        filter: Option<Filter>,
        actions: &[Action],
    ) -> Self {
        let control = call.control();
        Self {
            call,
            projection,
            filter,
            sight: call.sight(&control, actions),
            control,
            test: None,
        }
    }

    /// The query with one more condition.
    pub(in crate::graph) fn with_test(mut self, test: FacetTest) -> Self {
        self.test = Some(test);
        self
    }

    /// The conditions that facets alone decide, as a test of them.
    fn matches(&self) -> Matches {
        let properties = self.projection.facet_properties();
        let all = self.filter.as_ref().map_or(&[][..], Filter::conjuncts);
        let mine: Vec<_> = all
            .iter()
            .filter(|condition| condition.uses_only(&properties))
            .cloned()
            .collect();
        let (test, projection) = (self.test.clone(), self.projection);
        Box::new(move |word| {
            let facets = facets_of(word);
            let row = FacetRow { projection, facets };
            mine.iter().all(|condition| condition.matches(&row))
                && test.as_ref().is_none_or(|test| test(&facets))
        })
    }

    /// Whether names and dates can say which devices come first. They are those of the whole tenant, so for a principal
    /// that does not see all of it they cannot.
    fn is_ordered(&self) -> bool {
        P::IS_OF_DEVICES && self.sight.is_none()
    }

    /// Whether facets alone decide the whole filter.
    pub(in crate::graph) fn is_of_facets(&self) -> bool {
        let properties = self.projection.facet_properties();
        let filter = self.filter.as_ref();
        filter.is_none_or(|filter| filter.uses_only(&properties))
    }

    /// The matching devices at the next thousand positions that may match, and where to continue.
    async fn next(
        &self,
        from: Position,
        limit: usize,
    ) -> Result<(Vec<Found>, Option<Position>), GraphError> {
        let (backend, tenant) = (&self.call.api.backend, self.call.tenant());
        let scan = backend.scan(tenant, self.sight.clone(), from, limit, self.matches());
        let positions = scan.await?;
        let next = positions.last().map(|last| last.next());
        let next = next.filter(|_| positions.len() == limit);
        let mut found = backend.rows(tenant, positions).await?;
        // A device may have changed its groups since the scan.
        found.retain(|(_, device)| self.has(device));
        Ok((found, next))
    }

    /// Whether a device exists for the principal and meets every condition.
    pub(in crate::graph) fn has(&self, device: &Device) -> bool {
        let sight = self.sight.as_ref();
        let test = self.test.as_ref();
        sight.is_none_or(|sight| sight.has(&device.targets))
            && test.is_none_or(|test| test(&device.facets))
            && self.filter.as_ref().is_none_or(|filter| {
                let formatted = Formatted::of(device, &self.control);
                filter.matches(&self.projection.row(device, &formatted))
            })
    }

    /// The number of matching devices.
    pub(in crate::graph) async fn count(&self) -> Result<u64, GraphError> {
        let matches = self.matches();
        if self.is_of_facets() {
            let cells = self.call.cells(self.sight.as_ref()).await?;
            let own = cells.iter().filter(|cell| matches(cell.facets.word()));
            return Ok(own.map(|cell| cell.count).sum());
        }
        if let Some(count) = self.count_by_name().await? {
            return Ok(count);
        }
        if let Some(count) = self.count_by_date().await? {
            return Ok(count);
        }
        let _permit = self.call.api.scan_permit().await?;
        let (mut count, mut from) = (0, Some(Position::default()));
        while let Some(at) = from {
            let (found, next) = self.next(at, ROWS_MAX).await?;
            count += found.len() as u64;
            from = next;
        }
        Ok(count)
    }

    /// At most `rows` matching devices from a position on, in the order of positions, without the first `skip`; and
    /// where to continue.
    pub(in crate::graph) async fn page(
        &self,
        from: Position,
        mut skip: u64,
        rows: usize,
    ) -> Result<(Vec<Found>, Option<Position>), GraphError> {
        // A page of few matches may pass over all devices, and one after many that are skipped over many. Facets alone
        // are in memory, so they need no permit.
        let _permit = if self.is_of_facets() && skip <= PAGE_MAX as u64 {
            None
        } else {
            Some(self.call.api.scan_permit().await?)
        };
        let mut page = Vec::new();
        let mut from = Some(from);
        while let Some(at) = from {
            let (mut found, next) = self.next(at, ROWS_MAX).await?;
            let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(found.len());
            found.drain(..skipped);
            skip -= skipped as u64;
            let room = rows - page.len();
            if found.len() > room {
                found.truncate(room);
                page.append(&mut found);
                let last = page.last().map(|(position, _): &Found| position.next());
                return Ok((page, last));
            }
            page.append(&mut found);
            from = next;
            if page.len() == rows {
                break;
            }
        }
        Ok((page, from))
    }

    /// The smallest matching devices of an order after a row, without the first `skip`, and whether there are more.
    pub(in crate::graph) async fn sorted(
        &self,
        order: &OrderBy,
        after: Option<&[u8]>,
        skip: u64,
        rows: usize,
    ) -> Result<(Vec<Device>, bool), GraphError> {
        if skip > SORTED_SKIP_MAX {
            return Err(GraphError::bad_request(format!(
                "$skip: at most {SORTED_SKIP_MAX} with $orderby; follow @odata.nextLink instead."
            )));
        }
        let skip = usize::try_from(skip).expect("it is at most SORTED_SKIP_MAX");
        let after = after
            .map(|bytes| order.decode(bytes).ok_or(TokenError::Invalid))
            .transpose()?;
        if let Some(found) = self.by_name(order, after.as_ref(), skip, rows).await? {
            return Ok(found);
        }
        if let Some(found) = self.by_date(order, after.as_ref(), skip, rows).await? {
            return Ok(found);
        }
        let _permit = self.call.api.scan_permit().await?;
        let keep = skip + rows + 1;
        let mut smallest: Vec<(Device, Formatted)> = Vec::new();
        let mut from = Some(Position::default());
        while let Some(at) = from {
            let (found, next) = self.next(at, ROWS_MAX).await?;
            for (_, device) in found {
                let formatted = Formatted::of(&device, &self.control);
                let row = self.projection.row(&device, &formatted);
                let is_later = after
                    .as_ref()
                    .is_none_or(|after| order.compare_to(&row, after) == Ordering::Greater);
                drop(row);
                if is_later {
                    smallest.push((device, formatted));
                }
            }
            if smallest.len() >= 2 * keep {
                self.sort(&mut smallest, order);
                smallest.truncate(keep);
            }
            from = next;
        }
        self.sort(&mut smallest, order);
        let has_more = smallest.len() >= keep;
        let page = smallest.into_iter().skip(skip).take(rows);
        Ok((page.map(|(device, _)| device).collect(), has_more))
    }

    fn sort(&self, rows: &mut [(Device, Formatted)], order: &OrderBy) {
        rows.sort_by(|(one, formatted), (other, other_formatted)| {
            let other = self.projection.row(other, other_formatted);
            order.compare(&self.projection.row(one, formatted), &other)
        });
    }
}

fn facets_of(word: FacetWord) -> Facets {
    Facets::from_word(word).expect("the words of devices are those of facets")
}

/// `GET managedDevices`, or a part of the list under another context.
pub(in crate::graph) async fn list(
    call: &Call,
    query: Option<&str>,
    context: &str,
    of: Option<Filter>,
) -> Result<Response, GraphError> {
    let options = options(query)?;
    let select = Select::new(&options.select, &SCHEMA)?;
    let asked = conditions(&options, &SCHEMA)?;
    let filter = match (of, asked) {
        (Some(of), Some(asked)) => Some(Filter::All(vec![of, asked])),
        (of, asked) => of.or(asked),
    };
    let query = Query::new(call, filter, &[Action::ReadDevices]);
    let links = Links::new(call, &options, context);
    let payload = links.payload()?;
    let skip = payload.as_ref().map_or(options.skip, |_| 0);
    let count = if options.count && payload.is_none() {
        Some(query.count().await?)
    } else {
        None
    };
    let order = options
        .orderby
        .as_deref()
        .or_else(|| query.implied_order().or_else(|| query.implied_date_order()));
    let (devices, next) = match order {
        None => by_position(&query, &options, payload.as_deref(), skip).await?,
        Some(order) => {
            let order = OrderBy::parse(order, &SCHEMA)?;
            let rows = options.page_rows();
            let sorted = query.sorted(&order, payload.as_deref(), skip, rows);
            let (devices, has_more) = sorted.await?;
            let last = devices.last().filter(|_| has_more);
            let position = last.map(|last| {
                let formatted = Formatted::of(last, &query.control);
                order.encode(&ManagedDevices.row(last, &formatted))
            });
            let position = position.transpose();
            let position = position.map_err(|error| GraphError::bad_request(error.to_string()))?;
            (devices, position)
        }
    };
    let next = next.map(|payload| links.next(&payload)).transpose()?;
    let mut page = Vec::with_capacity(devices.len());
    for device in &devices {
        page.push(super::document(call, device, &select, &options)?);
    }
    let count = count.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
    Ok(answer(call, context, page, count, next, None))
}

async fn by_position(
    query: &Query<'_>,
    options: &Options,
    payload: Option<&[u8]>,
    skip: u64,
) -> Result<(Vec<Device>, Option<Vec<u8>>), GraphError> {
    let from = match payload {
        Some(payload) => position_of(payload).ok_or(TokenError::Invalid)?,
        None => Position::default(),
    };
    let (page, next) = query.page(from, skip, options.page_rows()).await?;
    let devices = page.into_iter().map(|(_, device)| device).collect();
    Ok((devices, next.map(payload_of)))
}

/// A position as the payload of a token.
pub(in crate::graph) fn payload_of(position: Position) -> Vec<u8> {
    let mut bytes = position.shard.0.to_le_bytes().to_vec();
    bytes.extend(position.slot.0.to_le_bytes());
    bytes
}

/// The position in the payload of a token.
pub(in crate::graph) fn position_of(payload: &[u8]) -> Option<Position> {
    let (shard, slot) = payload.split_first_chunk()?;
    Some(Position {
        shard: ShardId(u16::from_le_bytes(*shard)),
        slot: SlotIndex(u32::from_le_bytes(slot.try_into().ok()?)),
    })
}

/// `GET managedDevices/$count`.
pub(in crate::graph) async fn count(
    call: &Call,
    query: Option<&str>,
) -> Result<Response, GraphError> {
    let options = options(query)?;
    let query = Query::new(call, conditions(&options, &SCHEMA)?, &[Action::ReadDevices]);
    Ok(plain_count(query.count().await?))
}
