"""What every run needs of :mod:`dataclasses` and :mod:`typing`, without their cost.  Type checkers see those.

The standard library's take 10 ms (``inspect``) and 4 ms to import, and up to half a millisecond for each class, whose
methods are compiled from text: 40 ms of every start.  Here all classes share their methods.

``dataclass`` makes slotted classes that inherit no fields, and a field has a default, a factory or neither: what is
needed; ``fields``, ``replace`` and ``asdict`` of :mod:`dataclasses` take them as well.  A ``NamedTuple`` is a tuple
with the methods that :func:`collections.namedtuple` gives.  The other names mean nothing when the program runs.
"""

from __future__ import annotations

import collections
from operator import attrgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from dataclasses import dataclass, field, replace
    from typing import Any, Literal, NamedTuple, NoReturn, Protocol, TextIO, TypeAlias
else:
    Any = Literal = NoReturn = TextIO = TypeAlias = object

__all__ = [
    "TYPE_CHECKING",
    "Any",
    "Literal",
    "NamedTuple",
    "NoReturn",
    "Protocol",
    "TextIO",
    "TypeAlias",
    "copied",
    "dataclass",
    "field",
    "replace",
    "take_over",
]

MISSING = object()


class _Factory:
    __slots__ = ("make",)

    def __init__(self, make: Any) -> None:
        self.make = make


class _StandardFields:
    # What the functions of :mod:`dataclasses` ask a class for, made when one of them does.
    def __get__(self, instance: Any, cls: Any) -> Any:
        import dataclasses

        space = {"__annotations__": cls.__annotations__, "__module__": cls.__module__}
        for name, default in cls.__defaults__.items():
            if isinstance(default, _Factory):
                space[name] = dataclasses.field(default_factory=default.make)
            elif default is not MISSING:
                space[name] = default
        fields = dataclasses.fields(dataclasses.dataclass(type(cls.__name__, (), space)))
        cls.__dataclass_fields__ = {one.name: one for one in fields}
        return cls.__dataclass_fields__


# The methods of all dataclasses.


def _init(self: Any, *given: Any, **named: Any) -> None:
    setters = self.__setters__
    for put, value in zip(setters, given, strict=False):
        put(self, value)
    if named or len(given) != len(setters):
        _init_rest(self, len(given), named)


def _init_rest(self: Any, given: int, named: dict[str, Any]) -> None:
    names = self.__slots__
    call = f"{type(self).__name__}.__init__()"
    if given > len(names):
        needed = sum(self.__defaults__[name] is MISSING for name in names)
        takes = "" if needed == len(names) else f"from {needed + 1} to "
        raise TypeError(f"{call} takes {takes}{len(names) + 1} positional arguments but {given + 1} were given")
    for name, put in zip(names[given:], self.__setters__[given:], strict=True):
        value = named.pop(name) if name in named else self.__defaults__[name]
        if value is MISSING:
            raise TypeError(f"{call} missing 1 required positional argument: {name!r}")
        put(self, value.make() if type(value) is _Factory else value)
    for name in named:
        what = "multiple values for argument" if name in names else "an unexpected keyword argument"
        raise TypeError(f"{call} got {what} {name!r}")


def _getstate(self: Any) -> tuple[Any, ...]:
    found = self.__values__(self)
    return found if len(self.__slots__) > 1 else (found,)


def take_over(self: Any, other: Any) -> None:
    """Give each field of *self* the value that *other*, of the same dataclass of this module's, has."""
    for put, value, mine in zip(self.__setters__, _getstate(other), _getstate(self), strict=True):
        if value is not mine:  # most are the same
            put(self, value)


def copied(self: Any) -> Any:
    """Return another object with the same values; of a dataclass of this module's, which may keep some to itself."""
    kind: Any = type(self)
    twin = kind.__new__(kind)
    _setstate(twin, _getstate(self))
    return twin


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
    return f"{type(self).__qualname__}({shown})"


