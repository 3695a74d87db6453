"""The strict parser is strict: it refuses what a scraper must not be given."""
import pytest

from exposition import parse

GOOD = """# HELP a_total Things.
# TYPE a_total counter
a_total{x="q\\"\\\\\\n",y=""} 1
a_total{x="other"} 2.5e3
# HELP b_seconds Times.
# TYPE b_seconds histogram
b_seconds_bucket{le="0.1"} 1
b_seconds_bucket{le="+Inf"} 2
b_seconds_sum 0.3
b_seconds_count 2
"""


def test_good_text_is_read():
    families = parse(GOOD)
    assert [s.value for s in families["a_total"].samples] == [1, 2500]
    assert families["a_total"].samples[0].label("x") == 'q"\\\n'


@pytest.mark.parametrize("old, new", [
    ("2.5e3\n", "2.5e3 \n"), ("2.5e3", "2,5"), ('x="other"', 'x="q\\"\\\\\\n",y=""'), ('"other"', '"o"ther"'), ('"other"', '"o\\ther"'),
    ("# TYPE a_total counter\n", ""), ("# HELP a_total Things.\n", ""), ("a_total", "a"), ("seconds", "ms"), ("counter", "gauge"),
    ('le="+Inf"', 'le="0.05"'), ('le="0.1"} 1', 'le="0.1"} 3'), ("b_seconds_count 2", "b_seconds_count 3"), ("b_seconds_sum 0.3\n", ""),
    ('y=""} 1', 'y=""} -1'), ("b_seconds_count 2\n", "b_seconds_count 2"),
])
def test_bad_text_is_refused(old, new):
    assert old in GOOD
    with pytest.raises(AssertionError):
        parse(GOOD.replace(old, new))
