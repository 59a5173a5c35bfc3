"""Made monitoring: windows drawn as a heat map, reports of them, predictions and labels."""

from __future__ import annotations

from datetime import datetime, timedelta

from mlops_tui.adapters.catalogue import watch
from mlops_tui.records import (
    Drift,
    Estimate,
    Finding,
    LabelPart,
    Metric,
    MonitorReport,
    Multivariate,
    PredictionPart,
    WindowReport,
)
from tests.tui.made_base import Making, id_of, moment
from tests.tui.made_data import FLIGHTS, rows_sql, table

WEEK = timedelta(days=7)
FIRST = moment("08-15 00:00")  # windows of a week begin on a Thursday, as the epoch did
ROWS = (1612, 1598, 1641, 1577, 1603, 1625, 1590, 1618, 1104)
HEAT = {
    "temp": "111122679", "humid": "112132568", "pressure": "221123367", "visib": "111111246", "precip": "122112167",
    "sched_dep_time": "111222344", "wind_speed": "213223X32", "dep_hour": "111121233", "dest": "112111223",
    "carrier": "111211122", "distance": "011111112", "plane_seats": "101101011",
}  # fmt: skip
"""Each feature's distance by week, in fifths of its threshold: above 5 it drifted; X is a data fault."""
REALISED = (0.7312, 0.7254, 0.7291, 0.7233, 0.7198, 0.7105, 0.6935, 0.6841, None)
ESTIMATED = (0.7288, 0.7271, 0.7262, 0.7249, 0.7211, 0.7126, 0.7034, 0.6902, 0.6713)
LABELLED = (1549, 1537, 1580, 1517, 1544, 1561, 1529, 1402, 0)
UNIT = "looks like another unit: values about 1.609 times the reference's"
EXPECTED = Metric("auc", 0.7278, 0.7177, 0.7379)


def _drift(name: str, heat: str, rows: int) -> Drift:
    labels = name in ("carrier", "dest")
    threshold = 0.084 if labels else 0.061
    level = 12 if heat == "X" else int(heat)
    drifted = level > 5 and heat != "X"
    return Drift(
        feature=name, kind="categorical" if labels else "numeric", psi=round(0.0042 * level**2, 4),
        measure="js" if labels else "ks", distance=round(threshold * level / 5, 4), threshold=threshold,
        p_value=round(0.9 / 4**level, 6), drifted=drifted or heat == "X",
        wasserstein=None if labels else round(0.052 * level, 3), chi2=round(rows * level / 400, 1) if labels else None,
        missing=0.131 if name == "pressure" else 0.0, missing_reference=0.117 if name == "pressure" else 0.0,
        unseen=0.012 if name == "dest" and level > 2 else 0.0, fault=UNIT if heat == "X" else "",
    )  # fmt: skip


def window(week: int, version: int) -> WindowReport:
    """One of the nine weeks from 15 August."""
    rows, start = ROWS[week], FIRST + week * WEEK
    features = sorted((_drift(name, heat[week], rows) for name, heat in HEAT.items()),
                      key=lambda one: (not one.fault, -one.distance / one.threshold, one.feature))  # fmt: skip
    found = [Finding("fault", "error", f"{one.feature}: {one.fault}", one.feature) for one in features if one.fault]
    found += [
        Finding("unseen", "warning", f"{one.feature}: {one.unseen:.1%} of the rows have categories that training "
                "never saw", one.feature, one.unseen)
        for one in features if one.unseen
    ]  # fmt: skip
    told = 0.52 + 0.004 * sum(int(heat[week]) for heat in HEAT.values() if heat[week] != "X")
    realised, estimated = REALISED[week], ESTIMATED[week]
    performance = Metric("auc", realised, realised - 0.0287, realised + 0.0287) if realised else None
    error = round(estimated - realised, 4) if realised else None
    return WindowReport(
        start, start + WEEK, version, rows, LABELLED[week], tuple(found), tuple(features),
        prediction=_drift("__score", "111122357"[week], rows),
        multivariate=Multivariate(round(told, 3), round(told - 0.02, 3), round(told + 0.02, 3), 0.63, told > 0.63,
                                  tuple((one.feature, share) for one, share in
                                        zip(features, (0.31, 0.22, 0.14), strict=False))),
        performance=performance, expected=EXPECTED,
        estimate=Estimate("auc", estimated, round(estimated - 0.0244, 4), round(estimated + 0.0244, 4), "cbpe", error),
    )  # fmt: skip


def report(name: str, model: str, version: int, weeks: range, at: datetime) -> MonitorReport:
    """A report on some of the nine weeks; the last ones drift, the seventh has a broken column."""
    windows = tuple(window(week, version) for week in weeks)
    rows = sum(one.rows for one in windows)
    return MonitorReport(id_of(name, at), name, model, at, "ada", "7d", "event", rows, windows)


def put_report(making: Making, found: MonitorReport) -> None:
    """Put a monitor report."""
    making.act.now = found.created_at
    watch.add_monitor_report(making.act, found.id, found.deployment, found.routine, making.put(found))
    drifted = list(found.windows[-1].drifted)
    making.tell(
        found.created_at, found.user, "monitor.run", found.deployment, report=found.id, windows=len(found.windows),
        drifted=drifted,
    )  # fmt: skip


def answered(making: Making, name: str, version: int) -> None:
    """Put the predictions of the nine weeks, and two parts of labels: a file's, and what the endpoint got."""
    features = tuple(column for column in FLIGHTS if column.name != "late")
    for month in (8, 9, 10):
        first, last = moment(f"{month:02}-01 00:00"), moment(f"{month:02}-14 00:00")
        own = f"printf('{month:02}%010d', id::INTEGER % 100000) AS __request, 0::INTEGER AS __row, moment AS __at"
        given = "* EXCLUDE (id, moment), id, strftime(to_timestamp(epoch(moment)), '%Y-%m-%dT%H:%M:%SZ') AS moment"
        scores = "'false' AS __prediction, id::INTEGER * 37 % 100 / 100 AS __score"
        inner = rows_sql(features, month, 4600, days=13)
        hash_, count, _ = table(making, f"SELECT {own}, {given}, {scores} FROM ({inner})")
        part = PredictionPart(name, "flight-delay", version, hash_, count, first, last, last)
        watch.add_prediction_part(making.act, part)
    sent = (("late-2013-09.csv", "ben", moment("10-02 07:30")), ("endpoint", "ada", moment("10-12 05:00")))
    for number, (origin, user, at) in enumerate(sent, 1):
        named = f"SELECT printf('{number + 7:02}%010d', i) AS __request, 0::INTEGER AS __row FROM range(1400) AS r(i)"
        labels = f"SELECT *, 'false' AS __label, to_timestamp({int(at.timestamp())}) AS __at FROM ({named})"
        hash_, count, _ = table(making, labels)
        watch.add_label_part(making.act, LabelPart(name, number, hash_, count, origin, user, at))
        making.tell(at, user, "labels.added", name, file=origin, new=count, corrected=0)
