"""A strict parser of the Prometheus text format 0.0.4: what a lenient scraper would let pass is an error here."""
import math
import re
from dataclasses import dataclass

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
VALUE = re.compile(r"[+-]?(?:Inf|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|NaN")
TYPES = ("counter", "gauge", "histogram", "summary", "untyped")
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}


@dataclass(frozen=True)
class Sample:
    name: str
    labels: tuple  # sorted (name, value)
    value: float

    def label(self, name):
        return dict(self.labels).get(name)


@dataclass
class Family:
    name: str
    type: str
    help: str
    samples: list


def parse(text):
    """{family name: Family}; raises AssertionError that names the line."""
    assert text.endswith("\n"), "the last line must end in a line feed"
    families, current, helps, seen = {}, None, {}, set()
    for number, line in enumerate(text[:-1].split("\n"), 1):
        where = f"line {number}: {line!r}"
        if line.startswith("# HELP "):
            name, _, words = line[7:].partition(" ")
            assert NAME.fullmatch(name) and name not in helps and words, where
            assert not re.search(r"\\(?![\\n])", words), f"bad escape in {where}"
            helps[name] = words
        elif line.startswith("# TYPE "):
            name, _, kind = line[7:].partition(" ")
            assert NAME.fullmatch(name) and kind in TYPES, where
            assert name not in families, f"a second TYPE, or samples that are not together: {where}"
            current = families[name] = Family(name, kind, helps.get(name, ""), [])
        elif line and not line.startswith("#"):
            sample = parse_sample(line, where)
            assert current and sample.name in [current.name + s for s in SUFFIXES.get(current.type, ("",))], f"no TYPE before {where}"
            assert (sample.name, sample.labels) not in seen, f"a series twice: {where}"
            seen.add((sample.name, sample.labels))
            current.samples.append(sample)
    for family in families.values():
        check(family)
    return families


def parse_sample(line, where):
    name = NAME.match(line)
    assert name, where
    rest, labels = line[name.end():], []
    if rest.startswith("{"):
        rest = rest[1:]
        while not rest.startswith("}"):
            label = LABEL.match(rest)
            assert label, f"bad label in {where}"
            labels.append((label[1], re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), label[2])))
            rest = rest[label.end():]
            assert rest[:1] in (",", "}"), f"bad label list in {where}"
            rest = rest.removeprefix(",")
        rest = rest[1:]
    assert len(dict(labels)) == len(labels), f"a label twice in {where}"
    assert rest.startswith(" ") and VALUE.fullmatch(rest[1:]), f"bad value in {where}"
    return Sample(name[0], tuple(sorted(labels)), float(rest[1:]))


def check(family):
    """What promtool would say besides: help, names, units, and buckets that add up."""
    assert family.help, f"{family.name} has no HELP"
    assert (family.type == "counter") == family.name.endswith("_total"), f"{family.name} is a {family.type}"
    assert not re.search(r"_(ms|milliseconds|ns|nanoseconds|kb|mb)(_|$)", family.name), f"{family.name}: base units only"
    if family.type == "counter":
        assert all(s.value >= 0 and math.isfinite(s.value) for s in family.samples), family.name
    if family.type == "histogram":
        check_histogram(family)


def check_histogram(family):
    groups = {}
    for s in family.samples:
        rest = tuple(pair for pair in s.labels if pair[0] != "le")
        groups.setdefault(rest, {}).setdefault(s.name.removeprefix(family.name), []).append(s)
    for labels, parts in groups.items():
        where = f"{family.name} {labels}"
        assert set(parts) == {"_bucket", "_sum", "_count"} and len(parts["_sum"]) == len(parts["_count"]) == 1, where
        bounds = [float(s.label("le")) for s in parts["_bucket"]]
        counts = [s.value for s in parts["_bucket"]]
        assert bounds == sorted(set(bounds)) and bounds[-1] == math.inf, f"{where}: bounds {bounds}"
        assert counts == sorted(counts) and counts[-1] == parts["_count"][0].value, f"{where}: {counts}"