def _eq(self: Any, other: Any) -> Any:
    return self.__values__(self) == self.__values__(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(self.__values__(self))


def _setstate(self: Any, state: Sequence[Any]) -> None:
    for put, value in zip(self.__setters__, state, strict=True):
        put(self, value)


def _frozen(self: Any, name: str, value: Any = None) -> NoReturn:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot assign to field {name!r}")


class _Tuple(tuple[Any, ...]):
    # The methods of all named tuples.
    __slots__ = ()
    _fields: tuple[str, ...] = ()
    _field_defaults: dict[str, Any] = {}  # noqa: RUF012 - each class has its own
    _last: tuple[Any, ...] = ()  # the values of those

    def __new__(cls, *given: Any, **named: Any) -> Any:
        lacking = len(cls._fields) - len(given)
        if named or lacking:
            given = (
                given + cls._last[-lacking:]
                if 0 < lacking <= len(cls._last) and not named
                else cls._whole(given, named)
            )
        return tuple.__new__(cls, given)

    @classmethod
    def _whole(cls, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
        call, names, values = f"{cls.__name__}.__new__()", cls._fields, list(given)
        if len(given) > len(names):
            raise TypeError(f"{call} takes {len(names)} values but {len(given)} were given")
        for name in names[len(given) :]:
            value = named.pop(name) if name in named else cls._field_defaults.get(name, MISSING)
            if value is MISSING:
                raise TypeError(f"{call} missing 1 required positional argument: {name!r}")
            values.append(value)
        for name in named:
            what = "multiple values for argument" if name in names else "an unexpected keyword argument"
            raise TypeError(f"{call} got {what} {name!r}")
        return tuple(values)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
        return f"{type(self).__name__}({shown})"

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self)

    # Of as many values as there are fields, which is not checked: the fast way.
    _make: Any = classmethod(tuple.__new__)

    def _asdict(self) -> dict[str, Any]:
        return dict(zip(self._fields, self, strict=True))

    def _replace(self, **changes: Any) -> Any:
        values = [changes.pop(name, value) for name, value in zip(self._fields, self, strict=True)]
        if changes:
            raise ValueError(f"Got unexpected field names: {list(changes)!r}")
        return tuple.__new__(type(self), values)


class _MakesTuples(type):
    def __new__(cls, name: str, bases: tuple[type, ...], space: dict[str, Any]) -> Any:
        if not bases:
            return type.__new__(cls, name, bases, space)
        names = tuple(space["__annotations__"])
        defaults = {field: space[field] for field in names if field in space}
        getter = collections._tuplegetter  # type: ignore[attr-defined]  # what collections.namedtuple takes
        space.update({field: getter(number, None) for number, field in enumerate(names)})
        space.update(
            __slots__=(), _fields=names, _field_defaults=defaults, _last=tuple(defaults.values()), __match_args__=names
        )
        return type(name, (_Tuple,), space)


if not TYPE_CHECKING:

    class NamedTuple(metaclass=_MakesTuples):
        """The base of a class whose annotated fields become the items of a tuple."""

    class Protocol:
        """The base of a class that says what others look like; they need not inherit it."""

        __slots__ = ()

    def dataclass(*, frozen=False, slots):
        """Make a class whose constructor, equality, hash and repr are those of its annotated fields, as a decorator.

        Of these, what the class itself defines stays.
        """
        if not slots:
            raise TypeError("all these classes have slots")
        shared = {"__init__": _init, "__repr__": _repr, "__eq__": _eq, "__hash__": None}
        if frozen:
            shared |= {"__hash__": _hash, "__setattr__": _frozen, "__delattr__": _frozen}
            shared |= {"__getstate__": _getstate, "__setstate__": _setstate}

        def made(cls):
            if any(hasattr(base, "__setters__") for base in cls.__bases__):
                raise TypeError("these classes inherit no fields")
            space = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
            names = tuple(space["__annotations__"])
            space["__defaults__"] = {name: space.pop(name, MISSING) for name in names}
            space["__slots__"] = space["__match_args__"] = names
            space["__values__"] = attrgetter(*names)
            space["__dataclass_fields__"] = _StandardFields()
            new = type(cls.__name__, cls.__bases__, shared | space)
            new.__setters__ = [new.__dict__[name].__set__ for name in names]
            new.__qualname__ = cls.__qualname__
            return new

        return made

    def field(*, default=MISSING, default_factory=None):
        """Return a field's default, or what makes one for each instance."""
        return default if default_factory is None else _Factory(default_factory)

    def replace(instance, /, **changes):
        """Return a copy of *instance* with the values of some fields changed."""
        kind = type(instance)
        values = [changes.pop(name, value) for name, value in zip(kind.__slots__, _getstate(instance), strict=True)]
        return kind(*values, **changes)
