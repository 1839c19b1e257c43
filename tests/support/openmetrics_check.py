"""Reads an OpenMetrics exposition from standard input with the reference parser, strictly: every
family must come out, with its type and, if its name says one, its unit. 77 without the parser."""
import sys

try:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
except ImportError:
    sys.exit(77)

families = {f.name: f for f in text_string_to_metric_families(sys.stdin.read())}
expected = {
    "kpid_build": "info",
    "kpid_events": "counter",
    "kpid_alert_state": "stateset",
    "kpid_checkpoint_pause_seconds": "histogram",
    "kpid_kpi_ratio": "gauge",
    "kpid_kpi_money": "gauge",
    "kpid_notifications": "counter",
}
for name, kind in expected.items():
    if families[name].type != kind:
        sys.exit(f"{name} is a {families[name].type}")
for family in families.values():
    if family.name.endswith(("_seconds", "_bytes", "_ratio")) and not family.unit:
        sys.exit(f"{family.name} has no unit")
    if not family.documentation:
        sys.exit(f"{family.name} has no help")
campaigns = {s.labels["campaign"] for s in families["kpid_kpi_ratio"].samples}
if campaigns != {"618 大促", "campaign-1", "campaign-2"}:
    sys.exit(f"campaigns are {campaigns}")
print(f"{len(families)} families")
