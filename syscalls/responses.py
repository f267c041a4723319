"""The response rules of a World: what is answered in a call's place, and when.

Rules are compiled once into a list a call number, so that calls without rules pay one table look-up.  Here alone is
decided whether a rule applies; every front end (a hand-written World, the fuzzer, the debugger) goes through these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from syscalls.errno import NUMBERS
from syscalls.light import NamedTuple
from syscalls.world import Response, WorldError


class When(NamedTuple):
    """Which of the matching calls, counted from 1, a rule applies to: every *step*-th from *first* to *last*."""

    first: int
    last: int | None
    step: int = 1

    def hits(self, count: int) -> bool:
        """Say whether it applies to the *count*-th matching call."""
        inside = count >= self.first and (self.last is None or count <= self.last)
        return inside and (count - self.first) % self.step == 0


def parse_when(text: str) -> When:
    """Parse ``N``, ``N..M``, ``N+``, ``N+S`` or ``N..M+S``, the grammar of ``strace -e inject=...:when=``.

    Raises WorldError, saying what is allowed.
    """
    import re  # with rules only: its import takes 10 ms

    found = re.fullmatch(r"(\d+)(?:\.\.(\d+))?(?:(\+)(\d+)?)?", text)
    if found:
        first, step = int(found[1]), int(found[4] or 1)
        last = int(found[2]) if found[2] else None if found[3] else first
        if first >= 1 and step >= 1 and (last is None or last >= first):
            return When(first, last, step)
    raise WorldError("response", f"when is {text!r}", "N, N..M, N+, N+S or N..M+S, counted upwards from 1")


class Rule:
    """One compiled response; *count* is how many calls have matched it so far."""

    __slots__ = ("arguments", "count", "data", "errno", "path", "result", "when")

    def __init__(
        self,
        when: When,
        path: bytes | None,
        errno: int,
        result: int | None,
        data: bytes | None,
        arguments: tuple[tuple[int, int], ...] = (),
    ) -> None:
        self.when, self.path, self.errno, self.result, self.data = when, path, errno, result, data
        self.arguments = arguments
        self.count = 0

    def changed(self, args: tuple[int, ...]) -> tuple[int, ...]:
        """Return *args* with this rule's own in their places; unsigned, as registers hold them."""
        given = dict(self.arguments)
        return tuple(given.get(index, value) & 0xFFFF_FFFF_FFFF_FFFF for index, value in enumerate(args))


class Responses:
    """The rules of one run, by call number."""

    __slots__ = ("by_nr", "rules")

    def __init__(self, responses: tuple[Response, ...], numbers: dict[str, int]) -> None:
        """Compile *responses*; *numbers* gives the number of each call by name.

        Raises WorldError for a call, an errno or a ``when`` that does not exist, naming it.
        """
        self.by_nr: dict[int, list[Rule]] = {}
        self.rules: list[Rule] = []
        for response in responses:
            nr = numbers.get(response.call)
            if nr is None:
                raise WorldError("response", f"no system call is named {response.call!r}", "a name of docs/syscalls.md")
            rule = compile_rule(response)
            self.rules.append(rule)
            self.by_nr.setdefault(nr, []).append(rule)

    def find(self, nr: int, path: Callable[[], bytes | None]) -> Rule | None:
        """Count this call in every rule it matches and return the first rule that applies to it.

        *path* yields the call's path, or its descriptor's, when a rule asks for one.
        """
        chosen = None
        for rule in self.by_nr[nr]:
            if rule.path is not None and rule.path != _plain(path()):
                continue
            rule.count += 1
            if chosen is None and rule.when.hits(rule.count):
                chosen = rule
        return chosen

    def ahead(self, first: Sequence[tuple[int, Rule]]) -> Responses:
        """Return these rules, themselves and not copies, behind *first*: pairs of a call's number and a rule."""
        both = Responses((), {})
        both.rules = [*(rule for _, rule in first), *self.rules]
        for nr, rule in first:
            both.by_nr.setdefault(nr, []).append(rule)
        for nr, rules in self.by_nr.items():
            both.by_nr.setdefault(nr, []).extend(rules)
        return both

    def counts(self) -> list[int]:
        """Return how many calls each rule has matched: the only state there is."""
        return [rule.count for rule in self.rules]

    def restore(self, counts: list[int]) -> None:
        """Put back what :meth:`counts` returned."""
        for rule, count in zip(self.rules, counts, strict=True):
            rule.count = count


def _plain(path: bytes | None) -> bytes | None:
    # Repeated slashes count as one (path_resolution(7)): Go 1.25 opens /sys/fs/cgroup//cpu.max.
    while path is not None and b"//" in path:
        path = path.replace(b"//", b"/")
    return path


def compile_rule(response: Response) -> Rule:
    """Turn one response of the World into a rule; raise WorldError for what it cannot mean."""
    errno = 0
    if response.errno is not None:
        if response.errno not in NUMBERS:
            raise WorldError("response", f"{response.errno!r} is no error name", "a name such as EINTR")
        errno = NUMBERS[response.errno]
    answers = errno or response.result is not None or response.data is not None
    if not answers and not response.arguments:
        raise WorldError(
            "response", f"the response to {response.call} changes nothing", "errno, result, data or arguments"
        )
    if answers and response.arguments:
        raise WorldError(
            "response", f"the response to {response.call} has arguments of a call that is not performed", "one of both"
        )
    path = None if response.path is None else response.path.encode("utf-8", "surrogateescape")
    return Rule(parse_when(response.when), _plain(path), errno, response.result, response.data, response.arguments)
