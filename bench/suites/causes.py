"""The written list: why a test of Go's may have another verdict in rt0 than on this machine.

A difference that no entry explains is shown as one without a cause.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Cause:
    """Why the tests named by *tests* (patterns, subtests are below ``Name/``) of *package* differ, in *releases*."""

    text: str
    package: str
    tests: tuple[str, ...]
    releases: tuple[str, ...] = ()  # empty: all
    verdicts: tuple[str, str] | None = None  # native and emulated; None: any

    def explains(self, release: str, package: str, test: str, pair: tuple[str, str]) -> bool:
        return (
            fnmatchcase(package, self.package)
            and any(fnmatchcase(test, pattern) for pattern in self.tests)
            and (not self.releases or release in self.releases)
            and self.verdicts in (None, pair)
        )


NO_SUCH_CPU = "the CPU of the World has neither AVX nor SHA extensions, because the engine executes none: skipped"

NO_MOUNT = "the guest cannot mount a file system: skipped"
NO_NOHUP = "the guest has the commands of busybox-static, and nohup is none of them: skipped"
NO_RAW = "the guest's network has neither raw IP nor multipath TCP: skipped"
NAMED = "the World's kernel names anonymous mappings (prctl, PR_SET_VMA), this machine's was built without that"
NO_STRACE = "the test runs /usr/bin/strace, which the guest has not: skipped"

CAUSES = (
    Cause(NO_SUCH_CPU, "crypto/*", ("*/AVX*", "*/SHA-NI*", "*/VAES*")),
    Cause(NO_RAW, "net", ("TestIPConn*", "TestMultiPathTCP"), verdicts=("PASS", "SKIP")),
    Cause(NAMED, "runtime", ("TestDecorateMappings",), verdicts=("SKIP", "PASS")),
    Cause(NO_STRACE, "runtime", ("TestUsingVDSO",), verdicts=("PASS", "SKIP")),
    Cause(NO_MOUNT, "os/exec", ("TestFindExecutableVsNoexec",), verdicts=("PASS", "SKIP")),
    Cause(NO_NOHUP, "os/signal", ("TestDetectNohup",), verdicts=("PASS", "SKIP")),
)  # fmt: skip


def cause(release: str, package: str, test: str, pair: tuple[str, str]) -> str | None:
    """Why *test* has the verdicts *pair*; None if that is not known."""
    return next((entry.text for entry in CAUSES if entry.explains(release, package, test, pair)), None)
