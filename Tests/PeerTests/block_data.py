"""Weights and importance that are hard on quantizers, by name; the same for blocks.py and record_blocks.py."""
import numpy as np


def floats(x):
    return np.ascontiguousarray(x, np.float32)


def weights(kind, shape, random):
    """Finite weights (rows, columns) of a kind in WEIGHTS."""
    normal = random.standard_normal(shape, np.float32)
    match kind:
        case "normal":
            return floats(0.02 * normal)
        case "uniform":
            return floats(random.uniform(-1, 1, shape))
        case "heavy-tailed":
            return floats(np.clip(random.standard_cauchy(shape), -1e6, 1e6))
        case "outliers":
            return floats(np.where(random.random(shape) < 0.004, 1e4, 1) * normal)
        case "powers":  # the largest of a block closely below a power of two, where logarithms round up
            x = random.uniform(-0.9, 0.9, shape).reshape(-1, 32)
            x[:, 0] = 1 - random.integers(0, 64, len(x)) * 2.0**-24
            return floats(np.ldexp(x, random.integers(-140, 127, (len(x), 1))).reshape(shape))
        case "zero":
            return floats(np.zeros(shape) * random.choice([1, -1], shape))
        case "sparse":
            return floats(np.where(random.random(shape) < 0.97, 0, normal))
        case "constant":
            return floats(np.repeat(normal[:, ::32], 32, axis=1))
        case "offset":
            return floats(3 + 0.01 * normal)
        case "levels":  # many ties in every rounding
            return floats(random.integers(-16, 16, shape) / 2)
        case "ternary":
            return floats(random.integers(-1, 2, shape))
        case "bf16":
            return (normal.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
        case "denormal":
            return floats(random.integers(-99, 100, shape) * 2.0**-149)
        case "denormal squares":
            return floats(normal * np.float32(2.0**-70))
        case "huge":  # scales overflow a half, which makes them infinite here and there
            return floats(normal * np.float32(2.0**100))
        case "huge squares":  # sums of squares overflow a float, but not all do
            return floats(normal * np.float32(2.0**60))
        case "all bits":
            bits = random.integers(0, 2**32, shape, np.uint32).view(np.float32)
            return floats(np.where(np.isfinite(bits), bits, 0))
        case "largest":  # beyond all numbers as soon as two are added or one is multiplied
            return floats(np.float32(3.4028234e38) * random.choice(np.float32([1, -1, 0.5, -0.3, 0]), shape))
        case "smallest":  # whose inverse is beyond all numbers
            return floats(random.integers(-3, 4, shape) * 2.0**random.integers(-149, -126))
        case "wide":
            return floats(normal * np.exp2(random.integers(-60, 60, shape)))
        case "mixed":  # every group of 16 of another kind, many of them zero, of one sign or constant
            x = normal.reshape(-1, 16)
            which = random.integers(0, 6, len(x))
            x[which == 0] = 0
            x[which == 1] = np.abs(x[which == 1])
            x[which == 2] = -np.abs(x[which == 2])
            x[which == 3] = x[which == 3][:, :1]
            x[which == 4] *= np.float32(2.0**-20)
            return x.reshape(shape)


# How many of each kind, beside the others.
WEIGHTS = {"normal": 3, "uniform": 1, "heavy-tailed": 1, "mixed": 2, "wide": 1, "bf16": 1, "outliers": 0.5, "sparse": 0.5,
           "offset": 0.5, "constant": 0.5, "levels": 0.5, "ternary": 0.3, "denormal": 0.3, "denormal squares": 0.3,
           "huge": 0.3, "huge squares": 0.3, "all bits": 0.3, "zero": 0.1, "powers": 0.3,
           "largest": 0.2, "smallest": 0.2}


def importance(kind, columns, random):
    """Of each column, of a kind in IMPORTANCE. Calibration gives columns that were never excited, and whole blocks of them."""
    positive = random.standard_normal(columns) ** 2
    match kind:
        case "positive":
            return floats(positive + 1e-3)
        case "holes":
            return floats(np.where(random.random(columns) < 0.5, 0, positive))
        case "holes of blocks":
            return floats(np.repeat(random.random(columns // 32) < 0.5, 32) * positive)
        case "zero":
            return floats(np.zeros(columns))
        case "wide":
            return floats(np.exp2(random.uniform(-40, 40, columns)))
        case "denormal":
            return floats(random.integers(0, 99, columns) * 2.0**-149)
        case "huge":
            return floats(1e36 * positive)


IMPORTANCE = {"positive": 4, "holes": 1, "holes of blocks": 1, "zero": 0.2, "wide": 1, "denormal": 0.3, "huge": 0.3}
