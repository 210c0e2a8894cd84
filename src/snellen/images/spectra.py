"""Colour and frequency statistics of natural images, for canvases whose coordinates should start out independent.

Measured by `benchmarks/natural_statistics.py` over 2200 photographs of ImageNet at 224 px (120 images for each of
Imagenette's ten classes, and one image for each of ImageNet's thousand); RGB in [0, 1] as stored, gamma included. The
script prints these constants again.
"""

COLOR_MEAN: tuple[float, float, float] = (0.4771, 0.4607, 0.4222)
"""The mean over all pixels."""

COLOR_COVARIANCE: tuple[tuple[float, float, float], ...] = (
    (0.0769, 0.0688, 0.0641),
    (0.0688, 0.0748, 0.0726),
    (0.0641, 0.0726, 0.0847),
)
"""The covariance of R, G and B over all pixels."""

COLOR_SQRT: tuple[tuple[float, float, float], ...] = (
    (0.8936, 0.3181, 0.0894),
    (0.9231, 0.0081, -0.1766),
    (0.9473, -0.3080, 0.0877),
)
"""U sqrt(S) of the covariance U S U^T, scaled so that its longest row has length 1.

With z of three independent coordinates of variance 1 (lightness, red against blue, magenta against green) the colours
`z @ COLOR_SQRT.T` have the covariance of natural images, up to one factor.
"""

AMPLITUDE_EXPONENT: float = 1.265
"""a in amplitude ~ 1 / frequency^a: least squares on log-log axes over rings from 3 to 80 cycles a picture, of the mean
amplitude of luminance under a Hann window."""
