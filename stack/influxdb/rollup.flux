// Hourly roll-up of the bucket metrics into metrics_1h; a point's time is the start of its hour.
// Counts are summed, rates and shares come from the sums, means are weighted by requests, maxima
// stay maxima. A percentile of an hour cannot be had from those of its windows, so what is kept
// says what it is: the worst window (…_max) and the request-weighted mean of the windows (…_mean).
// Distinct clients cannot be added up either: clients_max is the most in one window.
// Each run does the last two hours anew: late corrections arrive, a missed run is made up for.

import "date"
import "influxdata/influxdb"

option task = {name: "loglake_rollup", every: 1h, offset: 11m}

stop = date.truncate(t: now(), unit: 1h)
start = date.sub(d: 2h, from: stop)

windows = (measurement) => from(bucket: "metrics")
    |> range(start: start, stop: stop)
    |> filter(fn: (r) => r._measurement == measurement)
    |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")

write = (tables=<-, tags) => tables
    |> drop(columns: ["_start", "_stop"])
    |> group(columns: tags)
    |> influxdb.wideTo(bucket: "metrics_1h")

// A text log has no request time: such a window weighs nothing in a latency.
known = (r) => if exists r.latency_avg then float(v: r.requests) else 0.0
or0 = (v) => if exists v then v else 0.0
higher = (a, b) => if b > a then b else a

windows(measurement: "http_traffic")
    |> group(columns: ["server"])
    |> window(every: 1h)
    |> reduce(
        identity: {
            requests: 0, bytes: 0, clients_max: 0, weight: 0.0,
            avg: 0.0, p50: 0.0, p95: 0.0, p99: 0.0,
            latency_max: 0.0, latency_p50_max: 0.0, latency_p95_max: 0.0, latency_p99_max: 0.0,
            status_1xx: 0, status_2xx: 0, status_3xx: 0, status_4xx: 0, status_5xx: 0,
        },
        fn: (r, accumulator) => ({
            requests: accumulator.requests + r.requests,
            bytes: accumulator.bytes + r.bytes,
            clients_max: higher(a: accumulator.clients_max, b: r.clients),
            weight: accumulator.weight + known(r: r),
            avg: accumulator.avg + known(r: r) * or0(v: r.latency_avg),
            p50: accumulator.p50 + known(r: r) * or0(v: r.latency_p50),
            p95: accumulator.p95 + known(r: r) * or0(v: r.latency_p95),
            p99: accumulator.p99 + known(r: r) * or0(v: r.latency_p99),
            latency_max: higher(a: accumulator.latency_max, b: or0(v: r.latency_max)),
            latency_p50_max: higher(a: accumulator.latency_p50_max, b: or0(v: r.latency_p50)),
            latency_p95_max: higher(a: accumulator.latency_p95_max, b: or0(v: r.latency_p95)),
            latency_p99_max: higher(a: accumulator.latency_p99_max, b: or0(v: r.latency_p99)),
            status_1xx: accumulator.status_1xx + r.status_1xx,
            status_2xx: accumulator.status_2xx + r.status_2xx,
            status_3xx: accumulator.status_3xx + r.status_3xx,
            status_4xx: accumulator.status_4xx + r.status_4xx,
            status_5xx: accumulator.status_5xx + r.status_5xx,
        }),
    )
    |> filter(fn: (r) => r.requests > 0)
    |> map(fn: (r) => {
        weight = if r.weight > 0.0 then r.weight else 1.0

        return {
            _time: r._start, _measurement: "http_traffic", server: r.server,
            requests: r.requests, rps: float(v: r.requests) / 3600.0,
            bytes: r.bytes, throughput_bps: float(v: r.bytes) * 8.0 / 3600.0,
            latency_avg: r.avg / weight, latency_max: r.latency_max,
            latency_p50_mean: r.p50 / weight, latency_p50_max: r.latency_p50_max,
            latency_p95_mean: r.p95 / weight, latency_p95_max: r.latency_p95_max,
            latency_p99_mean: r.p99 / weight, latency_p99_max: r.latency_p99_max,
            status_1xx: r.status_1xx, status_2xx: r.status_2xx, status_3xx: r.status_3xx,
            status_4xx: r.status_4xx, status_5xx: r.status_5xx,
            error_rate: float(v: r.status_5xx) / float(v: r.requests),
            clients_max: r.clients_max,
        }
    })
    |> write(tags: ["_measurement", "server"])

