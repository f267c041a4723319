"""Response rules: which calls they answer, with what, and what they leave to the kernel."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from syscalls import abi
from syscalls.errno import EACCES, EBADF, EFAULT, EINTR, ENOENT
from syscalls.responses import compile_rule, parse_when
from syscalls.world import Response, World, WorldError
from tests.syscalls.bytememory import BAD, BUFFER, Guest, guest

PMD = b"/sys/kernel/mm/transparent_hugepage/hpage_pmd_size\0"


def ruled(*responses: Response) -> Guest:
    return guest(replace(World(), responses=responses))


def openat(g: Guest, path: bytes) -> int:
    return g.call(257, abi.AT_FDCWD, g.put(path, 1024), abi.O_RDONLY)


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ("2", [2]),
        ("1+", [1, 2, 3, 4, 5, 6, 7]),
        ("3+", [3, 4, 5, 6, 7]),
        ("2..4", [2, 3, 4]),
        ("1+3", [1, 4, 7]),
        ("2..6+2", [2, 4, 6]),
        ("2..2", [2]),
    ],
)
def test_when_counts_like_strace(text: str, hits: list[int]) -> None:
    """The grammar of ``strace -e inject=...:when=``."""
    assert [count for count in range(1, 8) if parse_when(text).hits(count)] == hits


@pytest.mark.parametrize("text", ["", "0", "3..2", "+", "x", "1..", "1+0", "-1", "1 + 2"])
def test_bad_when_is_refused(text: str) -> None:
    """One line that says what is allowed."""
    with pytest.raises(WorldError, match="counted upwards from 1"):
        parse_when(text)


def test_an_error_is_returned_and_nothing_done() -> None:
    """The call is not performed: no descriptor is used up."""
    g = ruled(Response("openat", when="1", errno="EINTR"))

    assert openat(g, PMD) == -EINTR
    assert openat(g, PMD) == 3
    assert [event.overridden for event in g.kernel.events] == [True, False]


def test_a_rule_may_name_a_path() -> None:
    """Only calls with that path count and are answered."""
    g = ruled(Response("openat", when="2", path="/dev/null", errno="EACCES"))

    assert [openat(g, PMD), openat(g, b"/dev/null\0"), openat(g, PMD), openat(g, b"/dev/null\0")] == [3, 4, 5, -EACCES]


def test_repeated_slashes_count_as_one() -> None:
    """The rule means the file, however the program or the rule spells it."""
    g = ruled(Response("openat", path="//dev/null", errno="EACCES"))

    assert openat(g, b"/dev/zero") >= 0
    assert openat(g, b"/dev///null") == -EACCES


def test_a_descriptor_counts_as_the_path_it_was_opened_from() -> None:
    """``read`` of a file is matched by the file's path; other descriptors are left alone."""
    g = ruled(Response("read", path="/dev/zero", data=b"not zero"))
    zero, pmd = openat(g, b"/dev/zero\0"), openat(g, PMD)

    assert g.call(0, pmd, BUFFER, 20) == 8
    assert g.call(0, zero, BUFFER, 20) == 8
    assert g.get(8) == b"not zero"
    assert g.call(0, 99, BUFFER, 20) == -9


def test_data_is_cut_to_the_buffer() -> None:
    """The result is what was stored, unless the rule says otherwise; the count argument is the buffer's size."""
    g = ruled(Response("read", when="1", data=b"0123456789"), Response("read", when="2", data=b"01", result=7))

    assert g.call(0, 0, BUFFER, 4) == 4
    assert g.get(6) == b"0123\0\0"
    assert g.call(0, 0, BUFFER, 4) == 7


def test_affinity_masks_can_be_made_up() -> None:
    """``sched_getaffinity`` returns 8 with this mask."""
    g = ruled(Response("sched_getaffinity", data=struct.pack("<Q", 0xFF), result=8))

    assert g.call(204, 0, 8192, BUFFER) == 8
    assert g.get(8) == struct.pack("<Q", 0xFF)


