"""pwm's own HDF5 files: a problem, its truth, and the result of a run.

Every file has the root attributes ``format`` ("pwm-problem", "pwm-truth" or "pwm-result") and
``version`` (an integer), a fixed-length text dataset ``record`` that holds in JSON everything that is
not an array, and one plain dataset for each array, which the record refers to by name.

Files are written atomically and, before anything is allocated, checked on reading: a file from a
stranger can be refused (BadFile), but it can neither run code nor reach for another file.
"""

from .problem import load_problem, save_problem
from .result import load_result, save_result
from .safe import LIMIT
from .truth import load_truth, save_truth

__all__ = [
    "LIMIT",
    "load_problem",
    "load_result",
    "load_truth",
    "save_problem",
    "save_result",
    "save_truth",
]
