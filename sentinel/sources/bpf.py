"""An assembler for classic BPF, the little machine in which the kernel runs socket filters.

Reference: https://www.kernel.org/doc/html/latest/networking/filter.html. A load beyond the packet's end ends the filter, and
the packet is dropped. Jumps go forward only.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass, field

WORD, HALF, BYTE = 0x00, 0x08, 0x10
"""Sizes of a load: 4, 2 and 1 byte, big-endian."""

EQUAL, GREATER, AT_LEAST, ANY_BIT = 0x10, 0x20, 0x30, 0x40
"""What a jump asks of A."""

_X = 0x08  # the operand is X instead of a constant
_GOTO = 0x05
_REACH = 255
_MOST = 4096  # the kernel's BPF_MAXINSNS


@dataclass(slots=True)
class Assembler:
    """Gathers instructions; conditions jump to labels, which may lie any distance ahead."""

    _code: list[tuple[int, int, str, bool]] = field(default_factory=list)  # opcode, operand, where to jump, when it is true
    _labels: dict[str, int] = field(default_factory=dict)

    def label(self, name: str) -> None:
        """Let *name* stand for the next instruction."""
        self._labels[name] = len(self._code)

    def load(self, size: int, at: int) -> None:
        """A = the bytes at the offset X + *at*."""
        self._emit(0x40 | size, at)

    def load_absolute(self, size: int, at: int) -> None:
        """A = the bytes at *at*, or the kernel's own knowledge of the packet (`SKF_AD_OFF` and above)."""
        self._emit(0x20 | size, at & 0xFFFFFFFF)

    def load_length(self) -> None:
        """A = the packet's length."""
        self._emit(0x80, 0)

    def recall(self, slot: int) -> None:
        """A = a memory slot, of which there are 16."""
        self._emit(0x60, slot)

    def recall_x(self, slot: int) -> None:
        """X = a memory slot."""
        self._emit(0x61, slot)

    def set_x(self, number: int) -> None:
        """X = *number*."""
        self._emit(0x01, number)

    def keep(self, slot: int) -> None:
        """A memory slot = A."""
        self._emit(0x02, slot)

    def keep_x(self, slot: int) -> None:
        """A memory slot = X."""
        self._emit(0x03, slot)

    def add(self, number: int) -> None:
        """A += *number*."""
        self._emit(0x04, number)

    def add_x(self) -> None:
        """A += X."""
        self._emit(0x0C, 0)

    def subtract_x(self) -> None:
        """A -= X."""
        self._emit(0x1C, 0)

    def mask(self, bits: int) -> None:
        """A &= *bits*."""
        self._emit(0x54, bits)

    def shift_left(self, bits: int) -> None:
        """A <<= *bits*."""
        self._emit(0x64, bits)

    def shift_right(self, bits: int) -> None:
        """A >>= *bits*."""
        self._emit(0x74, bits)

    def to_x(self) -> None:
        """X = A."""
        self._emit(0x07, 0)

    def from_x(self) -> None:
        """A = X."""
        self._emit(0x87, 0)

    def move(self, by: int) -> None:
        """X += *by*; A is lost."""
        self.from_x()
        self.add(by)
        self.to_x()

    def goto(self, label: str) -> None:
        """Go on at *label*."""
        self._emit(_GOTO, 0, label)

    def when(self, test: int, number: int, label: str) -> None:
        """Go on at *label* if A meets the *test* with *number*."""
        self._emit(0x05 | test, number, label)

    def unless(self, test: int, number: int, label: str) -> None:
        """Go on at *label* if A does not meet the *test* with *number*."""
        self._emit(0x05 | test, number, label, on=False)

    def unless_x(self, test: int, label: str) -> None:
        """Go on at *label* if A does not meet the *test* with X."""
        self._emit(0x05 | test | _X, 0, label, on=False)

    def answer(self, length: int) -> None:
        """End: capture at most so many bytes of the packet; 0 drops it."""
        self._emit(0x06, length)

    def assembled(self) -> bytes:
        """Return the program as an array of `struct sock_filter`."""
        far: set[int] = set()  # conditions whose target is beyond the 255 instructions they reach: a GOTO follows them
        while True:
            places = self._places(far)
            beyond = {
                nth for nth in range(len(self._code)) if self._conditional(nth) and self._reach(nth, places) > _REACH
            } - far
            if not beyond:
                break
            far |= beyond
        program = [one for nth in range(len(self._code)) for one in self._instruction(nth, places, far)]
        assert len(program) <= _MOST
        return b"".join(struct.pack("=HBBI", *one) for one in program)

    def _emit(self, opcode: int, operand: int, label: str = "", *, on: bool = True) -> None:
        self._code.append((opcode, operand, label, on))

    def _conditional(self, nth: int) -> bool:
        opcode, _, label, _ = self._code[nth]
        return bool(label) and opcode != _GOTO

    def _places(self, far: set[int]) -> list[int]:
        """Return where each instruction comes to stand."""
        return list(itertools.accumulate((2 if nth in far else 1 for nth in range(len(self._code))), initial=0))

    def _reach(self, nth: int, places: list[int]) -> int:
        """Return how many instructions lie between one and its target."""
        label = self._code[nth][2]
        distance = places[self._labels[label]] - places[nth] - 1
        assert distance >= 0, f"{label} lies behind"
        return distance

    def _instruction(self, nth: int, places: list[int], far: set[int]) -> list[tuple[int, int, int, int]]:
        opcode, operand, label, on = self._code[nth]
        if not label:
            return [(opcode, 0, 0, operand)]
        reach = self._reach(nth, places)
        if opcode == _GOTO:
            return [(opcode, 0, 0, reach)]
        if nth in far:
            return [(opcode, *((0, 1) if on else (1, 0)), operand), (_GOTO, 0, 0, reach - 1)]
        return [(opcode, *((reach, 0) if on else (0, reach)), operand)]
