//! Sends spans to a collector, by OTLP over HTTP. Compiled in with `--features otel`; configured by OpenTelemetry's own
//! variables.

use std::env;
use std::io::IsTerminal as _;
use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::config::LogFormat;
use crate::spans;

/// Without one of these nothing is sent.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
/// What a stopping process gives to the spans that wait.
const LAST_SPANS: Duration = Duration::from_secs(2);

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Starts the log, and beside it the spans where an endpoint is configured.
///
/// # Errors
/// A sentence for the person who configured the endpoint.
pub fn start(format: LogFormat, filter: EnvFilter) -> Result<(), String> {
    let spans = if ENDPOINTS.into_iter().any(|name| env::var_os(name).is_some()) { Some(layer()?) } else { None };
    let log = fmt::layer().with_writer(super::lines::Lines);
    let registry = tracing_subscriber::registry().with(spans);
    let started = match format {
        LogFormat::Text => {
            let log = log.with_target(false).with_ansi(std::io::stderr().is_terminal());
            registry.with(log.with_filter(filter)).try_init()
        }
        LogFormat::Json => registry.with(log.json().flatten_event(true).with_filter(filter)).try_init(),
    };
    // Whoever embeds Cita may have a log of their own already.
    started.or(Ok(()))
}

/// Sends what waits.
pub fn stop() {
    if let Some(provider) = PROVIDER.get() {
        let _sent_or_not = provider.shutdown_with_timeout(LAST_SPANS);
    }
}

fn layer<S>() -> Result<impl Layer<S>, String>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build();
    let exporter = exporter.map_err(|error| format!("OTEL_EXPORTER_OTLP_ENDPOINT cannot be used: {error}"))?;
    let resource = Resource::builder().with_service_name("cita").build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let tracer = PROVIDER.get_or_init(|| provider).tracer("cita");
    // Events of the log stay in the log, and where the code is interests nobody.
    let ours = Targets::new().with_target(spans::TARGET, LevelFilter::TRACE);
    let layer = tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false);
    Ok(layer.with_tracked_inactivity(false).with_target(false).with_filter(ours))
}
