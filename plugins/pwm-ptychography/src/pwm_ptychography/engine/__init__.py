"""The engine that ptychographic methods share: exit waves, modulus constraint, overlap updates."""

from .engine import Engine
from .modes import orthogonalise

__all__ = ["Engine", "orthogonalise"]
