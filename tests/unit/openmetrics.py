"""Reads OpenMetrics from stdin with Debian's strict parser, and looks for what test_prometheus.c put in."""
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

families = list(text_string_to_metric_families(sys.stdin.read()))
by_name = {f.name: f for f in families}
assert len(by_name) == len(families) > 25, len(families)
assert all(f.name.startswith("wsvitals_") and f.documentation for f in families)

assert by_name["wsvitals_latency_seconds"].unit == "seconds"
assert by_name["wsvitals_message_bytes"].unit == "bytes"
assert all(f.unit or not f.name.endswith(("_seconds", "_bytes")) for f in families)
kinds = {f.type for f in families}
assert kinds == {"info", "gauge", "counter", "histogram"}, kinds

latency = [s for s in by_name["wsvitals_latency_seconds"].samples if s.labels["server"] == "node:8000"]
bounds = [float(s.labels["le"]) for s in latency if "le" in s.labels]
expected = [float(f"{m * 2 ** e / 1e9:.9g}") for e in range(16, 38) for m in (1, 1.5)]
assert bounds == expected[:-1] + [float("inf")], bounds
assert [s.value for s in latency if s.name.endswith("_count")] == [100], latency
servers = {s.labels["server"] for s in by_name["wsvitals_messages"].samples}
assert servers == {"node:8000", 'a"} 1\ufffd#\\:1'}, servers
