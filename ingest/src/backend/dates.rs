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
        let (query, mut found) = (Arc::new(query), DatedDevices::default());
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
                found.count += slice.count;
                found.first.extend(slice.first);
                next.extend(slice.next.map(|next| (thread, next)));
            }
            found.first.sort_unstable();
            found.first.truncate(query.limit);
            from = next;
        }
        Ok(found)
    }
}
