"""What pictures can guarantee: function classes, evidence, envelopes, witnesses, the table (docs/theory.md)."""

from snellen.theory.classes import (
    Additive,
    Affine,
    AffineAlong,
    BlackBox,
    Concave,
    Constant,
    Convex,
    FittedReLUNetwork,
    FunctionClass,
    Lipschitz,
    LipschitzUnknown,
    Monotone,
    PiecewiseAffine,
    ReLUNetwork,
    Smooth,
    SparseAffine,
)
from snellen.theory.domain import Ball, Box
from snellen.theory.envelope import Decoded, Envelope, decode, envelope, envelopes
from snellen.theory.evidence import Evidence, InconsistentEvidenceError
from snellen.theory.report import report
from snellen.theory.spikes import ReLUPair, SpikeNet, relu_pair, spike_net
from snellen.theory.witness import Witness, witnesses

__all__ = [
    "Additive",
    "Affine",
    "AffineAlong",
    "Ball",
    "BlackBox",
    "Box",
    "Concave",
    "Constant",
    "Convex",
    "Decoded",
    "Envelope",
    "Evidence",
    "FittedReLUNetwork",
    "FunctionClass",
    "InconsistentEvidenceError",
    "Lipschitz",
    "LipschitzUnknown",
    "Monotone",
    "PiecewiseAffine",
    "ReLUNetwork",
    "ReLUPair",
    "Smooth",
    "SparseAffine",
    "SpikeNet",
    "Witness",
    "decode",
    "envelope",
    "envelopes",
    "relu_pair",
    "report",
    "spike_net",
    "witnesses",
]
