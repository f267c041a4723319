"""Sets of CPUs, as counts, lists and masks write them.

The list format is the kernel's (Documentation/admin-guide/kernel-parameters, "cpu lists"): ``0,2-3,64``.  The strides
of that format (``0-15:2/4``) are not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from syscalls.light import dataclass

MAX_CPUS = 65_536
"""The largest set: what the 8,192-byte buffer that Go hands to sched_getaffinity(2) can tell of."""

ALLOWED = (
    'a count such as 3, a list such as "0,2-3,64" (CPU 0 alone: "0-0") or a mask such as "0x5", '
    f"of 1 to {MAX_CPUS} CPUs"
)
"""What :meth:`CpuSet.parse` accepts, for error messages."""


@dataclass(frozen=True, slots=True)
class CpuSet:
    """An immutable set of CPU numbers, kept as a mask: bit *n* is CPU *n*."""

    mask: int

    @classmethod
    def first(cls, count: int) -> CpuSet:
        """Return CPUs 0 to *count* - 1."""
        return cls((1 << count) - 1)

    @classmethod
    def of(cls, cpus: Iterable[int]) -> CpuSet:
        """Return the set of the CPU numbers in *cpus*."""
        mask = 0
        for cpu in cpus:
            mask |= 1 << cpu
        return cls(mask)

    @classmethod
    def parse(cls, text: str) -> CpuSet:
        """Read a count (``3`` is CPUs 0 to 2), a list (``0,2-3,64``; one CPU alone as ``2-2``) or a mask (``0x5``).

        :raises ValueError: with one line that says what is wrong, for anything else and for the empty set.
        """
        import re  # where text is read only: its import takes 10 ms

        text = text.strip()
        if re.fullmatch(r"0[xX][0-9a-fA-F]+(,[0-9a-fA-F]{1,8})*", text):
            return cls._checked(_grouped(text[2:]), text)
        if re.fullmatch(r"[0-9]+", text):
            return cls.counted(_number(text, text, MAX_CPUS))
        if "," in text or "-" in text:
            return cls.parse_list(text)
        raise ValueError(f"{_short(text)} is neither a count, a list nor a mask of CPUs")

    @classmethod
    def counted(cls, count: int) -> CpuSet:
        """Return the first *count* CPUs.

        :raises ValueError: if *count* is not 1 to :data:`MAX_CPUS`.
        """
        if count < 1:
            raise ValueError(f"{count} CPUs: at least one CPU is needed")
        if count > MAX_CPUS:
            raise ValueError(f"{count} CPUs are too many")
        return cls.first(count)

    @classmethod
    def parse_list(cls, text: str) -> CpuSet:
        """Read a list, in which a lone number is that CPU: ``3`` is CPU 3.

        :raises ValueError: as :meth:`parse` does.
        """
        import re  # as above

        mask = 0
        for item in text.strip().split(","):
            match = re.fullmatch(r"\s*([0-9]+)(?:-([0-9]+))?\s*", item)
            if match is None:
                raise ValueError(f"{_short(text)} is not a list of CPUs: {_short(item.strip())} is not N or N-M")
            low = _number(match[1], text, MAX_CPUS - 1)
            high = low if match[2] is None else _number(match[2], text, MAX_CPUS - 1)
            if high < low:
                raise ValueError(f"{_short(text)} is not a list of CPUs: {_short(item.strip())} runs backwards")
            mask |= (1 << high + 1) - (1 << low)
        return cls._checked(mask, text)

    @classmethod
    def _checked(cls, mask: int, text: str) -> CpuSet:
        if mask == 0:
            raise ValueError(f"{_short(text)} is the empty set: at least one CPU is needed")
        if mask.bit_length() > MAX_CPUS:
            raise ValueError(f"{_short(text)} names CPU {mask.bit_length() - 1}; the largest is {MAX_CPUS - 1}")
        return cls(mask)

    def __len__(self) -> int:
        return self.mask.bit_count()

    def __contains__(self, cpu: int) -> bool:
        return cpu >= 0 and self.mask >> cpu & 1 == 1

    def __iter__(self) -> Iterator[int]:
        for low, high in self.ranges():
            yield from range(low, high + 1)

    def __str__(self) -> str:
        """The kernel's list format (cpumap_print_to_pagebuf); empty for the empty set."""
        return ",".join(f"{low}" if low == high else f"{low}-{high}" for low, high in self.ranges())

    @property
    def highest(self) -> int:
        """The largest CPU number; -1 for the empty set."""
        return self.mask.bit_length() - 1

    @property
    def lowest(self) -> int:
        """The smallest CPU number; -1 for the empty set."""
        return (self.mask & -self.mask).bit_length() - 1

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Yield the runs of neighbouring CPUs as (first, last), in order."""
        rest, base = self.mask, 0
        while rest:
            skip = (rest & -rest).bit_length() - 1
            rest >>= skip
            run = (~rest & rest + 1).bit_length() - 1
            yield base + skip, base + skip + run - 1
            rest >>= run
            base += skip + run

    def spelled(self) -> str:
        """The list format, but with a CPU alone as ``2-2``, so that :meth:`parse` does not take it for a count."""
        text = str(self)
        return f"{text}-{text}" if text.isdecimal() else text

    def mask_bytes(self, n_bytes: int) -> bytes:
        """The mask as *n_bytes* bytes, CPU 0 in bit 0 of the first (sched_getaffinity(2)); CPUs beyond are dropped."""
        return (self.mask & (1 << 8 * n_bytes) - 1).to_bytes(n_bytes, "little")

    def sysfs_mask(self, n_cpus: int) -> str:
        """The mask of *n_cpus* bits as ``Cpus_allowed`` writes it: groups of 32 bits, highest first, with commas.

        The first group has as many digits as its bits need, the others eight (lib/vsprintf.c, bitmap_string).
        """
        groups = []
        width = n_cpus % 32 or 32
        for at in range((n_cpus - 1) // 32 * 32, -1, -32):
            groups.append(f"{self.mask >> at & (1 << width) - 1:0{(width + 3) // 4}x}")
            width = 32
        return ",".join(groups)


def _grouped(text: str) -> int:
    # A mask as the kernel writes it: groups of 32 bits, highest first; one group alone may be of any length.
    mask = 0
    for group in text.split(","):
        mask = mask << 32 | int(group, 16)
    return mask


def _number(digits: str, text: str, largest: int) -> int:
    # int(digits), without the quadratic work that thousands of digits would ask for.
    digits = digits.lstrip("0") or "0"
    if len(digits) > len(str(largest)) or int(digits) > largest:
        raise ValueError(f"{_short(text)}: {_short(digits)} is too large; the largest is {largest}")
    return int(digits)


def _short(text: str) -> str:
    return repr(text) if len(text) <= 60 else f"{text[:40]!r}... ({len(text)} characters)"
