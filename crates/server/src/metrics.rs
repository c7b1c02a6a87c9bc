//! What is counted while the server runs, and how Prometheus reads it: [`Metrics`].
//!
//! Statements are counted where they run; what storage and the machine know is asked at each reading. Names that
//! QuestDB has too keep its name and meaning; all others begin with `stillpoint_`.

use std::sync::Arc;

use metrics::{Counter, Histogram, Key, KeyName, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use storage::Env;

/// Bounds of the buckets of durations, in seconds.
const SECONDS: [f64; 9] = [0.000_5, 0.002, 0.01, 0.05, 0.2, 1.0, 5.0, 20.0, 60.0];

/// The counts of one server.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    pub http: Statements,
    pub pg: Statements,
    unhandled: Counter,
}

impl Metrics {
    /// Returns counts that all begin at zero.
    pub fn new(env: &Env) -> Metrics {
        let buckets = PrometheusBuilder::new().set_buckets(&SECONDS).expect("there are buckets");
        let recorder = buckets.build_recorder();
        let counter = |name: &'static str, what: &'static str| register(&recorder, name, what);
        let seconds = |protocol: &'static str| {
            let name = "stillpoint_query_seconds";
            recorder.describe_histogram(
                KeyName::from(name),
                None,
                "Time from a statement's text to its last row.".into(),
            );
            recorder.register_histogram(&Key::from_parts(name, vec![Label::new("protocol", protocol)]), &METADATA)
        };
        Metrics {
            handle: recorder.handle(),
            http: Statements {
                begun: counter("questdb_json_queries_total", "Statements begun over HTTP."),
                completed: counter("questdb_json_queries_completed_total", "Statements over HTTP that succeeded."),
                failed: counter("stillpoint_json_query_errors_total", "Statements over HTTP that failed or were left."),
                seconds: seconds("http"),
                env: env.clone(),
            },
            pg: Statements {
                begun: counter("questdb_pg_wire_queries_total", "Statements begun over PostgreSQL's protocol."),
                completed: counter("questdb_pg_wire_queries_completed_total", "Statements over it that succeeded."),
                failed: counter("questdb_pg_wire_errors_total", "Statements over it that failed or were left."),
                seconds: seconds("pg"),
                env: env.clone(),
            },
            unhandled: counter("questdb_unhandled_errors_total", "Errors that are defects or damaged data."),
            recorder,
        }
    }

    /// Counts an error that nobody expects.
    pub fn unhandled(&self) {
        self.unhandled.increment(1);
    }

    /// Sets a count that is kept elsewhere.
    pub fn total(&self, name: &'static str, what: &'static str, value: u64) {
        register(&self.recorder, name, what).absolute(value);
    }

    /// Sets a value that goes up and down.
    pub fn gauge(&self, name: &'static str, what: &'static str, value: f64) {
        self.recorder.describe_gauge(KeyName::from(name), None, what.into());
        self.recorder.register_gauge(&Key::from_static_name(name), &METADATA).set(value);
    }

    /// Returns everything in the text format of Prometheus.
    pub fn render(&self) -> String {
        self.handle.run_upkeep();
        self.handle.render()
    }
}

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

fn register(recorder: &PrometheusRecorder, name: &'static str, what: &'static str) -> Counter {
    recorder.describe_counter(KeyName::from(name), None, what.into());
    recorder.register_counter(&Key::from_static_name(name), &METADATA)
}

/// The statements of one protocol.
#[derive(Clone)]
pub struct Statements {
    begun: Counter,
    completed: Counter,
    failed: Counter,
    seconds: Histogram,
    env: Env,
}

impl Statements {
    /// Counts a statement that begins.
    pub fn begin(&self) -> Running {
        self.begun.increment(1);
        Running { begun_us: self.env.clock.monotonic_us(), of: Some(Arc::new(self.clone())) }
    }
}

/// A statement under way; one that is dropped before it was completed has failed.
pub struct Running {
    begun_us: i64,
    of: Option<Arc<Statements>>,
}

impl Running {
    /// Counts the statement as one that succeeded.
    pub fn complete(mut self) {
        if let Some(of) = self.of.take() {
            of.completed.increment(1);
            of.seconds.record((of.env.clock.monotonic_us() - self.begun_us) as f64 / 1e6);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(of) = self.of.take() {
            of.failed.increment(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_rendered_with_its_meaning() {
        let metrics = Metrics::new(&Env::os());
        metrics.http.begin().complete();
        drop(metrics.http.begin());
        metrics.unhandled();
        metrics.total("questdb_commits_total", "Commits.", 7);
        metrics.gauge("stillpoint_tables", "Tables.", 3.0);
        let text = metrics.render();
        for line in [
            "# TYPE questdb_json_queries_total counter",
            "questdb_json_queries_total 2",
            "questdb_json_queries_completed_total 1",
            "stillpoint_json_query_errors_total 1",
            "stillpoint_query_seconds_count{protocol=\"http\"} 1",
            "questdb_unhandled_errors_total 1",
            "# HELP questdb_commits_total Commits.",
            "questdb_commits_total 7",
            "stillpoint_tables 3",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
    }
}
