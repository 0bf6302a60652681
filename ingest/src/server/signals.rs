//! The effect of signals on a server: drain, abort, or nothing.
//!
//! | signal | effect |
//! |---|---|
//! | SIGTERM, SIGINT, SIGQUIT | drain; abort if a drain has begun |
//! | SIGHUP, also when the terminal closes | drain; never abort; nothing if it was ignored at the start (`nohup`) |
//! | SIGUSR1, SIGUSR2 | nothing, with a line in the log |
//! | SIGXFSZ | nothing, so a write beyond the limit of file sizes fails like one on a full disk |
//! | SIGPIPE | nothing (Rust ignores it): a write to a closed pipe fails |
//!
//! Owner: the thread `signals`, which has its own runtime and runs until the process ends, so that a second signal
//! aborts the process whatever the drain is waiting for.

use std::future::pending;

use rustix::process::Signal as Number;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::ServerError;
use crate::telemetry;

/// The handlers of the signals that never end the process.
pub(super) struct Signals {
    runtime: Runtime,
    user_1: Signal,
    user_2: Signal,
}

/// The first signal that requests a drain.
pub(super) struct DrainSignal(oneshot::Receiver<()>);

impl DrainSignal {
    /// Blocks until the signal is received.
    pub(super) fn wait(self) {
        // An error would mean that the thread has ended, which it never does.
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
    /// Installs the handlers of the signals that never end the process. Until [`Signals::listen`] the others keep their
    /// default action: they end the process at once, which loses nothing.
    pub(super) fn new() -> Result<Self, ServerError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(start_error)?;
        let context = runtime.enter();
        // tokio keeps the handler installed after its stream is dropped, so the signal has no effect and the write
        // fails.
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

    /// Handles all signals from now on. Call it before the server announces that it is ready.
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
        let (drain, drain_receiver) = oneshot::channel();
        let handle = async move {
            let mut drain = Some(drain);
            loop {
                streams.handle_next(&mut drain).await;
            }
        };
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(handle))
            .map_err(start_error)?;
        Ok(DrainSignal(drain_receiver))
    }
}

fn listen_to(kind: SignalKind) -> Result<Signal, ServerError> {
    signal(kind).map_err(start_error)
}

/// Whether the process ignores a signal. This is inherited from the parent process.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.unwrap_or(0) >> (kind.as_raw_value() - 1) & 1 == 1
}

/// A stream for every handled signal.
struct Streams {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hang_up: Option<Signal>,
    user_1: Signal,
    user_2: Signal,
}

/// The effect of a signal.
enum Action {
    /// Drain; abort if a drain has begun.
    Drain,
    /// Drain, but never abort: a closing terminal may send SIGHUP twice, and systemd may send it right after SIGTERM.
    HangUp,
    Ignore,
}

impl Streams {
    async fn next(&mut self) -> (&'static str, Action) {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", Action::Drain),
            _ = self.interrupt.recv() => ("SIGINT", Action::Drain),
            _ = self.quit.recv() => ("SIGQUIT", Action::Drain),
            _ = hang_up => ("SIGHUP", Action::HangUp),
            _ = self.user_1.recv() => ("SIGUSR1", Action::Ignore),
            _ = self.user_2.recv() => ("SIGUSR2", Action::Ignore),
        }
    }

    /// Waits for the next signal and handles it. Takes `drain` when the drain begins.
    async fn handle_next(&mut self, drain: &mut Option<oneshot::Sender<()>>) {
        let (signal, action) = self.next().await;
        if let Action::Ignore = action {
            tracing::warn!(signal, "signal ignored: it has no effect");
        } else if let Some(drain) = drain.take() {
            tracing::info!(signal, "draining");
            let _ = drain.send(()); // the main thread waits for it
        } else if let Action::HangUp = action {
            tracing::info!(signal, "signal ignored: the server is already draining");
        } else {
            tracing::warn!(signal, "second signal: aborting");

            telemetry::flush();
            std::process::abort();
        }
    }
}
