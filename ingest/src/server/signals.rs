//! What signals do to a server: drain it, abort it, or nothing.
//!
//! | signal | effect |
//! |---|---|
//! | SIGTERM, SIGINT, SIGQUIT | drain; abort if a drain has begun |
//! | SIGHUP, also when the terminal closes | drain; never abort; nothing if it was ignored at the start (`nohup`) |
//! | SIGUSR1, SIGUSR2 | nothing, with a line in the log |
//! | SIGXFSZ | nothing, so a write beyond the limit of file sizes fails like one on a full disk |
//! | SIGPIPE | nothing (Rust ignores it): a write to a closed pipe fails |
//!
//! Owner: the thread `signals`, with its own runtime, until the process ends, so that a second signal aborts whatever a
//! drain waits for.

use std::future::pending;

use rustix::process::Signal as Number;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::ServerError;
use crate::telemetry;

/// The signals that never end the process, handled from the start on.
pub(super) struct Signals {
    runtime: Runtime,
    user_1: Signal,
    user_2: Signal,
}

/// The first signal to drain.
pub(super) struct DrainSignal(oneshot::Receiver<()>);

impl DrainSignal {
    /// Waits for it.
    pub(super) fn wait(self) {
        // An error would be the end of the thread, which never ends.
        let _ = self.0.blocking_recv();
    }
}

fn start_error(source: std::io::Error) -> ServerError {
    ServerError::Start {
        what: "the signal thread",
        source,
    }
}

impl Signals {
    /// Handles the signals that never end the process. Until [`Signals::listen`] the others keep their default: they end
    /// the process at once, which loses nothing.
    pub(super) fn new() -> Result<Self, ServerError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(start_error)?;
        let context = runtime.enter();
        // tokio keeps the handler when its stream is dropped, so the signal does nothing and the write fails.
        drop(listen_to(SignalKind::from_raw(Number::XFSZ.as_raw()))?);
        let user_1 = listen_to(SignalKind::user_defined1())?;
        let user_2 = listen_to(SignalKind::user_defined2())?;
        drop(context);
        Ok(Self {
            runtime,
            user_1,
            user_2,
        })
    }

    /// Handles all of them from now on. Call it before the server says that it serves.
    pub(super) fn listen(self) -> Result<DrainSignal, ServerError> {
        let Self {
            runtime,
            user_1,
            user_2,
        } = self;
        let context = runtime.enter();
        let mut streams = Streams {
            terminate: listen_to(SignalKind::terminate())?,
            interrupt: listen_to(SignalKind::interrupt())?,
            quit: listen_to(SignalKind::quit())?,
            hang_up: if is_ignored(SignalKind::hangup()) {
                None
            } else {
                Some(listen_to(SignalKind::hangup())?)
            },
            user_1,
            user_2,
        };
        drop(context);
        let (first, drain) = oneshot::channel();
        let handle = async move {
            let mut first = Some(first);
            loop {
                streams.handle_next(&mut first).await;
            }
        };
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(handle))
            .map_err(start_error)?;
        Ok(DrainSignal(drain))
    }
}

fn listen_to(kind: SignalKind) -> Result<Signal, ServerError> {
    signal(kind).map_err(start_error)
}

/// Whether a signal is ignored, which a process inherits from its parent.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.unwrap_or(0) >> (kind.as_raw_value() - 1) & 1 == 1
}

/// Every signal that is handled.
struct Streams {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hang_up: Option<Signal>,
    user_1: Signal,
    user_2: Signal,
}

/// What a signal asks for.
enum Request {
    Drain,
    /// Drain, but never abort: a terminal that closes may send it twice, and systemd may send it right after SIGTERM.
    HangUp,
    Nothing,
}

impl Streams {
    async fn next(&mut self) -> (&'static str, Request) {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", Request::Drain),
            _ = self.interrupt.recv() => ("SIGINT", Request::Drain),
            _ = self.quit.recv() => ("SIGQUIT", Request::Drain),
            _ = hang_up => ("SIGHUP", Request::HangUp),
            _ = self.user_1.recv() => ("SIGUSR1", Request::Nothing),
            _ = self.user_2.recv() => ("SIGUSR2", Request::Nothing),
        }
    }

    /// Does what the next signal asks for; takes `first` when the drain begins.
    async fn handle_next(&mut self, first: &mut Option<oneshot::Sender<()>>) {
        let (signal, request) = self.next().await;
        if let Request::Nothing = request {
            tracing::warn!(signal, "signal ignored, it has no effect");
        } else if let Some(first) = first.take() {
            tracing::info!(signal, "draining");
            let _ = first.send(()); // the main thread waits for it
        } else if let Request::HangUp = request {
            tracing::info!(signal, "signal ignored, the server is draining");
        } else {
            tracing::warn!(signal, "second signal, aborting");
            telemetry::flush();
            std::process::abort();
        }
    }
}
