"""Forward models ``y = H(x; θ)``: write ``apply`` in torch, get adjoint, derivatives and algebra.

An operator is a frozen object. Its physical parameters θ are the fields made with
:func:`~pwm_core.settings.param`; they are *arguments* of the physics, never state, and a graph
addresses each one by the dotted name ``node.parameter``.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch

from .errors import BadValue, UnknownName
from .noise import Noise
from .settings import Settings, params

Theta = Mapping[str, Any]  # dotted name -> number, array or tensor


@dataclass(frozen=True)
class Parameter:
    """One physical parameter of an operator graph."""

    name: str  # dotted: "probe.error"
    nominal: Any  # number or array
    unit: str
    low: float
    high: float
    symbol: str
    doc: str


class Operator(Settings):
    """A map from object to data with named, bounded, differentiable physical parameters.

    Subclasses declare parameters with ``param`` and write :meth:`apply`. Fields without ``param``
    are the fixed structure of the node (shapes, masks, choices).
    """

    symbol: ClassVar[str] = "H"
    linear: ClassVar[bool] = True

    name: str = ""  # the scope of this node's parameters; no dots
    label: str = ""  # what stands in the brackets when the graph is printed

    def apply(self, x: torch.Tensor, *args: Any, **theta: Any) -> torch.Tensor:
        """The physics: a pure torch function of ``x`` and this node's own parameters."""
        raise TypeError(f"{type(self).__name__} does not define apply(x, **theta)")

    # -- the graph ------------------------------------------------------------------------------

    @property
    def parts(self) -> tuple[Operator, ...]:
        """The operators that this one is made of; none for a single node."""
        return ()

    def nodes(self) -> list[Operator]:
        """The single nodes of the graph in the order they are applied; one used twice counts once."""
        return [self]

    def node(self, name: str) -> Any:
        """The node called ``name``; UnknownName if there is none."""
        for node in self.nodes():
            if node.name == name:
                return node
        names = ", ".join(n.name for n in self.nodes() if n.name)
        raise UnknownName(f"the operator {self} has no node {name!r}; it has {names}")

    def __matmul__(self, inner: Operator) -> Compose:
        return Compose(outer=self, inner=inner)

    def __add__(self, other: Operator) -> Sum:
        return Sum(left=self, right=other)

    def __str__(self) -> str:
        text = self.label or self.name
        return f"{self.symbol}({text})" if text else self.symbol

    # -- parameters -----------------------------------------------------------------------------

    @functools.cached_property
    def parameters(self) -> dict[str, Parameter]:
        """Every parameter of the graph by dotted name. BadValue if two nodes share a name."""
        found: dict[str, Parameter] = {}
        for node in self.nodes():
            for f in params(type(node)):
                key = _path(node, f.name)
                if key in found:
                    raise BadValue(
                        f"two nodes of {self} both have a parameter {key!r}; give one of them another name="
                    )
                m = f.metadata
                found[key] = Parameter(
                    key, getattr(node, f.name), m["unit"], m["low"], m["high"], m["symbol"], m["doc"]
                )
        return found

    @property
    def theta(self) -> dict[str, Any]:
        """The nominal value of every parameter."""
        return {key: p.nominal for key, p in self.parameters.items()}

    def at(self, theta: Theta | None) -> Self:
        """The same operator with these values as its nominal ones, bounds checked (BadValue)."""
        self._check_names(theta or {})
        return self._at(theta or {}, {}) if theta else self

    def _at(self, theta: Theta, done: dict[int, Any]) -> Self:
        if id(self) not in done:  # a node used twice stays one node
            own = {
                f.name: theta[_path(self, f.name)] for f in params(type(self)) if _path(self, f.name) in theta
            }
            done[id(self)] = self.replace(**own) if own else self
        return done[id(self)]

    def _check_names(self, theta: Theta) -> None:
        for key in theta:
            if key not in self.parameters:
                close = difflib.get_close_matches(key, self.parameters, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(self.parameters)}"
                raise UnknownName(f"the operator {self} has no parameter {key!r}; {hint}")

    # -- evaluation -----------------------------------------------------------------------------

    def __call__(self, x: Any, theta: Theta | None = None) -> Any:
        """The noiseless data H(x; θ). NumPy in, NumPy out; a tensor gives a tensor on its device.

        ``theta`` overrides nominal values by dotted name; tensors in it stay differentiable.
        """
        self._check_names(theta or {})
        if isinstance(x, torch.Tensor):
            return self._forward(x, theta or {})
        with torch.no_grad():
            return self._forward(_tensor(x), theta or {}).numpy()

    def sections(self, x: Any, theta: Theta | None = None) -> Callable[[tuple[slice, ...]], np.ndarray]:
        """A function of ``box``, one slice of step 1 an axis, that is ``H(x; θ)[box]``.

        Data larger than memory are gone through with it; an operator of such data defines its own, which
        computes no more than is asked for.
        """
        whole = np.asarray(self(np.asarray(x), theta))
        return lambda box: whole[box]

    def _forward(self, x: torch.Tensor, theta: Theta) -> torch.Tensor:
        own = {}
        for f in params(type(self)):
            value = theta.get(_path(self, f.name), getattr(self, f.name))
            own[f.name] = torch.as_tensor(value, device=x.device) if _is_array(value) else value
        return self.apply(x, **own)

    def adjoint(self, y: Any, like: Any, theta: Theta | None = None) -> Any:
        """Hᴴ y of a linear operator; ``like`` is any object of the right shape and dtype."""
        if not self.linear:
            raise BadValue(f"{self} is not linear and has no adjoint; use vjp(x, y) at a point x")
        self._check_names(theta or {})
        yt, like_t = _tensor(y), _tensor(like)
        back = self._adjoint(yt, like_t, theta or {})
        return back if isinstance(y, torch.Tensor) else back.numpy()

    def _adjoint(self, y: torch.Tensor, like: torch.Tensor, theta: Theta) -> torch.Tensor:
        x = torch.zeros_like(like).requires_grad_()
        with torch.enable_grad():
            out = self._forward(x, theta)
            return torch.autograd.grad(out, x, y.to(out.dtype))[0]

    def vjp(
        self, x: Any, v: Any, theta: Theta | None = None, wrt: Iterable[str] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Pull a data-space vector back: the gradients of Re⟨v, H(x; θ)⟩ to x and to each parameter.

        ``wrt`` names the parameters (default: every scalar one). A parameter without influence gets 0.
        """
        self._check_names(theta or {})
        values = {**self.theta, **(theta or {})}
        names = list(wrt) if wrt is not None else [k for k, t in values.items() if not _is_array(t)]
        names = [k for k in names if values[k] is not None]
        xt = _tensor(x).detach().requires_grad_()
        leaves = {k: _leaf(values[k], xt.device) for k in names}
        with torch.enable_grad():
            y = self._forward(xt, {**values, **leaves})
            grads = torch.autograd.grad(y, [xt, *leaves.values()], _tensor(v).to(y), allow_unused=True)
        filled = [
            torch.zeros_like(t) if g is None else g
            for g, t in zip(grads, [xt, *leaves.values()], strict=True)
        ]
        answer = filled if isinstance(x, torch.Tensor) else [g.numpy() for g in filled]
        return answer[0], dict(zip(leaves, answer[1:], strict=True))

    def jvp(self, x: Any, dx: Any = None, dtheta: Theta | None = None, theta: Theta | None = None) -> Any:
        """Push a change of the object and of parameters forward: the resulting first-order change of y."""
        from torch.autograd import forward_ad

        self._check_names({**(theta or {}), **(dtheta or {})})
        xt = _tensor(x).detach()
        values = {**self.theta, **(theta or {})}
        with forward_ad.dual_level():
            if dx is not None:
                xt = forward_ad.make_dual(xt, _tensor(dx).to(xt))
            for key, change in (dtheta or {}).items():
                primal = _leaf(values[key], xt.device).detach()
                values[key] = forward_ad.make_dual(
                    primal, torch.as_tensor(change, dtype=primal.dtype, device=primal.device)
                )
            out, tangent = forward_ad.unpack_dual(self._forward(xt, values))
            tangent = torch.zeros_like(out) if tangent is None else tangent
        return tangent if isinstance(x, torch.Tensor) else tangent.detach().numpy()

    def derivative(
        self, x: torch.Tensor, names: Sequence[str] = ()
    ) -> tuple[Callable[..., torch.Tensor], Callable[[torch.Tensor], list[torch.Tensor]]]:
        """H linearised at ``x`` and the nominal parameters, for many products: ``forward, backward``.

        ``forward(dx, *changes)`` is the change of the data with those of the object and of the parameters
        ``names``; ``backward(v)`` is its adjoint, [to x, to each parameter]. An operator that can keep
        what all such products share defines its own.
        """
        if self.linear and not names:
            return self, lambda v: [self.adjoint(v, x)]

        def forward(dx: torch.Tensor, *changes: torch.Tensor) -> torch.Tensor:
            return self.jvp(x, dx, dict(zip(names, changes, strict=True)))

        def backward(v: torch.Tensor) -> list[torch.Tensor]:
            first, rest = self.vjp(x, v, wrt=names)
            return [first, *(rest[n] for n in names)]

        return forward, backward

    # -- the detector ---------------------------------------------------------------------------

    def noise(self, theta: Theta | None = None) -> Noise | None:
        """The noise model of the detector, the last node; None if the graph has no detector."""
        return None

    def sample(self, x: Any, rng: np.random.Generator, theta: Theta | None = None) -> np.ndarray:
        """One noisy measurement of the object ``x``, with the detector's noise drawn from ``rng``."""
        mean = self(np.asarray(x), theta)
        noise = self.noise(theta)
        return mean if noise is None else noise.sample(mean, rng)

    def reduce(self, y: Any, mask: np.ndarray | None = None) -> tuple[np.ndarray, Operator] | None:
        """Fewer numbers that say as much about the object as ``y``, and the operator that explains them.

        They lie on the object's grid with white noise of unit variance: z = K(x) + N(0, 1). Operators
        with an axis that the object has not, such as energy, give them; None where there is no such form.
        ``y`` is an array or, where memory does not hold it, a :class:`~pwm_core.stored.Stored`. ``mask``
        marks the valid data.
        """
        return None

    def estimate(self, y: np.ndarray, mask: np.ndarray | None = None) -> dict[str, float]:
        """Cheap estimates of parameters from the data alone, where a calibrator may start.

        By dotted name, in the parameter's unit; ``std:NAME`` is the standard error of each. None by
        default. ``mask`` marks the valid data.
        """
        return {}

    # -- description ----------------------------------------------------------------------------

    def graph(self, keep: Callable[[np.ndarray], Any] | None = None) -> dict[str, Any]:
        """The graph as plain JSON values: ``nodes`` in order of discovery and the index of the root.

        Arrays become what ``keep(array)`` returns, by default their shape and dtype.
        """
        nodes: list[dict[str, Any]] = []
        root = self._describe(nodes, {}, keep or (lambda a: {"shape": list(a.shape), "dtype": str(a.dtype)}))
        return {"text": str(self), "root": root, "nodes": nodes}

    def _describe(self, nodes: list[dict[str, Any]], seen: dict[int, int], keep: Callable) -> int:
        import dataclasses

        if id(self) in seen:
            return seen[id(self)]
        fields = {}
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if isinstance(value, Operator):
                value = {"node": value._describe(nodes, seen, keep)}
            elif _is_array(value):
                value = {"array": keep(np.asarray(value))}
            elif isinstance(value, np.generic):  # np.float32 is no JSON number
                value = value.item()
            fields[f.name] = value
        seen[id(self)] = len(nodes)
        cls = type(self)
        nodes.append(
            {"type": f"{cls.__module__}:{cls.__qualname__}", "symbol": self.symbol, "fields": fields}
        )
        return seen[id(self)]

    def digest(self) -> str:
        """SHA-256 of the whole graph with all of its values."""
        import hashlib
        import json

        def keep(a: np.ndarray) -> str:
            head = f"{a.shape}{a.dtype.str}".encode()
            return hashlib.sha256(head + np.ascontiguousarray(a).tobytes()).hexdigest()

        return hashlib.sha256(json.dumps(self.graph(keep), sort_keys=True).encode()).hexdigest()


class Compose(Operator):
    """``outer @ inner``: first the inner operator, then the outer one."""

    symbol = "∘"
    outer: Operator
    inner: Operator

    @property
    def parts(self) -> tuple[Operator, ...]:
        return (self.inner, self.outer)

    @property
    def linear(self) -> bool:  # type: ignore[override]
        return all(p.linear for p in self.parts)

    def nodes(self) -> list[Operator]:
        return list(dict.fromkeys(n for p in self.parts for n in p.nodes()))

    def _at(self, theta: Theta, done: dict[int, Any]) -> Self:
        if id(self) not in done:
            outer, inner = self.outer._at(theta, done), self.inner._at(theta, done)
            same = outer is self.outer and inner is self.inner
            done[id(self)] = self if same else self.replace(outer=outer, inner=inner)
        return done[id(self)]

    def _forward(self, x: torch.Tensor, theta: Theta) -> torch.Tensor:
        return self.outer._forward(self.inner._forward(x, theta), theta)

    def noise(self, theta: Theta | None = None) -> Noise | None:
        return self.outer.noise(theta)

    def labelled(self, label: str) -> Self:
        """The same operator, printed as ``label``: several primitives shown as the one they amount to."""
        return self.replace(label=label)

    def expanded(self) -> str:
        """The graph with every group opened."""
        return " → ".join(p.expanded() if isinstance(p, Compose) else str(p) for p in self.parts)

    def __str__(self) -> str:
        return self.label or " → ".join(str(p) for p in self.parts)


class Sum(Operator):
    """``left + right``: both operators see the same object, their data add up."""

    symbol = "+"
    left: Operator
    right: Operator

    @property
    def parts(self) -> tuple[Operator, ...]:
        return (self.left, self.right)

    @property
    def linear(self) -> bool:  # type: ignore[override]
        return all(p.linear for p in self.parts)

    def nodes(self) -> list[Operator]:
        return list(dict.fromkeys(n for p in self.parts for n in p.nodes()))

    def _at(self, theta: Theta, done: dict[int, Any]) -> Self:
        if id(self) not in done:
            left, right = self.left._at(theta, done), self.right._at(theta, done)
            same = left is self.left and right is self.right
            done[id(self)] = self if same else self.replace(left=left, right=right)
        return done[id(self)]

    def _forward(self, x: torch.Tensor, theta: Theta) -> torch.Tensor:
        return self.left._forward(x, theta) + self.right._forward(x, theta)

    def __str__(self) -> str:
        return self.label or f"({self.left} + {self.right})"


def _path(node: Operator, field: str) -> str:
    return f"{node.name}.{field}" if node.name else field


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim > 0


def _tensor(value: Any) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return value
    array = np.asarray(value)
    if not array.flags.writeable:  # torch has no read-only tensors and warns; nobody writes to this one
        array = array.copy()
    return torch.from_numpy(np.ascontiguousarray(array))


def _leaf(value: Any, device: torch.device) -> torch.Tensor:
    # a lone number in double precision (torch's default is single); it does not promote float32 arrays
    lone = torch.float64 if isinstance(value, (int, float)) else None
    t = torch.as_tensor(value, dtype=lone, device=device).detach()
    if not (t.is_floating_point() or t.is_complex()):
        t = t.double()
    return t.clone().requires_grad_()


def walk(operator: Operator) -> Iterator[Operator]:
    """The operator and everything inside it, groups included, outermost first."""
    yield operator
    for part in operator.parts:
        yield from walk(part)
