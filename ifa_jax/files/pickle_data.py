"""Reads pickles as data: no opcode here can import, call or change anything.

Python's own unpickler imports whatever a pickle names and calls it, sets
attributes of what it finds, and takes memory for a table as long as the file
says. This one builds plain values, and its caller says which names a file may
hold and what they make.
"""

import dataclasses
import io
import itertools
import pickle
import pickletools
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ifa_jax.files.shown import shown

_MARK = object()

# What an opcode puts on the stack, its argument aside.
_CONSTANTS = {
  "MARK": lambda: _MARK,
  "NONE": lambda: None,
  "NEWTRUE": lambda: True,
  "NEWFALSE": lambda: False,
  "EMPTY_LIST": list,
  "EMPTY_DICT": dict,
  "EMPTY_TUPLE": tuple,
}
# Those that put their argument there.
_PUSHED = {"BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"} | {
  prefix + kind
  for prefix, kind in itertools.product(
    ("BIN", "SHORT_BIN"), ("UNICODE", "UNICODE8", "BYTES", "BYTES8")
  )
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_IGNORED = {"PROTO", "FRAME"}
_PLAIN = (str, int, float, bytes, type(None))


@dataclasses.dataclass(frozen=True)
class Name:
  """A "module.name" of a pickle, which is not looked up."""

  text: str


def load(
  pickled: bytes,
  calls: Mapping[str, Callable[..., Any]],
  nouns: Collection[str],
  persistent: Callable[[Any], Any],
) -> Any:
  """Returns the value of a pickle.

  Args:
    pickled: of protocol 2 to 5.
    calls: "module.name" -> what is done when the pickle calls it.
    nouns: other names that may occur; they become a `Name`.
    persistent: returns what a persistent id stands for.

  Raises:
    pickle.UnpicklingError: for a damaged pickle, or one that holds anything
      but numbers, text, bytes, lists, tuples, dicts with plain keys and the
      names given.
  """
  machine = _Machine(calls, nouns, persistent)
  try:
    for opcode, argument, _ in pickletools.genops(io.BytesIO(pickled)):
      if opcode.name == "STOP":
        return machine.pop()
      machine.step(opcode.name, argument)
  except (ValueError, LookupError, TypeError) as error:
    raise pickle.UnpicklingError(
      f"damaged ({type(error).__name__}: {error})"
    ) from None
  raise pickle.UnpicklingError("damaged (no end)")


class _Machine:
  """The stack of a pickle."""

  def __init__(
    self,
    calls: Mapping[str, Callable[..., Any]],
    nouns: Collection[str],
    persistent: Callable[[Any], Any],
  ):
    self._calls = calls
    self._nouns = nouns
    self._persistent = persistent
    self._stack: list[Any] = []
    self._memo: dict[int, Any] = {}

  def pop(self) -> Any:
    value = self._stack.pop()
    if value is _MARK:
      raise ValueError("a mark in place of a value")
    return value

  def step(self, name: str, argument: Any) -> None:
    """Does what an opcode says."""
    if name in _PUSHED:
      self._stack.append(argument)
    elif name in _CONSTANTS:
      self._stack.append(_CONSTANTS[name]())
    elif name in _TUPLES:
      values = [self.pop() for _ in range(_TUPLES[name])]
      self._stack.append(tuple(reversed(values)))
    elif name not in _IGNORED:
      method = getattr(self, f"_op_{name.lower()}", None)
      if method is None:
        raise pickle.UnpicklingError(
          f"wants the opcode {name}; only tensors and plain containers are read"
        )
      method(argument)

  def _to_mark(self) -> list[Any]:
    """Takes everything down to the last mark off the stack."""
    values: list[Any] = []
    while (value := self._stack.pop()) is not _MARK:
      values.append(value)
    return values[::-1]

  def _top(self, kind: type) -> Any:
    value = self._stack[-1]
    if not isinstance(value, kind):
      raise ValueError(
        f"want a {kind.__name__}, found a {type(value).__name__}"
      )
    return value

  def _op_tuple(self, _) -> None:
    self._stack.append(tuple(self._to_mark()))

  def _op_append(self, _) -> None:
    value = self.pop()
    self._top(list).append(value)

  def _op_appends(self, _) -> None:
    values = self._to_mark()
    self._top(list).extend(values)

  def _op_setitem(self, _) -> None:
    value, key = self.pop(), self.pop()
    self._fill([key, value])

  def _op_setitems(self, _) -> None:
    self._fill(self._to_mark())

  def _fill(self, values: list[Any]) -> None:
    """Adds keys and values, by turns, to the dict on top of the stack."""
    found = self._top(dict)
    for key, value in zip(values[::2], values[1::2], strict=True):
      # The hash of a tuple in a tuple, and so on, would end the process.
      if not isinstance(key, _PLAIN):
        raise ValueError(f"a {type(key).__name__} as a dict's key")
      found[key] = value

  def _op_binput(self, place: int) -> None:
    self._memo[place] = self._stack[-1]

  _op_long_binput = _op_binput

  def _op_memoize(self, _) -> None:
    self._memo[len(self._memo)] = self._stack[-1]

  def _op_binget(self, place: int) -> None:
    self._stack.append(self._memo[place])

  _op_long_binget = _op_binget

  def _op_global(self, name: str) -> None:
    self._push_name(name.replace(" ", ".", 1))

  def _op_stack_global(self, _) -> None:
    name, module = self.pop(), self.pop()
    self._push_name(f"{shown(module)}.{shown(name)}".replace("'", ""))

  def _push_name(self, name: str) -> None:
    if name not in self._calls and name not in self._nouns:
      raise pickle.UnpicklingError(
        f"wants to run {shown(name)}; only tensors and plain containers are"
        " read"
      )
    self._stack.append(Name(name))

  def _op_reduce(self, _) -> None:
    arguments, name = self.pop(), self.pop()
    if not isinstance(name, Name) or not isinstance(arguments, tuple):
      raise ValueError("a call of what is no name")
    self._stack.append(self._calls[name.text](*arguments))

  def _op_build(self, _) -> None:
    # Attributes, as a state dict's versions of its modules: not read.
    self.pop()

  def _op_binpersid(self, _) -> None:
    self._stack.append(self._persistent(self.pop()))
