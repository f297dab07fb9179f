"""Flux about incidents: the measurement `anomalies`, one point a window while one is open."""

from grafana import flux

CHOSEN = ("r.kind =~ /^${kind:regex}$/", "r.server =~ /^${server:regex}$/")


def latest(*where: str) -> str:
    """One row an incident: its last point, and its highest score as `peak`."""
    return flux.pipe(
        *flux.read("anomalies", where=where),
        flux.FIELDS_AS_COLUMNS,
        flux.grouped("incident_id"),
        'sort(columns: ["_time"])',
        "reduce(identity: {peak: 0.0, score: 0.0, observed: 0.0, expected: 0.0, threshold: 0.0, "
        'kind: "", server: "", entity: "", basis: "", state: "", opened_at: 0, closed_at: 0}, '
        "fn: (r, accumulator) => ({peak: if r.score > accumulator.peak then r.score "
        "else accumulator.peak, score: r.score, observed: r.observed, expected: r.expected, "
        "threshold: r.threshold, kind: r.kind, server: r.server, entity: r.entity, "
        "basis: r.basis, state: r.state, opened_at: r.opened_at, closed_at: r.closed_at}))",
        flux.grouped(),
    )


def counted(*where: str, rows: str = "true") -> str:
    """Count the incidents for which `rows` holds."""
    return flux.or_zero(
        flux.pipe(
            latest(*where),
            flux.filtered(rows),
            'count(column: "peak")',
            'rename(columns: {peak: "_value"})',
            flux.keep("_value"),
        )
    )


def layer() -> str:
    """One region an incident, from its first window to its end, or to now."""
    return flux.pipe(
        latest(),
        # Of two columns of time Grafana would take either for the start.
        "map(fn: (r) => ({time: time(v: r.opened_at * 1000000), "
        'timeEnd: if r.state == "closed" then r.closed_at else int(v: now()) / 1000000, '
        'title: r.kind + (if r.server == "*" then " on the fleet" else " on " + r.server), '
        'text: r.entity + " score " + string(v: r.peak) + ", observed " + string(v: r.observed) '
        '+ ", expected " + string(v: r.expected) + ", threshold " + string(v: r.threshold), '
        'tags: r.kind + "," + r.server}))',
    )


def course(field: str, *kinds: str) -> str:
    """Follow a field over time, the highest of each kind."""
    where = [flux.any_of("kind", kinds)] if kinds else []
    return flux.pipe(
        *flux.read("anomalies", field, where=[*where, *CHOSEN]),
        flux.grouped("kind"),
        flux.WINDOWED_MAX,
        flux.keep("_time", "_value", "kind"),
    )
