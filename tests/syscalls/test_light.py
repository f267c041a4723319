"""Classes of ``syscalls.light`` beside the standard library's: what a caller can see of them is the same."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
import typing
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from syscalls import light
from syscalls.world import Memory, World


@light.dataclass(frozen=True, slots=True)
class Frozen:
    """One of ours that cannot be changed."""

    x: int
    y: tuple[int, ...] = ()
    z: list[int] = light.field(default_factory=list)

    @property
    def double(self) -> int:
        return 2 * self.x


@light.dataclass(slots=True)
class Open:
    """One of ours that can be changed."""

    x: int
    y: str = "y"


@dataclasses.dataclass(frozen=True, slots=True)
class StandardFrozen:
    """The same as ``Frozen``."""

    x: int
    y: tuple[int, ...] = ()
    z: list[int] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True)
class StandardOpen:
    """The same as ``Open``."""

    x: int
    y: str = "y"


class Ours(light.NamedTuple):
    """A named tuple of ours."""

    x: int
    y: str = "y"
    z: tuple[int, ...] = ()

    @property
    def double(self) -> int:
        return 2 * self.x


class Theirs(typing.NamedTuple):
    """The same, the standard library's."""

    x: int
    y: str = "y"
    z: tuple[int, ...] = ()


PAIRS = pytest.mark.parametrize(("ours", "theirs"), [(Frozen, StandardFrozen), (Open, StandardOpen)])


def outcome(act: Callable[[], object]) -> str:
    """What *act* says or raises, whichever of the two classes it is about."""
    try:
        text = repr(act())
    except (TypeError, AttributeError) as error:
        text = f"{type(error).__name__}: {error}"
    return text.replace("Standard", "")


ARGUMENTS = pytest.mark.parametrize(
    ("given", "named"),
    [
        ((1,), {}), ((1, "a"), {}), ((), {"x": 1}), ((1,), {"y": "b"}), ((), {"y": "b", "x": 2}), ((), {}),
        ((1, 2, 3, 4), {}), ((1,), {"x": 1}), ((1,), {"q": 1}), ((1, "a"), {"y": 1}), ((1,), {"z": (2,)}),
    ],
)  # fmt: skip


