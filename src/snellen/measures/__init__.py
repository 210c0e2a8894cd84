"""Numbers about numbers: ranks, similarities, channels at rest, bootstrap intervals, quantiles."""

from snellen.measures.blocks import Block, correlations, correlations_and_cosines, rank_block, raw_block
from snellen.measures.bootstrap import Draws, bootstrap_mean, hierarchical, interval
from snellen.measures.prediction import (
    auc,
    average_precision,
    chance_agreement,
    conformal_radius,
    forced_choice,
    own_places,
    rank_vectors,
    resampled_correlations,
    ridge_readout,
    share_interval,
)
from snellen.measures.quantiles import quantiles
from snellen.measures.ranks import centred_ranks, ranks
from snellen.measures.rest import Rest
from snellen.measures.similarity import MEASURES, Measure, cosine, pearson, similarities, spearman, unit_length, within
from snellen.measures.textures import layouts, textures
from snellen.measures.threads import single_threaded_products

__all__ = [
    "MEASURES",
    "Block",
    "Draws",
    "Measure",
    "Rest",
    "auc",
    "average_precision",
    "bootstrap_mean",
    "centred_ranks",
    "chance_agreement",
    "conformal_radius",
    "correlations",
    "correlations_and_cosines",
    "cosine",
    "forced_choice",
    "hierarchical",
    "interval",
    "layouts",
    "own_places",
    "pearson",
    "quantiles",
    "rank_block",
    "rank_vectors",
    "ranks",
    "raw_block",
    "resampled_correlations",
    "ridge_readout",
    "share_interval",
    "similarities",
    "single_threaded_products",
    "spearman",
    "textures",
    "unit_length",
    "within",
]