// The same fields as a window's, so that a board reads both buckets alike.
windows(measurement: "http_top_urls")
    |> group(columns: ["server", "url"])
    |> window(every: 1h)
    |> reduce(
        identity: {
            requests: 0, bytes: 0, weight: 0.0, time: 0.0,
            status_1xx: 0, status_2xx: 0, status_3xx: 0, status_4xx: 0, status_5xx: 0,
        },
        fn: (r, accumulator) => ({
            requests: accumulator.requests + r.requests,
            bytes: accumulator.bytes + r.bytes,
            weight: accumulator.weight + known(r: r),
            time: accumulator.time + known(r: r) * or0(v: r.latency_avg),
            status_1xx: accumulator.status_1xx + r.status_1xx,
            status_2xx: accumulator.status_2xx + r.status_2xx,
            status_3xx: accumulator.status_3xx + r.status_3xx,
            status_4xx: accumulator.status_4xx + r.status_4xx,
            status_5xx: accumulator.status_5xx + r.status_5xx,
        }),
    )
    |> group(columns: ["server", "_start"])
    |> sort(columns: ["requests", "url"], desc: true)
    |> limit(n: 10)
    |> map(fn: (r) => ({r with place: 1}))
    |> cumulativeSum(columns: ["place"])
    |> map(fn: (r) => ({
        _time: r._start, _measurement: "http_top_urls", server: r.server,
        rank: string(v: r.place), url: r.url, requests: r.requests, bytes: r.bytes,
        latency_avg: if r.weight > 0.0 then r.time / r.weight else 0.0,
        status_1xx: r.status_1xx, status_2xx: r.status_2xx, status_3xx: r.status_3xx,
        status_4xx: r.status_4xx, status_5xx: r.status_5xx,
    }))
    |> write(tags: ["_measurement", "server", "rank"])

// The pattern and the sample are those of the window with the most messages.
windows(measurement: "error_events")
    |> group(columns: ["server", "severity", "category"])
    |> window(every: 1h)
    |> reduce(
        identity: {count: 0, most: 0, pattern: "", sample: ""},
        fn: (r, accumulator) => ({
            count: accumulator.count + r.count,
            most: higher(a: accumulator.most, b: r.count),
            pattern: if r.count > accumulator.most then r.pattern else accumulator.pattern,
            sample: if r.count > accumulator.most then r.sample else accumulator.sample,
        }),
    )
    |> map(fn: (r) => ({
        _time: r._start, _measurement: "error_events", server: r.server, severity: r.severity,
        category: r.category, count: r.count, pattern: r.pattern, sample: r.sample,
    }))
    |> write(tags: ["_measurement", "server", "severity", "category"])

// The window with the highest score stands for its hour.
windows(measurement: "anomalies")
    |> group(columns: ["kind", "server", "rank"])
    |> window(every: 1h)
    |> sort(columns: ["score"], desc: true)
    |> limit(n: 1)
    |> map(fn: (r) => ({
        _time: r._start, _measurement: "anomalies", kind: r.kind, server: r.server, rank: r.rank,
        score: r.score, observed: r.observed, expected: r.expected, threshold: r.threshold,
        entity: r.entity, incident_id: r.incident_id, basis: r.basis, state: r.state,
        opened_at: r.opened_at, closed_at: r.closed_at,
    }))
    |> write(tags: ["_measurement", "kind", "server", "rank"])

windows(measurement: "baseline")
    |> group(columns: ["server", "metric"])
    |> window(every: 1h)
    |> reduce(
        identity: {n: 0.0, expected: 0.0, lower: 0.0, upper: 0.0},
        fn: (r, accumulator) => ({
            n: accumulator.n + 1.0,
            expected: accumulator.expected + r.expected,
            lower: accumulator.lower + r.lower,
            upper: accumulator.upper + r.upper,
        }),
    )
    |> map(fn: (r) => ({
        _time: r._start, _measurement: "baseline", server: r.server, metric: r.metric,
        expected: r.expected / r.n, lower: r.lower / r.n, upper: r.upper / r.n,
    }))
    |> write(tags: ["_measurement", "server", "metric"])

// Rows and seconds are means over the batches or their maxima, as the name says; of a counter
// that starts with its process, the last value.
windows(measurement: "pipeline")
    |> group(columns: ["stream", "query"])
    |> window(every: 1h)
    |> sort(columns: ["_time"])
    |> reduce(
        identity: {
            n: 0.0, rows: 0.0, lag_rows_max: 0, batch_seconds_max: 0.0, delay: 0.0,
            rejected: 0, late: 0, disk_used_ratio: 0.0,
        },
        fn: (r, accumulator) => ({
            n: accumulator.n + 1.0,
            rows: accumulator.rows + r.input_rows_per_s,
            lag_rows_max: higher(a: accumulator.lag_rows_max, b: r.lag_rows),
            batch_seconds_max: higher(a: accumulator.batch_seconds_max, b: r.batch_seconds),
            delay: higher(a: accumulator.delay, b: or0(v: r.event_time_delay_s)),
            rejected: r.rejected,
            late: r.late,
            disk_used_ratio: r.disk_used_ratio,
        }),
    )
    |> map(fn: (r) => ({
        _time: r._start, _measurement: "pipeline", stream: r.stream, query: r.query,
        input_rows_per_s_mean: r.rows / r.n, lag_rows_max: r.lag_rows_max,
        batch_seconds_max: r.batch_seconds_max, event_time_delay_s_max: r.delay,
        rejected: r.rejected, late: r.late, disk_used_ratio: r.disk_used_ratio,
    }))
    |> write(tags: ["_measurement", "stream", "query"])
