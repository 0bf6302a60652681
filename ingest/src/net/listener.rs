//! The accept loop: admits or refuses each connection attempt before it costs memory or CPU time.
//!
//! One task. Once half of `handshakes_max` is in use, attempts from unvalidated addresses get a Retry; once all of it
//! is in use, every attempt is refused. A connection beyond `connections_max`, or beyond its tenant's share of it, gets
//! a typed close code. Ends when the endpoint is closed. It does not authenticate: the session does.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use muster_wire::CloseCode;
use quinn::{Connecting, Incoming, VarInt};

use super::context::ListenerContext;
use super::handshake::{self, Established, Handshake};
use super::quotas::{Permit, Quotas};
use super::session;
use crate::metrics::{HandshakeFailure, Refusal};
use crate::phase::Phase;

/// The accept loop. Owned by its task.
#[derive(Debug)]
pub struct Listener {
    endpoint: quinn::Endpoint,
    context: Arc<ListenerContext>,
    quotas: Arc<Quotas>,
}

impl Listener {
    /// Creates the listener of a started endpoint.
    pub fn new(endpoint: quinn::Endpoint, context: Arc<ListenerContext>) -> Self {
        Self {
            endpoint,
            quotas: Arc::new(Quotas::new(&context.config)),
            context,
        }
    }

    /// Accepts until the endpoint is closed. While draining, attempts are refused.
    pub async fn run(self) {
        while let Some(incoming) = self.endpoint.accept().await {
            self.admit(incoming);
        }
    }

    fn admit(&self, incoming: Incoming) {
        let metrics = &self.context.metrics;
        metrics.attempts.add(1);
        let refusal = match self.context.phase.get() {
            Phase::Starting | Phase::Serving => None,
            Phase::Draining => Some(Refusal::Draining),
            Phase::Poisoned => Some(Refusal::Store),
        };
        if let Some(refusal) = refusal {
            return self.refuse(incoming, refusal);
        }
        let max = self.context.config.handshakes_max as usize;
        let Some(handshake) = Permit::acquire(&metrics.handshakes, 1, max) else {
            return self.refuse(incoming, Refusal::Handshakes);
        };
        // Without the permit just acquired.
        let others = metrics.handshakes.load(Ordering::Relaxed) - 1;
        if others >= max / 2 && incoming.may_retry() && !incoming.remote_address_validated() {
            metrics.retries.add(1);
            // Fails only for a validated address; the condition above excludes that.
            let _ = incoming.retry();
            return;
        }
        match incoming.accept() {
            Ok(connecting) => {
                let (quotas, context) = (Arc::clone(&self.quotas), Arc::clone(&self.context));
                tokio::spawn(connect(connecting, handshake, quotas, context));
            }
            Err(error) => failed(&self.context, &error),
        }
    }

    fn refuse(&self, incoming: Incoming, refusal: Refusal) {
        self.context.metrics.refused[refusal as usize].add(1);
        self.context
            .log_cause(refusal.name(), &incoming.remote_address());
        incoming.refuse();
    }
}

async fn connect(
    connecting: Connecting,
    handshake: Permit,
    quotas: Arc<Quotas>,
    context: Arc<ListenerContext>,
) {
    let remote = connecting.remote_address();
    let deadline = tokio::time::Instant::now() + context.config.hello_timeout.get();
    // Boxed: otherwise the task of every idle connection would reserve the size of its handshake.
    let handshaking = Box::pin(handshake::establish(connecting));
    let established = tokio::time::timeout_at(deadline, handshaking).await;
    let Established { connection, early } = match established {
        Ok(Ok(established)) => established,
        Ok(Err(error)) => return failed(&context, &error),
        Err(_) => return failed(&context, &quinn::ConnectionError::TimedOut),
    };
    let metrics = &context.metrics;
    metrics.connections.add(1);
    // `select!` may see the first stream before the completed handshake; only a stream in early data counts as early.
    let is_early = early.as_ref().is_some_and(|(stream, _)| stream.1.is_0rtt());
    metrics.connections_early.add(u64::from(is_early));
    let max = context.config.connections_max as usize;
    let permit = Permit::acquire(&metrics.connections_open, 1, max);
    let early = early.map(|(stream, complete)| {
        let connection = connection.clone();
        (
            stream,
            Handshake::spawn(connection, complete, handshake, deadline),
        )
    });
    let Some(_permit) = permit else {
        let code = CloseCode::TooManyConnections;
        metrics.closed[code.index()].add(1);
        metrics.closed_before_hello.add(Some(code), 1);
        context.log_cause(code.name(), &remote);
        let mut kept = None;
        if let Some((stream, handshake)) = early {
            // Stopped, so that early data takes no memory meanwhile. The send side is kept: dropping it would finish
            // the stream, and the client would see that before the close code.
            let _ = kept.insert(stream).1.stop(VarInt::from_u32(code.code()));
            handshake.end().await;
        }
        handshake::close(&connection, code);
        return;
    };
    session::run(connection, early, deadline, &quotas, context).await;
}

fn failed(context: &ListenerContext, error: &quinn::ConnectionError) {
    let failure = handshake::failure(error);
    context.metrics.handshakes_failed[failure as usize].add(1);
    if failure != HandshakeFailure::Other {
        context.log_cause(failure.name(), error);
    }
}
