"""Events of ftrace about vectors, as four tools print them."""

import pytest

from tests.places import real_files
from vsim.readers import vector_events
from vsim.readers.pieces import lines_of

TAIL = "vector_update: irq=82 vector=37 cpu=3 prev_vector=0 prev_cpu=0"
FORMS = {
    "trace": f"  kworker/0:2-2827    [000] d..1. 76495.343456: {TAIL}",
    "tgid": f"  kworker/0:2-2827    (-------) [000] d..1. 76495.343456: {TAIL}",
    "trace-cmd": f"11551093: kworker/0:2-2827 [000] 76495.343456: {TAIL}",
    "perf": f"kworker/0:2 2827 [000] 76495.343456: irq_vectors:{TAIL}",
    "wrapped": f"  kworker/0:2-2827    [000] d..1. 76495.343456: {TAIL[:32]}\n{TAIL[32:]}"}


def read(text):
    return vector_events.read(lines_of(text, "trace")[0])


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_every_form(text):
    reading = read(text)
    assert reading.remarks == ()
    (event,) = reading.records
    assert (event.name, event.time, event.where) == ("vector_update", "76495.343456", 0)
    assert event.task.endswith("kworker/0:2")
    assert event.values == {"irq": 82, "vector": 37, "cpu": 3, "prev_vector": 0, "prev_cpu": 0}
    assert (event["irq"], event["ret"]) == (82, None)


def test_an_event_alone():
    (event,) = read("vector_config: irq=82 vector=37 cpu=3 apicdest=0x00040100").records
    assert (event.where, event.time, event["apicdest"]) == (-1, "", 0x40100)


def test_the_matrix_and_refusals():
    text = ("  a-1 [007] d..1. 1.000001: irq_matrix_alloc: bit=33 cpu=2 online=1 avl=199 alloc=3 managed=1 "
            "online_maps=8 global_avl=1587, global_rsvd=18, total_alloc=29\n"
            "  a-1 [007] d..1. 1.000002: vector_alloc: irq=82 vector=0 reserved=1 ret=-28\n")
    matrix, refused = read(text).records
    assert (matrix["bit"], matrix["global_avl"], matrix["global_rsvd"], matrix["total_alloc"]) == (33, 1587, 18, 29)
    assert refused["ret"] == -28


def test_a_torn_line_is_told():
    (remark,) = read("  a-1 [007] d..1. 1.0: vector_alloc: ").remarks
    assert (remark.line, remark.column) == (1, 24)


def test_other_events_are_left():
    assert read("  a-1 [007] 1.0: sched_switch: prev=1\nirq=4 vector=5\n") == ((), ())


@pytest.mark.parametrize("path", [*real_files("ftrace/*vectors.txt"), *real_files("ftrace/iavf*")])
def test_real_traces(path):
    text = path.read_text()
    reading = read(text)
    assert reading.remarks == ()
    assert [event.line for event in reading.records] == list(range(1, len(text.splitlines()) + 1))
    for line, event in zip(text.splitlines(), reading.records, strict=True):
        assert sum(part.count("=") for part in line.split(":")[-1:]) == len(event.values)
        assert f" {event.time}: {event.name}: " in line
    assert {event["irq"] for event in reading.records} in ({82}, {1478})