def test_vectors_are_filled_in_order() -> None:
    """Readv's data is spread over its buffers."""
    g = ruled(Response("readv", data=b"abcdef"))
    vector = g.put(struct.pack("<QQQQ", BUFFER, 2, BUFFER + 100, 9), 2048)

    assert g.call(19, 0, vector, 2) == 6
    assert (g.get(2), g.get(4, 100)) == (b"ab", b"cdef")


def test_data_into_a_bad_pointer_is_efault() -> None:
    """The kernel could not have stored it either."""
    assert ruled(Response("read", data=b"x")).call(0, 0, BAD, 4) == -EFAULT


def test_any_result_can_be_returned() -> None:
    """Even one that no kernel would give; also for calls without arguments and for unknown ones."""
    g = ruled(Response("getpid", result=-7), Response("io_uring_setup", result=5))

    assert g.call(39) == -7
    assert g.kernel.events[-1].errno == "E2BIG"
    assert g.call(425) == 5


def test_the_first_matching_rule_wins_and_all_count() -> None:
    """A rule counts the calls it matches even when another one answers."""
    g = ruled(Response("getpid", when="1..2", result=1), Response("getpid", when="2+", result=2))

    assert [g.call(39) for _ in range(4)] == [1, 1, 2, 2]


def test_counts_can_be_saved_and_restored() -> None:
    """They are the rules' only state."""
    g = ruled(Response("getpid", when="2", result=1))
    g.call(39)
    saved = g.kernel.responses.counts()
    assert g.call(39) == 1
    g.kernel.responses.restore(saved)

    assert g.call(39) == 1


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (Response("opnat", errno="EINTR"), "no system call is named 'opnat'"),
        (Response("openat", errno="EWHAT"), "'EWHAT' is no error name"),
        (Response("openat"), "changes nothing"),
        (Response("openat", when="x", errno="EINTR"), "when is 'x'"),
        (Response("read", result=1, arguments=((2, 1),)), "arguments of a call that is not performed"),
    ],
)
def test_impossible_rules_are_refused(response: Response, message: str) -> None:
    """At the start, in one line."""
    with pytest.raises(WorldError, match=message):
        ruled(response)


def test_an_unreadable_path_fails_before_any_rule() -> None:
    """EFAULT is found first: a rule with a path cannot match what has none."""
    g = ruled(Response("openat", path="/x", errno="EINTR"))

    assert g.call(257, abi.AT_FDCWD, BAD, 0) == -EFAULT
    assert openat(g, b"/y\0") == -ENOENT


def test_a_call_is_performed_with_other_arguments() -> None:
    """A read that is cut short goes on where it stopped, as no answer in its place could."""
    g = ruled(Response("read", when="1", arguments=((2, 3),)))
    fd = openat(g, PMD)

    assert [g.call(0, fd, BUFFER, 20) for _ in range(3)] == [3, 5, 0]
    assert [event.overridden for event in g.kernel.events] == [False, True, False, False]
    assert g.kernel.events[1].args[2] == 20  # what the guest asked


def test_replaced_arguments_are_narrowed_like_the_guests() -> None:
    """-1 is a descriptor of 32 bits, whatever its upper half."""
    g = ruled(Response("close", arguments=((0, -1),)))

    assert g.call(3, 0) == -EBADF
    assert g.kernel.files.fds() == [0, 1, 2]


def test_rules_ahead_win_and_leave_the_others_counting() -> None:
    """What is put ahead answers first; the World's own rules see every call and can be put back."""
    g = ruled(Response("getpid", when="2+", result=7))
    own = g.kernel.responses
    first = compile_rule(Response("getpid", when="2", result=9))
    g.kernel.answer_by(own.ahead([(39, first)]))

    assert [g.call(39) for _ in range(3)] == [1000, 9, 7]
    assert own.counts() == [3]
    g.kernel.answer_by(own)
    own.restore([0])
    assert [g.call(39) for _ in range(2)] == [1000, 7]
