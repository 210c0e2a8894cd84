"""Numbers about numbers: ranks, similarities, channels at rest, bootstrap intervals, quantiles."""

from snellen.measures.blocks import Block, correlations, correlations_and_cosines, rank_block, raw_block
from snellen.measures.bootstrap import Draws, bootstrap_mean, hierarchical, interval
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
    "bootstrap_mean",
    "centred_ranks",
    "correlations",
    "correlations_and_cosines",
    "cosine",
    "hierarchical",
    "interval",
    "layouts",
    "pearson",
    "quantiles",
    "rank_block",
    "ranks",
    "raw_block",
    "similarities",
    "single_threaded_products",
    "spearman",
    "textures",
    "unit_length",
    "within",
]
