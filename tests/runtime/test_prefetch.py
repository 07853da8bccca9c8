"""Reading ahead: in order, in threads, by a limited number of items."""

import threading

import pytest

from ifa_jax.runtime.prefetch import read_ahead


def counted(items, taken):
  for item in items:
    taken.append(item)
    yield item


def test_results_are_in_order_of_the_items():
  second_is_done = threading.Event()

  def read(item):
    if item == 0:
      # Fails unless another thread reads item 1.
      assert second_is_done.wait(timeout=30)
    if item == 1:
      second_is_done.set()
    return -item

  found = list(read_ahead(read, range(20), most=4, num_threads=2))
  assert found == [-item for item in range(20)]


def test_a_limited_number_of_items_is_taken_ahead():
  taken = []
  results = read_ahead(abs, counted(range(100), taken), 5, 2)
  assert taken == []
  assert next(results) == 0
  assert len(taken) == 6
  assert next(results) == 1
  assert len(taken) == 7
  results.close()
  assert len(taken) == 7


def test_an_endless_source_may_be_left():
  started = threading.Event()
  done = []

  def read(item):
    started.wait(timeout=30)
    done.append(item)
    return item

  def endless():
    number = 0
    while True:
      yield number
      number += 1

  results = read_ahead(read, endless(), most=50, num_threads=1)
  started.set()
  assert next(results) == 0
  results.close()
  assert len(done) < 53


@pytest.mark.parametrize("where", ["read", "items"])
def test_an_error_comes_in_its_turn(where):
  def items():
    yield from range(3)
    if where == "items":
      raise ValueError("3")

  def read(item):
    if where == "read" and item == 2:
      raise ValueError("2")
    return item

  results = read_ahead(read, items(), most=1, num_threads=2)
  assert next(results) == 0
  assert next(results) == 1
  with pytest.raises(ValueError, match=r"2|3"):
    next(results)


def test_nothing_to_read():
  assert list(read_ahead(abs, [], most=3, num_threads=2)) == []
