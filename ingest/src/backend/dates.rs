//! Lists in the order of a date: every shard thread finds its first devices, slice by slice, beside check-ins.

use std::sync::Arc;

use muster_api::{ApiError, DateQuery, DatedDevices, Position};
use muster_engine::TenantIndex;

use super::ServerBackend;
use crate::shard::Control;

impl ServerBackend {
    pub(super) async fn first_by_date(
        &self,
        tenant: TenantIndex,
        query: DateQuery,
    ) -> Result<DatedDevices, ApiError> {
        let (query, mut count, mut first) = (Arc::new(query), 0, Vec::new());
        let threads = 0..self.context.controls.len();
        let mut from: Vec<_> = threads
            .map(|thread| (thread, Position::default()))
            .collect();
        while !from.is_empty() {
            let queries = from.iter().map(|(thread, from)| {
                let (from, query) = (*from, Arc::clone(&query));
                let order = move |reply| Control::Dated {
                    tenant,
                    from,
                    query,
                    reply,
                };
                (*thread, order)
            });
            let slices = self.query_some(queries).await?;
            let mut next = Vec::new();
            for ((thread, _), slice) in from.into_iter().zip(slices) {
                count += slice.count;
                first.extend(slice.first);
                next.extend(slice.next.map(|next| (thread, next)));
            }
            first.sort_unstable_by_key(|(dated, _)| *dated);
            first.truncate(query.limit);
            from = next;
        }
        let views = first.into_iter().map(|(_, view)| view).enumerate();
        let found = self.with_inventories(tenant, views.collect()).await?;
        Ok(DatedDevices {
            first: found.into_iter().map(|(_, device)| device).collect(),
            count,
        })
    }
}
