//! Spans of the way of a change: from the frame or request that asks for it over the write to the push. Words of the code
//! and positions only: nothing of anybody.
//!
//! They are recorded where `--features otel` is compiled in and `OTEL_EXPORTER_OTLP_ENDPOINT` says where to; elsewhere
//! each costs a look at a flag.

use tracing::field::Empty;
use tracing::{Span, trace_span};

use crate::domain::change::Position;
use crate::error::ClusterName;

/// What tells these spans from those of the log.
pub const TARGET: &str = "cita::span";

/// An operation, from its frame to its answer.
pub fn operation(operation: &'static str, door: &'static str) -> Span {
    trace_span!(target: TARGET, "operation", otel.name = operation, door, outcome = Empty, position = Empty)
}

/// Notes how the operation of this task ended.
pub fn outcome(outcome: &'static str) {
    Span::current().record("outcome", outcome);
}

/// A write, until the database has decided on it.
pub fn write(cluster: ClusterName) -> Span {
    trace_span!(target: TARGET, "write", cluster = cluster.as_str())
}

/// A commit, until it is queued for everybody who watches what it changes.
pub fn push(position: Position, changes: usize) -> Span {
    let span = trace_span!(target: TARGET, "push", position = position.0, changes);
    links::meet(position, &span);
    span
}

/// Notes at which position the operation of this task became true, so that its trace and that of the push lead to each
/// other.
pub fn acknowledged(position: Position) {
    let span = Span::current();
    span.record("position", position.0);
    links::meet(position, &span);
}

#[cfg(feature = "otel")]
mod links {
    //! Nothing of a trace lies in the database: who writes and who hears of it meet by the position.

    use std::collections::VecDeque;

    use opentelemetry::trace::{SpanContext, TraceContextExt as _};
    use parking_lot::Mutex;
    use tracing::Span;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    use crate::domain::change::Position;

    /// How many wait for the other: the answer and the push of a change are milliseconds apart.
    const WAITING: usize = 256;

    static FIRST: Mutex<VecDeque<(Position, SpanContext)>> = Mutex::new(VecDeque::new());

    /// Links the second of the two that come with a position to the first.
    pub fn meet(position: Position, span: &Span) {
        let context = span.context().span().span_context().clone();
        if !context.is_sampled() {
            return;
        }
        let mut first = FIRST.lock();
        match first.iter().position(|(at, _)| *at == position) {
            Some(place) => {
                let other = first.remove(place);
                drop(first);
                other.into_iter().for_each(|(_, other)| span.add_link(other));
            }
            None => {
                if first.len() >= WAITING {
                    first.pop_front();
                }
                first.push_back((position, context));
            }
        }
    }
}

#[cfg(not(feature = "otel"))]
mod links {
    use tracing::Span;

    use crate::domain::change::Position;

    pub fn meet(_: Position, _: &Span) {}
}