@PAIRS
@ARGUMENTS
def test_constructor_and_repr(ours: Any, theirs: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
    """The same arguments are taken and refused, with the same words."""
    assert outcome(lambda: ours(*given, **named)) == outcome(lambda: theirs(*given, **named))


@PAIRS
def test_equality_hash_and_order_of_fields(ours: Any, theirs: Any) -> None:
    """Equal by value, within one class only; hashable if frozen."""
    assert ours(1) == ours(1)
    assert ours(1) != ours(2)
    assert ours(1) != theirs(1)
    assert ours.__match_args__ == theirs.__match_args__
    assert ours.__slots__ == theirs.__slots__
    assert (ours.__hash__ is None) == (theirs.__hash__ is None)


@PAIRS
def test_values_change_as_in_the_standard_ones(ours: Any, theirs: Any) -> None:
    """A frozen one refuses, the others do not; none takes another name."""
    one, other = ours(1), theirs(1)

    assert outcome(lambda: setattr(one, "x", 5)) == outcome(lambda: setattr(other, "x", 5))
    assert outcome(lambda: one) == outcome(lambda: other)
    with pytest.raises(AttributeError):
        one.q = 5


def test_a_frozen_one_is_hashed_by_its_values() -> None:
    """As keys of a set: one of two equal ones."""
    assert len({Frozen(1, (2,), ()), Frozen(1, (2,), ()), Frozen(2, (2,), ())}) == 2  # type: ignore[arg-type]


def test_a_factory_makes_a_value_for_each() -> None:
    """Two instances share no list."""
    one, other = Frozen(1), Frozen(1)
    one.z.append(3)

    assert (one.z, other.z) == ([3], [])


@PAIRS
def test_copies(ours: Any, theirs: Any) -> None:  # noqa: ARG001 - the standard one is known to
    """Copied and pickled, they are equal to what they were."""
    one = ours(7, "seven")
    for copied in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert copied == one
        assert copied is not one


@PAIRS
def test_the_functions_of_the_standard_module_take_them(ours: Any, theirs: Any) -> None:
    """``fields``, ``asdict`` and ``replace``; and our own ``replace`` does what theirs does."""
    assert {*map(dataclasses.is_dataclass, (ours, ours(1)))} == {True}
    assert outcome(lambda: dataclasses.asdict(ours(1))) == outcome(lambda: dataclasses.asdict(theirs(1)))
    names = [[(f.name, f.default, f.default_factory) for f in dataclasses.fields(cls)] for cls in (ours, theirs)]
    assert names[0] == names[1]
    changes: dict[str, Any]
    for changes in ({"x": 2}, {"y": "b"}, {}):
        expected = outcome(partial(dataclasses.replace, theirs(1), **changes))
        assert outcome(partial(dataclasses.replace, ours(1), **changes)) == expected
        assert outcome(partial(light.replace, ours(1), **changes)) == expected
    with pytest.raises(TypeError, match="unexpected keyword argument 'q'"):
        light.replace(ours(1), q=1)


@ARGUMENTS
def test_a_named_tuple_takes_what_the_standard_one_takes(given: tuple[Any, ...], named: dict[str, Any]) -> None:
    """The same values or the same kind of error."""
    ours, theirs = (outcome(partial(cls, *given, **named)).replace(cls.__name__, "") for cls in (Ours, Theirs))

    assert ours == theirs or ours.partition(":")[0] == theirs.partition(":")[0] == "TypeError"


def test_a_named_tuple_is_a_tuple() -> None:
    """Compared, hashed, unpacked, copied and pickled as one; its fields are not to be set."""
    one = Ours(3, "c")
    x, *rest = one

    assert (x, rest, one.x, one[1], one.z) == (3, ["c", ()], 3, "c", ())
    assert tuple(one) == (3, "c", ())
    assert hash(one) == hash((3, "c", ()))
    for copied in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert (copied, type(copied)) == (one, Ours)
    for name in ("x", "q"):
        with pytest.raises(AttributeError):
            setattr(one, name, 5)
    assert (Ours.__name__, Ours.__module__, Ours.__doc__) == ("Ours", __name__, "A named tuple of ours.")
    assert one.double == 6


def test_a_named_tuple_has_the_methods_of_the_standard_one() -> None:
    """``_fields``, ``_make``, ``_asdict``, ``_replace``."""
    one, other = Ours(3, "c"), Theirs(3, "c")

    assert (Ours._fields, Ours._field_defaults) == (Theirs._fields, Theirs._field_defaults)
    assert Ours.__match_args__ == Theirs.__match_args__
    assert one._asdict() == other._asdict()
    assert tuple(one._replace(y="d")) == other._replace(y="d")
    assert type(one._replace(y="d")) is Ours
    assert tuple(Ours._make([4, "e", (1,)])) == Theirs._make([4, "e", (1,)])


def test_a_class_keeps_what_it_defines() -> None:
    """Methods, properties and the docstring."""
    assert Frozen(4).double == 8
    assert Frozen.__doc__ == "One of ours that cannot be changed."
    assert (Frozen.__name__, Frozen.__module__) == ("Frozen", __name__)


class Doubled:
    """A base without fields."""

    __slots__ = ()

    @property
    def double(self: Any) -> int:
        return 2 * int(self.x)


def test_a_base_without_fields_gives_what_it_has() -> None:
    """Its properties; no dictionary comes with it. Fields are not inherited, which is refused."""

    @light.dataclass(frozen=True, slots=True)
    class Derived(Doubled):
        x: int

    assert Derived(4).double == 8
    assert isinstance(Derived(4), Doubled)
    assert not hasattr(Derived(4), "__dict__")
    with pytest.raises(TypeError, match="inherit no fields"):

        @light.dataclass(frozen=True, slots=True)
        class _More(Derived):
            y: int


def test_a_world_is_one_of_them() -> None:
    """Changed in a part, by either ``replace``."""
    smaller = light.replace(World(), memory=dataclasses.replace(World().memory, limit=4096))

    assert smaller.memory == Memory(limit=4096)
    assert smaller != World()
    assert dataclasses.replace(smaller, memory=Memory()) == World()
    with pytest.raises(dataclasses.FrozenInstanceError):
        smaller.seed = 2  # type: ignore[misc]


def test_a_boot_imports_none_of_what_they_stand_in_for() -> None:
    """That is what they are for."""
    code = (
        "import sys; from emu.cli.main import main; main(['boot', '--quiet']); "
        "print({'dataclasses', 'inspect', 'typing'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"
