"""Functions that are compiled for Eigen: called and lowered as any other."""

import jax
import jax.numpy as jnp
import numpy as np

from ifa_jax import cpu_products


def product(a, b):
  return {"ab": a @ b}


def test_results_are_the_function_s_own_for_every_shape():
  function = cpu_products.with_eigen(jax.jit(product))
  rng = np.random.default_rng(0)
  for rows in (3, 5, 3):
    a, b = (rng.normal(size=(rows, rows)).astype(np.float32) for _ in "ab")
    np.testing.assert_allclose(function(a, b)["ab"], a @ b, rtol=1e-5)


def test_products_are_not_ynnpack_s():
  x = jnp.ones((512, 512))
  assert "__ynn_fusion" in jax.jit(product).lower(x, x).compile().as_text()
  lowered = cpu_products.with_eigen(jax.jit(product)).lower(x, x)
  assert "__ynn_fusion" not in lowered.compile().as_text()


def test_it_can_be_a_part_of_another_function():
  function = cpu_products.with_eigen(jax.jit(product))
  x = jnp.eye(3)
  np.testing.assert_array_equal(jax.jit(function)(x, 2 * x)["ab"], 2 * x)


def test_a_compiler_without_the_option_compiles_without(monkeypatch):
  monkeypatch.setattr(cpu_products, "_SUMS_ONLY", {cpu_products._OPTION: "?"})
  function = cpu_products.with_eigen(jax.jit(product))
  np.testing.assert_array_equal(function(np.eye(3), np.eye(3))["ab"], np.eye(3))
