"""Matrix products, their explicit gradients, and kept arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifa_jax.models.layers import matmul, scan, transformer

DTYPES = ("float32", "bfloat16")
# Kernels wider and narrower than their input, and widths not divisible by 8.
SHAPES = [(6, 16, 24), (6, 24, 16), (5, 7, 11)]


def draw(*shape, dtype="float32", seed=0):
  """Returns random numbers of a dtype."""
  drawn = np.random.default_rng(seed).normal(size=shape)
  return jnp.asarray(drawn, dtype)


def gradients(function, args, cotangent):
  """Returns output and gradients, compiled."""

  @jax.jit
  def run(*args):
    out, pull = jax.vjp(function, *args)
    return out, pull(cotangent.astype(out.dtype))

  return run(*args)


def exact(*arrays):
  return [np.asarray(x, np.float64) for x in arrays]


def assert_close(found, wanted):
  """Compares numbers; bfloat16 to half a unit in the last place."""
  rtol = 2.0**-8 if found.dtype == jnp.bfloat16 else 0
  (found,) = exact(found)
  np.testing.assert_allclose(found, wanted, rtol=rtol, atol=5e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_linear_layer_and_its_gradients(shape, dtype):
  rows, width, features = shape
  x = draw(rows, width, dtype=dtype)
  # Numbers that the layer's dtype represents exactly.
  kernel = draw(width, features, dtype=dtype, seed=1).astype(jnp.float32)
  bias = draw(features, dtype=dtype, seed=2).astype(jnp.float32)
  grad = draw(rows, features, dtype=dtype, seed=3)
  out, found = gradients(matmul.linear, (x, kernel, bias), grad)
  assert [out.dtype, *(g.dtype for g in found)] == [dtype, dtype, "f4", "f4"]
  x, kernel, bias, grad = exact(x, kernel, bias, grad)
  product = np.einsum("nd,df->nf", x, kernel)
  if dtype == "bfloat16":
    # The product is rounded before the bias is added.
    product = np.asarray(jnp.asarray(product, dtype), np.float64)
  assert_close(out, product + bias)
  assert_close(found[0], np.einsum("nf,df->nd", grad, kernel))
  assert_close(found[1], np.einsum("nd,nf->df", x, grad))
  assert_close(found[2], grad.sum(0))


def test_a_linear_layer_without_bias():
  x, kernel, grad = draw(4, 3), draw(3, 5, seed=1), draw(4, 5, seed=2)
  out, (_, found, none) = gradients(
    matmul.linear, (x, kernel, None), cotangent=grad
  )
  assert none is None
  assert_close(out, np.einsum("nd,df->nf", *exact(x, kernel)))
  assert_close(found, np.einsum("nd,nf->df", *exact(x, grad)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
  ("function", "shapes", "formula"),
  [
    (matmul.compare, [(2, 3, 5, 8), (2, 3, 7, 8)], "bnqh,bnsh->bnqs"),
    (matmul.mix, [(2, 3, 5, 7), (2, 3, 7, 8)], "bnqs,bnsh->bnqh"),
  ],
)
def test_products_of_attention_and_their_gradients(
  function, shapes, formula, dtype
):
  left, right = (draw(*s, dtype=dtype, seed=i) for i, s in enumerate(shapes))
  wanted = np.einsum(formula, *exact(left, right))
  grad = draw(*wanted.shape, dtype=dtype, seed=2).astype(jnp.float32)
  out, found = gradients(function, (left, right), grad)
  assert [out.dtype, *(g.dtype for g in found)] == ["f4", dtype, dtype]
  assert_close(out, wanted)
  inputs, outcome = formula.split("->")
  first, second = inputs.split(",")
  to_left = np.einsum(f"{outcome},{second}->{first}", *exact(grad, right))
  to_right = np.einsum(f"{first},{outcome}->{second}", *exact(left, grad))
  assert_close(found[0], to_left)
  assert_close(found[1], to_right)


def count_products(remat, dtype):
  """Returns the number of products in the update of two stacked layers."""

  def run_layer(carry, kernel, rng):
    return jnp.tanh(matmul.keep(matmul.linear(carry, kernel, None)))

  def loss(kernels, x):
    key = jax.random.key(0)
    out = scan.scan_layers(run_layer, x, kernels, key, remat)
    return out.astype(jnp.float32).sum()

  x, kernels = draw(4, 8, dtype=dtype), draw(2, 8, 8)
  # Lowered for an accelerator, without the branches for CPUs.
  lowered = jax.jit(jax.grad(loss)).trace(kernels, x)
  text = lowered.lower(lowering_platforms=("cuda",)).as_text()
  return text.count("stablehlo.dot_general")


@pytest.mark.parametrize("dtype", DTYPES)
def test_only_remat_recomputes_a_product(dtype):
  assert count_products(remat=False, dtype=dtype) == 3
  assert count_products(remat=True, dtype=dtype) == 3 + 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_keep_is_the_identity(dtype):
  x, grad = draw(3, 4, dtype=dtype), draw(3, 4, dtype=dtype, seed=1)
  out, (found,) = gradients(matmul.keep, (x,), grad)
  np.testing.assert_array_equal(*exact(out, x))
  np.testing.assert_array_equal(*exact(found, grad))


@pytest.mark.parametrize("name", transformer.ACTIVATIONS)
def test_activations_round_once(name):
  activation = jax.jit(transformer.ACTIVATIONS[name])
  x = jnp.linspace(-8, 8, 4001).astype(jnp.bfloat16)
  found = activation(x)
  assert found.dtype == jnp.bfloat16
  once = activation(x.astype(jnp.float32)).astype(jnp.bfloat16)
  np.testing.assert_array_equal(*exact(found, once))


def test_gelu_is_exact():
  from scipy import special

  x = np.linspace(-12, 12, 100_001)
  wanted = x * special.ndtr(x)
  assert_close(transformer.ACTIVATIONS["gelu"](jnp.asarray(x, "f4")), wanted)


def all_products(kernel):
  """Returns a number that depends on every product and on `keep`."""
  x = draw(2, 1, 4, 3)
  hidden = matmul.linear(x.reshape(-1, 3), kernel, None).reshape(2, 1, 4, 3)
  weights = jnp.tanh(matmul.keep(matmul.compare(hidden, x)))
  return jnp.sum(matmul.mix(weights, hidden) ** 2)


@pytest.mark.silent_input
def test_forward_mode_of_a_gradient_is_reverse_mode_twice():
  kernel, direction = draw(3, 3, seed=1), draw(3, 3, seed=2)
  gradient = jax.grad(all_products)

  @jax.jit
  def three_ways(kernel):
    _, forward = jax.jvp(gradient, (kernel,), (direction,))
    twice = jax.grad(lambda k: jnp.vdot(gradient(k), direction))(kernel)
    hessian = jax.hessian(all_products)(kernel)
    return twice, forward, jnp.tensordot(hessian, direction, 2)

  wanted, *found = three_ways(kernel)
  for one in found:
    np.testing.assert_allclose(one, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.silent_input
def test_reverse_mode_gives_what_forward_mode_refuses():
  kernel = draw(3, 5, seed=1)
  run = lambda kernel: matmul.linear(draw(4, 3), kernel, None)  # noqa: E731
  for forward in (
    lambda: jax.jvp(run, (kernel,), (kernel,)),
    lambda: jax.jacfwd(run)(kernel),
    lambda: jax.linearize(run, kernel)[1](kernel),
  ):
    with pytest.raises(TypeError, match=r"forward-mode .* custom_vjp"):
      forward()
  # A linear map is its own derivative.
  found = jnp.tensordot(jax.jacrev(run)(kernel), kernel, 2)
  assert_close(found, exact(run(kernel))[0])
