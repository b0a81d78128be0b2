//! The gateway's metrics as OTLP has them: the same names and labels as for Prometheus, cumulative since the start.

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use super::wire::{self, Data, Distribution, Gauge, Histogram, KeyValue, Number, Sum};

/// OTLP's number for sums since the start.
const CUMULATIVE: i32 = 2;

/// Families of metrics, at a moment; both times in nanoseconds since 1970.
pub(super) fn message(
    service: &str,
    families: &[MetricFamily],
    start: u64,
    time: u64,
) -> wire::Metrics {
    let metrics = families.iter().filter_map(|family| {
        let number = |metric: &Metric, value: f64| Number {
            start,
            time,
            value: Some(value),
            attributes: attributes(metric.get_label()),
        };
        let all = family.get_metric().iter();
        let data = match family.get_field_type() {
            MetricType::COUNTER => Data::Sum(Sum {
                points: all
                    .map(|metric| number(metric, metric.get_counter().get_value()))
                    .collect(),
                temporality: CUMULATIVE,
                is_monotonic: true,
            }),
            MetricType::GAUGE => Data::Gauge(Gauge {
                points: all
                    .map(|metric| number(metric, metric.get_gauge().get_value()))
                    .collect(),
            }),
            MetricType::HISTOGRAM => Data::Histogram(Histogram {
                points: all
                    .map(|metric| distribution(metric, start, time))
                    .collect(),
                temporality: CUMULATIVE,
            }),
            MetricType::SUMMARY | MetricType::UNTYPED => return None,
        };
        Some(wire::Metric {
            name: family.name().to_owned(),
            description: family.help().to_owned(),
            data: Some(data),
        })
    });
    wire::metrics(service, metrics.collect())
}

/// Prometheus counts up to each bound; OTLP counts between bounds, and beyond the last.
fn distribution(metric: &Metric, start: u64, time: u64) -> Distribution {
    let histogram = metric.get_histogram();
    let count = histogram.get_sample_count();
    let (mut bounds, mut bucket_counts, mut below) = (Vec::new(), Vec::new(), 0);
    for bucket in histogram.get_bucket() {
        if bucket.upper_bound().is_infinite() {
            continue;
        }
        bounds.push(bucket.upper_bound());
        bucket_counts.push(bucket.cumulative_count().saturating_sub(below));
        below = bucket.cumulative_count();
    }
    bucket_counts.push(count.saturating_sub(below));
    Distribution {
        start,
        time,
        count,
        sum: Some(histogram.get_sample_sum()),
        bucket_counts,
        bounds,
        attributes: attributes(metric.get_label()),
    }
}

fn attributes(labels: &[LabelPair]) -> Vec<KeyValue> {
    let pair = |label: &LabelPair| wire::text(label.name(), label.value());
    labels.iter().map(pair).collect()
}
