//! The listener of `/metrics`, and what is measured now and then rather than when it happens.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{StartError, listen};
use crate::config::Config;
use crate::session::Services;
use crate::telemetry::{EVERY, Measurements};
use crate::transport::limits::Limits;
use crate::transport::{State, metrics, server};
use crate::views::calendars::Calendars;

/// Connections of those who ask for measurements.
const SCRAPERS: usize = 16;

/// The door for those who run the server.
pub(super) struct Scraping {
    listener: TcpListener,
    measurements: Measurements,
}

impl Scraping {
    /// Begins to measure, where that is asked for. Comes before there is anything to be measured.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub async fn open(config: &Config) -> Result<Option<Self>, StartError> {
        let Some(address) = config.metrics_listen else { return Ok(None) };
        let measurements = Measurements::start().map_err(StartError::Configuration)?;
        let listener = listen(address).await?;
        tracing::info!(metrics = %listener.local_addr().unwrap_or(address), "listening");
        Ok(Some(Self { listener, measurements }))
    }

    /// Answers until `stop`: a drain is worth watching.
    pub async fn run(self, state: Arc<State>, stop: CancellationToken) {
        let Self { listener, measurements } = self;
        let measured = measurements.clone().keep_measuring(state.readiness.clone());
        let router = metrics::router(Arc::new(move || measurements.render()));
        // A stop waits for none of its connections.
        let limits = Limits { connections: SCRAPERS, ..state.limits.clone() };
        let serving = server::serve(listener, None, router, limits, stop, TaskTracker::new());
        tokio::select! { () = measured => {}, () = serving => {} }
    }
}

/// Sets the gauges of what is counted only when somebody wants to know.
pub(super) async fn keep_telling(services: Arc<Services>, calendars: Arc<Calendars>) {
    let mut every = tokio::time::interval(EVERY);
    loop {
        every.tick().await;
        services.meters.tell();
        calendars.tell();
    }
}
